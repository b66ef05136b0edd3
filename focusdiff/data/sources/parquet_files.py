"""UltraEdit, AnyEdit and parquet files in their columns, read row group by row group: from disk, or from the hub.

Columns as on the data sets' cards: UltraEdit (arXiv 2407.05282) ``source_image, edited_image, mask_image, edit_prompt,
edit_object, source_caption, target_caption, idx`` and six similarities; AnyEdit (arXiv 2411.15738) ``image_id,
image_file, edited_file, visual_input, edit_instruction, edit_type, input, output`` (in its JSON files ``edit``).
Neither has been read from the hub by the project itself: its tests write files with these columns.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from focusdiff.data.parquet_pairs import open_parquet, parquet_files
from focusdiff.data.records import BLOCK, Block, EditRecord
from paircomp.errors import DataError

__all__ = ["LAYOUTS", "Layout", "ParquetSource", "anyedit_source", "needs_third_picture", "parquet_source", "record_of",
           "ultraedit_source"]  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Which column holds what, several names where published versions differ; the first that is there counts.

    Attributes:
        name: of the data set.
        columns: field of a record to column names.
        licence: of the data set.
        repository: its place on the hub.
        split: what is read of it.
        skips: beginnings of edit types that are left out.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    licence: str
    repository: str = ""
    split: str = "train"
    skips: tuple[str, ...] = ()


LAYOUTS: Mapping[str, Layout] = {
    "ultraedit": Layout(
        "UltraEdit",
        {"before": ("source_image",), "after": ("edited_image",), "instruction": ("edit_prompt",),
         "caption1": ("source_caption",), "caption2": ("target_caption",), "id": ("idx",)},
        licence="CC-BY-4.0", repository="BleachNick/UltraEdit_500k", split="FreeForm",
    ),
    "anyedit": Layout(
        "AnyEdit",
        {"before": ("image_file",), "after": ("edited_file",), "instruction": ("edit_instruction", "edit"),
         "caption1": ("input",), "caption2": ("output",), "edit_type": ("edit_type",), "id": ("image_id",)},
        # These need a third picture that says what is meant.
        licence="CC-BY-4.0", repository="Bin1117/AnyEdit", split="train", skips=("visual_",),
    ),
    "parquet": Layout(
        "parquet",
        {"before": ("image1", "before", "source_image", "image_file"),
         "after": ("image2", "after", "edited_image", "edited_file"),
         "instruction": ("instruction", "edit_instruction", "edit_prompt", "edit"),
         "caption1": ("prompt1", "caption1", "source_caption", "input"),
         "caption2": ("prompt2", "caption2", "target_caption", "output"),
         "edit_type": ("edit_type", "subtask"), "licence": ("licence", "license")},
        licence="unknown",
    ),
}  # fmt: skip
_REQUIRED = ("before", "after")


def ultraedit_source(*, path: str, licence: str = LAYOUTS["ultraedit"].licence) -> ParquetSource:
    """UltraEdit in its published columns.

    Args:
        path: a parquet file, or a folder of them.
        licence: of the pictures.

    Raises:
        DataError: no parquet file there, or one without the columns.
    """
    return ParquetSource(Path(path), LAYOUTS["ultraedit"], licence)


def anyedit_source(*, path: str, licence: str = LAYOUTS["anyedit"].licence) -> ParquetSource:
    """AnyEdit in its published columns; as :func:`ultraedit_source`. Edit types ``visual_*`` are skipped."""
    return ParquetSource(Path(path), LAYOUTS["anyedit"], licence)


def parquet_source(*, path: str, licence: str = "unknown") -> ParquetSource:
    """Any parquet files with two pictures and an instruction a row; as :func:`ultraedit_source`."""
    return ParquetSource(Path(path), LAYOUTS["parquet"], licence)


@dataclass(frozen=True)
class ParquetSource:
    """See :func:`ultraedit_source`. Records that are skipped keep their positions."""

    path: Path
    layout: Layout
    licence: str
    files: Sequence[Path] = field(init=False)

    def __post_init__(self) -> None:
        found = parquet_files(self.path) or sorted(self.path.rglob("*.parquet"))
        if not found:
            raise DataError(self.path, [f"no parquet file of {self.layout.name} here; next: check the path"])
        faults = [f"{file.name}: {fault}" for file in found for fault in _faults(file, self.layout)]
        if faults:
            raise DataError(self.path, faults)
        object.__setattr__(self, "files", tuple(found))

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.layout.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """The names of the files and their rows, so that another download of the same files is the same source."""
        said = [f"{file.name} {open_parquet(file).metadata.num_rows}" for file in self.files]
        return {"source": self.layout.name, "files": len(said), "licence": self.licence,
                "rows": hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]}  # fmt: skip

    def blocks(self) -> Iterator[Block]:
        """Blocks within row groups; a row group is read from its beginning once by each process."""
        numbers, start = itertools.count(), 0
        for file in self.files:
            metadata = open_parquet(file).metadata
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                for first in range(0, rows, BLOCK):
                    size = min(BLOCK, rows - first)
                    yield _ParquetBlock(next(numbers), start, size, file, group, first, self.layout, self.licence)
                    start += size


@dataclass(frozen=True)
class _ParquetBlock:
    number: int
    start: int
    size: int
    file: Path
    group: int
    first: int
    layout: Layout
    licence: str

    def records(self) -> Iterator[EditRecord]:
        rows = _reader(self.file, self.group, _columns(self.file, self.layout)).rows(self.first, self.size)
        for offset, row in enumerate(rows):
            origin = f"{self.layout.name}, {self.file.name}, row {self._row_of_file(offset)}"
            yield record_of(row, self.layout, position=self.start + offset, licence=self.licence, origin=origin)

    def _row_of_file(self, offset: int) -> int:
        metadata = open_parquet(self.file).metadata
        before: int = sum(metadata.row_group(group).num_rows for group in range(self.group))
        return before + self.first + offset


class _GroupReader:
    """Reads a row group forwards, batch by batch; asked for rows that are behind, it begins anew."""

    def __init__(self, file: Path, group: int, columns: tuple[str, ...]) -> None:
        self._file, self._group, self._columns = file, group, columns
        self._begin()

    def _begin(self) -> None:
        opened = open_parquet(self._file)
        self._next = 0
        self._batches = opened.iter_batches(
            batch_size=BLOCK, row_groups=[self._group], columns=list(self._columns), use_threads=False
        )

    def rows(self, first: int, size: int) -> list[dict[str, Any]]:
        """Rows `first` to `first + size`, which are one batch."""
        if first < self._next:
            self._begin()
        while True:
            batch = next(self._batches)
            at, self._next = self._next, self._next + len(batch)
            if at == first:
                found: list[dict[str, Any]] = batch.slice(0, size).to_pylist()
                return found


@functools.lru_cache(maxsize=1)
def _reader(file: Path, group: int, columns: tuple[str, ...]) -> _GroupReader:
    return _GroupReader(file, group, columns)


def _columns(file: Path, layout: Layout) -> tuple[str, ...]:
    there = set(open_parquet(file).schema_arrow.names)
    return tuple(dict.fromkeys(name for names in layout.columns.values() for name in names if name in there))


def _faults(file: Path, layout: Layout) -> Iterator[str]:
    there = open_parquet(file).schema_arrow.names
    for each in _REQUIRED:
        names = layout.columns[each]
        if not set(names) & set(there):
            yield f"no column {' or '.join(names)}; got {', '.join(there[:12])}"


def record_of(row: Mapping[str, Any], layout: Layout, *, position: int, licence: str, origin: str) -> EditRecord:
    """The record that a row of a data set holds.

    Args:
        row: values by column.
        layout: which column holds what.
        position: of the record in its source.
        licence: where the row names none.
        origin: for people.
    """
    said = {name: next((row[column] for column in columns if row.get(column) is not None), None)
            for name, columns in layout.columns.items()}  # fmt: skip
    kind = _text(said.get("edit_type"))
    return EditRecord(
        position=position,
        record_id=f"{layout.name.casefold()}-{position}",
        before=_bytes(said["before"]),
        after=_bytes(said["after"]),
        instruction=_text(said.get("instruction")) or "",
        captions=(_text(said.get("caption1")), _text(said.get("caption2"))),
        edit_type=kind,
        licence=_text(said.get("licence")) or licence,
        origin=origin if said.get("id") is None else f"{origin}, id {said['id']}",
        skipped=needs_third_picture(kind, layout),
    )


def needs_third_picture(edit_type: str | None, layout: Layout) -> str | None:
    """Why records of this edit type are left out of a data set; ``None`` where they are not."""
    if edit_type is None or not edit_type.startswith(layout.skips or ("\0",)):
        return None
    return f"edit type {edit_type} needs a third picture"


def _bytes(cell: Any) -> bytes | None:
    """The picture's file, whether the column holds it plainly or as the hub's library stores pictures."""
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return content if isinstance(content, bytes) else None


def _text(value: Any) -> str | None:
    return None if value is None else " ".join(str(value).split()) or None
