"""The numbers of a step: means and extremes over members, gathered over processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from focusdiff.objective import has_spread

if TYPE_CHECKING:
    from torch import Tensor

    from focusdiff.groups import Kind
    from focusdiff.rollout import StepPictures

__all__ = ["KINDS", "Tally", "count_members", "count_reward_calls", "count_rewards"]

KINDS: tuple[Kind, ...] = ("sampled", "positive", "negative")


class Tally:
    """Means, maxima and sums by name, that can be added up over processes."""

    def __init__(self) -> None:
        self._means: dict[str, tuple[float, int]] = {}
        self._highest: dict[str, float] = {}
        self._sums: dict[str, float] = {}

    def mean(self, name: str, values: Iterable[float]) -> None:
        """Add values to a mean; NaN ones are left out."""
        known = [value for value in values if not math.isnan(value)]
        total, count = self._means.get(name, (0.0, 0))
        self._means[name] = (total + math.fsum(known), count + len(known))

    def highest(self, name: str, values: Iterable[float]) -> None:
        """Take values into a maximum."""
        self._highest[name] = max([self._highest.get(name, -math.inf), *values])

    def add(self, name: str, value: float) -> None:
        """Add to a sum."""
        self._sums[name] = self._sums.get(name, 0.0) + value

    @classmethod
    def together(cls, tallies: Sequence[Tally]) -> Tally:
        """One tally of several processes' ones."""
        whole = cls()
        for tally in tallies:
            for name, (total, count) in tally._means.items():
                before = whole._means.get(name, (0.0, 0))
                whole._means[name] = (before[0] + total, before[1] + count)
            for name, value in tally._highest.items():
                whole.highest(name, [value])
            for name, value in tally._sums.items():
                whole.add(name, value)
        return whole

    def numbers(self) -> dict[str, float]:
        """All by name; a mean of nothing is left out."""
        means = {name: total / count for name, (total, count) in self._means.items() if count}
        highest = {name: value for name, value in self._highest.items() if math.isfinite(value)}
        return {**means, **highest, **self._sums}


def count_rewards(tally: Tally, drawn: StepPictures, rewards: Sequence[float], padded: Tensor) -> None:
    """Rewards by subtask and kind, and how many groups have nothing to compare.

    Args:
        tally: takes them.
        drawn: the members.
        rewards: of the members, NaN where unscored.
        padded: ``[N, M]``, the same by group.
    """
    for member, reward in zip(drawn.members, rewards, strict=True):
        if member.kind == "sampled":
            tally.mean("reward", [reward])
            tally.mean(f"reward/{member.subtask}", [reward])
        else:
            tally.mean(f"reward/{member.kind}", [reward])
        tally.mean("unscored", [float(math.isnan(reward))])
        tally.add(f"members/{member.kind}", 1)
    tally.mean("groups/without_spread", (~has_spread(padded)).float().tolist())
    tally.mean("groups/without_spread_sampled", _without_spread_sampled(drawn, rewards))


def count_reward_calls(tally: Tally, drawn: StepPictures) -> Counter[str]:
    """Seconds of the calls of each reward, and what each part of a sum gave on its own.

    A call works beside the loop, so its seconds may be more than the loop waited (``seconds/reward``).

    Args:
        tally: takes ``reward_seconds/NAME`` (all calls of the step) and ``reward_part/NAME`` (mean over samples).
        drawn: whose rewards are there.

    Returns:
        why pictures stayed unscored, with how often.
    """
    reasons: Counter[str] = Counter()
    for places, found in drawn.answers():
        reasons.update(found.reasons.values())
        for name, seconds in found.seconds.items():
            tally.add(f"reward_seconds/{name}", seconds)
        for name, values in found.parts.items():
            kinds = (drawn.members[place].kind for place in places)
            tally.mean(f"reward_part/{name}", [value for value, kind in zip(values, kinds, strict=True)
                                               if kind == "sampled"])  # fmt: skip
    return reasons


def _without_spread_sampled(drawn: StepPictures, rewards: Sequence[float]) -> list[float]:
    """The same among the sampled members alone: what ground truth adds is the difference."""
    found, start = [], 0
    for size in drawn.sizes:
        known = {rewards[place] for place in range(start, start + size)
                 if drawn.members[place].kind == "sampled" and not math.isnan(rewards[place])}  # fmt: skip
        found.append(float(len(known) < 2))
        start += size
    return found


def count_members(tally: Tally, kinds: Sequence[Kind], values: Mapping[str, Tensor]) -> None:
    """Means by kind of member of what is known of each token.

    Args:
        tally: takes them as ``name/kind``; for ``k3`` the largest token too.
        kinds: of B members.
        values: ``[B, L]`` by name.
    """
    for name, tokens in values.items():
        means = tokens.mean(1).tolist()
        tops = tokens.amax(1).tolist()
        for kind, mean, top in zip(kinds, means, tops, strict=True):
            tally.mean(f"{name}/{kind}", [mean])
            if name == "k3":
                tally.highest(f"k3_highest/{kind}", [top])
