"""Suites that Python code made, held to the rules of suite files, so that a run can store them and read them back."""

from __future__ import annotations

import json

from paircomp.errors import SuiteError
from paircomp.suites.json_objects import Faults
from paircomp.suites.pair_records import PairReader
from paircomp.types import PromptPair, Suite, suite_digest

__all__ = ["checked_suite"]


def checked_suite(suite: Suite) -> Suite:
    """`suite` itself, if all is right with it.

    Raises:
        SuiteError: names every fault by the position of its pair: those of files, and positions, subtask names or a
            digest that a reader of the stored suite would not find again.
    """
    faults = Faults(unit="pair")
    reader = PairReader(faults)
    for position, pair in enumerate(suite.pairs):
        _check_pair(reader, faults, position, pair)
    said = faults.messages()
    if not suite.pairs:
        said.append("holds no pairs; expected at least one")
    if suite.samples < 1:
        said.append(f"samples: expected at least 1, got {suite.samples}")
    if not said and suite.digest != (digest := suite_digest(suite.pairs)):
        said.append(f"digest: expected {digest}, got {suite.digest!r}; next: build it with paircomp.types.suite_digest")
    if said:
        raise SuiteError(suite.name, said)
    return suite


def _check_pair(reader: PairReader, faults: Faults, position: int, pair: PromptPair) -> None:
    record = {"prompts": list(pair.prompts), "subtask": pair.subtask, "pair_id": pair.pair_id}
    read = reader.read(position, record, position)
    if pair.pair != position:
        faults.add(position, f"its own position says {pair.pair}")
    if read is not None and read.subtask != pair.subtask:
        faults.add(position, f"subtask: expected {read.subtask!r}, got {pair.subtask!r}")
    try:
        json.dumps(dict(pair.metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        faults.add(position, f"metadata: expected JSON values ({error})")
