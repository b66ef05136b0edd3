"""The sections of the report page that show scores: figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paircomp.report.elements import Markup, element, join
from paircomp.report.page_parts import KINDS, caption, framed_table, score_heads, section, symbol, value_cell
from paircomp.report.plots import contrast_plot, dumbbell, histogram, percent_axis
from paircomp.report.scatter import scatter
from paircomp.report.schema import ContrastSection, Report, Summary
from paircomp.report.wording import (
    CONTRASTS,
    METRICS,
    Row,
    average_caption,
    contrast_rows,
    interval,
    percent,
    rows,
    subtask_title,
)

__all__ = ["both_readings", "contrast_section", "dumbbells", "histograms", "plane", "scores"]


def dumbbells(report: Report) -> Markup:
    """s_a and s_g of every line on one scale."""
    legend = element(
        "p",
        element("span", symbol("s_a"), class_="key a"),
        element("span", symbol("s_g"), class_="key g"),
        element("span", "gap", class_="key gap"),
        class_="legend", aria_hidden="true",
    )  # fmt: skip
    lines = (_dumbbell_line(row) for row in rows(report))
    axis = element("div", element("div"), percent_axis(), element("div"), class_="line axis-line")
    return section("How fine, how steady", legend, element("div", lines, axis, class_="lines"),
                    lead="Mean score of images and of pairs, in percent, with their intervals.")  # fmt: skip


def _dumbbell_line(row: Row) -> Markup:
    values = join(
        element("span", percent(row.summary["s_a"]), class_="a"), " ",
        element("span", percent(row.summary["s_g"]), class_="g"),
    )  # fmt: skip
    return element(
        "div",
        element("div", row.title, class_="line-name"),
        dumbbell(row.summary, row.title),
        element("div", values, class_="line-values number"),
        class_=f"line {row.kind}",
    )


def scores(report: Report) -> Markup:
    """The score table."""
    heads = ["Subtask", "Pairs", *score_heads(), "Zeros"]
    table = framed_table(heads, (_score_line(row) for row in rows(report)), label="Scores by subtask")
    lead = (
        "In percent, as in the paper's Table 1; below each value its interval. Zeros: pairs with a score of exactly 0."
    )
    return section("Scores", table, caption(average_caption(report)), lead=lead)


def _score_line(row: Row) -> Markup:
    cells = (value_cell(row.summary[metric], row.summary["ci"].get(metric), KINDS[metric]) for metric in METRICS)
    return element(
        "tr",
        element("th", row.title, scope="row"),
        element("td", f"{row.summary['pairs']:,}", class_="number"),
        cells,
        element("td", f"{row.summary['zeros']:,}", class_="number"),
        class_=row.kind,
    )


def plane(report: Report) -> Markup:
    """s_g against s_a, and the subtasks by gap."""
    shown = [row for row in rows(report) if row.kind != "pair_weighted"]
    dotted = " up, in percent; dotted: gaps of 10 and 20"
    axes = element("figcaption", symbol("s_a"), " across, ", symbol("s_g"), dotted, class_="muted axes")
    lead = "On the diagonal all images of a pair score alike; the farther below, the less evenly."
    parts = element("div", element("figure", scatter(shown), axes), _largest_gaps(report), class_="beside")
    return section("Skill against steadiness", parts, lead=lead)


def _largest_gaps(report: Report) -> Markup:
    """The subtasks by gap, the largest first."""
    lines = [row for row in rows(report) if row.kind == "subtask" and row.summary["gap"] is not None]
    lines.sort(key=lambda row: -(row.summary["gap"] or 0.0))
    items = (
        element("li", element("span", row.title), element("b", percent(row.summary["gap"])),
                element("span", interval(row.summary["ci"].get("gap")) or "no interval", class_="muted"))
        for row in lines
    )  # fmt: skip
    return element("div", element("h3", "Largest gaps"), element("ol", items, class_="gaps"))


def contrast_section(report: Report) -> Markup | None:
    """Contrast scores against chance; None where the run has none."""
    contrast = report.get("contrast")
    if not contrast:
        return None
    keys = (element("span", name, class_=f"key {name}") for name in CONTRASTS)
    legend = element("p", keys, element("span", "chance", class_="key chance"), class_="legend", aria_hidden="true")
    plots = [_contrast_figure(row, contrast) for row in contrast_rows(report)]
    axis = element("div", element("div"), percent_axis(), class_="line axis-line")
    return section(
        "Contrast",
        legend,
        element("div", plots, axis, class_="lines two"),
        element("details", element("summary", "Contrast as a table"), _contrast_table(report, contrast)),
        lead="Is the image of one prompt told apart from the image of the other? Dashed: what guessing reaches.",
    )


def _contrast_figure(row: Row, contrast: ContrastSection) -> Markup:
    plot = contrast_plot(row.contrast, contrast["chance"], row.title) if row.contrast else None
    return element("div", element("div", row.title, class_="line-name"), plot, class_=f"line {row.kind}")


def _contrast_table(report: Report, contrast: ContrastSection) -> Markup:
    chance = (element("td", percent(contrast["chance"][name]), class_="number") for name in CONTRASTS)
    guessed = element("tr", element("th", "Guessing", scope="row"), element("td"), chance)
    heads = ["Subtask", "Pairs", *map(str.capitalize, CONTRASTS)]
    return framed_table(heads, [*map(_contrast_line, contrast_rows(report)), guessed], label="Contrast scores")


def _contrast_line(row: Row) -> Markup:
    scores = row.contrast
    if scores is None:
        return element("tr", element("th", row.title, scope="row"))
    cells = (value_cell(scores[name], scores["ci"].get(name), name) for name in CONTRASTS)
    pairs = element("td", f"{scores['pairs']:,}", class_="number")
    return element("tr", element("th", row.title, scope="row"), pairs, cells, class_=row.kind)


def histograms(report: Report) -> Markup:
    """Pair scores of each subtask as small multiples."""
    plots = (_histogram(subtask_title(name), counts) for name, counts in report["distribution"]["subtasks"].items())
    legend = element(
        "p",
        element("span", "geometric mean ", element("i", "g"), class_="key g bars"),
        element("span", "arithmetic mean ", element("i", "a"), class_="key a line-key"),
        class_="legend", aria_hidden="true",
    )  # fmt: skip
    lead = "How many pairs have which mean score, in percent."
    return section("Pair scores", legend, element("div", plots, class_="multiples"), lead=lead)


def _histogram(title: str, counts: Mapping[str, Sequence[int]]) -> Markup:
    most = max([*counts["a"], *counts["g"], 0])
    tallest = f"up to {most:,} a bin" if most else "no scored pair"
    name = element("figcaption", element("b", title), " ", element("span", tallest, class_="muted interval"))
    return element("figure", name, histogram(counts, title))


def both_readings(report: Report) -> Markup:
    """The macro average under both readings of unscored images."""
    lines = (_reading_line(name, reading["average"]) for name, reading in report["readings"].items())
    return framed_table(["Reading", "Pairs", *score_heads()], lines, label="Macro average under both readings")


def _reading_line(name: str, average: Summary) -> Markup:
    cells = (value_cell(average[metric], average["ci"].get(metric), KINDS[metric]) for metric in METRICS)
    pairs = element("td", f"{average['pairs']:,}", class_="number")
    return element("tr", element("th", name, scope="row"), pairs, cells)
