"""Interval methods for many replicates at once: the chosen ones, and those they were chosen over.

Values are ``[..., R, n]``: R replicates of n pairs. The bootstrap uses the same draws for every replicate, as the
package does for every run of one seed; the draws of a stratum then are one matrix of counts and a replicate's redrawn
means one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Intervals = tuple[Floats, Floats]
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
NO_SPREAD = 1e-9


class Draws(NamedTuple):
    """How often each pair occurs in each draw: ``[H, draws, n]``, as shares."""

    shares: Floats
    size: int


class Redrawn(NamedTuple):
    """Means and standard errors ``[R, draws]`` of the draws of each replicate."""

    means: Floats
    errors: Floats


def resampling_counts(names: Sequence[str], pairs: int, draws: int, seed: int = 0) -> Draws:
    """The draws that the package makes for strata of these names and sizes."""
    shares = np.zeros((len(names), draws, pairs))
    for stratum, name in enumerate(names):
        rows = np.random.default_rng([seed, *name.encode()]).integers(0, pairs, size=(draws, pairs))
        np.add.at(shares[stratum], (np.arange(draws)[:, None], rows), 1 / pairs)
    return Draws(shares, draws)


def redraw(values: Floats, draws: Draws, stratum: int) -> Redrawn:
    """Redraw ``values [R, n]``."""
    centre = values.mean(axis=-1, keepdims=True)
    shares = draws.shares[stratum].T
    moved = values - centre
    means = moved @ shares
    variances = np.maximum((moved**2) @ shares - means**2, 0) / (values.shape[-1] - 1)
    return Redrawn(means + centre, np.sqrt(variances))


def mean_and_error(values: Floats) -> tuple[Floats, Floats]:
    return values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])


def wilson_ends(mean: Floats, trials: Floats, quantile: Floats | float) -> Intervals:
    squared = np.square(quantile)
    centre = (mean + squared / (2 * trials)) / (1 + squared / trials)
    spread = quantile * np.sqrt(mean * (1 - mean) / trials + squared / (4 * trials**2)) / (1 + squared / trials)
    return np.maximum(0, np.minimum(mean, centre - spread)), np.minimum(1, np.maximum(mean, centre + spread))


def score_intervals(values: Floats, *, passes: bool = False) -> Intervals:
    """The package's interval within subtasks; Wilson's for passes."""
    count = values.shape[-1]
    mean, error = mean_and_error(values)
    if passes:
        return wilson_ends(mean, np.full(mean.shape, float(count)), float(special.ndtri(TAILS[1])))
    trials = np.maximum(count, mean * (1 - mean) / np.maximum(error, 0.5 / count) ** 2)
    return wilson_ends(mean, trials, float(special.stdtrit(count - 1, TAILS[1])))


def t_intervals(values: Floats) -> Intervals:
    """Student's."""
    mean, error = mean_and_error(values)
    half = special.stdtrit(values.shape[-1] - 1, TAILS[1]) * error
    return mean - half, mean + half


def difference_intervals(values: Floats) -> Intervals:
    """The package's interval of paired differences within subtasks: Student's, SE at least 1/(2n)."""
    mean, error = mean_and_error(values)
    half = special.stdtrit(values.shape[-1] - 1, TAILS[1]) * np.maximum(error, 0.5 / values.shape[-1])
    return np.maximum(-1, mean - half), np.minimum(1, mean + half)


def studentised_macro(values: Floats, draws: Draws, *, paired: bool) -> Intervals:
    """The package's interval of the macro average of ``values [H, R, n]``, ends ``[R]``."""
    strata, _, count = values.shape
    redrawn = [redraw(values[h], draws, h) for h in range(strata)]
    mean = values.mean(axis=(0, 2))
    parts = values.var(axis=2, ddof=1) / count / strata**2  # [H, R]
    error = np.sqrt(parts.sum(axis=0))
    shift = sum(each.means for each in redrawn) / strata - mean[:, None]
    errors = np.sqrt(sum(np.square(each.errors) for each in redrawn)) / strata
    with np.errstate(divide="ignore", invalid="ignore"):
        low_pivot, high_pivot = np.quantile(np.nan_to_num(shift / errors), TAILS, axis=1)
        degrees = np.nan_to_num(parts.sum(axis=0) ** 2 / (parts**2 / (count - 1)).sum(axis=0), nan=strata * (count - 1))
    trials = strata * count
    quantile, believed = special.stdtrit(degrees, TAILS[1]), np.maximum(error, 0.5 / trials)
    spread = (errors.min(axis=1) > NO_SPREAD) & (error > 0.5 / trials)
    if paired:
        fallback = (mean - quantile * believed, mean + quantile * believed)
    else:
        fallback = wilson_ends(mean, np.maximum(trials, mean * (1 - mean) / believed**2), quantile)
    least, most = (-1.0, 1.0) if paired else (0.0, 1.0)
    low = np.where(spread, np.maximum(least, mean - high_pivot * error), fallback[0])
    high = np.where(spread, np.minimum(most, mean - low_pivot * error), fallback[1])
    return low, high


def _score(values: Floats, redrawn: Redrawn) -> Intervals:
    return score_intervals(values)


def _t(values: Floats, redrawn: Redrawn) -> Intervals:
    low, high = t_intervals(values)
    return np.maximum(0, low), np.minimum(1, high)


def _logit_t(values: Floats, redrawn: Redrawn) -> Intervals:
    mean, error = mean_and_error(values)
    mean = np.clip(mean, 1e-12, 1 - 1e-12)
    half = special.stdtrit(values.shape[-1] - 1, TAILS[1]) * error / (mean * (1 - mean))
    return special.expit(special.logit(mean) - half), special.expit(special.logit(mean) + half)


def _percentile(values: Floats, redrawn: Redrawn) -> Intervals:
    low, high = np.quantile(redrawn.means, TAILS, axis=1)
    return low, high


def _studentised(values: Floats, redrawn: Redrawn) -> Intervals:
    mean, error = mean_and_error(values)
    shift = redrawn.means - mean[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = np.where(np.abs(shift) < NO_SPREAD, 0.0, shift / redrawn.errors)
    low, high = np.quantile(pivots, TAILS, axis=1, method="nearest")
    with np.errstate(invalid="ignore"):
        return np.maximum(0, np.nan_to_num(mean - high * error)), np.minimum(
            1, np.nan_to_num(mean - low * error, nan=1)
        )


def _bca(values: Floats, redrawn: Redrawn) -> Intervals:
    """Bias-corrected and accelerated (Efron, 1987)."""
    mean, _ = mean_and_error(values)
    draws = redrawn.means.shape[1]
    moved = values - mean[:, None]
    squared = np.square(moved).sum(axis=1)
    acceleration = (moved**3).sum(axis=1) / np.where(squared > 0, 6 * squared**1.5, 1)
    below = (redrawn.means < mean[:, None]).sum(axis=1) + 0.5 * (redrawn.means == mean[:, None]).sum(axis=1)
    bias = special.ndtri(np.clip(below / draws, 0.5 / draws, 1 - 0.5 / draws))
    ordered, rows = np.sort(redrawn.means, axis=1), np.arange(len(values))
    ends = []
    for tail in TAILS:
        reach = bias + special.ndtri(tail)
        level = special.ndtr(bias + reach / (1 - acceleration * reach))
        ends.append(ordered[rows, np.clip((level * (draws - 1)).round().astype(int), 0, draws - 1)])
    return ends[0], ends[1]


METHODS: dict[str, Callable[[Floats, Redrawn], Intervals]] = {
    "score": _score,
    "t": _t,
    "logit t": _logit_t,
    "percentile bootstrap": _percentile,
    "studentised bootstrap": _studentised,
    "BCa bootstrap": _bca,
}
