"""Any JSON list or JSON Lines file of prompt pairs is a suite."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Protocol

from paircomp.errors import SuiteError, UnknownNameError
from paircomp.suites.checking import checked_suite
from paircomp.suites.official import official_suite
from paircomp.suites.pair_records import read_pairs
from paircomp.types import Suite, suite_digest

__all__ = ["SuiteNames", "load_suite", "load_suite_file"]


class SuiteNames(Protocol):
    """What knows suites by name, for instance `paircomp.plugins.Registry`."""

    def suite(self, name: str, /) -> Suite:
        """The suite of that name; raises `UnknownNameError` when there is none."""
        ...


def load_suite(registry: SuiteNames, suite: str) -> Suite:
    """A suite by what ``--suite`` takes: a registered name, or a file of pairs.

    What ends in ``.json`` or ``.jsonl`` or holds a path separator is a file; anything else is a name first. So a file
    or folder that happens to be called ``shapes`` never hides the suite of that name.

    Raises:
        UnknownNameError: no such name; the nearest are suggested.
        SuiteError: the file cannot be read or is no suite, or a plugin's suite breaks the rules of files.
    """
    path = Path(suite)
    if path.suffix.lower() in (".json", ".jsonl") or "/" in suite or "\\" in suite:
        return load_suite_file(path)
    try:
        return checked_suite(registry.suite(suite))
    except UnknownNameError:
        if path.exists():
            return load_suite_file(path)
        raise


def load_suite_file(path: str | PathLike[str], *, name: str | None = None) -> Suite:
    """The suite in a file: a JSON list of pairs, or JSON Lines with one pair a line.

    A pair holds its two prompts as ``prompts``, as ``prompt1`` and ``prompt2``, or as ``caption1`` and ``caption2``;
    what they differ in as ``subtask`` or ``category``; and, where wanted, a ``pair_id`` (or ``id``) and an object
    ``metadata``. A copy of the published PairComp file is recognised by its contents and gets that suite's name, judge
    and rules.

    Args:
        path: a UTF-8 file, with or without a byte order mark.
        name: what tables call the suite, and part of every seed; the file's own name when absent.

    Raises:
        SuiteError: the file cannot be read, or is no suite; names every fault by line.
    """
    file = Path(path)
    if file.is_dir():
        raise SuiteError(
            file, ["this is a folder, expected a JSON or JSON Lines file of pairs; next: name a file in it"]
        )
    pairs = read_pairs(file)
    digest = suite_digest(pairs)
    published = official_suite(pairs, digest, name=name, source=str(file))
    return published or Suite(name=name or _name_of(file), pairs=pairs, digest=digest, source=str(file))


def _name_of(path: Path) -> str:
    """The file's name without its ending, in characters that folder names can hold on every system."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "suite"
