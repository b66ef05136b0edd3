"""The bootstrap over pairs, stratified by subtask, for averages over subtasks.

Each draw resamples the pairs within every subtask, so each subtask keeps its size, and yields the weighted mean and its
standard error. Studentised: the interval inverts the distribution of (mean* - mean) / SE*, which corrects skew that a
percentile interval passes on (`docs/design/intervals.md`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paircomp.statistics.intervals import Interval

__all__ = ["StratifiedBootstrap", "stratified_bootstrap"]

_CHUNK_VALUES = 500_000  # indices held at a time: bounds memory for suites of any size, and stays near the cache

_NO_SPREAD = 1e-9  # a standard error below this is rounding


@dataclass(frozen=True, eq=False)
class StratifiedBootstrap:
    """Weighted means over strata, observed and redrawn.

    Attributes:
        mean: ``[M]`` observed weighted mean of each measure.
        error: ``[M]`` its standard error, ``sqrt(sum w_h^2 s_h^2 / n_h)``.
        degrees: ``[M]`` Satterthwaite's degrees of freedom of that error.
        trials: ``1 / sum(w_h^2 / n_h)``: how many pairs of a single stratum the design is worth at equal spread.
        means: ``[draws, M]`` redrawn weighted means.
        errors: ``[draws, M]`` their standard errors.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    degrees: NDArray[np.float64]
    trials: float
    means: NDArray[np.float64]
    errors: NDArray[np.float64]

    def studentised(self, measure: int, *, level: float = 0.95) -> Interval | None:
        """Studentised interval of a measure, unbounded: the caller knows its range.

        ``None`` without draws, and where so few pairs differ from the rest that some draw holds none of them: such a
        draw has no spread and an infinite pivot, and an end of the interval would jump to the end of the scale.
        """
        mean, error = float(self.mean[measure]), float(self.error[measure])
        errors = self.errors[:, measure]
        if errors.size == 0 or errors.min() <= _NO_SPREAD:
            return None
        pivots = (self.means[:, measure] - mean) / errors
        low, high = np.quantile(pivots, [(1 - level) / 2, (1 + level) / 2])
        return Interval(mean - float(high) * error, mean - float(low) * error)


def stratified_bootstrap(
    strata: Mapping[str, NDArray[np.float64]], weights: Sequence[float], *, draws: int = 10_000, seed: int = 0
) -> StratifiedBootstrap:
    """Redraw the weighted mean over strata.

    Args:
        strata: name -> ``[n_h, M]``, n_h >= 2: values of M measures, sorted by pair. Measures are redrawn together.
        weights: weight of each stratum's mean.
        draws: how many; 0 for the means and errors alone.
        seed: the draws of a stratum depend on this, its name and its size alone.
    """
    sizes = np.array([len(values) for values in strata.values()])
    factors = np.asarray(weights, dtype=np.float64)
    squared = factors**2 / sizes  # [H]
    centres = np.array([values.mean(axis=0) for values in strata.values()])  # [H, M]
    parts = squared[:, None] * np.array([values.var(axis=0, ddof=1) for values in strata.values()])
    means, squares = np.zeros((draws, parts.shape[1])), np.zeros((draws, parts.shape[1]))
    for row, (name, values) in enumerate(strata.items()):
        redrawn = _redraw(values, draws, np.random.default_rng([seed, *name.encode()]))
        means += factors[row] * redrawn[0]
        squares += squared[row] * redrawn[1]
    return StratifiedBootstrap(
        mean=factors @ centres,
        error=np.sqrt(parts.sum(axis=0)),
        degrees=_satterthwaite(parts, sizes),
        trials=1.0 / float(squared.sum()),
        means=means,
        errors=np.sqrt(squares),
    )


def _satterthwaite(parts: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Degrees of freedom ``[M]`` of a sum of variances ``parts [H, M]``; those of the whole without any spread."""
    whole = float((sizes - 1).sum())
    below = (parts**2 / (sizes - 1)[:, None]).sum(axis=0)
    above = parts.sum(axis=0) ** 2
    degrees: NDArray[np.float64] = np.divide(above, below, out=np.full(below.shape, whole), where=below > 0)
    return degrees


def _redraw(
    values: NDArray[np.float64], draws: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and unbiased variances ``[draws, M]`` of resamples of ``values [n, M]``."""
    count, measures = values.shape
    centre = values.mean(axis=0)  # moments about the centre: no cancellation
    columns = np.ascontiguousarray((values - centre).T)
    means, squares = np.empty((draws, measures)), np.empty((draws, measures))
    step = max(1, _CHUNK_VALUES // count)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        rows = generator.integers(0, count, size=(stop - start, count))
        for measure, column in enumerate(columns):
            drawn = column[rows]  # [step, n]
            means[start:stop, measure] = drawn.mean(axis=1)
            squares[start:stop, measure] = np.einsum("bn,bn->b", drawn, drawn) / count
    variances = np.maximum(squares - means**2, 0.0) * (count / (count - 1))
    return means + centre, variances
