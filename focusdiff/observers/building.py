"""Observers as a recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from focusdiff.observers.evaluations import Told
    from focusdiff.observers.lines import ProgressLines
    from focusdiff.observers.panel import LivePanel
    from focusdiff.recipe import RLRecipe
    from focusdiff.training_protocols import Observer

__all__ = ["build_observers"]


def build_observers(
    recipe: RLRecipe, run: Path, *, device: str, lines: ProgressLines | LivePanel | None = None
) -> list[Observer]:
    """The observers of a run; every name and option is checked before anything starts.

    Args:
        recipe: of the run, its section ``tracking`` above all.
        run: the run's folder.
        device: where evaluations draw and judge.
        lines: of progress; ``None`` says nothing.

    Raises:
        PairCompError: a package, suite, judge or option that is not there.
    """
    return list(_observers(recipe, run, device, lines))


def _observers(recipe: RLRecipe, run: Path, device: str, lines: ProgressLines | LivePanel | None) -> Iterator[Observer]:
    asked = recipe.tracking
    told: list[Told] = []
    if lines is not None:
        told.append(lines.on_evaluation)
        yield lines
    if asked.trackers:
        from focusdiff.observers.trackers import Trackers

        trackers = Trackers(asked.trackers, project=asked.project, run=run)
        told.append(trackers.send)
        yield trackers
    if asked.samples_every:
        from focusdiff.observers.samples import SampleGrids

        yield SampleGrids(run, every=asked.samples_every, most=asked.samples)
    if asked.evaluate_every:
        from focusdiff.observers.evaluations import Evaluations

        yield Evaluations(recipe, run, device=device, told=told)
