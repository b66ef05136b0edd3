"""What a reward answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, overload

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Scorer", "Scores", "scores_of"]


@dataclass(frozen=True)
class Scores(Sequence[float]):
    """One number per picture; a sequence of floats for whoever wants no more.

    Attributes:
        values: NaN where unscored.
        reasons: position -> why there is no score.
        seconds: name of a reward -> how long its call took.
        parts: name of a reward -> its own values, where several are summed.
    """

    values: tuple[float, ...]
    reasons: Mapping[int, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        return self.values[place]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)


class Scorer(Protocol):
    """Scores pictures while the caller waits; rewards are made of these."""

    @property
    def name(self) -> str:
        """Of the reward, in logs and manifests."""
        ...

    def scores(self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]) -> Scores:
        """One number per picture.

        Raises:
            PairCompError: the whole call failed: no server, no memory, a broken contract.
        """
        ...

    def close(self) -> None:
        """Free what it holds; called once."""
        ...


def scores_of(found: Mapping[int, float], reasons: Mapping[int, str], *, count: int) -> Scores:
    """Scores from what was found by position; whatever has neither a number nor a reason gets one.

    Args:
        found: position -> score.
        reasons: position -> why there is none.
        count: of pictures.
    """
    values = tuple(found.get(place, math.nan) for place in range(count))
    missing = (place for place, value in enumerate(values) if math.isnan(value))
    return Scores(values, {place: reasons.get(place, "no answer") for place in missing})
