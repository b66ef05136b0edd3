"""A JSON list or JSON Lines of edits with image paths: the published trainer's own file, or a folder of one's own.

Keys: ``image1, image2`` (or ``before, after``), ``instruction``, ``prompt1, prompt2`` (or ``caption1, caption2``),
``edit_type``, ``id``, ``licence``. The published trainer's file has prompts and no instruction, and its images may be
null: such records are read, and dropped by the first stage with that reason. So are AnyEdit's types ``visual_*``, which
need a third picture; the keys of its JSON files are known too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focusdiff.data.json_pairs import read_records
from focusdiff.data.pairs import USUAL_NAMES, inside_folder
from focusdiff.data.records import BLOCK, Block, EditRecord
from focusdiff.data.sources.parquet_files import LAYOUTS, needs_third_picture
from paircomp.errors import DataError
from paircomp.suites.json_objects import Faults

__all__ = ["JsonSource", "json_source"]

_KEYS: Mapping[str, tuple[str, ...]] = {
    "before": ("image1", "before", "image_file"), "after": ("image2", "after", "edited_file"),
    "instruction": ("instruction", "edit_instruction", "edit"), "edit_type": ("edit_type", "subtask"),
    "caption1": ("prompt1", "caption1", "input"), "caption2": ("prompt2", "caption2", "output"),
    "id": ("pair_id", "id"), "licence": ("licence", "license"),
}  # fmt: skip


def json_source(*, path: str, licence: str = "unknown") -> JsonSource:
    """Edits of a ``.json`` or ``.jsonl`` file, or of a folder that holds one.

    Args:
        path: the file or folder; relative image paths start at the file's folder.
        licence: of records that name none.

    Raises:
        DataError: it cannot be read; every fault is named.
    """
    place = Path(path)
    file = inside_folder(place) if place.is_dir() else place
    return JsonSource(file, tuple(_checked(file)), licence)


@dataclass(frozen=True)
class JsonSource:
    """See :func:`json_source`."""

    path: Path
    found: tuple[Mapping[str, str], ...]
    licence: str

    @property
    def name(self) -> str:
        """The file's name without its ending, or the folder's where the file has the usual name."""
        folder = self.path.resolve().parent.name
        return folder if self.path.stem in USUAL_NAMES and folder else self.path.stem

    @property
    def identity(self) -> Mapping[str, Any]:
        """The file's name and the licence; a longer file later continues."""
        return {"source": "json", "file": self.path.name, "licence": self.licence}

    def blocks(self) -> Iterator[Block]:
        """Blocks that read their pictures when they are read."""
        for number, start in enumerate(range(0, len(self.found), BLOCK)):
            yield _JsonBlock(number, start, self.path, self.found[start : start + BLOCK], self.licence)


@dataclass(frozen=True)
class _JsonBlock:
    number: int
    start: int
    path: Path
    found: tuple[Mapping[str, str], ...]
    licence: str

    @property
    def size(self) -> int:
        return len(self.found)

    def records(self) -> Iterator[EditRecord]:
        for position, said in enumerate(self.found, start=self.start):
            yield EditRecord(
                position=position,
                record_id=said.get("id") or f"{self.path.stem}-{position}",
                before=_content(self.path, said.get("before")),
                after=_content(self.path, said.get("after")),
                instruction=said.get("instruction", ""),
                captions=(said.get("caption1"), said.get("caption2")),
                edit_type=said.get("edit_type"),
                licence=said.get("licence") or self.licence,
                origin=f"{self.path.name}, record {position}",
                skipped=needs_third_picture(said.get("edit_type"), LAYOUTS["anyedit"]),
            )


def _content(file: Path, image: str | None) -> bytes | None:
    """The picture's file; ``None`` where there is none, which the first stage tells."""
    if image is None:
        return None
    try:
        return (file.parent / image).read_bytes()
    except OSError:
        return b""


def _checked(file: Path) -> Iterator[Mapping[str, str]]:
    faults = Faults()
    found = []
    seen: set[str] = set()
    for line, record in read_records(file):
        said = {name: value for name, keys in _KEYS.items() if (value := _first(record, keys)) is not None}
        for name, value in said.items():
            if not isinstance(value, str):
                faults.add(line, f"{name}: expected text, got {type(value).__name__}")
        for name in ("before", "after"):
            if isinstance(image := said.get(name), str) and not (file.parent / image).is_file():
                faults.add(line, f"image {image}: no such file")
        if label := said.get("id"):
            if label in seen:
                faults.add(line, f"id {label!r} is given twice")
            seen.add(label)
        found.append(said)
    if faults:
        raise DataError(file, faults.messages())
    yield from found


def _first(record: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value = next((record[key] for key in keys if record.get(key) is not None), None)
    return str(value) if isinstance(value, int) else value
