"""What is told of a run while it goes on: the section ``[tracking]`` of a recipe. None of it changes a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["TrackerName", "TrackingRecipe", "doubled"]

TrackerName = Literal["tensorboard", "wandb", "trackio"]


@dataclass(frozen=True)
class TrackingRecipe:
    """Who is told of a run. Ours throughout: the paper does not say; the published code logs to wandb.

    A run may be continued with another section: nothing here changes its weights.

    Attributes:
        trackers: where numbers are sent, through accelerate. Keys of services come from their own environment or login
            and are written nowhere.
        project: what services file the run under; the run itself is called by its folder's name.
        samples_every: steps between two grids of sampled pictures, ``samples/000050.png``; 0 draws none.
        samples: most pictures of a grid.
        evaluate_every: steps between two evaluations by the harness, a multiple of ``loop.checkpoint_every``, for the
            checkpoint is what is evaluated; the last step always is; 0 never evaluates.
        evaluate_suite: a suite by name or file. Choices are made on ``shapes-dev``, so that ``shapes`` is read once.
        evaluate_judges: by name; those after the first are held out from nothing but the reward. Empty takes the
            suite's own.
        evaluate_pairs: at most so many, spread over the subtasks; 0 takes all.
        evaluate_options: of the generator that draws, where they differ from the policy's.
    """

    trackers: tuple[TrackerName, ...] = ()
    project: str = "focusdiff"
    samples_every: int = 0
    samples: int = 12
    evaluate_every: int = 0
    evaluate_suite: str = "shapes-dev"
    evaluate_judges: tuple[str, ...] = ()
    evaluate_pairs: int = 0
    evaluate_options: Mapping[str, Any] = field(default_factory=dict)

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("samples_every", "evaluate_every", "evaluate_pairs"):
            if getattr(self, name) < 0:
                yield f"{name}: expected a count from 0, got {getattr(self, name)}"
        if self.samples < 1:
            yield f"samples: expected a count from 1, got {self.samples}"
        yield from doubled(self, "trackers", "evaluate_judges")


def doubled(section: object, *fields: str) -> Iterator[str]:
    """Which of a section's fields name something twice, each in words."""
    for name in fields:
        named = getattr(section, name)
        if len(set(named)) < len(named):
            yield f"{name}: expected different names, got {list(named)}"
