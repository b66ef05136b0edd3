"""Boards as tables: the paper's layout (subtasks with s_a and s_g, macro average), and long lines for machines.

pandas does the tables. Best values are bold, second ones underlined, among the rows that are ranked; on a board of
author-reported rows among all of them.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from paircomp.report.tables import csv_text
from paircomp.report.wording import MISSING, percent, printable, subtask_title
from paircomp_leaderboard.boards import Board, BoardRow

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["FORMATS", "best_and_second", "board_frame", "flat_frame", "rank_text", "to_csv", "to_html", "to_latex",
           "to_markdown"]  # fmt: skip

_MEANS: Final = ("s_a", "s_g")


def rank_text(row: BoardRow) -> str:
    """``1-3``, one number where the interval is a point, a dash where there is no rank.

    Example:
        >>> from types import SimpleNamespace
        >>> rank_text(SimpleNamespace(ranks=(1, 3)))
        '1\N{EN DASH}3'
    """
    if row.ranks is None:
        return MISSING
    low, high = row.ranks
    return str(low) if low == high else f"{low}\N{EN DASH}{high}"


def best_and_second(board: Board) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """(subtask or ``average``, mean) -> printed values of the best and the second best.

    Values are compared as printed, so that equal digits are marked alike.
    """
    rows = [row for row in board.rows if not (board.measured and row.unranked)]
    marks: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    for column in (*board.subtasks, "average"):
        for mean in _MEANS:
            printed = {percent(value) for row in rows if (value := _mean(row, column, mean)) is not None}
            best, second, *_ = [*sorted(printed, key=float, reverse=True), None, None]
            marks[column, mean] = best, second
    return marks


def _mean(row: BoardRow, column: str, mean: str) -> float | None:
    summary: Mapping[str, Any] | None = row.average if column == "average" else row.subtasks.get(column)
    return None if summary is None else summary[mean]


def board_frame(board: Board, *, bold: Callable[[str], str] = str, underlined: Callable[[str], str] = str,
                plain: Callable[[str], str] = str) -> DataFrame:  # fmt: skip
    """The paper's layout as text: rank, model, each subtask with s_a and s_g, average, its interval, gap, contrast.

    Args:
        board: the rows.
        bold: marks the best printed value of a column.
        underlined: marks the second.
        plain: escapes text of the entries.
    """
    import pandas as pd

    marks = best_and_second(board)

    def cell(row: BoardRow, column: str, mean: str) -> str:
        printed = percent(_mean(row, column, mean))
        best, second = marks[column, mean]
        if board.measured and row.unranked:
            return printed
        return bold(printed) if printed == best else underlined(printed) if printed == second else printed

    lines = []
    for row in board.rows:
        line: dict[tuple[str, str], str] = {("", "Rank"): rank_text(row), ("", "Model"): plain(_label(row))}
        for column in (*board.subtasks, "average"):
            title = "Average" if column == "average" else plain(printable(subtask_title(column)))
            line |= {(title, mean): cell(row, column, mean) for mean in _MEANS}
        line |= {("Average", f"{mean} interval"): _interval(row, mean) for mean in _MEANS if board.measured}
        line["Average", "gap"] = percent(row.average["gap"])
        if board.measured:
            line["Contrast", "group"] = percent(row.contrast.get("group"))
            line["Coverage", "%"] = percent((row.report or {})["coverage"]["fraction"])
        lines.append(line)
    columns = pd.MultiIndex.from_tuples(list(lines[0]))
    return pd.DataFrame([list(line.values()) for line in lines], columns=columns)


def _label(row: BoardRow) -> str:
    """The row's label, the model's own name where it is another, and a mark for each reason why it has no rank."""
    marks = "".join("*" for reason in row.unranked if not reason.startswith("author-reported"))
    return printable(f"{row.entry.label} ({row.model})" if row.model else row.entry.label) + marks


def _interval(row: BoardRow, mean: str) -> str:
    bounds = row.average["ci"].get(mean)
    return f"{percent(bounds[0])}\N{EN DASH}{percent(bounds[1])}" if bounds else MISSING


def flat_frame(boards: Sequence[Board]) -> DataFrame:
    """One line per row of every board, unrounded, for machines; missing values are missing.

    Columns: ``board, entry, model`` (the label), ``generator`` (the model as the run names it), ``provenance, source,
    suite, suite_digest, samples, judge, rank_low, rank_high, unranked, trained_with_judge``; each subtask's and the
    average's ``s_a, s_g, gap`` with bounds; contrast; coverage; speed as it was submitted.
    """
    import pandas as pd

    frame = pd.DataFrame([_flat(board, row) for board in boards for row in board.rows])
    return frame.astype({"rank_low": "Int64", "rank_high": "Int64"}) if len(frame) else frame


def _flat(board: Board, row: BoardRow) -> dict[str, Any]:
    said = row.entry.said
    low, high = row.ranks or (None, None)
    line: dict[str, Any] = {
        "board": board.name, "entry": row.entry.name, "model": row.entry.label,
        "generator": row.model or row.entry.label, "provenance": said["provenance"],
        "source": said["source"], "suite": board.suite["name"], "suite_digest": board.suite["digest"],
        "samples": board.suite["samples"], "judge": board.judge["name"], "rank_low": low, "rank_high": high,
        "unranked": "; ".join(row.unranked) or None, "trained_with_judge": said["trained_with_judge"],
    }  # fmt: skip
    for column in (*board.subtasks, "average"):
        summary = row.average if column == "average" else row.subtasks.get(column)
        for mean in ("s_a", "s_g", "gap"):
            bounds = (summary["ci"].get(mean) if summary else None) or (None, None)
            line |= {f"{column}_{mean}": summary[mean] if summary else None,
                     f"{column}_{mean}_low": bounds[0], f"{column}_{mean}_high": bounds[1]}  # fmt: skip
    line |= {f"contrast_{name}": row.contrast.get(name) for name in ("text", "image", "group")}
    line["coverage"] = (row.report or {}).get("coverage", {}).get("fraction")
    line["images_per_second"] = said.get("made_with", {}).get("images_per_second")
    return line


def to_csv(boards: Sequence[Board]) -> str:
    """:func:`flat_frame` as CSV with a header line."""
    return csv_text(flat_frame(boards))


def to_markdown(boards: Sequence[Board]) -> str:
    """Each board as a heading, a caption and a pipe table."""
    return "\n".join(_markdown_board(board) for board in boards)


def _markdown_board(board: Board) -> str:
    frame = board_frame(board, bold=lambda text: f"**{text}**", underlined=lambda text: f"<u>{text}</u>",
                        plain=_markdown_text)  # fmt: skip
    heads = [" ".join(part for part in column if part) for column in frame.columns]
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join('---' if i == 1 else '---:' for i in range(len(heads)))}|"]
    lines += [f"| {' | '.join(cells)} |" for cells in frame.itertuples(index=False, name=None)]
    return "\n".join([f"## {_markdown_text(_title(board))}", "", _markdown_text(_caption(board)), "", *lines, ""])


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text)


def _title(board: Board) -> str:
    suite, judge = printable(board.suite["name"]), printable(board.judge["name"])
    return f"{suite}, judged by {judge}" if board.measured else f"{suite}, as reported by authors"


def _caption(board: Board) -> str:
    pairs = f"{board.suite['pairs']:,} pairs, K = {board.suite['samples']}, in percent."
    if board.ranking is None:
        return f"{pairs} Source: {printable(board.source or '')}. Not measured by PairComp, not ranked."
    starred = "; ".join(f"* {row.entry.label}: {', '.join(row.unranked)}" for row in board.rows if row.unranked)
    tests = f"Rank: interval from paired tests of s_g, Holm at {board.ranking.alpha:g}."
    return " ".join(part for part in (pairs, tests, printable(starred)) if part)


def to_latex(boards: Sequence[Board]) -> str:
    """Each board as a ``tabular`` with booktabs rules; a comment names the package."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex_board(board) for board in boards)


def _latex_board(board: Board) -> str:
    # Not DataFrame.to_latex: it needs jinja2, which pandas does not install.
    frame = board_frame(board, bold=lambda text: f"\\textbf{{{text}}}",
                        underlined=lambda text: f"\\underline{{{text}}}", plain=_latex_text)  # fmt: skip
    heads = [tuple(_latex_head(part) for part in column) for column in frame.columns]
    groups = [(title, len(list(columns))) for title, columns in itertools.groupby(heads, key=lambda head: head[0])]
    spanned = [f"\\multicolumn{{{count}}}{{c}}{{{title}}}" if title and count > 1 else f"{title}{' &' * (count - 1)}"
               for title, count in groups]  # fmt: skip
    lines = [
        f"% {_latex_text(_title(board))}. {_latex_text(_caption(board))}",
        f"\\begin{{tabular}}{{rl{'r' * (len(heads) - 2)}}}",
        "\\toprule",
        _latex_line(spanned),
        _latex_line([name for _, name in heads]),
        "\\midrule",
        *(_latex_line(cells) for cells in frame.itertuples(index=False, name=None)),
        "\\bottomrule",
        "\\end{tabular}",
        "",
    ]
    return "\n".join(lines)


def _latex_line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\".replace("\N{EN DASH}", "--")


def _latex_head(text: str) -> str:
    return re.sub(r"\bs_([ag])\b", r"$s_\1$", text) if text.startswith("s_") else text.replace("%", "\\%")


_LATEX: Final = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                 "\N{EN DASH}": "--"}  # fmt: skip


def _latex_text(text: str) -> str:
    return "".join(
        _LATEX.get(character, f"\\{character}" if character in "&%$#_{}" else character) for character in text
    )


def to_html(boards: Sequence[Board]) -> str:
    """Each board as a bare table, to be put into another page."""
    return "\n".join(_html_board(board) for board in boards)


def _html_board(board: Board) -> str:
    frame = board_frame(board, bold=lambda text: f"<b>{text}</b>", underlined=lambda text: f"<u>{text}</u>",
                        plain=html.escape)  # fmt: skip
    table = frame.to_html(index=False, escape=False, border=0, classes="paircomp-board")
    caption = html.escape(f"{_title(board)}. {_caption(board)}")
    return table.replace("<thead>", f"<caption>{caption}</caption>\n  <thead>", 1)


FORMATS: Final[Mapping[str, Callable[[Sequence[Board]], str]]] = {
    "markdown": to_markdown, "csv": to_csv, "latex": to_latex, "html": to_html,
}  # fmt: skip
"""Formats of ``paircomp leaderboard build --format``."""
