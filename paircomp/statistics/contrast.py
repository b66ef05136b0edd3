"""Summary of the contrast scores, with chance beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.scoring import CHANCE, ScoreTable, contrast_values
from paircomp.statistics.averages import AverageIntervals
from paircomp.statistics.intervals import Interval, mean_interval

__all__ = ["CONTRAST_MEASURES", "ContrastRow", "ContrastSummary", "summarize_contrast"]

CONTRAST_MEASURES = ("text", "image", "group", "margin")
_LOWER = {"margin": -1.0}


@dataclass(frozen=True, slots=True)
class ContrastRow:
    """Contrast of one subtask or of the average.

    Attributes:
        pairs: pairs whose own and cross scores are all there.
        means: mean of each contrast measure; ``None`` without pairs.
        ci: its interval; ``None`` where there are too few pairs for one.
    """

    pairs: int
    means: Mapping[str, float | None]
    ci: Mapping[str, Interval | None]

    def to_json(self) -> dict[str, Any]:
        """One row of the ``contrast`` part of a report."""
        ci = {name: None if interval is None else list(interval) for name, interval in self.ci.items()}
        return {"pairs": self.pairs, **self.means, "ci": ci}


@dataclass(frozen=True, slots=True)
class ContrastSummary:
    """Contrast of a run.

    Attributes:
        subtasks: in suite order.
        average: macro mean over the subtasks; null where a subtask has no pair.
    """

    subtasks: Mapping[str, ContrastRow]
    average: ContrastRow

    def to_json(self) -> dict[str, Any]:
        """The ``contrast`` part of ``paircomp-report/1``."""
        return {
            "subtasks": {name: row.to_json() for name, row in self.subtasks.items()},
            "average": self.average.to_json(),
            "chance": dict(CHANCE),
        }


def summarize_contrast(
    table: ScoreTable, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> ContrastSummary | None:
    """Contrast of each subtask and of their average; ``None`` where no pair has all its cross scores."""
    values = contrast_values(table)
    if values is None:
        return None
    columns = np.column_stack([values.text, values.image, values.group, values.margin])
    strata = {name: columns[rows] for name, rows in values.rows().items()}
    rows = {name: _row(stratum, level) for name, stratum in strata.items()}
    averages = AverageIntervals(strata, CONTRAST_MEASURES, level=level, draws=draws, seed=seed, lower=_LOWER)
    means = {name: _mean_of_rows(rows, name) for name in CONTRAST_MEASURES}
    return ContrastSummary(rows, ContrastRow(len(values.pairs), means, averages.macro()))


def _row(stratum: NDArray[np.float64], level: float) -> ContrastRow:
    columns = dict(zip(CONTRAST_MEASURES, stratum.T, strict=True))
    return ContrastRow(
        pairs=len(stratum),
        means={name: float(column.mean()) if column.size else None for name, column in columns.items()},
        ci={name: mean_interval(column, level=level, lower=_LOWER.get(name, 0.0)) for name, column in columns.items()},
    )


def _mean_of_rows(rows: Mapping[str, ContrastRow], measure: str) -> float | None:
    means = [mean for row in rows.values() if (mean := row.means[measure]) is not None]
    return float(np.mean(means)) if len(means) == len(rows) else None
