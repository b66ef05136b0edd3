"""The funnel: how many records entered and left each stage, and why the others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from focusdiff.data.ledger import STEPS, Outcome, Step, outcome_of
from focusdiff.data.records import Stage, Verdict

__all__ = ["FUNNEL_SCHEMA", "Funnel", "StageCount"]

FUNNEL_SCHEMA = "focusdiff-data-funnel/1"


@dataclass
class StageCount:
    """What a stage did.

    Attributes:
        name: of the stage.
        entered: records that came to it.
        left: records that it let pass.
        undecided: records that it could not tell of; they are asked again by the next command.
        reasons: why the others were dropped.
    """

    name: str
    entered: int = 0
    left: int = 0
    undecided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As ``funnel.json`` holds it; reasons with the most frequent first."""
        reasons = dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])))
        return {"stage": self.name, "entered": self.entered, "left": self.left, "undecided": self.undecided,
                "reasons": reasons}  # fmt: skip


class Funnel:
    """Counts records as they are read.

    Attributes:
        records: all of the source.
        open: records that some stage has not seen yet.
        regenerated: records whose first captions failed.
        rescued: those of them whose second captions passed.
        stages: the judging stages, then those of the hygiene in order.
    """

    def __init__(self) -> None:
        self.records = self.open = self.regenerated = self.rescued = 0
        self.stages: dict[str, StageCount] = {str(stage): StageCount(str(stage)) for stage in Stage}

    def count(self, said: Mapping[Step, Verdict]) -> None:
        """Count one record by its verdicts."""
        self.records += 1
        fate = outcome_of(said)
        self.open += fate.outcome is Outcome.OPEN
        again = any((stage, 1) in said for stage in Stage)
        self.regenerated += again
        self.rescued += again and fate.outcome is Outcome.KEPT
        for stage in Stage:
            if any((each, attempt) in said for each, attempt in STEPS if each is stage):
                self._count_stage(self.stages[str(stage)], stage, said)

    def _count_stage(self, count: StageCount, stage: Stage, said: Mapping[Step, Verdict]) -> None:
        fate = outcome_of(said)
        count.entered += 1
        ended_here = fate.stage is stage
        if ended_here and fate.outcome is Outcome.DROPPED:
            count.reasons[fate.reason or "unknown"] += 1
        elif ended_here and fate.outcome is Outcome.UNDECIDED:
            count.undecided += 1
        elif fate.outcome is not Outcome.OPEN or not ended_here or _passed(stage, said):
            count.left += 1

    def hygiene(self, name: str, *, entered: int, reasons: Counter[str]) -> None:
        """Note a stage of the hygiene."""
        self.stages[name] = StageCount(name, entered, entered - reasons.total(), reasons=reasons)

    def to_json(self) -> dict[str, Any]:
        """As ``funnel.json`` holds it."""
        return {
            "records": self.records, "open": self.open, "regenerated": self.regenerated, "rescued": self.rescued,
            "stages": [stage.to_json() for stage in self.stages.values()],
        }  # fmt: skip


def _passed(stage: Stage, said: Mapping[Step, Verdict]) -> bool:
    return any(verdict.passed for (each, _), verdict in said.items() if each is stage)
