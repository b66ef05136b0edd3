"""What happens between verdicts and data, as the user wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from focusdiff.data.balance import Balance
from focusdiff.data.contamination import Guard

__all__ = ["Hygiene"]


@dataclass(frozen=True)
class Hygiene:
    """What happens between verdicts and data.

    Attributes:
        guard: against prompts of benchmarks.
        balance: of the subtasks.
        duplicate_bits: see :class:`focusdiff.data.duplicates.DuplicateFinder`.
        duplicate_overlap: the same.
        prompts: a file of unpaired prompts that go through guard and duplicates too.
        trainer_json: also write the published trainer's JSON.
        keep_duplicates: leave them in.
    """

    guard: Guard
    balance: Balance = field(default_factory=lambda: Balance({}))
    duplicate_bits: int = 4
    duplicate_overlap: float = 0.8
    prompts: Path | None = None
    trainer_json: bool = True
    keep_duplicates: bool = False
