"""The report as one page that needs nothing else: no script, no font, no image, no connection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from paircomp.report.elements import Markup, element, join
from paircomp.report.plots import contrast_plot, dumbbell, histogram, interval_bar, percent_axis
from paircomp.report.scatter import scatter
from paircomp.report.schema import Interval, Report, ScoreCounts, WorstPair
from paircomp.report.wording import (
    CONTRASTS,
    HOW_TO_READ,
    METRICS,
    Metric,
    Row,
    average_caption,
    contrast_rows,
    differing_words,
    facts,
    interval,
    interval_caption,
    percent,
    rows,
    subtask_title,
    unscored_caption,
)

__all__ = ["to_html"]

_KINDS: Mapping[str, str] = {"s_a": "a", "s_g": "g", "gap": "gap", "full_pass": "pass"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # the browser itself keeps the page from loading anything


def to_html(report: Report) -> str:
    """A complete HTML document. Every string of the report is shown as text, whatever it holds."""
    title = f"{report['generator']['model']} on {report['suite']['name']}"
    style = resources.files("paircomp.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"PairComp: {title}"),
        element("style", Markup(style)),
    )
    body = element("body", element("main", *_sections(report)), _footer(report))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(report: Report) -> Iterator[Markup | None]:
    yield _notices(report["notices"])
    yield _header(report)
    yield _headline(report)
    yield _dumbbells(report)
    yield _scores(report)
    yield _plane(report)
    yield _contrast(report)
    yield _histograms(report)
    yield _coverage(report)
    yield _worst(report)
    yield _how_to_read()
    yield _details(report)


def _section(title: str, *children: Markup | Iterator[Markup] | None, lead: Markup | str | None = None) -> Markup:
    caption = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), caption, *children)


def _notices(notices: Sequence[str]) -> Markup | None:
    if not notices:
        return None
    return element("div", (element("p", notice) for notice in notices), class_="notices", role="note")


def _header(report: Report) -> Markup:
    suite = report["suite"]
    pairs = f"{suite['selected_pairs']:,} of {suite['pairs']:,}" if suite["partial"] else f"{suite['pairs']:,}"
    line = join(
        element("b", suite["name"]), f", {pairs} pairs, {suite['samples']} images per prompt, judged by ",
        element("b", report["judge"]["name"]),
    )  # fmt: skip
    overline = element("p", "PairComp report", class_="overline")
    return element("header", overline, element("h1", report["generator"]["model"]), element("p", line, class_="by"))


def _symbol(metric: str) -> Markup | str:
    """s_a and s_g as the paper writes them."""
    if metric in {"s_a", "s_g"}:
        return element("span", "s", element("sub", metric[-1]), class_="symbol")
    return METRICS[metric] if metric in METRICS else metric  # type: ignore[index]


def _headline(report: Report) -> Markup:
    average = report["average"]
    tiles = (_tile(metric, average[metric], average["ci"].get(metric)) for metric in METRICS)
    return element(
        "section",
        element("div", tiles, class_="tiles"),
        element("p", _summary_sentence(report), class_="lead"),
        aria_label="Headline numbers",
    )


def _tile(metric: Metric, value: float | None, bounds: Interval | None) -> Markup:
    words = {"s_a": "arithmetic mean", "s_g": "geometric mean", "gap": "lost within pairs", "full_pass": "all images"}
    kind = _KINDS[metric]
    return element(
        "div",
        element("p", _symbol(metric), " ", element("span", words[metric], class_="muted"), class_="tile-name"),
        element("p", percent(value), class_="tile-value"),
        element("p", interval(bounds) or "no interval", class_="muted"),
        interval_bar(value, bounds, kind),
        class_=f"tile {kind}",
    )


def _summary_sentence(report: Report) -> str:
    average = report["average"]
    if average["s_a"] is None or average["s_g"] is None:
        return average_caption(report) or "No pair could be scored."
    return (
        f"Averaged over {average['subtasks']} subtasks, images score {percent(average['s_a'])} and pairs "
        f"{percent(average['s_g'])}: {percent(average['gap'])} points are lost because one prompt of a pair is drawn "
        f"worse than the other. {interval_caption(report)}"
    )


def _dumbbells(report: Report) -> Markup:
    legend = element(
        "p",
        element("span", "s", element("sub", "a"), class_="key a"),
        element("span", "s", element("sub", "g"), class_="key g"),
        element("span", "gap", class_="key gap"),
        class_="legend", aria_hidden="true",
    )  # fmt: skip
    lines = (_dumbbell_line(row) for row in rows(report))
    axis = element("div", element("div"), percent_axis(), element("div"), class_="line axis-line")
    return _section("How fine, how steady", legend, element("div", lines, axis, class_="lines"),
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


def _scores(report: Report) -> Markup:
    heads = ["Subtask", "Pairs", *(_symbol(metric) for metric in METRICS), "Zeros"]
    table = _table(heads, (_score_line(row) for row in rows(report)), label="Scores by subtask")
    lead = "In percent, as in the paper's Table 1; below each value its interval. Zeros: pairs with a score of exactly 0."
    return _section("Scores", table, _caption(average_caption(report)), lead=lead)


def _score_line(row: Row) -> Markup:
    cells = (
        _value_cell(row.summary[metric], row.summary["ci"].get(metric), _KINDS[metric]) for metric in METRICS
    )
    return element(
        "tr",
        element("th", row.title, scope="row"),
        element("td", f"{row.summary['pairs']:,}", class_="number"),
        cells,
        element("td", f"{row.summary['zeros']:,}", class_="number"),
        class_=row.kind,
    )


def _value_cell(value: float | None, bounds: Interval | None, kind: str) -> Markup:
    written = element("span", interval(bounds), class_="muted interval") if bounds else None
    return element("td", element("b", percent(value)), written, interval_bar(value, bounds, kind), class_="number")


def _plane(report: Report) -> Markup:
    shown = [row for row in rows(report) if row.kind != "pair_weighted"]
    axes = element("p", _symbol("s_a"), " across, ", _symbol("s_g"), " up, both in percent", class_="muted axes")
    lead = "On the diagonal a model draws both prompts of a pair equally well; below it, pairs are won by one half."
    return _section("Skill against steadiness", element("figure", scatter(shown), axes), lead=lead)


def _contrast(report: Report) -> Markup | None:
    contrast = report.get("contrast")
    if not contrast:
        return None
    lines = contrast_rows(report)
    legend = (element("span", name, class_=f"key {name}") for name in CONTRASTS)
    plots = (
        element("div", element("div", row.title, class_="line-name"),
                contrast_plot(row.contrast, contrast["chance"], row.title), class_=f"line {row.kind}")
        for row in lines if row.contrast is not None
    )  # fmt: skip
    axis = element("div", element("div"), percent_axis(), class_="line axis-line")
    guessed = element("tr", element("th", "Guessing", scope="row"), element("td"), _chance_cells(contrast["chance"]))
    table = _table(["Subtask", "Pairs", *CONTRASTS], [*map(_contrast_line, lines), guessed], label="Contrast scores")
    return _section(
        "Contrast",
        element("p", legend, element("span", "chance", class_="key chance"), class_="legend", aria_hidden="true"),
        element("div", plots, axis, class_="lines two"),
        element("details", element("summary", "Contrast as a table"), table),
        lead="Is the image of one prompt told apart from the image of the other? Dashed: what guessing reaches.",
    )


def _chance_cells(chance: Mapping[str, float]) -> Iterator[Markup]:
    return (element("td", percent(chance[name]), class_="number") for name in CONTRASTS)


def _contrast_line(row: Row) -> Markup:
    scores = row.contrast
    if scores is None:
        return element("tr", element("th", row.title, scope="row"))
    cells = (_value_cell(scores[name], scores["ci"].get(name), name) for name in CONTRASTS)
    pairs = element("td", f"{scores['pairs']:,}", class_="number")
    return element("tr", element("th", row.title, scope="row"), pairs, cells, class_=row.kind)


def _histograms(report: Report) -> Markup:
    plots = (
        element("figure", element("figcaption", subtask_title(name)), histogram(counts, subtask_title(name)))
        for name, counts in report["distribution"]["subtasks"].items()
    )
    lead = join("How many pairs have which geometric mean (bars) and which arithmetic mean (outline), in percent.")
    return _section("Pair scores", element("div", plots, class_="multiples"), lead=lead)


def _coverage(report: Report) -> Markup:
    coverage = report["coverage"]
    parts = [(subtask_title(name), counts) for name, counts in coverage["by_subtask"].items()]
    counts = _table(["Subtask", "Images", "Scored", "Unscored"],
                    (_count_line(title, part) for title, part in [*parts, ("All", coverage)]),
                    label="Coverage by subtask")  # fmt: skip
    reasons = None
    if coverage["reasons"]:
        lines = (
            element("tr", element("th", r["reason"], scope="row"),
                    element("td", f"{r['count']:,}", class_="number"), element("td", element("code", r["first"])))
            for r in coverage["reasons"]
        )  # fmt: skip
        reasons = _table(["Why unscored", "Images", "First"], lines, label="Why images have no score")
    return _section("Coverage", reasons, counts, lead=unscored_caption(report))


def _count_line(title: str, counts: ScoreCounts) -> Markup:
    numbers = (counts["images"], counts["scored"], counts["unscored"])
    cells = (element("td", f"{number:,}", class_="number") for number in numbers)
    return element("tr", element("th", title, scope="row"), cells, class_="average" if title == "All" else None)


def _worst(report: Report) -> Markup | None:
    if not report["worst_pairs"]:
        return None
    heads = ["Pair", "Subtask", "Prompts", "g", "a"]
    table = _table(heads, map(_worst_line, report["worst_pairs"]), label="Pairs of lowest geometric mean")
    return _section("Worst pairs", table, lead="The pairs of lowest geometric mean g; the words that differ are marked.")


def _worst_line(pair: WorstPair) -> Markup:
    return element(
        "tr",
        element("th", str(pair["pair"]), element("span", pair["pair_id"], class_="muted interval"), scope="row"),
        element("td", subtask_title(pair["subtask"])),
        element("td", _prompts(pair), class_="prompts"),
        element("td", element("b", percent(pair["g"])), class_="number"),
        element("td", percent(pair["a"]), class_="number"),
    )


def _prompts(pair: WorstPair) -> list[Markup]:
    texts = pair["prompts"]
    if texts is None:
        return [element("p", element("code", f"sha256 {digest[:16]}")) for digest in pair["prompt_sha256"]]
    if len(texts) < 2:
        return [element("p", text) for text in texts]
    others = [texts[1], *[texts[0]] * (len(texts) - 1)]
    return [element("p", _marked(text, other)) for text, other in zip(texts, others, strict=True)]


def _marked(text: str, other: str) -> list[Markup | str]:
    return [element("mark", piece) if differs else piece for piece, differs in differing_words(text, other)]


def _how_to_read() -> Markup:
    terms = (join(element("dt", _symbol(term)), element("dd", text)) for term, text in HOW_TO_READ)
    return _section("How to read this", element("dl", terms, class_="terms"))


def _details(report: Report) -> Markup:
    generator, judge = report["generator"], report["judge"]
    return _section(
        "What was measured",
        _definitions(facts(report)),
        element("details", element("summary", "Sampling recipe"), _values(generator["recipe"])),
        element("details", element("summary", "Judge identity"), _values(judge["identity"])),
        element("details", element("summary", "Both readings of unscored images"), _readings(report)),
    )


def _values(values: Mapping[str, Any]) -> Markup:
    if not values:
        return element("p", "none", class_="muted")
    return _definitions([(key, _plain(value)) for key, value in values.items()])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _definitions(pairs: Sequence[tuple[str, str]]) -> Markup:
    return element("dl", (join(element("dt", key), element("dd", text)) for key, text in pairs), class_="facts")


def _readings(report: Report) -> Markup:
    lines = (
        element("tr", element("th", name, scope="row"), element("td", f"{reading['average']['pairs']:,}", class_="number"),
                (_value_cell(reading["average"][metric], reading["average"]["ci"].get(metric), _KINDS[metric])
                 for metric in METRICS))
        for name, reading in report["readings"].items()
    )  # fmt: skip
    heads = ["Reading", "Pairs", *(_symbol(metric) for metric in METRICS)]
    return _table(heads, lines, label="Macro average under both readings")


def _table(heads: Sequence[Markup | str], lines: Any, *, label: str) -> Markup:
    titles = (element("th", head, scope="col", class_=None if number == 0 else "number")
              for number, head in enumerate(heads))  # fmt: skip
    table = element("table", element("thead", element("tr", titles)), element("tbody", lines))
    # A focusable region lets the keyboard scroll a table that is wider than the screen.
    return element("div", table, class_="table", role="region", aria_label=label, tabindex="0")


def _caption(text: str) -> Markup | None:
    return element("p", text, class_="muted") if text else None


def _footer(report: Report) -> Markup:
    text = f"Made by PairComp {report['paircomp_version']} from report.json ({report['schema']}). "
    return element("footer", element("p", text, f"Suite digest {report['suite']['digest'][:16]}."))
