"""The pairwise matrix of a board: every two rows with difference, interval and p."""

from __future__ import annotations

from paircomp.report.elements import Markup, element
from paircomp.report.wording import MISSING
from paircomp_leaderboard.boards import Board, BoardRow
from paircomp_leaderboard.ranking import Matchup

__all__ = ["matrix", "p_text", "points"]


def points(difference: float | None) -> str:
    """A difference of scores in points of a hundred, with its sign.

    Example:
        >>> points(0.034)
        '+3.4'
    """
    return MISSING if difference is None else f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")


def p_text(p: float | None) -> str:
    """A p-value for people: three digits, or that it is smaller.

    Example:
        >>> p_text(0.0123), p_text(0.00002)
        ('p = 0.012', 'p < 0.001')
    """
    if p is None:
        return "no test"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def matrix(board: Board) -> Markup | None:
    """Rows against columns; None where fewer than two rows are ranked."""
    ranking = board.ranking
    if ranking is None or len(ranking.names) < 2:
        return None
    rows = [row for row in board.rows if row.ranks is not None]
    heads = (element("th", row.entry.label, scope="col", class_="number") for row in rows)
    lines = (_line(board, row, rows) for row in rows)
    table = element("table", element("thead", element("tr", element("td"), heads)), element("tbody", lines),
                    class_="matrix")  # fmt: skip
    said = (f"Difference of macro s_g in points, row minus column, with its 95% interval and Holm's p over "
            f"{len(ranking.matchups)} tests, {ranking.draws:,} sign flips. Coloured where significant at "
            f"{ranking.alpha:g}. A cell opens the pairs that flipped.")  # fmt: skip
    region = element("div", table, class_="table", role="region", aria_label="Pairwise differences", tabindex="0")
    return element("details", element("summary", "Every two rows"), element("p", said, class_="lead"), region,
                   open="" if len(rows) <= 12 else None, class_="pairwise")  # fmt: skip


def _line(board: Board, row: BoardRow, columns: list[BoardRow]) -> Markup:
    cells = (_cell(board, row, other) for other in columns)
    return element("tr", element("th", row.entry.label, scope="row"), cells)


def _cell(board: Board, row: BoardRow, other: BoardRow) -> Markup:
    ranking = board.ranking
    matchup = ranking.matchup(row.entry.name, other.entry.name) if ranking and row is not other else None
    if ranking is None or matchup is None:
        return element("td", class_="same")
    href = f"models/{row.entry.name}.html#with={other.entry.name}&show=flipped&sort=change"
    css = "better" if other.entry.name in ranking.beats(row.entry.name) else "tied"
    css = "worse" if other.entry.name in ranking.beaten_by(row.entry.name) else css
    said = f"{row.entry.label} minus {other.entry.label}: {_spoken(matchup)}"
    inside = (element("b", points(matchup.difference)), element("span", _bounds(matchup), class_="muted interval"),
              element("span", p_text(matchup.p_holm), class_="muted interval"))  # fmt: skip
    return element("td", element("a", *inside, href=href, title=said), class_=f"number {css}")


def _bounds(matchup: Matchup) -> str:
    if matchup.ci is None:
        return "no interval"
    return f"{points(matchup.ci[0])} to {points(matchup.ci[1])}"


def _spoken(matchup: Matchup) -> str:
    return f"{points(matchup.difference)} points ({_bounds(matchup)}), {p_text(matchup.p_holm)}, {matchup.pairs} pairs"
