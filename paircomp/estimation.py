"""How much work an evaluation is, counted exactly and timed on a short probe that leaves nothing behind."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from paircomp.errors import MissingImagesError
from paircomp.evaluation import Evaluation
from paircomp.run_store import Run, Selection

__all__ = ["Estimate", "estimate"]

#: Pairs drawn and judged for the probe.
_PROBE_PAIRS = 2


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What an evaluation asks for.

    Attributes:
        pairs: selected pairs.
        images: images of the selection.
        images_left: those not drawn yet.
        judgements: own-prompt judgements of the selection; asking about the other prompt doubles them.
        start_seconds: loading the generator and the judge, measured.
        image_seconds: per image, measured; ``None`` where images already exist.
        judgement_seconds: per image judged, measured; ``None`` where the probe had nothing to judge.
    """

    pairs: int
    images: int
    images_left: int
    judgements: int
    start_seconds: float
    image_seconds: float | None
    judgement_seconds: float | None

    @property
    def seconds(self) -> float:
        """The whole, from the measured parts."""
        drawing = self.images_left * (self.image_seconds or 0.0)
        return self.start_seconds + drawing + self.images * (self.judgement_seconds or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, rounded to milliseconds."""
        said = {name: round(value, 6) if isinstance(value, float) else value
                for name, value in dataclasses.asdict(self).items()}  # fmt: skip
        return {**said, "seconds": round(self.seconds, 3)}

    def lines(self) -> list[str]:
        """For people."""
        drawing = "" if self.image_seconds is None else f", {_time(self.image_seconds)} each"
        judging = "" if self.judgement_seconds is None else f", {_time(self.judgement_seconds)} each"
        return [
            f"pairs       {self.pairs}",
            f"images      {self.images} ({self.images_left} to draw{drawing})",
            f"judgements  {self.judgements}{judging}",
            f"about       {_time(self.seconds)} in all, from a probe of {_PROBE_PAIRS} pairs on this machine",
        ]


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(evaluation: Evaluation) -> Estimate:
    """Count the work and time a probe of a few pairs in a temporary folder.

    Raises:
        PairCompError: whatever would stand in the way of the evaluation itself.
    """
    suite, pairs = evaluation.suite, evaluation.selection.pairs(evaluation.suite)
    images = suite.samples * sum(len(suite.pairs[pair].prompts) for pair in pairs)
    with tempfile.TemporaryDirectory(prefix="paircomp-estimate-") as folder:
        probe = dataclasses.replace(
            evaluation, out=Path(folder), selection=Selection(_PROBE_PAIRS, evaluation.selection.subtasks)
        )
        started = time.monotonic()
        run = probe.open_run()
        drawn = probe.generate(run)
        drawn_at = time.monotonic()
        try:
            judged = probe.judge_run(run).seconds / max(drawn.new, 1)
        except MissingImagesError:  # a refusal of everything is the evaluation's to tell, not the estimate's
            judged = None
        overhead = (drawn_at - started) - drawn.seconds
    return Estimate(
        pairs=len(pairs), images=images, images_left=images - _already_drawn(evaluation), judgements=images,
        start_seconds=overhead, image_seconds=drawn.seconds / max(drawn.new, 1) if evaluation.spec else None,
        judgement_seconds=judged,
    )  # fmt: skip


def _already_drawn(evaluation: Evaluation) -> int:
    if not (evaluation.path / "run.json").is_file():
        return 0
    index = Run.open(evaluation.path).read_images(evaluation.suite)
    return int((index.state[list(evaluation.selection.pairs(evaluation.suite))] == 1).sum())
