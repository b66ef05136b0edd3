"""The report in a terminal: notices first, then one compact table."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from paircomp.report.panels import panel_text
from paircomp.report.schema import Interval, Report
from paircomp.report.trust import trust_panels
from paircomp.report.wording import (
    CONTRASTS,
    METRICS,
    MISSING,
    Contrast,
    Row,
    average_caption,
    contrast_rows,
    interval,
    interval_caption,
    percent,
    printable,
    rows,
    unscored_caption,
)

__all__ = ["render"]

_REASONS_SHOWN = 3
_TITLE_WIDTH = 26  # longer names of subtasks are folded
_UNBOUNDED = 10_000


def render(report: Report) -> RenderableType:
    """A Rich renderable of `report`, for ``console.print``.

    Intervals stand beside their values where the console is wide enough and below them where it is not; the contrast
    scores then move into a table of their own. No string of the report is read as markup, and colour carries nothing
    that the words do not.
    """
    return Group(*_head(report), _Scores(report), *_foot(report), *map(panel_text, trust_panels(report, brief=True)))


class _Scores:
    """The score table in the widest layout that fits the console."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = _score_table(self._report, stacked=False)
        unbounded = options.update(max_width=_UNBOUNDED)
        if Measurement.get(console, unbounded, wide).maximum <= options.max_width:
            yield wide
            return
        yield _score_table(self._report, stacked=True)
        if contrast_rows(self._report):
            yield Text()
            yield _contrast_table(self._report)


def _head(report: Report) -> Iterator[Text]:
    for notice in report["notices"]:
        yield Text(f"! {printable(notice)}", style="bold yellow")
    suite = report["suite"]
    named = (report["generator"]["model"], f"on {suite['name']}, K = {suite['samples']},",
             f"judged by {report['judge']['name']}")  # fmt: skip
    yield Text(printable(" ".join(named)), style="bold")


def _score_table(report: Report, *, stacked: bool) -> Table:
    lines = rows(report)
    beside = not stacked and bool(contrast_rows(report))
    table = _table("subtask", "pairs", *METRICS.values(), *(CONTRASTS if beside else ()))
    for number, row in enumerate(lines):
        cells = [_score(row.summary[metric], row.summary["ci"].get(metric), stacked=stacked) for metric in METRICS]
        extra = [Text(_contrast_value(row, name)) for name in CONTRASTS] if beside else []
        last_subtask = number + 1 < len(lines) and row.kind == "subtask" and lines[number + 1].kind != "subtask"
        table.add_row(
            Text(printable(row.title)),
            Text(f"{row.summary['pairs']:,}"),
            *cells,
            *extra,
            style="bold" if row.kind == "average" else None,
            end_section=last_subtask,
        )
    return table


def _contrast_table(report: Report) -> Table:
    table = _table("contrast", "pairs", *CONTRASTS)
    for row in contrast_rows(report):
        if row.contrast is not None:
            values = [_score(row.contrast[name], row.contrast["ci"].get(name), stacked=True) for name in CONTRASTS]
            table.add_row(Text(printable(row.title)), Text(f"{row.contrast['pairs']:,}"), *values)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold", min_width=8, max_width=_TITLE_WIDTH)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _score(value: float | None, bounds: Interval | None, *, stacked: bool) -> Text:
    written = interval(bounds)
    cell = Text(percent(value))
    if not written:
        return cell
    if stacked:
        return cell.append(f"\n{written}", style="dim")
    return cell.append(f" {written:>9}", style="dim")


def _contrast_value(row: Row, name: Contrast) -> str:
    return MISSING if row.contrast is None else percent(row.contrast[name])


def _foot(report: Report) -> Iterator[Text]:
    yield Text(f"Scores in percent (report.json holds them in [0, 1]). {interval_caption(report)}", style="dim")
    contrast = report.get("contrast")
    if contrast:
        chance = ", ".join(f"{name} {percent(contrast['chance'][name])}" for name in CONTRASTS)
        yield Text(f"Contrast by chance: {chance}.", style="dim")
    if without := average_caption(report):
        yield Text(without, style="bold")
    yield Text(unscored_caption(report))
    reasons = report["coverage"]["reasons"]
    for reason in reasons[:_REASONS_SHOWN]:
        yield Text(printable(f"  {reason['count']:,} unscored: {reason['reason']} (first: {reason['first']})"))
    if len(reasons) > _REASONS_SHOWN:
        yield Text(f"  and {len(reasons) - _REASONS_SHOWN} more reasons in report.json")
