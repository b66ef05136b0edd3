"""The score table of a run and the values of its pairs (FocusDiff, arXiv 2506.05501, section 2 and appendix A)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PASS_MARK",
    "Means",
    "PairValues",
    "PerPair",
    "Reading",
    "ScoreTable",
    "macro",
    "pair_values",
    "pair_weighted",
    "subtask_means",
]

_Number = TypeVar("_Number", np.int64, np.float64)

Reading = Literal["exclude", "zero"]
"""What an unscored image does: keep its pair out of the means (`exclude`), or count as a score of 0 (`zero`)."""

PASS_MARK = 0.5
"""A pair passes when each of its own scores reaches this."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Every score of one run by one judge.

    Attributes:
        pairs: ``[P]`` positions in the suite, each once, in any order.
        subtasks: the subtask of each pair, length P.
        scores: ``[P, T, K, T]`` in [0, 1]: pair, prompt of the image, sample, judged prompt. NaN where unscored or
            not asked.
        log_odds: ``[P, T, K, T]`` log of yes mass over no mass, where the judge has it; NaN elsewhere; infinite
            allowed.

    Raises:
        ValueError: arrays that do not fit each other, a score outside [0, 1], or a pair that occurs twice.
    """

    pairs: NDArray[np.int64]
    subtasks: tuple[str, ...]
    scores: NDArray[np.float64]
    log_odds: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", _frozen(self.pairs, np.int64))
        object.__setattr__(self, "subtasks", tuple(map(str, self.subtasks)))
        object.__setattr__(self, "scores", _frozen(self.scores, np.float64))
        if self.log_odds is not None:
            object.__setattr__(self, "log_odds", _frozen(self.log_odds, np.float64))
        faults = [*self._shape_faults(), *self._value_faults()]
        if faults:
            raise ValueError(f"score table: {'; '.join(faults)}")

    @property
    def prompts(self) -> int:
        """T, prompts in a pair."""
        return int(self.scores.shape[1])

    @property
    def samples(self) -> int:
        """K, images per prompt."""
        return int(self.scores.shape[2])

    @property
    def own(self) -> NDArray[np.float64]:
        """``[P, T, K]``: the score of each image for its own prompt; NaN where unscored."""
        own: NDArray[np.float64] = np.einsum("ptkt->ptk", self.scores)
        return own

    @property
    def subtask_names(self) -> tuple[str, ...]:
        """Each subtask once, in the order of its first pair in the suite."""
        order = np.argsort(self.pairs, kind="stable")
        return tuple(dict.fromkeys(self.subtasks[i] for i in order))

    def _shape_faults(self) -> list[str]:
        shape, count = self.scores.shape, self.pairs.size
        faults = []
        if self.pairs.ndim != 1:
            faults.append(f"pairs must have one dimension, got shape {self.pairs.shape}")
        if len(self.subtasks) != count:
            faults.append(f"expected {count} subtasks, one for each pair, got {len(self.subtasks)}")
        if len(shape) != 4 or shape[0] != count or shape[1] != shape[3] or 0 in shape[1:]:
            faults.append(f"scores must have shape [{count}, T, K, T] with T, K >= 1, got {list(shape)}")
        if self.log_odds is not None and self.log_odds.shape != shape:
            faults.append(f"log_odds must have the shape of scores {list(shape)}, got {list(self.log_odds.shape)}")
        return faults

    def _value_faults(self) -> list[str]:
        faults = []
        unique, counts = np.unique(self.pairs, return_counts=True)
        if (counts > 1).any():
            faults.append(f"pair {unique[counts > 1][0]} occurs more than once")
        if (unique < 0).any():
            faults.append(f"pairs are positions from 0, got {unique[0]}")
        outside = (self.scores < 0) | (self.scores > 1)
        if outside.any():
            where = [int(i) for i in np.argwhere(outside)[0]]
            value = self.scores[tuple(where)]
            faults.append(f"scores must lie in [0, 1] or be NaN, got {value:g} at {where} ({outside.sum()} such)")
        return faults


@dataclass(frozen=True, eq=False)
class PerPair:
    """The pairs that some values belong to, sorted by position so that no result depends on the order of a table.

    Attributes:
        pairs: ``[N]`` positions in the suite of the pairs that count.
        subtasks: subtask of each of them, length N.
        subtask_names: every subtask of the table in suite order, also those none of whose pairs counts.
    """

    pairs: NDArray[np.int64]
    subtasks: tuple[str, ...]
    subtask_names: tuple[str, ...]

    def rows(self) -> dict[str, NDArray[np.int64]]:
        """For each subtask, in suite order, the indices of its pairs in the arrays."""
        subtasks = np.array(self.subtasks, dtype=object)
        return {name: np.flatnonzero(subtasks == name).astype(np.int64) for name in self.subtask_names}


@dataclass(frozen=True, eq=False)
class PairValues(PerPair):
    """One set of values per pair.

    Attributes:
        a: ``[N]`` arithmetic mean of the pair's T x K own scores.
        g: ``[N]`` geometric mean of the same scores.
        gap: ``[N]`` ``a - g``, never negative.
        passed: ``[N]`` whether all own scores reach `PASS_MARK`.
    """

    a: NDArray[np.float64]
    g: NDArray[np.float64]
    gap: NDArray[np.float64]
    passed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Means:
    """Means over pairs; NaN where no pair counts.

    Attributes:
        pairs: how many pairs entered.
        s_a: mean of the arithmetic means.
        s_g: mean of the geometric means.
        gap: ``s_a - s_g``, the inconsistency within pairs.
        full_pass: share of pairs that pass.
    """

    pairs: int
    s_a: float
    s_g: float
    gap: float
    full_pass: float


def _frozen(values: ArrayLike, dtype: type[_Number]) -> NDArray[_Number]:
    """A copy that nobody can write to."""
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


def pair_values(table: ScoreTable, reading: Reading = "exclude") -> PairValues:
    """Reduce each pair to its values.

    Args:
        table: the run's scores.
        reading: `exclude` keeps only pairs whose own scores are all there: a geometric mean of fewer scores is another
            quantity. `zero` keeps every pair and counts an unscored image as 0.
    """
    order = np.argsort(table.pairs, kind="stable")
    own = table.own[order].reshape(len(order), table.prompts * table.samples)  # [P, T*K]
    complete = ~np.isnan(own).any(axis=1)
    kept = np.flatnonzero(complete) if reading == "exclude" else np.arange(len(order))
    own = np.nan_to_num(own[kept], nan=0.0)
    a = own.mean(axis=1)
    g = np.minimum(_geometric_means(own), a)  # rounding must not make the gap negative
    return PairValues(
        pairs=table.pairs[order][kept],
        subtasks=tuple(table.subtasks[i] for i in order[kept]),
        subtask_names=table.subtask_names,
        a=a,
        g=g,
        gap=a - g,
        passed=np.all(own >= PASS_MARK, axis=1),
    )


def _geometric_means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product, then root, like the published script; exact zeros stay exact, and large K does not underflow."""
    product = scores.prod(axis=1)
    means: NDArray[np.float64] = product ** (1.0 / scores.shape[1])
    underflow = (product < np.finfo(np.float64).tiny) & (scores > 0).all(axis=1)
    means[underflow] = np.exp(np.log(scores[underflow]).mean(axis=1))
    return means


def subtask_means(values: PairValues) -> dict[str, Means]:
    """Means of each subtask, in suite order; NaN and 0 pairs for a subtask none of whose pairs counts."""
    return {name: _means(values, rows) for name, rows in values.rows().items()}


def pair_weighted(values: PairValues) -> Means:
    """Means over all pairs alike: not the benchmark's average, which weighs subtasks alike."""
    return _means(values, np.arange(len(values.pairs)))


def macro(means: Mapping[str, Means]) -> Means:
    """The benchmark's Average: the mean of the subtask means (appendix A).

    NaN when a subtask has no pair: a mean of fewer subtasks would be another quantity under the same name.
    """
    rows = list(means.values())

    def mean(field: str) -> float:
        return float(np.mean([getattr(row, field) for row in rows])) if rows else float("nan")

    return Means(sum(row.pairs for row in rows), mean("s_a"), mean("s_g"), mean("gap"), mean("full_pass"))


def _means(values: PairValues, rows: NDArray[np.int64]) -> Means:
    if rows.size == 0:
        return Means(0, *[float("nan")] * 4)
    columns = (values.a, values.g, values.gap, values.passed)
    return Means(rows.size, *(float(column[rows].mean()) for column in columns))
