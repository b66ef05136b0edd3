"""Intervals of averages over subtasks, from one bootstrap stratified by subtask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from paircomp.statistics.bootstrap import StratifiedBootstrap, stratified_bootstrap
from paircomp.statistics.intervals import Interval, effective_trials, least_error, score_interval, t_quantile

__all__ = ["MOST_PAIRS_REDRAWN", "AverageIntervals", "average_interval"]

MOST_PAIRS_REDRAWN = 20_000
"""Beyond this many pairs a mean is normal to the digits printed, and redrawing it 10,000 times would take minutes."""


class AverageIntervals:
    """Intervals of the macro average and of the pair-weighted mean.

    Args:
        strata: subtask -> ``[n_k, M]``, values of M measures of its pairs, sorted by pair.
        measures: their M names.
        level: confidence.
        draws: bootstrap draws.
        seed: of the bootstrap.
        lower: least possible value of each measure, 0 unless given.
    """

    def __init__(
        self,
        strata: Mapping[str, NDArray[np.float64]],
        measures: Sequence[str],
        *,
        level: float,
        draws: int,
        seed: int,
        lower: Mapping[str, float] | None = None,
    ) -> None:
        self._strata = strata
        self._measures = measures
        self._level, self._draws, self._seed = level, draws, seed
        self._lower = lower or {}

    def macro(self) -> dict[str, Interval | None]:
        """Subtasks alike; ``None`` throughout when a subtask has fewer than two pairs."""
        return self._of(self._strata, [1 / max(1, len(self._strata))] * len(self._strata))

    def pair_weighted(self) -> dict[str, Interval | None]:
        """Pairs alike; ``None`` throughout when a subtask that has pairs has a single one."""
        present = {name: values for name, values in self._strata.items() if len(values)}
        total = sum(len(values) for values in present.values())
        return self._of(present, [len(values) / total for values in present.values()])

    def _of(self, strata: Mapping[str, NDArray[np.float64]], weights: Sequence[float]) -> dict[str, Interval | None]:
        if not strata or min(len(values) for values in strata.values()) < 2:
            return dict.fromkeys(self._measures)
        pairs = sum(len(values) for values in strata.values())
        draws = self._draws if pairs <= MOST_PAIRS_REDRAWN else 0
        redrawn = stratified_bootstrap(strata, weights, draws=draws, seed=self._seed)
        return {
            name: average_interval(redrawn, column, level=self._level, lower=self._lower.get(name, 0.0))
            for column, name in enumerate(self._measures)
        }


def average_interval(
    redrawn: StratifiedBootstrap, measure: int, *, level: float, lower: float = 0.0, upper: float = 1.0
) -> Interval:
    """Interval of an average, within [lower, upper].

    Studentised bootstrap where there are draws, and spread enough in each; else the score interval that a subtask
    would get, with Satterthwaite's degrees of freedom.
    """
    span = upper - lower
    mean = min(1.0, max(0.0, (float(redrawn.mean[measure]) - lower) / span))
    error = float(redrawn.error[measure]) / span
    studentised = redrawn.studentised(measure, level=level)
    if studentised is not None and error > least_error(redrawn.trials):
        return Interval(max(lower, studentised.low), min(upper, studentised.high))
    trials = effective_trials(mean, error, redrawn.trials)
    score = score_interval(mean, trials, t_quantile(0.5 + level / 2, float(redrawn.degrees[measure])))
    return Interval(lower + span * score.low, lower + span * score.high)
