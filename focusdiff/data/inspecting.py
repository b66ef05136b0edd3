"""Looking into a dataset folder: its funnel, and all that was said of one record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from focusdiff.data.building import BuildFolder
from focusdiff.data.funnel import FUNNEL_SCHEMA
from focusdiff.data.ledger import STEPS, Step, outcome_of
from focusdiff.data.records import BLOCK, Verdict
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
        record: its position, or a ``pair_id`` that ends with it.

    Raises:
        DataError: nothing was said of it.
    """
    position = record.rpartition("-")[2]
    if not position.isdecimal():
        raise DataError(path, [f"record {record!r}: expected a position, or a pair_id that ends with one"])
    number = int(position)
    said = _said_of(BuildFolder(path), number)
    if not said:
        raise DataError(path, [f"record {number}: nothing was said of it"])
    fate = outcome_of(said)
    return {
        "record": number, "outcome": fate.outcome.value, "reason": fate.reason,
        "captions": None if fate.captions is None else list(fate.captions),
        "verdicts": [said[step].to_json() for step in STEPS if step in said],
    }  # fmt: skip


def _said_of(folder: BuildFolder, position: int) -> Mapping[Step, Verdict]:
    """The verdicts of a record; its block is the one it would be in if all were full, or a later one."""
    for number in folder.blocks():
        if number >= position // BLOCK and (said := folder.ledger(number).said_of(position)):
            return said
    return {}
