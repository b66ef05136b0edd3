"""Folders that are written as a whole, by several at once and by some that are killed."""

from __future__ import annotations

import contextlib
import multiprocessing
from pathlib import Path

import pytest

from paircomp.errors import RunError
from paircomp.runtime.files import waiting_lock
from paircomp_leaderboard.swapping import cut_short, swapped_in

FILES = 20


def swap(path: Path, mark: str, times: int) -> None:
    for _ in range(times):
        with swapped_in(path) as fresh:
            for number in range(FILES):
                (fresh / str(number)).write_text(mark)


def test_writers_at_the_same_time_leave_a_whole_folder(tmp_path: Path) -> None:
    path, spawning = tmp_path / "site", multiprocessing.get_context("spawn")
    swap(path, "first", 1)
    writers = [spawning.Process(target=swap, args=(path, mark, 60)) for mark in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(list(path.iterdir())) == FILES
    assert len({file.read_text() for file in path.iterdir()}) == 1
    assert [left.name for left in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_cannot_be_moved_in_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site"
    swap(path, "old", 1)
    rename = Path.rename

    def held_open(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise PermissionError(13, "in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", held_open)
    with pytest.raises(RunError, match="in use"):
        swap(path, "new", 1)

    assert (path / "0").read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["site"]


def test_what_was_killed_between_the_renames_is_named_and_brought_back(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    swap(path, "old", 1)
    (tmp_path / ".entry.new").mkdir()
    path.rename(tmp_path / ".entry.new" / "old")

    assert cut_short(tmp_path) == ["entry"]
    with contextlib.suppress(KeyError), swapped_in(path):
        assert (path / "0").read_text() == "old"
        raise KeyError
    assert cut_short(tmp_path) == []
    assert (path / "0").read_text() == "old"


def test_a_lock_that_is_removed_is_never_held_twice(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        waiting_lock(lock, remove=True),
        pytest.raises(RunError, match="locked by another"),
        waiting_lock(lock, seconds=0.1),
    ):
        raise AssertionError
    assert not lock.exists()
