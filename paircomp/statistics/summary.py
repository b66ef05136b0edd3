"""The summary of one run: means and intervals of each subtask, the average, both readings, contrast, distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from paircomp.scoring import Means, PairValues, Reading, ScoreTable, macro, pair_values, pair_weighted, subtask_means
from paircomp.statistics.averages import AverageIntervals
from paircomp.statistics.contrast import ContrastSummary, summarize_contrast
from paircomp.statistics.intervals import Interval, mean_interval, wilson

__all__ = ["INTERVAL_METHOD", "MEASURES", "ReadingSummary", "RunSummary", "Summary", "summarize"]

INTERVAL_METHOD = (
    "subtask: Wilson score interval with effective trials m(1-m)/SE^2 and Student t, pairs as units; "
    "full pass: Wilson; average and pair-weighted: studentised bootstrap over pairs, stratified by subtask"
)
MEASURES = ("s_a", "s_g", "gap", "full_pass")
_BINS = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of a report.

    Attributes:
        means: the row's means; NaN where no pair counts.
        zeros: pairs whose geometric mean is exactly 0.
        ci: interval of each measure; ``None`` where there are too few pairs for one.
        subtasks: for an average, how many subtasks it is taken over.
    """

    means: Means
    zeros: int
    ci: Mapping[str, Interval | None]
    subtasks: int | None = None

    def to_json(self) -> dict[str, Any]:
        """SUMMARY of ``paircomp-report/1``; null in place of NaN."""
        row: dict[str, Any] = {"pairs": self.means.pairs}
        row |= {measure: _null_for_nan(getattr(self.means, measure)) for measure in MEASURES}
        row |= {"zeros": self.zeros, "ci": {name: None if ci is None else list(ci) for name, ci in self.ci.items()}}
        return row if self.subtasks is None else {**row, "subtasks": self.subtasks}


@dataclass(frozen=True, slots=True)
class ReadingSummary:
    """A run under one reading of unscored images.

    Attributes:
        subtasks: in suite order.
        average: macro mean over the subtasks.
        pair_weighted: mean over all pairs alike.
        distribution: subtask -> ``a`` and ``g`` -> number of pairs in each of 20 equal bins of [0, 1].
    """

    subtasks: Mapping[str, Summary]
    average: Summary
    pair_weighted: Summary
    distribution: Mapping[str, Mapping[str, list[int]]]

    def to_json(self) -> dict[str, Any]:
        """The ``subtasks``, ``average`` and ``pair_weighted`` parts of a report."""
        return {
            "subtasks": {name: row.to_json() for name, row in self.subtasks.items()},
            "average": self.average.to_json(),
            "pair_weighted": self.pair_weighted.to_json(),
        }


@dataclass(frozen=True)
class RunSummary:
    """Everything statistical that a report says about one run.

    Attributes:
        readings: the run under both readings of unscored images.
        contrast: ``None`` where the judge was not asked about the other prompts.
        level: confidence of all intervals.
        draws: bootstrap draws.
        seed: of the bootstrap.
    """

    readings: Mapping[Reading, ReadingSummary]
    contrast: ContrastSummary | None
    level: float
    draws: int
    seed: int
    method: str = field(default=INTERVAL_METHOD)

    def to_json(self, reading: Reading = "exclude") -> dict[str, Any]:
        """The statistical parts of ``paircomp-report/1``, with `reading` as the headline."""
        headline = self.readings[reading]
        bins = [edge / _BINS for edge in range(_BINS + 1)]
        return {
            "unscored_reading": reading,
            "interval": {"level": self.level, "method": self.method, "draws": self.draws, "seed": self.seed},
            **headline.to_json(),
            "readings": {name: summary.to_json() for name, summary in self.readings.items()},
            "contrast": None if self.contrast is None else self.contrast.to_json(),
            "distribution": {"bins": bins, "subtasks": dict(headline.distribution)},
        }


def summarize(table: ScoreTable, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> RunSummary:
    """Summarise a run.

    Args:
        table: its scores.
        level: confidence of the intervals.
        draws: bootstrap draws for the averages.
        seed: of the bootstrap; the same table and seed give the same numbers, whatever the order of the pairs.
    """
    names: tuple[Reading, ...] = get_args(Reading)
    unscored = bool(np.isnan(table.own).any())
    first = _summarize_values(pair_values(table, names[0]), level, draws, seed)
    readings = {names[0]: first}
    for name in names[1:]:
        # Without unscored images the readings are the same: no second bootstrap.
        readings[name] = _summarize_values(pair_values(table, name), level, draws, seed) if unscored else first
    return RunSummary(readings, summarize_contrast(table, level=level, draws=draws, seed=seed), level, draws, seed)


def _summarize_values(values: PairValues, level: float, draws: int, seed: int) -> ReadingSummary:
    rows = values.rows()
    means = subtask_means(values)
    columns = np.column_stack([values.a, values.g, values.gap, values.passed])  # [N, measures]
    strata = {name: columns[chosen] for name, chosen in rows.items()}
    averages = AverageIntervals(strata, MEASURES, level=level, draws=draws, seed=seed)
    zeros = {name: int(np.count_nonzero(values.g[chosen] == 0)) for name, chosen in rows.items()}
    return ReadingSummary(
        subtasks={name: Summary(means[name], zeros[name], _intervals(strata[name], level)) for name in rows},
        average=Summary(macro(means), sum(zeros.values()), averages.macro(), subtasks=len(rows)),
        pair_weighted=Summary(pair_weighted(values), sum(zeros.values()), averages.pair_weighted()),
        distribution={name: _histograms(values, chosen) for name, chosen in rows.items()},
    )


def _intervals(columns: NDArray[np.float64], level: float) -> dict[str, Interval | None]:
    a, g, gap, passed = columns.T
    return {
        "s_a": mean_interval(a, level=level),
        "s_g": mean_interval(g, level=level),
        "gap": mean_interval(gap, level=level),
        "full_pass": wilson(int(passed.sum()), passed.size, level=level),
    }


def _histograms(values: PairValues, rows: NDArray[np.int64]) -> dict[str, list[int]]:
    """Counts in 20 bins of [0, 1]; a value on an edge belongs to the bin above it, 1 to the last."""
    edges = np.arange(_BINS + 1) / _BINS
    return {
        "a": [int(count) for count in np.histogram(values.a[rows], edges)[0]],
        "g": [int(count) for count in np.histogram(values.g[rows], edges)[0]],
    }


def _null_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
