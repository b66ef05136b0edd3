"""Looking into a dataset folder: its funnel, and all that was said of one record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from focusdiff.data.building import BuildFolder
from focusdiff.data.funnel import FUNNEL_SCHEMA
from focusdiff.data.ledger import STEPS, Step, outcome_of
from focusdiff.data.records import BLOCK, Stage, Verdict
from paircomp.errors import DataError

__all__ = ["read_funnel", "record_verdicts"]


def read_funnel(path: Path) -> dict[str, Any]:
    """What ``funnel.json`` of a dataset folder holds.

    Raises:
        DataError: no such file, or one of another schema.
    """
    file = path / "funnel.json"
    try:
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        schema = said["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(file, ["no funnel here; next: focusdiff data build, or name a folder that it made"]) from error
    if schema != FUNNEL_SCHEMA:
        raise DataError(file, [f"expected schema {FUNNEL_SCHEMA}, got {schema!r}; next: use the version that wrote it"])
    return said


def record_verdicts(path: Path, record: str) -> dict[str, Any]:
    """Everything that the stages said of a record.

    Args:
        path: the dataset folder.
        record: its ``pair_id``, or its position.

    Raises:
        DataError: nothing was said of it.
    """
    found = _found(BuildFolder(path), record)
    if found is None:
        raise DataError(path, [f"record {record!r}: nothing was said of it; expected a pair_id or a position"])
    number, said = found
    fate = outcome_of(said)
    return {
        "record": number, "outcome": fate.outcome.value, "reason": fate.reason,
        "captions": None if fate.captions is None else list(fate.captions),
        "verdicts": [said[step].to_json() for step in STEPS if step in said],
    }  # fmt: skip


def _found(folder: BuildFolder, record: str) -> tuple[int, Mapping[Step, Verdict]] | None:
    """Position and verdicts of a record; labels of the source's own go before positions."""
    tail = record.rpartition("-")[2]
    number = int(tail) if tail.isdecimal() else -1
    said = _said_of(folder, number)
    if said and _label(said) in (None, record):
        return number, said
    for block in folder.blocks():
        ledger = folder.ledger(block)
        for position in ledger.positions():
            if _label(ledger.said_of(position)) == record:
                return position, ledger.said_of(position)
    return (number, said) if said and record == tail else None


def _label(said: Mapping[Step, Verdict]) -> str | None:
    """The record's label where it does not end with its position."""
    screened = said.get((Stage.SCREEN, 0))
    return None if screened is None else screened.answers.get("pair_id")


def _said_of(folder: BuildFolder, position: int) -> Mapping[Step, Verdict]:
    """The verdicts of a record; its block is the one it would be in if all were full, or a later one."""
    for number in folder.blocks() if position >= 0 else ():
        if number >= position // BLOCK and (said := folder.ledger(number).said_of(position)):
            return said
    return {}
