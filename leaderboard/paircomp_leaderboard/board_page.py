"""The front page: every board with its table, plots and pairwise tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paircomp.report.elements import Child, Markup, element, join
from paircomp.report.page_parts import definitions, symbol
from paircomp.report.plots import interval_bar
from paircomp.report.scatter import scatter
from paircomp.report.schema import Summary
from paircomp.report.wording import MISSING, Row, interval, percent, subtask_title
from paircomp_leaderboard.board_plots import bar, radar, rank_strip
from paircomp_leaderboard.boards import Board, BoardRow
from paircomp_leaderboard.pages import badge, choice, document, search_field
from paircomp_leaderboard.pairwise import matrix
from paircomp_leaderboard.tables import best_and_second, rank_text

__all__ = ["badges", "index_page"]

_MOST_OPEN = 12  # rows; figures of more are folded
_Marks = dict[tuple[str, str], tuple[str | None, str | None]]


def index_page(boards: Sequence[Board], title: str) -> str:
    """The page that opens first."""
    models = sum(len(board.rows) for board in boards if board.measured)
    line = f"{models} measured {'model' if models == 1 else 'models'}. How finely does a text-to-image model follow words?"
    header = element("header", element("h1", title), element("p", line, class_="by"), _downloads())
    sections = [_board_section(board) for board in boards]
    empty = None if boards else element("p", "No entries yet: paircomp leaderboard add RUN --entries DIR", class_="lead")
    return document(title, header, _contents(boards), empty, *sections, _how_to_read(), scripts=["board"], wide=True)


def _downloads() -> Markup:
    files = (("leaderboard.json", "JSON"), ("leaderboard.csv", "CSV"), ("tables.md", "Markdown"), ("tables.tex", "LaTeX"))
    links = [element("a", name, href=f"data/{file}", download="") for file, name in files]
    return element("p", "Download: ", *(join(link, " ") for link in links), class_="downloads")


def _contents(boards: Sequence[Board]) -> Markup | None:
    if len(boards) < 2:
        return None
    items = (element("li", element("a", _title(board), href=f"#{board.name}"),
                     element("span", f" {len(board.rows)} rows", class_="muted")) for board in boards)  # fmt: skip
    return element("nav", element("ul", items), aria_label="Tables of this page", class_="contents")


def _title(board: Board) -> str:
    by = f"judged by {board.judge['name']}" if board.measured else "as reported by authors"
    return f"{board.suite['name']}, {by}"


def _board_section(board: Board) -> Markup:
    return element(
        "section",
        element("h2", _title(board)),
        element("p", _lead(board), class_="lead"),
        _controls(board),
        element("p", f"{len(board.rows)} models", class_="count", role="status"),
        _table(board),
        _figures(board),
        _bars(board),
        matrix(board),
        id=board.name,
        class_="board-section" if board.measured else "board-section reported",
    )


def _lead(board: Board) -> str:
    suite = board.suite
    said = f"{suite['pairs']:,} pairs, {suite['samples']} images per prompt, in percent."
    if board.ranking is None:
        return (f"{said} Copied from {board.source}: not measured here, without intervals, never ranked and never in one "
                "table with measured rows.")  # fmt: skip
    return (f"{said} A rank is an interval: rows between which no paired test finds a difference share ranks, "
            f"in whatever order they stand (s_g, Holm at {board.ranking.alpha:g}).")  # fmt: skip


def _controls(board: Board) -> Markup:
    kinds = [("", "all rows"), ("ranked", "ranked"), ("verified", "verified"), ("unranked", "not ranked")]
    columns = [("both", "s_a and s_g"), ("s_g", "s_g"), ("s_a", "s_a")]
    return element(
        "form",
        search_field("Search", "model, adapter, licence …"),
        choice("Rows", "only", kinds) if board.measured else element("input", type="hidden", name_="only", value=""),
        choice("Subtasks show", "columns", columns),
        class_="controls", hidden="", aria_label=f"Table {_title(board)}",
    )  # fmt: skip


def _table(board: Board) -> Markup:
    columns = list(_columns(board))
    marks = best_and_second(board)
    groups = element("tr", *_group_heads(board))
    heads = element("tr", *(_head(title, number, css, first) for number, (title, css, first) in enumerate(columns)))
    body = element("tbody", (_line(board, row, marks) for row in board.rows))
    table = element("table", element("caption", f"Scores: {_title(board)}", class_="unseen"),
                    element("thead", groups, heads), body, class_="board", data_columns="both")  # fmt: skip
    return element("div", table, class_="table", role="region", aria_label=f"Scores: {_title(board)}", tabindex="0")


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
        yield "Images/s", "number", "descending"


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
    contrast = row.group_score
    cells = [
        _rank_cell(board, row),
        element("th", _model(row), scope="row", data_value=row.entry.label.lower()),
        _value(row.average, "s_g", marks["average", "s_g"], wide=True, ranked=not row.unranked or not board.measured),
        _value(row.average, "s_a", marks["average", "s_a"], wide=True, ranked=not row.unranked or not board.measured),
        _number(row.average["gap"], percent(row.average["gap"])),
    ]
    if board.measured:
        group = contrast["group"] if contrast else None  # type: ignore[typeddict-item]
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
    return " ".join(str(part) for part in (row.entry.label, generator.get("adapter"), generator.get("checkpoint"),
                                           row.entry.said["provenance"]) if part).lower()  # fmt: skip


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
    name = element("a", row.entry.label, href=f"models/{row.entry.name}.html") if row.entry.measured else row.entry.label
    return join(element("span", name, class_="model"), element("span", badges(row), class_="badges"))


def badges(row: BoardRow) -> list[Markup]:
    """Where the numbers come from, who checked them, and why there is no rank."""
    said = row.entry.said
    found = [badge(said["provenance"], said["provenance"], title=said["source"])]
    if row.entry.verification:
        checks = row.entry.verification
        found.append(badge(str(checks.get("badge", "verified")), "verified", title=str(checks.get("explained", ""))))
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


def _figures(board: Board) -> Markup:
    figures = element("div", _plane(board), _radars(board), class_="figures")
    if len(board.rows) <= _MOST_OPEN:
        return figures
    return element("details", element("summary", "Level, steadiness and profiles"), figures)


def _plane(board: Board) -> Markup:
    rows = [Row(row.entry.label, "subtask", row.average) for row in board.rows]
    plot = element("div", scatter(rows), class_="plane")
    axes = element("p", "Across: ", symbol("s_a"), ". Up: ", symbol("s_g"), ". The farther below the diagonal, the less "
                   "steady.", class_="muted axes")  # fmt: skip
    return element("div", element("h3", "Level and steadiness"), plot, axes, class_="plane-figure")


def _radars(board: Board) -> Markup:
    legend = element("p", element("span", symbol("s_g"), class_="key g bars"),
                     element("span", symbol("s_a"), class_="key a line-key"), class_="legend", aria_hidden="true")  # fmt: skip
    figures = (
        element("figure", element("figcaption", element("b", row.entry.label)), radar(row.subtasks, row.entry.label))
        for row in board.rows
    )
    return element("div", element("h3", "Profiles"), legend, element("div", figures, class_="radars"))


def _bars(board: Board) -> Markup:
    figures = (_bar_figure(board, name) for name in board.subtasks)
    legend = element("p", element("span", symbol("s_g"), class_="key g bars"), element("span", symbol("s_a"), class_="key a"),
                     class_="legend", aria_hidden="true")  # fmt: skip
    return element("details", element("summary", "Subtask by subtask"), legend,
                   element("div", figures, class_="bar-figures"), open="" if len(board.rows) <= _MOST_OPEN else None)  # fmt: skip


def _bar_figure(board: Board, name: str) -> Markup:
    shown = [(row, row.subtasks[name]) for row in board.rows if name in row.subtasks]
    shown.sort(key=lambda item: -(item[1]["s_g"] or 0.0))
    lines = (
        element("div", element("span", row.entry.label, class_="bar-name"), bar(summary, row.entry.label),
                element("span", percent(summary["s_g"]), class_="bar-value"), class_="bar-line")
        for row, summary in shown
    )  # fmt: skip
    return element("figure", element("figcaption", element("b", subtask_title(name))), *lines)


def _how_to_read() -> Markup:
    terms = [
        ("s_a", "mean score of a pair's images, averaged over pairs: how well images match prompts."),
        ("s_g", "geometric mean of the same scores: one bad image pulls its whole pair down. Rows are ranked by it."),
        ("gap", "s_a minus s_g: what is lost because the images of a pair score unevenly."),
        ("contrast", "share of pairs whose two images and two prompts are told apart in every way; guessing reaches 16.7."),
        ("rank", "from 1 + rows significantly better to N minus rows significantly worse; = marks ties. Every two rows are "
                 "tested on the pairs scored in both, by sign flips; p is adjusted for all of them (Holm)."),
        ("not ranked", "fewer than 98% of images scored, a part of the suite only, or trained with this judge's score."),
        ("measured", "PairComp drew the images and judged them. Re-judged: images from elsewhere, judged by PairComp. "
                     "Author-reported: copied from a publication."),
        ("verified", "a bundle was checked: arithmetic means that every number follows from the judgements; re-judged "
                     "means that a random sample of images was judged again. Only re-judging catches a forgery that is "
                     "consistent in itself."),
        ("intervals", "95%, over other pairs of the same kind; the judge's own errors are not in them."),
    ]  # fmt: skip
    return element("section", element("h2", "How to read this"), definitions(terms))

