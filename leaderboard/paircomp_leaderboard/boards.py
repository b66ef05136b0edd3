"""Which rows share a table: one board for each suite, K and judge identity; what authors report stands apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from paircomp.report.build import TRUSTED_COVERAGE
from paircomp.report.schema import Average, Summary
from paircomp.report.wording import percent
from paircomp.scoring.training_judges import trained_on
from paircomp_leaderboard.entries import Entry
from paircomp_leaderboard.ranking import Ranking, rank

__all__ = ["Board", "BoardRow", "make_boards"]


@dataclass(frozen=True)
class BoardRow:
    """One entry as a board shows it.

    Attributes:
        entry: the row.
        subtasks: means by subtask.
        average: their macro mean.
        unranked: why it has no rank; empty where it has one.
        ranks: its rank interval.
        tied: labels of the rows it cannot be told from.
    """

    entry: Entry
    subtasks: Mapping[str, Summary]
    average: Summary
    unranked: tuple[str, ...] = ()
    ranks: tuple[int, int] | None = None
    tied: tuple[str, ...] = ()

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The run's report, where it was measured."""
        return self.entry.said.get("report")

    @property
    def ran_remote_code(self) -> bool:
        """Whether the images were drawn with code that the checkpoint brought (``-o remote_code=true``)."""
        recipe = (self.report or {}).get("generator", {}).get("recipe", {})
        return bool(recipe.get("remote_code"))

    @property
    def model(self) -> str:
        """What the run calls the model, where the label is another name; else empty. Labels are free."""
        model = str((self.report or {}).get("generator", {}).get("model", self.entry.label))
        return "" if model == self.entry.label else model

    @property
    def contrast(self) -> Mapping[str, Any]:
        """Contrast scores of the average; empty where the run has none."""
        contrast = (self.report or {}).get("contrast")
        return contrast["average"] if contrast else {}

    @property
    def sort_key(self) -> tuple[bool, float, str]:
        """Ranked rows first, then by macro s_g, then by name."""
        return bool(self.unranked), -(self.average["s_g"] or 0.0), self.entry.label


@dataclass(frozen=True)
class Board:
    """Rows that may be compared: same suite (by digest), same K, same judge (by identity).

    Attributes:
        name: stable in addresses.
        suite: name, digest, pairs, samples.
        judge: name and identity.
        rows: ranked ones first, by macro s_g.
        ranking: ``None`` for a board of author-reported rows.
        source: where author-reported rows were published.
    """

    name: str
    suite: Mapping[str, Any]
    judge: Mapping[str, Any]
    rows: tuple[BoardRow, ...]
    ranking: Ranking | None
    source: str | None = None

    @property
    def measured(self) -> bool:
        """Whether its rows were judged by PairComp."""
        return self.ranking is not None

    @cached_property
    def subtasks(self) -> tuple[str, ...]:
        """Subtasks in suite order."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.subtasks))


def make_boards(entries: Iterable[Entry], *, alpha: float = 0.05) -> list[Board]:
    """Group entries into boards and rank each; boards with measured rows come first, larger ones before smaller."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_board_key(entry), []).append(entry)
    boards = [_board(group, alpha) for group in groups.values()]
    return sorted(boards, key=lambda board: (not board.measured, -len(board.rows), board.name))


def _board_key(entry: Entry) -> tuple[str, ...]:
    suite, judge = entry.said["suite"], entry.said["judge"]
    if not entry.measured:
        return "reported", entry.said["source"], suite["name"], judge["name"]
    return "measured", suite["digest"], str(suite["samples"]), judge["name"], _digest(judge["identity"])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _board(entries: Sequence[Entry], alpha: float) -> Board:
    first = entries[0]
    suite, judge = first.said["suite"], first.said["judge"]
    if not first.measured:
        rows = tuple(_reported_row(entry) for entry in entries)
        name = f"reported-{suite['name']}-{judge['name']}"
        return Board(name, suite, judge, rows, None, first.said["source"])
    rows = tuple(_measured_row(entry) for entry in entries)
    ranking = rank({row.entry.name: row.entry.table for row in rows if not row.unranked}, alpha=alpha)
    labels = {row.entry.name: row.entry.label for row in rows}
    rows = tuple(sorted((_ranked(row, ranking, labels) for row in rows), key=lambda row: row.sort_key))
    name = f"{suite['name']}-k{suite['samples']}-{judge['name']}-{_board_digest(first)}"
    return Board(name, suite, judge, rows, ranking)


def _board_digest(entry: Entry) -> str:
    return hashlib.sha256("/".join(_board_key(entry)).encode()).hexdigest()[:8]


def _measured_row(entry: Entry) -> BoardRow:
    report = entry.said["report"]
    return BoardRow(entry, report["subtasks"], report["average"], tuple(_reasons(entry, report)))


def _reasons(entry: Entry, report: Mapping[str, Any]) -> Iterable[str]:
    fraction = report["coverage"]["fraction"] or 0.0
    if fraction < TRUSTED_COVERAGE:
        yield f"coverage {percent(fraction)}% is below {TRUSTED_COVERAGE:.0%}"
    if report["suite"]["partial"]:
        yield f"partial: {report['suite']['selected_pairs']} of {report['suite']['pairs']} pairs"
    if trained_on(entry.said["trained_with_judge"], entry.said["judge"]["name"]):
        yield f"trained with this judge's score ({entry.said['trained_with_judge']})"
    if report["average"]["s_g"] is None:
        yield "no average: a subtask has no scored pair"


def _ranked(row: BoardRow, ranking: Ranking, labels: Mapping[str, str]) -> BoardRow:
    if row.unranked:
        return row
    name = row.entry.name
    tied = tuple(labels[other] for other in ranking.tied_with(name))
    return BoardRow(row.entry, row.subtasks, row.average, (), ranking.interval(name), tied)


def _reported_row(entry: Entry) -> BoardRow:
    reported = entry.said["reported"]
    reasons = ["author-reported: no scores by pair to test"]
    if trained_on(entry.said["trained_with_judge"], entry.said["judge"]["name"]):
        reasons.append(f"trained with this judge's score ({entry.said['trained_with_judge']})")
    subtasks = {name: _summary(means) for name, means in reported["subtasks"].items()}
    return BoardRow(entry, subtasks, _summary(reported["average"]), tuple(reasons))


def _summary(means: Mapping[str, float]) -> Average:
    """Means without intervals; the gap is the difference of two rounded numbers, hence rounded too."""
    a, g = means["s_a"], means["s_g"]
    summary: dict[str, Any] = {
        "pairs": 0,
        "s_a": a,
        "s_g": g,
        "gap": round(a - g, 6),
        "full_pass": None,
        "zeros": 0,
        "ci": {},
    }
    return cast("Average", {**summary, "subtasks": 0})
