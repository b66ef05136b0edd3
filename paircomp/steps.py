"""Drawing and judging as one piece of work: at the same time where both fit on this machine, else one after the other.

One after the other means: draw everything, free the device, load the judge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from paircomp.pipeline import Progress
from paircomp.pipeline.overlap import draw_while_judging
from paircomp.runtime.machine import gpus_seen

if TYPE_CHECKING:
    from paircomp.evaluation import Evaluation
    from paircomp.run_store import Run

__all__ = ["both_fit", "draw_and_judge", "judging_device", "needs_device"]


def draw_and_judge(evaluation: Evaluation, run: Run, progress: Progress | None = None) -> None:
    """Draw what is missing and ask what was not asked.

    Raises:
        PairCompError: what either step raises; the judge's only after everything was drawn.
    """
    together = both_fit(evaluation) if evaluation.overlap is None else evaluation.overlap
    if evaluation.spec is None or not together:
        drawn = evaluation.generate(run, progress)
        evaluation.judge_run(run, progress, images=drawn.images)
        return
    judging = replace(evaluation, device=judging_device(evaluation))
    draw_while_judging(
        lambda settled, heard: evaluation.generate(run, heard, settled=settled),
        lambda arriving, heard: judging.judge_run(run, heard, arriving=arriving),
        progress,
    ).result()


def both_fit(evaluation: Evaluation) -> bool:
    """Whether the generator and the judge can surely be loaded at the same time.

    A part without torch takes no memory of the device, and of two GPUs each part has one. Sizes are not guessed at: a
    step that ran out of memory would cost more than the shorter step is worth.
    """
    return not _both_need_the_device(evaluation) or _two_gpus(evaluation)


def judging_device(evaluation: Evaluation) -> str:
    """Where the judge goes while the generator draws: to the second GPU where both need one and there are two."""
    apart = _two_gpus(evaluation) and _both_need_the_device(evaluation)
    return "cuda:1" if apart else evaluation.device


def _both_need_the_device(evaluation: Evaluation) -> bool:
    if not needs_device(evaluation.registry.judge(evaluation.judge_name)):
        return False
    if evaluation.spec is None or evaluation.generator is not None:
        return True  # a function of the user's own may hold anything
    return needs_device(evaluation.registry.generator(evaluation.spec.adapter))


def needs_device(factory: object) -> bool:
    """Whether what the factory builds takes memory of a GPU where there is one: whatever uses torch."""
    return "torch" in getattr(factory, "requires", ())


def _two_gpus(evaluation: Evaluation) -> bool:
    ours = evaluation.device == "auto" and evaluation.shard.whole and evaluation.generator is None
    return ours and gpus_seen() > 1
