"""Two runs on the same pairs: differences with intervals, tests, power, and gates for continuous integration.

Pairs are matched by position and must be scored in both runs. Differences are always B - A. Suite, judge and K must be
the same for a difference to mean anything: K is checked here, suite and judge by whoever reads the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.errors import ConfigError
from paircomp.scoring import PairValues, Reading, ScoreTable, pair_values
from paircomp.scoring.training_judges import trained_on
from paircomp.statistics.intervals import Interval
from paircomp.statistics.paired import Difference, paired_differences

__all__ = ["Comparison", "ComparisonRow", "Difference", "compare", "fail_if_worse", "require_not_worse"]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One subtask, or the average over them.

    Attributes:
        pairs: matched pairs.
        newly_passed: pairs that fail in the first run and pass in the second.
        newly_failed: pairs that pass in the first run and fail in the second.
        s_a: difference of arithmetic means.
        s_g: difference of geometric means.
    """

    pairs: int
    newly_passed: int
    newly_failed: int
    s_a: Difference
    s_g: Difference

    def to_json(self) -> dict[str, Any]:
        """The row as ``paircomp-comparison/1`` has it."""
        return {
            "pairs": self.pairs,
            "newly_passed": self.newly_passed,
            "newly_failed": self.newly_failed,
            "s_a": self.s_a.to_json(),
            "s_g": self.s_g.to_json(),
        }


@dataclass(frozen=True)
class Comparison:
    """Two runs compared.

    Attributes:
        names: of the first run (A) and the second (B).
        reading: of unscored images.
        samples: K of both runs.
        subtasks: in suite order.
        average: macro mean over the subtasks.
        only_a: pairs scored in the first run alone; they enter nothing.
        only_b: pairs scored in the second run alone.
        alpha: size of the tests; intervals have level 1 - alpha.
        draws: of the bootstrap and of the sign flips.
        seed: of both.
        suite_pairs: pairs of the whole suite; ``None`` where the caller did not say.
        suite_subtasks: its subtasks, likewise; an average over fewer is another quantity.
        judge: whose scores; ``None`` where the caller did not say.
        trained_with_judge: the judge whose score rewarded the model of the first run, and of the second, in training.
    """

    names: tuple[str, str]
    reading: Reading
    samples: int
    subtasks: Mapping[str, ComparisonRow]
    average: ComparisonRow
    only_a: int
    only_b: int
    alpha: float
    draws: int
    seed: int
    suite_pairs: int | None = None
    suite_subtasks: int | None = None
    judge: str | None = None
    trained_with_judge: tuple[str | None, str | None] = (None, None)

    @property
    def notices(self) -> list[str]:
        """What a reader must know before the numbers; empty when all is well."""
        return [
            f"TRAINED WITH THIS JUDGE: {self.judge} was the training reward of {side}, {name}"
            for side, name, trained in zip("AB", self.names, self.trained_with_judge, strict=True)
            if self.judge is not None and trained_on(trained, self.judge)
        ]

    @property
    def partial(self) -> bool | None:
        """Whether pairs of the suite are missing from the comparison; ``None`` where its size is unknown."""
        return None if self.suite_pairs is None else self.average.pairs < self.suite_pairs

    def to_json(self) -> dict[str, Any]:
        """``paircomp-comparison/1``; null in place of NaN."""
        return {
            "schema": "paircomp-comparison/1",
            "notices": self.notices,
            "names": {"a": self.names[0], "b": self.names[1]},
            "judge": self.judge,
            "trained_with_judge": {"a": self.trained_with_judge[0], "b": self.trained_with_judge[1]},
            "unscored_reading": self.reading,
            "samples": self.samples,
            "pairs": {"matched": self.average.pairs, "only_a": self.only_a, "only_b": self.only_b},
            "suite_pairs": self.suite_pairs,
            "suite_subtasks": self.suite_subtasks,
            "partial": self.partial,
            "alpha": self.alpha,
            "draws": self.draws,
            "seed": self.seed,
            "subtasks": {name: row.to_json() for name, row in self.subtasks.items()},
            "average": {**self.average.to_json(), "subtasks": len(self.subtasks)},
        }


def fail_if_worse(comparison: Comparison, margin: float) -> bool:
    """Whether B is worse than A by more than `margin`: the upper bound of B - A (macro s_g) lies below ``-margin``.

    Raises:
        ConfigError: a negative margin, or too few matched pairs for a bound.
    """
    return _gate_bounds(comparison, margin).high < -margin


def require_not_worse(comparison: Comparison, margin: float) -> bool:
    """Whether B is shown to be no worse than A by `margin` (non-inferiority): the lower bound lies above ``-margin``.

    Raises:
        ConfigError: a negative margin, or too few matched pairs for a bound.
    """
    return _gate_bounds(comparison, margin).low > -margin


def _gate_bounds(comparison: Comparison, margin: float) -> Interval:
    if not 0 <= margin <= 1:
        raise ConfigError([f"the margin of a gate must lie in [0, 1], got {margin!r}"], where="comparison gate")
    bounds = comparison.average.s_g.bounds
    if bounds is None:
        problem = "every subtask needs at least two pairs scored in both runs; next: score more pairs"
        raise ConfigError([problem], where="comparison gate")
    return bounds


def compare(
    a: ScoreTable,
    b: ScoreTable,
    *,
    names: tuple[str, str] = ("a", "b"),
    reading: Reading = "exclude",
    draws: int = 10_000,
    seed: int = 0,
    alpha: float = 0.05,
    suite_pairs: int | None = None,
    suite_subtasks: int | None = None,
) -> Comparison:
    """Compare two runs on the pairs scored in both.

    Args:
        a: scores of the first run.
        b: scores of the second, on the same suite, by the same judge.
        names: what to call them.
        reading: of unscored images.
        draws: of the bootstrap and of the sign flips.
        seed: of both.
        alpha: size of the tests.
        suite_pairs: pairs of the whole suite, so that a comparison on fewer is called partial.
        suite_subtasks: subtasks of the whole suite, so that an average over fewer is called so.

    Raises:
        ConfigError: the runs differ in K, in prompts per pair or in the subtask of a pair, or share no scored pair; or
            `alpha` is no size of a test.
    """
    faults = _faults(a, b)
    if not 0 < alpha < 0.5:
        faults.append(f"alpha must lie between 0 and 0.5, got {alpha!r}")
    if faults:
        raise ConfigError(faults, where=f"comparing {names[0]} with {names[1]}")
    first, second = pair_values(a, reading), pair_values(b, reading)
    common, rows_a, rows_b = np.intersect1d(first.pairs, second.pairs, assume_unique=True, return_indices=True)
    if common.size == 0:
        problem = "no pair is scored in both runs; next: score the same pairs in both"
        raise ConfigError([problem], where=f"comparing {names[0]} with {names[1]}")
    subtasks = np.array([first.subtasks[row] for row in rows_a], dtype=object)
    groups = {name: np.flatnonzero(subtasks == name) for name in _common_subtasks(a, b)}
    differences = paired_differences(
        {name: _columns(first, rows_a[group]) for name, group in groups.items()},
        {name: _columns(second, rows_b[group]) for name, group in groups.items()},
        draws=draws,
        seed=seed,
        alpha=alpha,
    )
    newly = second.passed[rows_b].astype(np.int64) - first.passed[rows_a]  # 1 newly passed, -1 newly failed
    rows = {name: _row(newly[group], differences.strata[name]) for name, group in groups.items()}
    average = _row(newly, differences.macro)
    unmatched = (first.pairs.size - common.size, second.pairs.size - common.size)
    return Comparison(names, reading, a.samples, rows, average, *unmatched, alpha=alpha, draws=draws, seed=seed,
                      suite_pairs=suite_pairs, suite_subtasks=suite_subtasks)  # fmt: skip


def _row(newly: NDArray[np.int64], differences: tuple[Difference, ...]) -> ComparisonRow:
    passed, failed = int(np.count_nonzero(newly > 0)), int(np.count_nonzero(newly < 0))
    return ComparisonRow(newly.size, passed, failed, *differences)


def _columns(values: PairValues, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """``[n, 2]``: the values behind s_a and s_g."""
    return np.column_stack([values.a[rows], values.g[rows]])


def _common_subtasks(a: ScoreTable, b: ScoreTable) -> tuple[str, ...]:
    """Subtasks of the pairs that both tables hold, scored or not, in suite order."""
    common, rows, _ = np.intersect1d(a.pairs, b.pairs, assume_unique=True, return_indices=True)
    return tuple(dict.fromkeys(a.subtasks[row] for row in rows)) if common.size else ()


def _faults(a: ScoreTable, b: ScoreTable) -> list[str]:
    faults = []
    if a.samples != b.samples:
        faults.append(
            f"s_g depends on K, the images per prompt, so different K are never compared: got {a.samples} and "
            f"{b.samples}; next: run both with the same K"
        )
    if a.prompts != b.prompts:
        faults.append(f"prompts per pair differ: {a.prompts} and {b.prompts}; next: run both on one suite")
    _, rows_a, rows_b = np.intersect1d(a.pairs, b.pairs, assume_unique=True, return_indices=True)
    moved = [(i, j) for i, j in zip(rows_a, rows_b, strict=True) if a.subtasks[i] != b.subtasks[j]]
    if moved:
        i, j = moved[0]
        faults.append(
            f"pair {a.pairs[i]} has subtasks {a.subtasks[i]!r} and {b.subtasks[j]!r} ({len(moved)} such pairs); "
            "next: run both on one suite"
        )
    return faults
