"""Ranks that tell the truth: every two rows are tested on their common pairs, and a rank is an interval.

One rule (`docs/leaderboard.md`): sign-flip tests of the macro average of s_g over the pairs scored in both rows, Holm's
adjustment over all pairs of rows, and for each row the ranks from 1 + (rows significantly better) to
N - (rows significantly worse). Rows whose difference is not significant are tied, whatever their order in a table.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from paircomp.scoring import PairValues, ScoreTable, pair_values
from paircomp.statistics import Difference, holm, paired_differences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Matchup", "Ranking", "rank"]

_LEAST_DRAWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Matchup:
    """Two rows held against each other on macro s_g.

    Attributes:
        first: name of a row.
        second: name of the other.
        pairs: scored in both.
        difference: second minus first; ``None`` where a subtask has no common pair.
        ci: its interval, ``None`` where a subtask has fewer than two.
        p: of the sign-flip test, two-sided.
        p_holm: adjusted over all matchups of the board.
    """

    first: str
    second: str
    pairs: int
    difference: float | None
    ci: tuple[float, float] | None
    p: float | None
    p_holm: float | None

    def seen_from(self, name: str) -> Matchup:
        """The same matchup with `name` as the second row."""
        if name == self.second:
            return self
        ci = None if self.ci is None else (-self.ci[1], -self.ci[0])
        turned = None if self.difference is None else -self.difference
        return Matchup(self.second, self.first, self.pairs, turned, ci, self.p, self.p_holm)

    def to_json(self) -> dict[str, Any]:
        """All fields by name."""
        return {"first": self.first, "second": self.second, "pairs": self.pairs, "difference": self.difference,
                "ci": None if self.ci is None else list(self.ci), "p": self.p, "p_holm": self.p_holm}  # fmt: skip


@dataclass(frozen=True)
class Ranking:
    """Who is better than whom, as far as the pairs can tell.

    Attributes:
        names: the ranked rows, in the order given.
        matchups: every two of them once.
        alpha: family-wise error rate of the tests.
        draws: of the sign flips and of the bootstrap.
    """

    names: tuple[str, ...]
    matchups: tuple[Matchup, ...]
    alpha: float
    draws: int

    def beats(self, name: str) -> tuple[str, ...]:
        """Rows that `name` is significantly better than."""
        return tuple(other for other, seen in self._seen_from(name) if self._significant(seen) > 0)

    def beaten_by(self, name: str) -> tuple[str, ...]:
        """Rows that are significantly better than `name`."""
        return tuple(other for other, seen in self._seen_from(name) if self._significant(seen) < 0)

    def tied_with(self, name: str) -> tuple[str, ...]:
        """Rows that cannot be told from `name`."""
        return tuple(other for other, seen in self._seen_from(name) if self._significant(seen) == 0)

    def interval(self, name: str) -> tuple[int, int]:
        """``[1 + rows significantly better, N - rows significantly worse]``."""
        return 1 + len(self.beaten_by(name)), len(self.names) - len(self.beats(name))

    def matchup(self, name: str, other: str) -> Matchup | None:
        """`name` held against `other`: the difference is `name` minus `other`."""
        for matchup in self.matchups:
            if {matchup.first, matchup.second} == {name, other}:
                return matchup.seen_from(name)
        return None

    def _seen_from(self, name: str) -> list[tuple[str, Matchup]]:
        return [(other, seen) for other in self.names if other != name and (seen := self.matchup(name, other))]

    def _significant(self, seen: Matchup) -> int:
        if seen.p_holm is None or seen.difference is None or seen.p_holm > self.alpha or seen.difference == 0:
            return 0
        return 1 if seen.difference > 0 else -1


def rank(tables: Mapping[str, ScoreTable], *, alpha: float = 0.05, seed: int = 0) -> Ranking:
    """Test every two rows and rank them.

    Args:
        tables: scores of each row by name; one suite, one K, one judge.
        alpha: family-wise error rate.
        seed: of flips and bootstrap.
    """
    values = {name: pair_values(table) for name, table in tables.items()}
    duels = list(itertools.combinations(tables, 2))
    # The least p of a sign-flip test is 1/(draws + 1); Holm multiplies it by as many as there are duels.
    draws = max(_LEAST_DRAWS, round(2 * len(duels) / alpha))
    found: dict[tuple[str, str], tuple[int, Difference]] = {}
    subtasks = _subtasks(tables.values())
    for pairs, group in _by_common_pairs(duels, values):
        found |= {duel: (len(pairs), tested)
                  for duel, tested in zip(group, _test(group, values, pairs, subtasks, draws, seed), strict=True)
                  if tested is not None}  # fmt: skip
    adjusted = _holm({duel: tested.p for duel, (_, tested) in found.items() if tested.p is not None})
    matchups = tuple(_matchup(duel, found.get(duel), adjusted.get(duel)) for duel in duels)
    return Ranking(tuple(tables), matchups, alpha, draws)


def _subtasks(tables: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for table in tables for name in table.subtask_names))


def _by_common_pairs(
    duels: Sequence[tuple[str, str]], values: Mapping[str, PairValues]
) -> list[tuple[NDArray[np.int64], list[tuple[str, str]]]]:
    """Duels that share their common pairs are tested together: one set of flips and draws serves them all."""
    import numpy as np

    groups: dict[bytes, tuple[NDArray[np.int64], list[tuple[str, str]]]] = {}
    for duel in duels:
        common = np.intersect1d(values[duel[0]].pairs, values[duel[1]].pairs, assume_unique=True)
        groups.setdefault(common.tobytes(), (common, []))[1].append(duel)
    return list(groups.values())


def _test(
    duels: Sequence[tuple[str, str]], values: Mapping[str, PairValues], pairs: NDArray[np.int64],
    subtasks: Sequence[str], draws: int, seed: int,
) -> Sequence[Difference | None]:  # fmt: skip
    import numpy as np

    if not len(pairs):
        return [None] * len(duels)
    some = values[duels[0][0]]
    of_pairs = np.array(some.subtasks, dtype=object)[np.isin(some.pairs, pairs)]
    chosen = {name: np.flatnonzero(of_pairs == name) for name in subtasks}
    columns = {name: value.g[np.isin(value.pairs, pairs)] for name, value in values.items() if _among(name, duels)}

    def strata(side: int) -> dict[str, NDArray[np.float64]]:
        whole = np.column_stack([columns[duel[side]] for duel in duels])  # [pairs, duels]
        return {name: whole[rows] for name, rows in chosen.items()}

    return paired_differences(strata(0), strata(1), draws=draws, seed=seed).macro


def _among(name: str, duels: Sequence[tuple[str, str]]) -> bool:
    return any(name in duel for duel in duels)


def _holm(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _matchup(duel: tuple[str, str], found: tuple[int, Difference] | None, p_holm: float | None) -> Matchup:
    if found is None:
        return Matchup(*duel, 0, None, None, None, None)
    pairs, tested = found
    ci = None if tested.ci is None else (float(tested.ci[0]), float(tested.ci[1]))
    return Matchup(*duel, pairs, tested.difference, ci, tested.p, p_holm)
