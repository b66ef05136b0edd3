"""Paired differences of two runs: intervals, sign-flip tests, Holm's adjustment and power."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.statistics.averages import MOST_PAIRS_REDRAWN
from paircomp.statistics.bootstrap import StratifiedBootstrap, stratified_bootstrap
from paircomp.statistics.intervals import Interval, least_error, t_quantile
from paircomp.statistics.multiple import holm
from paircomp.statistics.permutation import SignFlips, sign_flips
from paircomp.statistics.power import minimal_detectable_effect

__all__ = ["Difference", "PairedDifferences", "paired_differences"]

_Strata = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure in both runs. ``None`` stands for what too few pairs cannot say.

    Attributes:
        a: mean in the first run, over the matched pairs.
        b: mean in the second.
        difference: ``b - a``.
        ci: two-sided interval of the difference, within [-1, 1].
        bounds: its one-sided (1 - alpha) lower and upper bounds, each alone; the gates read these.
        p: two-sided, from sign flips.
        p_holm: adjusted over the subtasks; ``None`` for the average, which is tested apart.
        mde: minimal detectable effect at 80% power: a true difference below it would probably have been missed.
    """

    a: float | None
    b: float | None
    difference: float | None
    ci: Interval | None
    bounds: Interval | None
    p: float | None
    p_holm: float | None
    mde: float | None

    def to_json(self) -> dict[str, Any]:
        """All fields by name; intervals as lists."""
        return {
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "ci": None if self.ci is None else list(self.ci),
            "bounds": None if self.bounds is None else list(self.bounds),
            "p": self.p,
            "p_holm": self.p_holm,
            "mde": self.mde,
        }


@dataclass(frozen=True, slots=True)
class PairedDifferences:
    """Differences of M measures.

    Attributes:
        strata: name -> one `Difference` per measure.
        macro: the same for the mean over the strata; all ``None`` where a stratum is empty.
    """

    strata: Mapping[str, tuple[Difference, ...]]
    macro: tuple[Difference, ...]


def paired_differences(
    first: _Strata, second: _Strata, *, draws: int = 10_000, seed: int = 0, alpha: float = 0.05
) -> PairedDifferences:
    """Compare two runs, stratum by stratum and on average.

    Args:
        first: name -> ``[n_h, M]``, values of the pairs in the first run, sorted by pair; n_h may be 0, not everywhere.
        second: the same pairs in the second.
        draws: of the bootstrap and of the sign flips.
        seed: of both.
        alpha: size of the tests; intervals have level 1 - alpha.
    """
    differences = {name: second[name] - first[name] for name in first}
    tested = {name: values for name, values in differences.items() if len(values)}
    flips = sign_flips(tested, [1 / len(differences)] * len(tested), draws=draws, seed=seed)
    measures = range(next(iter(differences.values())).shape[1])
    adjusted = _adjusted(flips)
    strata = {
        name: _stratum_differences(first[name], second[name], flips.strata[name], adjusted[name], alpha)
        if name in tested
        else tuple(_NOTHING for _ in measures)
        for name in differences
    }
    if len(tested) < len(differences):
        return PairedDifferences(strata, tuple(_NOTHING for _ in measures))
    redrawn = _redrawn(differences, draws, seed)
    macro = tuple(_macro_difference(first, second, redrawn, float(flips.overall[m]), m, alpha) for m in measures)
    return PairedDifferences(strata, macro)


_NOTHING = Difference(None, None, None, None, None, None, None, None)


def _adjusted(flips: SignFlips) -> dict[str, NDArray[np.float64]]:
    """Holm's p-values ``[M]`` by stratum, each measure a family of its own."""
    families = np.array([holm(family.tolist()) for family in np.array(list(flips.strata.values())).T])  # [M, H]
    return dict(zip(flips.strata, families.T, strict=True))


def _stratum_differences(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    p: NDArray[np.float64],
    p_holm: NDArray[np.float64],
    alpha: float,
) -> tuple[Difference, ...]:
    return tuple(
        _stratum_difference(*columns, alpha)
        for columns in zip(first.T, second.T, p.tolist(), p_holm.tolist(), strict=True)
    )


def _stratum_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], p: float, p_holm: float, alpha: float
) -> Difference:
    a, b = float(first.mean()), float(second.mean())
    if first.size < 2:
        return Difference(a, b, b - a, None, None, p, p_holm, None)
    error = max(float((second - first).std(ddof=1)) / math.sqrt(first.size), least_error(first.size))
    degrees = first.size - 1
    ci, bounds = (_t_interval(b - a, error, degrees, level) for level in (1 - alpha, 1 - 2 * alpha))
    return Difference(a, b, b - a, ci, bounds, p, p_holm, minimal_detectable_effect(error, degrees, alpha=alpha))


def _macro_difference(
    first: _Strata, second: _Strata, redrawn: StratifiedBootstrap | None, p: float, measure: int, alpha: float
) -> Difference:
    a, b = (float(np.mean([values[:, measure].mean() for values in run.values()])) for run in (first, second))
    if redrawn is None:
        return Difference(a, b, b - a, None, None, p, None, None)
    error = max(float(redrawn.error[measure]), least_error(redrawn.trials))
    degrees = float(redrawn.degrees[measure])
    ci, bounds = (_macro_interval(redrawn, measure, b - a, error, level) for level in (1 - alpha, 1 - 2 * alpha))
    return Difference(a, b, b - a, ci, bounds, p, None, minimal_detectable_effect(error, degrees, alpha=alpha))


def _redrawn(differences: _Strata, draws: int, seed: int) -> StratifiedBootstrap | None:
    """``None`` where a stratum has a single pair: its spread is unknown."""
    sizes = [len(values) for values in differences.values()]
    if min(sizes) < 2:
        return None
    if sum(sizes) > MOST_PAIRS_REDRAWN:
        draws = 0
    return stratified_bootstrap(differences, [1 / len(differences)] * len(differences), draws=draws, seed=seed)


def _t_interval(difference: float, error: float, degrees: float, level: float) -> Interval:
    """Student's interval. Differences lie mid-scale, where it needs no bending."""
    half = t_quantile(0.5 + level / 2, degrees) * error
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def _macro_interval(
    redrawn: StratifiedBootstrap, measure: int, difference: float, error: float, level: float
) -> Interval:
    """Studentised where there is spread enough for it, as for the averages of one run; else Student's."""
    studentised = redrawn.studentised(measure, level=level) if error > least_error(redrawn.trials) else None
    if studentised is None:
        return _t_interval(difference, error, float(redrawn.degrees[measure]), level)
    return Interval(max(-1.0, studentised.low), min(1.0, studentised.high))
