"""The front page: every board with its table, plots and pairwise tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from paircomp.report.elements import Markup, element, join
from paircomp.report.page_parts import definitions
from paircomp_leaderboard.board_figures import bars, figures
from paircomp_leaderboard.board_table import board_controls, board_table, board_title
from paircomp_leaderboard.boards import Board
from paircomp_leaderboard.pages import document
from paircomp_leaderboard.pairwise import matrix

__all__ = ["index_page"]


def index_page(boards: Sequence[Board], title: str) -> str:
    """The page that opens first."""
    rows = sum(len(board.rows) for board in boards if board.measured)
    judged = f"{rows} {'row' if rows == 1 else 'rows'} judged by PairComp"
    line = f"{judged}. How finely does a text-to-image model follow words?"
    header = element("header", element("h1", title), element("p", line, class_="by"), _downloads())
    sections = [_board_section(board) for board in boards]
    empty = (
        None if boards else element("p", "No entries yet: paircomp leaderboard add RUN --entries DIR", class_="lead")
    )
    return document(title, header, _contents(boards), empty, *sections, _how_to_read(), scripts=["board"], wide=True)


def _downloads() -> Markup:
    files = (
        ("leaderboard.json", "JSON"),
        ("leaderboard.csv", "CSV"),
        ("tables.md", "Markdown"),
        ("tables.tex", "LaTeX"),
    )
    links = [element("a", name, href=f"data/{file}", download="") for file, name in files]
    return element("p", "Download: ", *(join(link, " ") for link in links), class_="downloads")


def _contents(boards: Sequence[Board]) -> Markup | None:
    if len(boards) < 2:
        return None
    items = (element("li", element("a", board_title(board), href=f"#{board.name}"),
                     element("span", f" {len(board.rows)} rows", class_="muted")) for board in boards)  # fmt: skip
    return element("nav", element("ul", items), aria_label="Tables of this page", class_="contents")


def _board_section(board: Board) -> Markup:
    return element(
        "section",
        element("h2", board_title(board)),
        element("p", _lead(board), class_="lead"),
        board_controls(board),
        element("p", f"{len(board.rows)} models", class_="count", role="status"),
        board_table(board),
        figures(board),
        bars(board),
        matrix(board),
        id=board.name,
        class_="board-section" if board.measured else "board-section reported",
    )


def _lead(board: Board) -> str:
    suite = board.suite
    said = f"{suite['pairs']:,} pairs, {suite['samples']} images per prompt, in percent."
    if board.ranking is None:
        return (f"{said} Copied from {board.source}: not measured here, without intervals, never ranked and never "
                "in one table with measured rows.")  # fmt: skip
    return (f"{said} A rank is an interval: rows between which no paired test finds a difference share ranks, "
            f"in whatever order they stand (s_g, Holm at {board.ranking.alpha:g}).")  # fmt: skip


_TERMS: Final = (
    ("s_a", "mean score of a pair's images, averaged over pairs: how well images match prompts."),
    ("s_g", "geometric mean of the same scores: one bad image pulls its whole pair down. Rows are ranked by it."),
    ("gap", "s_a minus s_g: what is lost because the images of a pair score unevenly."),
    ("contrast", "share of pairs whose images and prompts are told apart in every way; guessing reaches 16.7."),
    (
        "rank",
        "from 1 + rows significantly better to N minus rows significantly worse; = marks ties. Every two rows are "
        "tested on the pairs scored in both, by sign flips; p is adjusted for all of them (Holm).",
    ),
    ("not ranked", "below 98% of images scored, a part of the suite only, or trained with this judge's score."),
    (
        "measured",
        "PairComp drew the images and judged them. Re-judged: images from elsewhere, judged by PairComp. "
        "Author-reported: copied from a publication.",
    ),
    (
        "verified",
        "a bundle was checked. Arithmetic: every number follows from the judgements. Re-judged sample: images picked "
        "at random were judged again with the same scores; only this catches a forgery that is consistent in itself.",
    ),
    ("intervals", "95%, over other pairs of the same kind; the judge's own errors are not in them."),
)


def _how_to_read() -> Markup:
    return element("section", element("h2", "How to read this"), definitions(_TERMS))
