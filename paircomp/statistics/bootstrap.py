"""The bootstrap over pairs, stratified by subtask, for averages over subtasks.

Each draw resamples the pairs within every subtask, so each subtask keeps its size, and yields the weighted mean and its
standard error. Studentised: the interval inverts the distribution of (mean* - mean) / SE*, which corrects skew that a
percentile interval passes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paircomp.statistics.intervals import Interval

__all__ = ["StratifiedBootstrap", "stratified_bootstrap"]

_CHUNK_VALUES = 2_000_000  # indices held at a time: bounds memory for suites of any size


@dataclass(frozen=True, eq=False)
class StratifiedBootstrap:
    """Weighted means over strata, observed and redrawn.

    Attributes:
        mean: ``[M]`` observed weighted mean of each measure.
        error: ``[M]`` its standard error, ``sqrt(sum w_h^2 s_h^2 / n_h)``.
        trials: ``1 / sum(w_h^2 / n_h)``: how many pairs of one stratum the design is worth at equal spread.
        means: ``[draws, M]`` redrawn weighted means.
        errors: ``[draws, M]`` their standard errors.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    trials: float
    means: NDArray[np.float64]
    errors: NDArray[np.float64]

    def interval(self, measure: int, *, level: float = 0.95) -> Interval:
        """Studentised interval of one measure, unbounded; the caller knows the measure's range."""
        mean, error = float(self.mean[measure]), float(self.error[measure])
        shift = self.means[:, measure] - mean
        with np.errstate(divide="ignore", invalid="ignore"):
            pivots = np.where(shift == 0, 0.0, shift / self.errors[:, measure])
        low, high = np.quantile(pivots, [(1 - level) / 2, (1 + level) / 2])
        return Interval(mean - float(high) * error, mean - float(low) * error)


def stratified_bootstrap(
    strata: Mapping[str, NDArray[np.float64]], weights: Sequence[float], *, draws: int = 10_000, seed: int = 0
) -> StratifiedBootstrap:
    """Redraw the weighted mean over strata.

    Args:
        strata: name -> ``[n_h, M]``, n_h >= 2: values of M measures, sorted by pair. Measures are redrawn together.
        weights: weight of each stratum's mean.
        draws: how many.
        seed: the draws of a stratum depend on this, its name and its size alone.
    """
    measures = next(iter(strata.values())).shape[1]
    mean, squared = np.zeros(measures), np.zeros(measures)
    means, squares = np.zeros((draws, measures)), np.zeros((draws, measures))
    for (name, values), weight in zip(strata.items(), weights, strict=True):
        count = len(values)
        drawn_means, drawn_variances = _redraw(values, draws, np.random.default_rng([seed, *name.encode()]))
        mean += weight * values.mean(axis=0)
        squared += weight**2 * values.var(axis=0, ddof=1) / count
        means += weight * drawn_means
        squares += weight**2 * drawn_variances / count
    sizes = [len(values) for values in strata.values()]
    trials = 1.0 / sum(weight**2 / size for weight, size in zip(weights, sizes, strict=True))
    return StratifiedBootstrap(mean, np.sqrt(squared), trials, means, np.sqrt(squares))


def _redraw(
    values: NDArray[np.float64], draws: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and unbiased variances ``[draws, M]`` of resamples of ``values [n, M]``."""
    count, measures = values.shape
    centre = values.mean(axis=0)  # moments about the centre: no cancellation
    columns = np.ascontiguousarray((values - centre).T)
    means, variances = np.empty((draws, measures)), np.empty((draws, measures))
    step = max(1, _CHUNK_VALUES // count)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        rows = generator.integers(0, count, size=(stop - start, count), dtype=np.intp)
        for measure, column in enumerate(columns):
            drawn = column[rows]  # [step, n]
            means[start:stop, measure] = drawn.mean(axis=1)
            variances[start:stop, measure] = np.einsum("bn,bn->b", drawn, drawn) / count
    variances = np.maximum(variances - means**2, 0.0) * (count / (count - 1))
    return means + centre, variances
