"""UltraEdit and AnyEdit streamed from the hub by the ``datasets`` library: only what is being read is fetched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from focusdiff.data.publishing import published
from focusdiff.data.records import BLOCK, Block, EditRecord
from focusdiff.data.sources.parquet_files import LAYOUTS, Layout, record_of
from paircomp.errors import DataError, UnavailableError
from paircomp.runtime.requirements import install_line

__all__ = ["StreamedSource", "streamed_anyedit", "streamed_ultraedit"]


def streamed_ultraedit(
    *, repository: str = LAYOUTS["ultraedit"].repository, split: str = LAYOUTS["ultraedit"].split,
    files: str | None = None, revision: str | None = None, licence: str = LAYOUTS["ultraedit"].licence,
) -> StreamedSource:  # fmt: skip
    """UltraEdit from the hub.

    Args:
        repository: of the data set; ``BleachNick/UltraEdit`` is the whole, in splits ``FreeForm_0`` and so on. A folder
            with the same files is read as the hub would be.
        split: what to read of it.
        files: only files of this pattern, for instance ``data/FreeForm-0000*``.
        revision: pin it, so that a resumed build reads the same rows.
        licence: of the pictures.

    Raises:
        UnavailableError: the datasets library is missing.
    """
    return StreamedSource(LAYOUTS["ultraedit"], repository, split, files, revision, licence)


def streamed_anyedit(
    *, repository: str = LAYOUTS["anyedit"].repository, split: str = LAYOUTS["anyedit"].split,
    files: str | None = None, revision: str | None = None, licence: str = LAYOUTS["anyedit"].licence,
) -> StreamedSource:  # fmt: skip
    """AnyEdit from the hub; as :func:`streamed_ultraedit`. Edit types ``visual_*`` are skipped.

    Its rows are ordered by edit type and begin with skipped ones, so a limit wants `files` beside it.
    """
    return StreamedSource(LAYOUTS["anyedit"], repository, split, files, revision, licence)


@dataclass(frozen=True)
class StreamedSource:
    """See :func:`streamed_ultraedit`. Each block travels with its records, because a stream can be read but once."""

    layout: Layout
    repository: str
    split: str
    files: str | None
    revision: str | None
    licence: str

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.layout.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """Where the rows come from."""
        return {"source": self.layout.name, "repository": self.repository, "split": self.split, "files": self.files,
                "revision": self.revision, "licence": self.licence}  # fmt: skip

    def blocks(self) -> Iterator[Block]:
        """Blocks of rows as they come.

        Raises:
            DataError: the data set cannot be streamed.
        """
        rows = enumerate(self._rows())
        for number in itertools.count():
            found = tuple(self._record(position, row) for position, row in itertools.islice(rows, BLOCK))
            if not found:
                return
            yield HeldBlock(number, found[0].position, found)

    def _record(self, position: int, row: Mapping[str, Any]) -> EditRecord:
        origin = f"{published(self.repository)}, {self.split}, row {position}"
        return record_of(row, self.layout, position=position, licence=self.licence, origin=origin)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        try:
            import datasets
        except ModuleNotFoundError as error:
            raise UnavailableError(f"source {self.name}", package="datasets",
                                   remedy=install_line(["datasets"])) from error  # fmt: skip
        try:
            stream = datasets.load_dataset(
                self.repository, split=self.split, revision=self.revision, streaming=True,
                data_files=None if self.files is None else {self.split: self.files},
            )  # fmt: skip
            for name, feature in (stream.features or {}).items():
                if isinstance(feature, datasets.Image):  # the file as it is stored, not decoded
                    stream = stream.cast_column(name, datasets.Image(decode=False))
            yield from stream
        except (OSError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise DataError(self.repository, [f"cannot be streamed: {type(error).__name__}: {said}; next: fetch its "
                                              "parquet files and name their folder"]) from error  # fmt: skip


@dataclass(frozen=True)
class HeldBlock:
    """A block that holds its records."""

    number: int
    start: int
    held: tuple[EditRecord, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.held)

    def records(self) -> Iterator[EditRecord]:
        """All of them."""
        return iter(self.held)
