"""Writing a folder as a whole: readers see the old one or the new one, never a half."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from paircomp.runtime.files import disk_faults, waiting_lock

__all__ = ["cut_short", "swapped_in"]


@contextlib.contextmanager
def swapped_in(path: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `path` when the block ends well.

    It lies hidden beside `path`. A block that fails leaves `path` as it was; what a killed process left behind is
    removed by the next that writes the same folder.

    Args:
        path: need not exist; whatever lies there is replaced.

    Raises:
        RunError: the disk is full or read-only, or another process has been writing the same folder for 30 s.
    """
    path = path.resolve()
    staging = path.with_name(f".{path.name}.new")
    fresh, old = staging / "fresh", staging / "old"
    with disk_faults(path), waiting_lock(path.with_name(f".{path.name}.lock"), remove=True):
        if old.exists() and not path.exists():  # killed between the two renames below
            old.rename(path)
        shutil.rmtree(staging, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            yield fresh
            _swap(path, fresh, old)
        finally:
            if path.exists() or not old.exists():
                shutil.rmtree(staging, ignore_errors=True)


def _swap(path: Path, fresh: Path, old: Path) -> None:
    if path.exists():
        path.rename(old)
    try:
        fresh.rename(path)
    except OSError:  # somebody has a file of it open, on Windows
        if old.exists() and not path.exists():
            old.rename(path)
        raise


def cut_short(folder: Path) -> list[str]:
    """Names of folders that a kill took out of `folder` within a swap; their next writer brings them back."""
    found = sorted(folder.glob(".*.new/old"))
    names = [place.parent.name.removeprefix(".").removesuffix(".new") for place in found]
    return [name for name in names if not (folder / name).exists()]
