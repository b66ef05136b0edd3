"""The figures of a board: s_g against s_a, profiles, and bars by subtask."""

from __future__ import annotations

from paircomp.report.elements import Markup, element
from paircomp.report.page_parts import symbol
from paircomp.report.scatter import scatter
from paircomp.report.wording import Row, percent, subtask_title
from paircomp_leaderboard.board_plots import bar, radar
from paircomp_leaderboard.boards import Board

__all__ = ["bars", "figures"]

_MOST_OPEN = 12  # rows; figures of more are folded


def figures(board: Board) -> Markup:
    """The plane of s_a and s_g, and a profile of each row."""
    drawn = element("div", _plane(board), _radars(board), class_="figures")
    if len(board.rows) <= _MOST_OPEN:
        return drawn
    return element("details", element("summary", "Level, steadiness and profiles"), drawn)


def _plane(board: Board) -> Markup:
    rows = [Row(row.entry.label, "subtask", row.average) for row in board.rows]
    plot = element("div", scatter(rows), class_="plane")
    axes = element("p", "Across: ", symbol("s_a"), ". Up: ", symbol("s_g"),
                   ". The farther below the diagonal, the less steady.", class_="muted axes")  # fmt: skip
    return element("div", element("h3", "Level and steadiness"), plot, axes, class_="plane-figure")


def _radars(board: Board) -> Markup:
    legend = _legend("key a line-key")
    figures = (
        element("figure", element("figcaption", element("b", row.entry.label)), radar(row.subtasks, row.entry.label))
        for row in board.rows
    )
    return element("div", element("h3", "Profiles"), legend, element("div", figures, class_="radars"))


def bars(board: Board) -> Markup:
    """Every subtask as bars, best row first."""
    legend = _legend("key a")
    drawn = element("div", (_bar_figure(board, name) for name in board.subtasks), class_="bar-figures")
    opened = "" if len(board.rows) <= _MOST_OPEN else None
    return element("details", element("summary", "Subtask by subtask"), legend, drawn, open=opened)


def _bar_figure(board: Board, name: str) -> Markup:
    shown = [(row, row.subtasks[name]) for row in board.rows if name in row.subtasks]
    shown.sort(key=lambda item: -(item[1]["s_g"] or 0.0))
    lines = (
        element("div", element("span", row.entry.label, class_="bar-name"), bar(summary, row.entry.label),
                element("span", percent(summary["s_g"]), class_="bar-value"), class_="bar-line")
        for row, summary in shown
    )  # fmt: skip
    return element("figure", element("figcaption", element("b", subtask_title(name))), *lines)


def _legend(line: str) -> Markup:
    keys = element("span", symbol("s_g"), class_="key g bars"), element("span", symbol("s_a"), class_=line)
    return element("p", *keys, class_="legend", aria_hidden="true")
