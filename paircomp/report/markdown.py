"""The report as Markdown: for pull requests, model cards and notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from paircomp.report.panels import Panel
from paircomp.report.schema import Interval, Report, ScoreCounts
from paircomp.report.trust import trust_panels
from paircomp.report.wording import (
    CONTRASTS,
    HOW_TO_READ,
    METRICS,
    Row,
    average_caption,
    contrast_rows,
    facts,
    interval,
    interval_caption,
    percent,
    printable,
    rows,
    subtask_title,
    unscored_caption,
)

__all__ = ["escape", "score_table", "to_markdown"]

_SPECIAL = re.compile(r"([\\`*\[\]<>|~&$#@])|(?<![^\W_])(_)|(_)(?![^\W_])")


def escape(text: str) -> str:
    r"""`text` as Markdown that shows exactly it, on one line: no markup, no HTML, no table cell of its own.

    Example:
        >>> escape("a|b <i> style_tone")
        'a\\|b \\<i\\> style_tone'
    """
    return _SPECIAL.sub(lambda match: "\\" + match.group(), printable(text))


def to_markdown(report: Report) -> str:
    """A whole Markdown document: title, notices, what was measured, scores, coverage, contrast, how to read."""
    sections = [
        [f"# {escape(report['generator']['model'])} on {escape(report['suite']['name'])}"],
        _notices(report["notices"]),
        ["## What was measured", "", *(f"- **{label}**: {escape(text)}" for label, text in facts(report))],
        ["## Scores", "", *score_table(report)],
        ["## Coverage", "", unscored_caption(report), "", *_coverage_tables(report)],
        _contrast_section(report),
        *map(_panel, trust_panels(report)),
        ["## How to read", "", *(f"- **{escape(term)}**: {escape(text)}" for term, text in HOW_TO_READ)],
        [f"PairComp {escape(report['paircomp_version'])}, `{report['schema']}`"],
    ]
    return "\n\n".join("\n".join(lines).rstrip() for lines in sections if lines) + "\n"


def score_table(report: Report) -> list[str]:
    """The lines of the score table with its caption; the same table goes into model cards."""
    table = _table(
        ("Subtask", "Pairs", *(_heading(name) for name in METRICS.values())),
        (_score_cells(row) for row in rows(report)),
    )
    captions = ["Scores in percent, like the paper's Table 1.", interval_caption(report), average_caption(report)]
    return [*table, "", escape(" ".join(filter(None, captions)))]


def _heading(name: str) -> str:
    return {"s_a": "s<sub>a</sub>", "s_g": "s<sub>g</sub>"}.get(name, name.capitalize())


def _score_cells(row: Row) -> list[str]:
    cells = [_score(row.summary[metric], row.summary["ci"].get(metric)) for metric in METRICS]
    title = escape(row.title)
    return [f"**{title}**" if row.kind == "average" else title, f"{row.summary['pairs']:,}", *cells]


def _score(value: float | None, bounds: Interval | None) -> str:
    written = interval(bounds)
    return f"{percent(value)} ({written})" if written else percent(value)


def _coverage_tables(report: Report) -> list[str]:
    coverage = report["coverage"]
    counts = [(subtask_title(name), counts) for name, counts in coverage["by_subtask"].items()]
    lines = _table(
        ("Subtask", "Images", "Scored", "Unscored"),
        (_count_cells(title, part) for title, part in [*counts, ("All", coverage)]),
    )
    if coverage["reasons"]:
        reasons = ([escape(r["reason"]), f"{r['count']:,}", escape(r["first"])] for r in coverage["reasons"])
        lines += ["", *_table(("Why unscored", "Images", "First"), reasons)]
    return lines


def _count_cells(title: str, counts: ScoreCounts) -> list[str]:
    return [escape(title), f"{counts['images']:,}", f"{counts['scored']:,}", f"{counts['unscored']:,}"]


def _contrast_section(report: Report) -> list[str]:
    contrast = report.get("contrast")
    if not contrast:
        return []
    lines = _table(
        ("Subtask", "Pairs", *(name.capitalize() for name in CONTRASTS)),
        [
            *(_contrast_cells(row) for row in contrast_rows(report)),
            ["Guessing", "", *(percent(contrast["chance"][name]) for name in CONTRASTS)],
        ],
    )
    return ["## Contrast", "", *lines]


def _contrast_cells(row: Row) -> list[str]:
    if row.contrast is None:
        return [escape(row.title)]
    cells = [_score(row.contrast[name], row.contrast["ci"].get(name)) for name in CONTRASTS]
    return [escape(row.title), f"{row.contrast['pairs']:,}", *cells]


def _panel(panel: Panel) -> list[str]:
    cells = ([escape(cell) for cell in line] for line in panel.lines)
    table = ["", *_table([escape(head) for head in panel.heads], cells)] if panel.lines else []
    below = ["", escape(panel.caption)] if panel.caption else []
    return [f"## {escape(panel.title)}", "", escape(panel.lead), *table, *below]


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    align = [":--", *("--:" for _ in headings[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (headings, align, *lines)]


def _notices(notices: Sequence[str]) -> list[str]:
    return "\n>\n".join(f"> **{escape(notice)}**" for notice in notices).splitlines()
