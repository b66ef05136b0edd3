"""Taking a verified bundle's entry into a folder of entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paircomp.errors import EntryError
from paircomp.runtime.files import write_atomically, write_json
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.json_text import parse_json
from paircomp_leaderboard.archives import BundleFile
from paircomp_leaderboard.entries import Entry, file_digests, read_entry
from paircomp_leaderboard.swapping import swapped_in
from paircomp_leaderboard.verification import Verification

__all__ = ["accept"]

_THUMBNAILS = "entry/thumbnails/"


def accept(found: Verification, entries: Path, *, replace: bool = False) -> Path:
    """Write entry, scores, thumbnails and ``verification.json``, which names the SHA-256 of the first two.

    They take the place of an older entry of the same row: same label, suite, K and judge.

    Args:
        found: what was checked.
        entries: the folder of entries.
        replace: also take the place of another row, whose label differs only in how it is spelled, or whose suite, K
            or judge is another one.

    Raises:
        EntryError: the bundle was not verified, a thumbnail is no picture, or another row has its place.
    """
    if found.entry is None or not found.passed:
        raise EntryError(found.path, ["was not verified; next: see which check failed"])
    folder = entries / found.entry.name
    if folder.exists() and not replace:
        _refuse_another_row(folder, found.entry)
    with BundleFile(found.path) as file:
        pictures = {name.removeprefix(_THUMBNAILS): _picture(file, name)
                    for name in file.names if name.startswith(_THUMBNAILS)}  # fmt: skip
        with swapped_in(folder) as fresh:
            write_atomically(fresh / "pairs.jsonl", file.read("entry/pairs.jsonl"))
            write_json(fresh / "entry.json", parse_json(file.read("entry/entry.json")))
            write_json(fresh / "verification.json", {**found.to_json(), "files": file_digests(fresh)})
            for name, content in pictures.items():
                write_atomically(fresh / "thumbnails" / name, content, sync=False)
            read_entry(fresh)
    return folder


def _refuse_another_row(folder: Path, entry: Entry) -> None:
    """Names of folders are simpler than labels, so that two rows may want one."""
    there = read_entry(folder)
    faults = [
        f"{what}: here {_shown(old)}, in the bundle {_shown(new)}"
        for (what, old), new in zip(_row(there).items(), _row(entry).values(), strict=True)
        if old != new
    ]
    if faults:
        raise EntryError(folder, [f"another row has this place ({'; '.join(faults)}); next: --replace, or another "
                                  "--name when the bundle is made"])  # fmt: skip


def _row(entry: Entry) -> dict[str, Any]:
    suite, judge = entry.said["suite"], entry.said["judge"]
    return {"label": entry.label, "suite digest": suite["digest"], "samples": suite["samples"], "judge": judge}


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)[:200]


def _picture(file: BundleFile, name: str) -> bytes:
    content = file.read(name)
    try:
        read_rgb(content)
    except UnreadableImageError as error:
        raise EntryError(file.path, [f"{name}: {error}"]) from error
    return content
