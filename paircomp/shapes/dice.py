"""Seeded choices that come out the same on every Python and every platform."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Dice"]

T = TypeVar("T")


class Dice:
    """Choices drawn from a seed.

    Built on ``random.Random.random()`` alone: that sequence is promised to stay the same for a seed, while ``choice``
    and ``shuffle`` may change between Python versions, and the fixed suites must be reproduced to the byte.

    Args:
        seed: a number or a text; equal seeds give equal choices.
    """

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed).random  # noqa: S311 - scenes are drawn with it, not keys

    def fraction(self) -> float:
        """A number in [0, 1), uniformly."""
        return self._random()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def number(self, count: int) -> int:
        """A whole number in ``range(count)``, uniformly."""
        return int(self._random() * count)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`, uniformly."""
        return choices[self.number(len(choices))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """`items` in random order (Fisher-Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.number(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
