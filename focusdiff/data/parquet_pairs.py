"""Pairs in parquet files: the texts are held, a picture is read from its row group when it is asked for."""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.data.pairs import PairImage, PairSequence, TrainingPair
from paircomp.errors import DataError, UnavailableError
from paircomp.runtime.requirements import install_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ParquetPairs", "open_parquet", "parquet_files"]

_TEXTS = ("pair_id", "prompt1", "prompt2", "subtask", "repeats")
_REQUIRED = ("prompt1", "prompt2")
_GROUPS_KEPT = 2  # decoded row groups; neighbours of a pair are often asked for next


def parquet_files(path: Path) -> list[Path]:
    """The files of a dataset folder in order, or the one file that was named."""
    if path.is_file():
        return [path]
    return sorted((path / "data").glob("*.parquet")) or sorted(path.glob("*.parquet"))


def open_parquet(path: Path) -> Any:
    """An open ``pyarrow.parquet.ParquetFile``, kept for the next call unless the file was replaced.

    Raises:
        DataError: no parquet file.
        UnavailableError: pyarrow is missing.
    """
    return _opened(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a file from one that was written in its place."""
    try:
        said = path.stat()
    except OSError as error:
        raise DataError(path, [error.strerror or str(error)]) from error
    return said.st_mtime_ns, said.st_ino


@functools.lru_cache(maxsize=16)
def _opened(path: Path, stamp: tuple[int, int]) -> Any:
    del stamp
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UnavailableError(f"data {path}", package="pyarrow", remedy=install_line(["pyarrow"])) from error
    try:
        # A buffer makes it read a row group piece by piece instead of whole.
        return parquet.ParquetFile(path, buffer_size=1 << 20)
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(path, [f"not a parquet file: {said}"]) from error


@functools.lru_cache(maxsize=_GROUPS_KEPT)
def _row_group(path: Path, stamp: tuple[int, int], group: int) -> dict[str, list[Any]]:
    del stamp
    file = open_parquet(path)
    columns = [name for name in ("image1", "image2") if name in file.schema_arrow.names]
    table: dict[str, list[Any]] = file.read_row_group(group, columns=columns).to_pydict()
    return table


@dataclass(frozen=True)
class _ParquetImage:
    """A picture in a row of a parquet file."""

    path: Path
    group: int
    row: int
    column: str

    def content(self) -> bytes | None:
        """The file as it is stored; ``None`` where the cell is empty."""
        cells = _row_group(self.path, _stamp(self.path), self.group).get(self.column)
        cell = cells[self.row] if cells else None
        found: bytes | None = cell.get("bytes") if isinstance(cell, dict) else cell
        return found

    def load(self) -> Image:
        """Read the row group and decode the picture; raises as `PairImage.load` does."""
        from paircomp.runtime.images import UnreadableImageError, read_rgb

        try:
            return read_rgb(self.content() or b"")
        except UnreadableImageError as error:
            where = f"{self.column} of row {self.row} in row group {self.group}"
            raise DataError(self.path, [f"{where}: {error}"]) from error


class ParquetPairs(PairSequence):
    """The pairs of a dataset folder or of one parquet file; see :func:`focusdiff.data.pairs.read_pairs`.

    Args:
        path: the folder or file.
        repeated: give rows as often as their column ``repeats`` says.
    """

    def __init__(self, path: Path, *, repeated: bool = True) -> None:
        self.path = path
        self._files = parquet_files(path)
        if not self._files:
            raise DataError(path, ["holds no parquet file; next: check the path"])
        self._texts = [_texts(file) for file in self._files]
        self._starts = list(itertools.accumulate((len(table) for table in self._texts), initial=0))
        self._groups = [_group_starts(file) for file in self._files]
        self._order = self._rows(repeated=repeated)
        if not self._order:
            raise DataError(path, ["holds no pairs; expected at least one"])

    def _rows(self, *, repeated: bool) -> Any:
        """Row numbers in the order of reading; rounds of repetition follow one another, not copies of one row."""
        if not repeated or any("repeats" not in table.column_names for table in self._texts):
            return range(self._starts[-1])
        import numpy as np

        repeats = np.concatenate([table["repeats"].to_numpy() for table in self._texts])
        rounds = (np.flatnonzero(repeats > already) for already in range(int(repeats.max(initial=1))))
        return np.concatenate(list(rounds)).tolist()

    def __len__(self) -> int:
        return len(self._order)

    def pair(self, position: int) -> TrainingPair:
        """The pair at `position`; its texts are here already, its pictures are not."""
        number = self._order[position]
        file, row = self._place(number)
        texts = self._texts[file].slice(row, 1).to_pylist()[0]
        return TrainingPair(
            pair_id=texts.get("pair_id") or str(number),
            prompts=(texts["prompt1"], texts["prompt2"]),
            images=(self._image(file, row, "image1"), self._image(file, row, "image2")),
            subtask=texts.get("subtask"),
        )

    def labels(self) -> Iterator[tuple[str, str, str]]:
        """``(pair_id, prompt, prompt)`` of every pair in order."""
        return ((pair.pair_id, *pair.prompts) for pair in map(self.pair, range(len(self))))

    def _place(self, number: int) -> tuple[int, int]:
        file = bisect.bisect_right(self._starts, number) - 1
        return file, number - self._starts[file]

    def _image(self, file: int, row: int, column: str) -> PairImage | None:
        group = bisect.bisect_right(self._groups[file], row) - 1
        image = _ParquetImage(self._files[file], group, row - self._groups[file][group], column)
        absent = _some_absent(image.path, _stamp(image.path), group, column) and image.content() is None
        return None if absent else image


def _group_starts(path: Path) -> list[int]:
    """The first row of each row group."""
    metadata = open_parquet(path).metadata
    sizes = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    return list(itertools.accumulate(sizes, initial=0))[:-1]


def _texts(path: Path) -> Any:
    """Every column but the pictures."""
    file = open_parquet(path)
    names = file.schema_arrow.names
    if missing := [name for name in _REQUIRED if name not in names]:
        raise DataError(path, [f"no column {name!r}; expected prompt1, prompt2, image1, image2" for name in missing])
    return file.read(columns=[name for name in _TEXTS if name in names])


@functools.lru_cache(maxsize=4096)
def _some_absent(path: Path, stamp: tuple[int, int], group: int, column: str) -> bool:
    """Whether a row group says that pictures are absent in it; asked of its statistics, so that none is read."""
    metadata = _opened(path, stamp).metadata.row_group(group)
    leaves = {metadata.column(number).path_in_schema: metadata.column(number) for number in range(metadata.num_columns)}
    for name in (column, f"{column}.bytes", f"{column}.path"):  # a picture that is absent has no name either
        told = leaves[name].statistics if name in leaves else None
        if told is not None and told.has_null_count:
            return bool(told.null_count)
    return True
