"""Measurements during training: what learning curves are made of."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.ablation.measuring import SAMPLERS, measure
from focusdiff.ablation.worker import Job
from paircomp.plugins import Registry
from paircomp.runtime.files import write_atomically
from paircomp.suites import load_suite
from paircomp.types import ModelSpec

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CURVE_POINTS", "Clock", "Curve"]

#: Measurements of one training, the first before it.
CURVE_POINTS = 7
_PAIRS = 60


class Curve:
    """Measurements during training, under plain sampling, on some pairs of ``shapes-dev``; an `Observer`.

    Each is kept on disk at once, so a training that was broken off and continues has them all.

    Args:
        base: the model that is trained.
        job: of the ablation.
        seed: of the images.
        folder: of the training; holds ``curve.jsonl`` and scratch.

    Attributes:
        rows: ``{"step", "s_a", "s_g", "gap", "full_pass"}``.
        seconds: spent here, which are not training's.
    """

    def __init__(self, base: ModelSpec, job: Job, seed: int, folder: Path) -> None:
        self._base, self._job, self._seed, self._scratch = base, job, seed, folder / "curve"
        self._suite = load_suite(Registry(), "shapes-dev")
        self._file = folder / "curve.jsonl"
        kept = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        self.rows: list[dict[str, float]] = [json.loads(line) for line in kept]
        self.seconds = 0.0

    def take(self, step: int, checkpoint: Path | None) -> None:
        """Measure a checkpoint, unless that was done before the training broke off; ``None`` is the base."""
        if any(row["step"] == step for row in self.rows):
            return
        began = time.monotonic()
        spec = self._base if checkpoint is None else self._base.overridden(checkpoint=str(checkpoint))
        judge, limit = self._job.judges[0], min(_PAIRS, self._job.limit or _PAIRS)
        found = measure(spec, self._suite, SAMPLERS["plain"], judges=[judge], seed=self._seed, scratch=self._scratch,
                        limit=limit)  # fmt: skip
        means = found.judges[judge].average
        self.rows.append({"step": step, "s_a": means.s_a, "s_g": means.s_g, "gap": means.gap,
                          "full_pass": means.full_pass})  # fmt: skip
        write_atomically(self._file, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        self.seconds += time.monotonic() - began

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """Measure it."""
        self.take(step, folder / "model")

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """The run's own folder keeps the numbers."""

    def on_samples(
        self, step: int, prompts: Sequence[str], pictures: Sequence[Image], rewards: Sequence[float]
    ) -> None:
        """Nothing is kept of them."""

    def on_event(self, step: int, kind: str, message: str) -> None:
        """The run's own folder keeps them."""

    def close(self) -> None:
        """Nothing to free."""


class Clock:
    """Seconds of training: those that a curve spends measuring do not count."""

    def __init__(self, curve: Curve) -> None:
        self._curve = curve
        self._began = time.monotonic() - curve.seconds

    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._curve.seconds - self._began
