"""Where edits come from: ``open_source`` finds a source by what ``--source`` takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focusdiff.data.records import Block, EditRecord, Source
from paircomp.errors import ConfigError
from paircomp.runtime.capabilities import check_options

__all__ = ["HOW", "limited", "open_source"]

#: What ``--source`` takes, for messages and help.
HOW = "shapes, ultraedit[:PATH], anyedit[:PATH], or a .json, .jsonl or .parquet file or folder"


def open_source(given: str, options: Mapping[str, Any]) -> Source:
    """The source that ``--source`` names.

    Args:
        given: see :data:`HOW`.
        options: of the source's factory.

    Raises:
        ConfigError: no such source, or options that do not fit.
        DataError: its files cannot be read.
        UnavailableError: a package is missing.
    """
    name, _, place = given.partition(":")
    factory, arguments = _factory(name, place, given)
    check_options(factory, {**options, **arguments}, where=f"-o source.… of {given!r}")
    source: Source = factory(**arguments, **options)
    return source


def _factory(name: str, place: str, given: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    if given == "shapes":
        from focusdiff.data.shapes.source import shapes_source

        return shapes_source, {}
    if name in ("ultraedit", "anyedit"):
        if not place:
            from focusdiff.data.sources import streamed

            return {"ultraedit": streamed.streamed_ultraedit, "anyedit": streamed.streamed_anyedit}[name], {}
        from focusdiff.data.sources import parquet_files

        return {"ultraedit": parquet_files.ultraedit_source, "anyedit": parquet_files.anyedit_source}[name], {
            "path": place
        }
    return _file_factory(given)


def _file_factory(given: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    path = Path(given)
    if path.suffix == ".parquet" or (path.is_dir() and next(path.rglob("*.parquet"), None)):
        from focusdiff.data.sources.parquet_files import parquet_source

        return parquet_source, {"path": given}
    if path.suffix in (".json", ".jsonl") or path.is_dir():
        from focusdiff.data.sources.json_files import json_source

        return json_source, {"path": given}
    hint = "; next: give unpaired prompts with --prompts" if path.suffix == ".txt" else ""
    raise ConfigError([f"source {given!r}: expected {HOW}{hint}"])


def limited(source: Source, records: int | None) -> Source:
    """The first `records` of a source; all of it where that is ``None``."""
    return source if records is None else _Limited(source, records)


@dataclass(frozen=True)
class _Limited:
    source: Source
    most: int

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.source.identity

    def blocks(self) -> Iterator[Block]:
        for block in self.source.blocks():
            if block.start >= self.most:
                return
            left = self.most - block.start
            yield block if block.size <= left else _Head(block, left)


@dataclass(frozen=True)
class _Head:
    """The beginning of a block."""

    block: Block
    size: int

    @property
    def number(self) -> int:
        return self.block.number

    @property
    def start(self) -> int:
        return self.block.start

    def records(self) -> Iterator[EditRecord]:
        return itertools.islice(self.block.records(), self.size)
