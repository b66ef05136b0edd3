"""How the probability of ground truth and the learning rate go over a run: pure functions of the step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["OFFICIAL_PROBABILITY", "LearningRate", "Position", "piecewise_linear", "step_of"]

#: A place in a run: a number of steps, or a share of the run such as ``"80%"``.
Position = int | str

#: Knots of ``get_prob`` in the published code: 1 until step 50, 1/4 at 450, 0 from 1200 on.
OFFICIAL_PROBABILITY: tuple[tuple[Position, float], ...] = ((50, 1.0), (450, 0.25), (1200, 0.0))


def step_of(position: Position, total: int) -> float:
    """The step that a position stands for.

    Args:
        position: steps, or ``"80%"`` of them.
        total: steps of the run.

    Raises:
        ValueError: neither a whole number from 0 nor a share.

    Example:
        >>> step_of("80%", 70)
        56.0
    """
    if isinstance(position, str):
        if not position.endswith("%") or not 0 <= float(position[:-1]) <= 100:
            raise ValueError(f"expected a step or a share of the run such as '80%', got {position!r}")
        return float(position[:-1]) / 100 * total
    if isinstance(position, bool) or position < 0:
        raise ValueError(f"expected a step from 0 or a share of the run such as '80%', got {position!r}")
    return float(position)


def piecewise_linear(step: float, knots: Sequence[tuple[Position, float]], *, total: int) -> float:
    """The value at a step: linear between knots, constant before the first and behind the last.

    Args:
        step: from zero.
        knots: ``(position, value)``, positions ascending.
        total: steps of the run, for positions that are shares of it.

    Example:
        >>> piecewise_linear(250, OFFICIAL_PROBABILITY, total=2200)
        0.625
    """
    places = [step_of(position, total) for position, _ in knots]
    behind = bisect_right(places, step)
    if behind == 0:
        return knots[0][1]
    if behind == len(knots):
        return knots[-1][1]
    left, right = places[behind - 1], places[behind]
    share = (step - left) / (right - left)
    return knots[behind - 1][1] + share * (knots[behind][1] - knots[behind - 1][1])


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, linear drop to a second rate, then a slow fall (FocusDiff, arXiv 2506.05501, appendix C).

    Attributes:
        peak: reached at the end of the warm-up.
        warm_up: steps of the warm-up.
        convert: the rate at which the fast drop ends.
        convert_at: where it ends.
        final: the rate at the end of the run.
        fall: ``cosine`` as in the paper or ``linear`` as in the published code.
    """

    peak: float
    warm_up: int
    convert: float
    convert_at: Position
    final: float
    fall: Literal["cosine", "linear"] = "cosine"

    def at(self, step: float, total: int) -> float:
        """The rate after `step` steps of `total`; 0 before the first, so the loop asks for the step it is about to end.

        Example:
            >>> LearningRate(1e-5, 100, 2e-6, 300, 2e-7, "linear").at(200, 2200)
            6e-06
        """
        converted = step_of(self.convert_at, total)
        if step < self.warm_up:
            return self.peak * step / self.warm_up
        if step < converted:
            share = (step - self.warm_up) / (converted - self.warm_up)
            return self.peak + share * (self.convert - self.peak)
        if converted >= total:
            return self.convert
        share = min(1.0, (step - converted) / (total - converted))
        if self.fall == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.convert + share * (self.final - self.convert)
