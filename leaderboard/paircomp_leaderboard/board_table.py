"""The table of a board: a line for each row, made for sorting, searching and filtering by ``board.js``."""

from __future__ import annotations

from collections.abc import Iterator

from paircomp.report.elements import Child, Markup, element, join
from paircomp.report.page_parts import symbol
from paircomp.report.plots import interval_bar
from paircomp.report.schema import Summary
from paircomp.report.wording import MISSING, interval, percent, subtask_title
from paircomp_leaderboard.board_plots import rank_strip
from paircomp_leaderboard.boards import Board, BoardRow
from paircomp_leaderboard.entries import BADGES
from paircomp_leaderboard.pages import badge, choice, search_field
from paircomp_leaderboard.tables import best_and_second, rank_text

__all__ = ["badges", "board_controls", "board_table", "board_title"]

_Marks = dict[tuple[str, str], tuple[str | None, str | None]]


def board_title(board: Board) -> str:
    """What the board is of."""
    by = f"judged by {board.judge['name']}" if board.measured else "as reported by authors"
    return f"{board.suite['name']}, {by}"


def board_controls(board: Board) -> Markup:
    """Search field and filters; shown once the script runs."""
    kinds = [("", "all rows"), ("ranked", "ranked"), ("verified", "verified"), ("unranked", "not ranked")]
    columns = [("both", "s_a and s_g"), ("s_g", "s_g"), ("s_a", "s_a")]
    return element(
        "form",
        search_field("Search", "model, adapter, licence …"),
        choice("Rows", "only", kinds) if board.measured else element("input", type="hidden", name_="only", value=""),
        choice("Subtasks show", "columns", columns),
        class_="controls", hidden="", aria_label=f"Table {board_title(board)}",
    )  # fmt: skip


def board_table(board: Board) -> Markup:
    """The scores, ranked rows first."""
    columns = list(_columns(board))
    marks = best_and_second(board)
    groups = element("tr", *_group_heads(board))
    heads = element("tr", *(_head(title, number, css, first) for number, (title, css, first) in enumerate(columns)))
    body = element("tbody", (_line(board, row, marks) for row in board.rows))
    table = element("table", element("caption", f"Scores: {board_title(board)}", class_="unseen"),
                    element("thead", groups, heads), body, class_="board", data_columns="both")  # fmt: skip
    return element(
        "div", table, class_="table", role="region", aria_label=f"Scores: {board_title(board)}", tabindex="0"
    )


def _columns(board: Board) -> Iterator[tuple[Child, str, str]]:
    """Title, style class and first direction of sorting of each column."""
    yield "Rank", "number", "ascending"
    yield "Model", "", "ascending"
    yield symbol("s_g"), "number", "descending"
    yield symbol("s_a"), "number", "descending"
    yield "Gap", "number", "ascending"
    if board.measured:
        yield "Contrast", "number", "descending"
    for _ in board.subtasks:
        yield symbol("s_a"), "number column-s_a", "descending"
        yield symbol("s_g"), "number column-s_g", "descending"
    if board.measured:
        yield "Coverage", "number", "descending"
        yield join("Images/s ", element("span", "not verified", class_="muted")), "number", "descending"


def _group_heads(board: Board) -> Iterator[Markup]:
    yield element("td", colspan=2)
    yield element("th", "Average", colspan=4 if board.measured else 3, scope="colgroup", class_="group-head")
    for name in board.subtasks:
        yield element("th", subtask_title(name), colspan=2, scope="colgroup", class_="group-head subtask-head")
    if board.measured:
        yield element("td", colspan=2)


def _head(title: Child, number: int, css: str, first: str) -> Markup:
    button = element("button", title, type="button", data_column=number, data_first=first)
    default = "descending" if number == 2 else None
    return element("th", button, scope="col", class_=css or None, aria_sort=default)


def _line(board: Board, row: BoardRow, marks: _Marks) -> Markup:
    report = row.report or {}
    cells = [
        _rank_cell(board, row),
        element("th", _model(row), scope="row", data_value=row.entry.label.lower()),
        _value(row.average, "s_g", marks["average", "s_g"], wide=True, ranked=not row.unranked or not board.measured),
        _value(row.average, "s_a", marks["average", "s_a"], wide=True, ranked=not row.unranked or not board.measured),
        _number(row.average["gap"], percent(row.average["gap"])),
    ]
    if board.measured:
        group = row.contrast.get("group")
        cells.append(_number(group, percent(group)))
    for name in board.subtasks:
        summary = row.subtasks.get(name)
        for mean in ("s_a", "s_g"):
            ranked = not row.unranked or not board.measured
            cells.append(_value(summary, mean, marks[name, mean], wide=False, ranked=ranked))
    if board.measured:
        fraction, speed = report["coverage"]["fraction"], row.entry.said["made_with"]["images_per_second"]
        cells += [_number(fraction, percent(fraction)), _number(speed, MISSING if speed is None else f"{speed:.3g}")]
    return element("tr", *cells, id=f"row-{row.entry.name}", class_="unranked" if row.unranked else None,
                   data_words=_words(row), data_kinds=" ".join(_kinds(row)))  # fmt: skip


def _words(row: BoardRow) -> str:
    generator = (row.report or {}).get("generator", {})
    own = (row.model, generator.get("adapter"), generator.get("checkpoint"))
    parts = (row.entry.label, *own, row.entry.said["provenance"])
    return " ".join(str(part) for part in parts if part).lower()


def _kinds(row: BoardRow) -> Iterator[str]:
    yield "unranked" if row.unranked else "ranked"
    if row.entry.verification:
        yield "verified"


def _rank_cell(board: Board, row: BoardRow) -> Markup:
    if row.ranks is None or board.ranking is None:
        return element("td", element("span", MISSING, title="not ranked"), class_="number rank", data_value="1000000")
    low, high = row.ranks
    tied = f"tied with {', '.join(row.tied)}" if row.tied else "told apart from every other row"
    sign = element("span", "=", class_="tie", title=tied, aria_label=tied, role="img") if row.tied else None
    return element("td", element("b", rank_text(row)), sign, rank_strip(row.ranks, len(board.ranking.names)),
                   class_="number rank", data_value=f"{low + high / 10000:.4f}")  # fmt: skip


def _model(row: BoardRow) -> Markup:
    name = (
        element("a", row.entry.label, href=f"models/{row.entry.name}.html") if row.entry.measured else row.entry.label
    )
    own = element("span", f" {row.model}", class_="muted", title="the model as the run names it") if row.model else None
    return join(element("span", name, class_="model"), own, element("span", badges(row), class_="badges"))


def badges(row: BoardRow) -> list[Markup]:
    """Where the numbers come from, who checked them, and why there is no rank."""
    said = row.entry.said
    found = [badge(said["provenance"], said["provenance"], title=said["source"])]
    if row.entry.verification:
        named = row.entry.verification["badge"]
        found.append(badge(named, "verified", title=BADGES[named]))
    if row.entry.lapsed:
        found.append(badge("verification lapsed", "warning", title=row.entry.lapsed))
    if row.ran_remote_code:
        found.append(badge("ran remote code", "warning", title="Code of the checkpoint was run to draw the images."))
    if any(reason.startswith("trained") for reason in row.unranked):
        found.append(badge("trained on this judge", "warning", title="; ".join(row.unranked)))
    if any(reason.startswith(("coverage", "partial", "no average")) for reason in row.unranked):
        found.append(badge("not ranked", "warning", title="; ".join(row.unranked)))
    return found


def _number(value: float | None, text: str) -> Markup:
    return element("td", text, class_="number", data_value=None if value is None else f"{value:.6f}")


def _value(
    summary: Summary | None, mean: str, marks: tuple[str | None, str | None], *, wide: bool, ranked: bool
) -> Markup:
    value: float | None = summary[mean] if summary else None  # type: ignore[literal-required]
    printed = percent(value)
    best, second = marks
    name = "b" if ranked and printed == best else "u" if ranked and printed == second else "span"
    bounds = summary["ci"].get(mean) if summary else None
    below = element("span", interval(bounds), class_="muted interval") if wide and bounds else None
    css = "number headline" if wide else f"number column-{mean}"
    strip = interval_bar(value, bounds, mean[-1]) if bounds else None
    return element("td", element(name, printed), below, strip, class_=css,
                   title=f"{interval(bounds)}" if bounds and not wide else None,
                   data_value=None if value is None else f"{value:.6f}")  # fmt: skip
