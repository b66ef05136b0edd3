"""Atomic files and locks."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paircomp.errors import RunError
from paircomp.runtime.files import StepLock, _try_lock, disk_faults, waiting_lock, write_atomically, write_json

HOLD = """
import sys, time
from pathlib import Path
from paircomp.runtime.files import StepLock
with StepLock(Path(sys.argv[1]), step="generate"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"long old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, float("nan"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", b"content")
    assert path.read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_the_second_process_is_told_who_is_at_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "locks" / "generate.lock"
    process = hold(path)
    try:
        with (
            pytest.raises(RunError, match=rf"generate step.*process {process.pid} on ") as raised,
            StepLock(path, step="generate"),
        ):
            pytest.fail("the lock was given twice")
        assert raised.value.path == str(tmp_path / "run")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "generate.lock"
    process = hold(path)
    process.kill()
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    with StepLock(path, step="generate"):
        assert str(os.getpid()) in path.read_text()


def test_waiting_for_a_lock_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    process = hold(path)
    try:
        with pytest.raises(RunError, match="locked by another process"), waiting_lock(path, seconds=0.1):
            pytest.fail("the lock was given twice")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_a_lock_that_cannot_be_had_at_all_is_not_said_to_be_anothers() -> None:
    closed = os.open(os.devnull, os.O_RDWR)
    os.close(closed)
    with pytest.raises(OSError, match="descriptor") as raised:
        _try_lock(closed)
    assert raised.value.errno == errno.EBADF


def test_what_the_disk_says_becomes_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"No such file.*next: mend it") as raised, disk_faults(tmp_path):
        (tmp_path / "absent" / "file").read_bytes()
    assert "\n" not in str(raised.value)
    assert raised.value.path.endswith("file")
