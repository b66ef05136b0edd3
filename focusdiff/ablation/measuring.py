"""Drawing with a checkpoint under three samplers and having the pictures judged, all by the harness itself."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.ablation.results import Measured
from focusdiff.fidelity import Fidelity, fidelity
from paircomp.evaluation import EvaluatedRun, Evaluation
from paircomp.plugins import Registry
from paircomp.run_store import Selection
from paircomp.run_store.score_table import Judged, read_judged
from paircomp.scoring import pair_values
from paircomp.types import ModelSpec, Suite

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SAMPLERS", "MeasuredSampler", "Sampler", "measure"]

_BATCH = 120  # images at a time: the small model's best on one thread


@dataclass(frozen=True)
class Sampler:
    """One way to draw.

    Attributes:
        name: of the column group.
        title: what tables call it.
        recipe: options of the generator.
        samples: K, images per prompt; 1 where all would be the same picture.
    """

    name: str
    title: str
    recipe: Mapping[str, float]
    samples: int = 2


_EVERY = (
    Sampler("plain", "plain sampling", {"guidance": 1.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}),
    Sampler("shipped", "guidance 2, min-p 0.05",
            {"guidance": 2.0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.05}),
    Sampler("greedy", "greedy", {"guidance": 1.0, "temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
            samples=1),
)  # fmt: skip

#: A narrower gap alone proves nothing (greedy decoding of an untouched base narrows it most), so all three are shown.
SAMPLERS: dict[str, Sampler] = {sampler.name: sampler for sampler in _EVERY}


@dataclass(frozen=True)
class MeasuredSampler:
    """What came of one sampler.

    Attributes:
        judges: the judges' values by name.
        fidelity: of the pictures; ``None`` where none could be read.
    """

    judges: Mapping[str, Measured]
    fidelity: Fidelity | None


def measure(
    spec: ModelSpec,
    suite: Suite,
    sampler: Sampler,
    *,
    judges: Sequence[str],
    seed: int,
    scratch: Path,
    limit: int | None = None,
    registry: Registry | None = None,
) -> MeasuredSampler:
    """Draw the suite with a model and ask judges; runs on the CPU and leaves nothing behind.

    Args:
        spec: the model, its checkpoint included.
        suite: the pairs.
        sampler: how to draw.
        judges: names; the first is the one that tables show first.
        seed: of the images.
        scratch: a folder of this call's own, removed at the end.
        limit: at most so many pairs, spread over the subtasks.
        registry: where names are looked up.

    Raises:
        PairCompError: whatever stands in the way, in one line.
    """
    pairs = dataclasses.replace(suite, samples=sampler.samples)
    evaluation = Evaluation(
        registry=registry or Registry(), suite=pairs, judge=judges[0], spec=spec.overridden(options=sampler.recipe),
        seed=seed, device="cpu", batch_size=_BATCH, cross=False, selection=Selection(limit), out=scratch,
    )  # fmt: skip
    try:
        evaluation.check()
        run = evaluation.open_run()
        drawn = evaluation.generate(run)
        for judge in judges:
            dataclasses.replace(evaluation, judge=judge).judge_run(run, images=drawn.images)
        done = EvaluatedRun(run, pairs, evaluation.selection)
        return MeasuredSampler({judge: _measured(done, judge) for judge in judges}, fidelity(_pictures(done)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measured(done: EvaluatedRun, judge: str) -> Measured:
    judged = read_judged(done.run, done.suite, judge, done.pairs())
    reasons = Counter(_reasons(judged))
    return Measured(pair_values(judged.table), judged.table.samples, reasons.total(), dict(reasons))


def _reasons(judged: Judged) -> Iterator[str]:
    import numpy as np

    from paircomp.types import ImageKey

    for row, prompt, sample in np.argwhere(np.isnan(judged.table.own)).tolist():
        yield judged.reason(ImageKey(judged.pairs[row], prompt, sample))


def _pictures(done: EvaluatedRun) -> Iterator[Image]:
    from PIL import Image

    for path in sorted(done.run.images_folder.glob("*.png")):
        with Image.open(path) as picture:
            yield picture.convert("RGB")


def sampler_settings(samplers: Sequence[Sampler]) -> dict[str, Any]:
    """What results under these samplers depend on, as JSON values."""
    return {sampler.name: {**sampler.recipe, "samples": sampler.samples} for sampler in samplers}
