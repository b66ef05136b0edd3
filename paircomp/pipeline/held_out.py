"""The held-out step: a second judge for models that were trained with a judge's score."""

from __future__ import annotations

from collections.abc import Callable

from paircomp.errors import PairCompError
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.run_store import Run
from paircomp.run_store.held_out import held_out_judge, held_out_obstacle, needs_held_out, store_problem
from paircomp.types import Suite

__all__ = ["judge_held_out"]


def judge_held_out(
    run: Run, suite: Suite, judge: str, ask: Callable[[str], StepCount], progress: Progress | None = None
) -> StepCount | None:
    """Have the suite's held-out judge look at the run too, where the model was trained with a judge's score.

    Whatever keeps it from running is remembered in the run and told, and the evaluation goes on: the report's first
    line then says that the second opinion is missing.

    Args:
        run: holds the images.
        suite: names the held-out judge.
        judge: whose scores make the headline.
        ask: judges the run by a judge of that name.
        progress: hears what stands in the way.

    Returns:
        what the step did; ``None`` where it was not needed or could not run.
    """
    if not needs_held_out(run, suite, judge):
        return None
    heard: Progress = progress or Silent()
    name = held_out_judge(run, suite)
    obstacle = held_out_obstacle(run, suite)
    if name is None or obstacle is not None:
        heard.say(f"no held-out judging: {obstacle}")
        return None
    try:
        count = ask(name)
    except (PairCompError, ImportError, OSError, RuntimeError, ValueError) as error:
        problem = str(error) if isinstance(error, PairCompError) else f"{type(error).__name__}: {error}"
        problem = " ".join(problem.split())
        store_problem(run, name, problem)
        heard.say(f"held-out judge {name!r} could not run: {problem}")
        return None
    store_problem(run, name, None)
    return count
