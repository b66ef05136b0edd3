"""Taking a verified bundle's entry into a folder of entries."""

from __future__ import annotations

import shutil
from pathlib import Path

from paircomp.errors import EntryError
from paircomp.runtime.files import disk_faults, write_atomically, write_json
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.json_text import parse_json
from paircomp_leaderboard.archives import BundleFile
from paircomp_leaderboard.entries import read_entry
from paircomp_leaderboard.verification import Verification

__all__ = ["accept"]

_THUMBNAILS = "entry/thumbnails/"


def accept(found: Verification, entries: Path) -> Path:
    """Write entry, scores, thumbnails and ``verification.json``; in place of an older entry of that name.

    Raises:
        EntryError: the bundle was not verified, or a thumbnail is no picture.
    """
    if found.entry is None or not found.passed:
        raise EntryError(found.path, ["was not verified; next: see which check failed"])
    folder = entries / found.entry.name
    with BundleFile(found.path) as file, disk_faults(folder):
        pictures = {name.removeprefix(_THUMBNAILS): _picture(file, name)
                    for name in file.names if name.startswith(_THUMBNAILS)}  # fmt: skip
        if folder.exists():
            shutil.rmtree(folder)
        write_atomically(folder / "pairs.jsonl", file.read("entry/pairs.jsonl"))
        write_json(folder / "entry.json", parse_json(file.read("entry/entry.json")))
        write_json(folder / "verification.json", found.to_json())
        for name, content in pictures.items():
            write_atomically(folder / "thumbnails" / name, content, sync=False)
    read_entry(folder)
    return folder


def _picture(file: BundleFile, name: str) -> bytes:
    content = file.read(name)
    try:
        read_rgb(content)
    except UnreadableImageError as error:
        raise EntryError(file.path, [f"{name}: {error}"]) from error
    return content
