"""Means over training seeds and differences between arms, with two intervals that answer two questions.

*Over seeds*: would another training show it? Per-seed averages, paired by seed, Student's t. Claims about an arm rest
on these. *Over pairs*: would other prompts show it, of these very trainings? Each pair's values are averaged over the
seeds, then compared as two runs are (`paircomp.statistics.paired`). The two stand beside each other and are never
pooled: the trainings share their prompts and the pairs share their training, so no count of both means anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from focusdiff.ablation.results import ArmResult, Measured
from paircomp.scoring import subtask_means
from paircomp.statistics import Interval, paired_differences
from paircomp.statistics.intervals import t_quantile

__all__ = ["MEASURES", "Comparison", "Comparisons", "SeedMean", "seed_mean"]

Measure = Literal["s_a", "s_g", "gap", "full_pass"]

MEASURES: Final[tuple[Measure, ...]] = ("s_a", "s_g", "gap", "full_pass")


@dataclass(frozen=True)
class SeedMean:
    """A mean over training seeds.

    Attributes:
        mean: of one value per seed.
        seeds: how many.
        interval: Student's, 95%; ``None`` for fewer than two seeds.
    """

    mean: float
    seeds: int
    interval: Interval | None

    @property
    def half(self) -> float | None:
        """Half the interval's width."""
        return None if self.interval is None else (self.interval.high - self.interval.low) / 2


def seed_mean(values: Sequence[float], *, level: float = 0.95) -> SeedMean | None:
    """Mean and interval of one value per seed; ``None`` where there is none.

    Example:
        >>> seed_mean([0.5, 0.7]).interval
        Interval(low=-0.6706204736174702, high=1.8706204736174703)
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    mean, count = math.fsum(known) / len(known), len(known)
    if count < 2:
        return SeedMean(mean, count, None)
    error = float(np.std(known, ddof=1)) / math.sqrt(count)
    half = t_quantile(0.5 + level / 2, count - 1) * error
    return SeedMean(mean, count, Interval(mean - half, mean + half))


@dataclass(frozen=True)
class Comparison:
    """One arm against another in one measure.

    Attributes:
        over_seeds: of the differences, paired by training seed.
        over_pairs: interval of the same mean difference over the pairs of the suite.
    """

    over_seeds: SeedMean
    over_pairs: Interval | None


class Comparisons:
    """Everything that can be said of some results under one sampler and one judge.

    Args:
        results: of any arms and seeds; those without this sampler or judge are left out.
        sampler: its name.
        judge: its name.
    """

    def __init__(self, results: Iterable[ArmResult], sampler: str, judge: str) -> None:
        self._held: dict[str, dict[int, Measured]] = {}
        for result in results:
            measured = result.measured.get(sampler, {}).get(judge)
            if measured is not None:
                self._held.setdefault(result.arm, {})[result.seed] = measured

    @property
    def arms(self) -> tuple[str, ...]:
        """Those with at least one result."""
        return tuple(self._held)

    def mean(self, arm: str, measure: Measure, subtask: str | None = None) -> SeedMean | None:
        """An arm's mean over its seeds, of the average or of one subtask."""
        return seed_mean([_value(measured, measure, subtask) for measured in self._held.get(arm, {}).values()])

    def difference(self, arm: str, other: str, measure: Measure, subtask: str | None = None) -> Comparison | None:
        """`arm` minus `other` over the seeds that both have; ``None`` where they share none."""
        mine, theirs = self._held.get(arm, {}), self._held.get(other, {})
        seeds = sorted(mine.keys() & theirs.keys())
        over_seeds = seed_mean([
            _value(mine[seed], measure, subtask) - _value(theirs[seed], measure, subtask) for seed in seeds
        ])  # fmt: skip
        if over_seeds is None:
            return None
        both = [(mine[seed], theirs[seed]) for seed in seeds]
        return Comparison(over_seeds, _over_pairs(both, measure, subtask))


def _value(measured: Measured, measure: Measure, subtask: str | None) -> float:
    means = measured.average if subtask is None else subtask_means(measured.values)[subtask]
    return float(getattr(means, measure))


def _over_pairs(both: Sequence[tuple[Measured, Measured]], measure: Measure, subtask: str | None) -> Interval | None:
    """Interval of the seeds' mean difference over the pairs that every one of these results has."""
    shared = sorted(set.intersection(*(set(each.values.pairs.tolist()) for couple in both for each in couple)))
    if not shared:
        return None
    first, second = (np.mean([_of_pairs(couple[side], shared, measure) for couple in both], axis=0) for side in (1, 0))
    values = both[0][0].values
    subtasks = np.array(values.subtasks)[np.isin(values.pairs, shared)]
    strata = [subtask] if subtask is not None else list(values.subtask_names)
    groups: list[dict[str, NDArray[np.float64]]] = [
        {name: side[subtasks == name][:, None] for name in strata} for side in (first, second)
    ]
    if any(len(group) < 2 for group in groups[0].values()):
        return None
    found = paired_differences(groups[0], groups[1])
    return found.macro[0].ci if subtask is None else found.strata[subtask][0].ci


def _of_pairs(measured: Measured, shared: Sequence[int], measure: Measure) -> NDArray[np.float64]:
    """``[n]``: one value for each shared pair."""
    values = measured.values
    columns = {"s_a": values.a, "s_g": values.g, "gap": values.gap, "full_pass": values.passed.astype(np.float64)}
    chosen: NDArray[np.float64] = columns[measure][np.isin(values.pairs, shared)]
    return chosen
