"""Intervals for means of bounded values, the pair being the unit (`docs/design/intervals.md` says why these).

A mean of values in [0, 1] gets Wilson's score interval with the *effective* number of trials

    n_eff = m (1 - m) / SE^2

in place of a count: how many yes-or-no trials would give a mean of this precision (Korn and Graubard, 1998; Dean and
Pagano, 2015). For passes it is Wilson's interval itself. It stays within [0, 1], leans towards the middle as skewed
scores near an edge need, and has a plain answer when all values are equal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Interval",
    "effective_trials",
    "least_error",
    "mean_interval",
    "normal_quantile",
    "score_interval",
    "t_quantile",
    "wilson",
]


class Interval(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float


def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t with `degrees` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def score_interval(mean: float, trials: float, quantile: float) -> Interval:
    """Wilson's score interval for a mean in [0, 1] worth `trials` yes-or-no trials."""
    squared = quantile * quantile
    centre = (mean + squared / (2 * trials)) / (1 + squared / trials)
    spread = quantile * math.sqrt(mean * (1 - mean) / trials + squared / (4 * trials * trials)) / (1 + squared / trials)
    return Interval(max(0.0, min(mean, centre - spread)), min(1.0, max(mean, centre + spread)))


def wilson(passes: int, count: int, *, level: float = 0.95) -> Interval | None:
    """Wilson's interval for a pass rate; ``None`` for fewer than two pairs."""
    if count < 2:
        return None
    return score_interval(passes / count, count, normal_quantile(0.5 + level / 2))


def least_error(count: float) -> float:
    """The least standard error believed of a mean of `count` scores, or of differences of scores: 1/(2 count).

    Pairs that hardly differ say little about those that the sample happens to lack; this leaves room for one pair in
    `count` that lies half the scale of scores away.
    """
    return 0.5 / count


def effective_trials(mean: float, error: float, count: float) -> float:
    """How many yes-or-no trials would give a mean of this standard error: ``m (1 - m) / SE^2``.

    At least `count`: a value in [0, 1] is never worth less than a yes or no. So n perfect pairs give about
    [1 - 3.8/n, 1], as n passes do, and not [1, 1].
    """
    return max(count, mean * (1 - mean) / max(error, least_error(count)) ** 2)


def mean_interval(
    values: NDArray[np.float64], *, level: float = 0.95, lower: float = 0.0, upper: float = 1.0
) -> Interval | None:
    """Interval for the mean of the population that `values` are drawn from.

    Args:
        values: ``[n]``, one value for each pair, in [lower, upper].
        level: confidence.
        lower: least possible value.
        upper: largest possible value.

    Returns:
        An interval within [lower, upper] that holds the sample mean; ``None`` for n < 2.
    """
    count = values.size
    if count < 2:
        return None
    unit = (values - lower) / (upper - lower)
    mean = min(1.0, max(0.0, float(unit.mean())))
    trials = effective_trials(mean, float(unit.std(ddof=1)) / math.sqrt(count), count)
    low, high = score_interval(mean, trials, t_quantile(0.5 + level / 2, count - 1))
    return Interval(lower + (upper - lower) * low, lower + (upper - lower) * high)
