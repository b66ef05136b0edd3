"""What the stages said of each record: append-only, block by block, so that a killed build goes on where it was."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from focusdiff.data.records import Stage, Verdict
from paircomp.run_store import RecordFolder
from paircomp.run_store.records import PartWriter

__all__ = ["SCHEMA", "STEPS", "Ledger", "Outcome", "Step", "outcome_of", "what_next"]

SCHEMA = "focusdiff-data-verdicts/1"

Step: TypeAlias = tuple[Stage, int]

#: The steps of a record in order: what verification refuses is captioned and verified once more.
STEPS: tuple[Step, ...] = (
    (Stage.SCREEN, 0), (Stage.CAPTION, 0), (Stage.VERIFY, 0), (Stage.CAPTION, 1), (Stage.VERIFY, 1),
)  # fmt: skip
_LAST_ATTEMPT = 1


class Outcome(enum.Enum):
    """What has become of a record."""

    OPEN = "open"
    UNDECIDED = "undecided"
    DROPPED = "dropped"
    KEPT = "kept"


@dataclass(frozen=True)
class Fate:
    """Where a record's way ended, and why.

    Attributes:
        outcome: what has become of it.
        stage: the last stage that had a say; ``None`` before the first.
        reason: why it was dropped or could not be decided.
        captions: of a kept record.
        attempt: which captions passed.
    """

    outcome: Outcome
    stage: Stage | None = None
    reason: str | None = None
    captions: tuple[str, str] | None = None
    attempt: int = 0


def what_next(said: Mapping[Step, Verdict]) -> Step | Outcome:
    """The next step of a record, or what has become of it.

    Args:
        said: its verdicts by step.
    """
    for step in STEPS:
        verdict = said.get(step)
        if verdict is None:
            return step
        if verdict.passed is None:
            return Outcome.UNDECIDED
        if verdict.passed and verdict.stage is Stage.VERIFY:
            return Outcome.KEPT
        if not verdict.passed:
            return _after_no(said, step)
    return Outcome.DROPPED


def _after_no(said: Mapping[Step, Verdict], step: Step) -> Step | Outcome:
    stage, attempt = step
    if stage is Stage.SCREEN or attempt == _LAST_ATTEMPT:
        return Outcome.DROPPED
    again = {each: verdict for each, verdict in said.items() if each[0] is Stage.SCREEN or each[1] == _LAST_ATTEMPT}
    for later in STEPS[-2:]:
        verdict = again.get(later)
        if verdict is None:
            return later
        if verdict.passed is None:
            return Outcome.UNDECIDED
        if not verdict.passed:
            return Outcome.DROPPED
    return Outcome.KEPT


def outcome_of(said: Mapping[Step, Verdict]) -> Fate:
    """What has become of a record, with the reason that stands in the funnel.

    A record whose second captions could not even be written was dropped for what was wrong with its first ones.
    """
    following = what_next(said)
    last = next((said[step] for step in reversed(STEPS) if step in said), None)
    if not isinstance(following, Outcome) or last is None:
        return Fate(Outcome.OPEN, last.stage if last else None)
    if following is Outcome.KEPT:
        captions = said[Stage.CAPTION, last.attempt].captions
        return Fate(Outcome.KEPT, last.stage, captions=captions, attempt=last.attempt)
    if following is Outcome.DROPPED and last.stage is Stage.CAPTION and last.attempt:
        last = said.get((Stage.VERIFY, 0)) or said[Stage.CAPTION, 0]
    return Fate(following, last.stage, last.reason, attempt=last.attempt)


class Ledger:
    """The verdicts of one block.

    Args:
        folder: where its parts lie; it may be absent.

    Attributes:
        dropped: torn or damaged lines that count as never written.
    """

    def __init__(self, folder: Path) -> None:
        self._records = RecordFolder(folder, schema=SCHEMA)
        self._said: dict[int, dict[Step, Verdict]] = {}
        self._writer: PartWriter | None = None
        for line in self._records.read():
            with contextlib.suppress(KeyError, ValueError, TypeError):
                self._keep(Verdict.from_json(line))
        self.dropped = self._records.dropped

    def _keep(self, verdict: Verdict) -> None:
        self._said.setdefault(verdict.position, {})[verdict.stage, verdict.attempt] = verdict

    def forget_undecided(self) -> None:
        """Take what could not be told as never asked, so that it is asked again."""
        for said in self._said.values():
            for step in [step for step, verdict in said.items() if verdict.passed is None]:
                del said[step]

    def said_of(self, position: int) -> Mapping[Step, Verdict]:
        """The verdicts of a record by step."""
        return self._said.get(position, {})

    def add(self, verdict: Verdict) -> None:
        """Write a verdict down; it is on its way to the disk when this returns."""
        if self._writer is None:
            self._writer = self._records.writer()
        self._writer.write(verdict.to_json())
        self._keep(verdict)

    def positions(self) -> Iterator[int]:
        """Records that were spoken of, ascending."""
        return iter(sorted(self._said))

    def close(self) -> None:
        """Bring the rest to the disk."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
