"""The disk fills up at every place of an evaluation; each time it is said in a line, and the run goes on later."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from tests.endurance.disturbances import equal_runs

COMMAND = ["eval", "--model", "sketch", "--judge", "pixels", "--limit", "12", "--device", "cpu"]
IMAGES = 48
PAGE = 4096


class SmallDisk:
    """A file system of its own in memory, which can be made larger."""

    def __init__(self, path: Path, *, pages: int, files: int = 4096) -> None:
        self.path = path
        path.mkdir()
        self._mount("tmpfs", pages, files, ["-t", "tmpfs"])

    def _mount(self, what: str, pages: int, files: int, more: list[str]) -> None:
        options = f"size={pages * PAGE},nr_inodes={files}"
        command = ["mount", *more, "-o", options, what, str(self.path)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {ended.stderr.strip()}")

    def resize(self, *, pages: int, files: int = 4096) -> None:
        subprocess.run(["mount", "-o", f"remount,size={pages * PAGE},nr_inodes={files}", str(self.path)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    disk = SmallDisk(tmp_path / "disk", pages=4)
    yield disk
    disk.close()


def test_a_disk_that_keeps_filling_up_costs_nothing(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paircomp([*COMMAND, "--out", str(tmp_path / "undisturbed")]) == 0
    capsys.readouterr()
    run, pages, met = small_disk.path / "run", 4, 0
    while paircomp([*COMMAND, "--out", str(run)]) != 0:
        said = capsys.readouterr().err
        error = said.strip().splitlines()[-1]
        assert error.startswith("Error: "), said
        assert "No space left on device" in error
        assert "run the same command again" in error
        assert "Traceback" not in said
        met += 1
        pages += 17
        small_disk.resize(pages=pages)
        assert pages < 4000
    assert met > 4
    equal_runs(run, tmp_path / "undisturbed", images=IMAGES)
    assert not list(run.rglob("*.tmp"))


def test_a_disk_without_room_for_one_more_file(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paircomp([*COMMAND, "--out", str(tmp_path / "undisturbed")]) == 0
    capsys.readouterr()
    run, files = small_disk.path / "run", 3
    small_disk.resize(pages=4000, files=files)
    while paircomp([*COMMAND, "--out", str(run)]) != 0:
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("Error: ")
        assert "No space left on device" in error
        files += 29
        small_disk.resize(pages=4000, files=files)
        assert files < 400
    equal_runs(run, tmp_path / "undisturbed", images=IMAGES)
