"""The report as one page that needs nothing else: no script, no font, no image, no connection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from paircomp.report.elements import Markup, element, join
from paircomp.report.page_pairs import coverage_section, worst_pairs
from paircomp.report.page_parts import KINDS, definitions, section, symbol
from paircomp.report.page_scores import both_readings, contrast_section, dumbbells, histograms, plane, scores
from paircomp.report.page_trust import calibration_sections, trust_sections
from paircomp.report.plots import interval_bar
from paircomp.report.schema import Interval, Report
from paircomp.report.wording import (
    HOW_TO_READ,
    METRICS,
    Metric,
    average_caption,
    average_over,
    facts,
    interval,
    interval_caption,
    percent,
)

__all__ = ["calibration_to_html", "to_html"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # the browser itself keeps the page from loading anything


def to_html(report: Report) -> str:
    """A complete HTML document. Every string of the report is shown as text, whatever it holds."""
    title = f"{report['generator']['model']} on {report['suite']['name']}"
    return _document(title, element("main", *_sections(report)), _footer(report))


def calibration_to_html(calibration: Mapping[str, Any]) -> str:
    """The page of a calibration alone (``paircomp-calibration/1``)."""
    name = str(calibration["judge"]["name"])
    header = element("header", element("p", "PairComp calibration", class_="overline"), element("h1", name))
    identity = section("Judge identity", _values(calibration["judge"]["identity"]))
    warnings = [f"Doubtful: {warning}" for warning in calibration["warnings"]]
    main = element("main", _notices(warnings), header, *calibration_sections(calibration), identity)
    text = f"Made by PairComp {calibration['paircomp_version']} from calibration.json ({calibration['schema']})."
    return _document(f"judge {name}", main, element("footer", element("p", text)))


def _document(title: str, *content: Markup) -> str:
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
    body = element("body", *content)
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(report: Report) -> Iterator[Markup | None]:
    yield _notices(report["notices"])
    yield _header(report)
    yield _headline(report)
    yield dumbbells(report)
    yield scores(report)
    yield plane(report)
    yield contrast_section(report)
    yield from trust_sections(report)
    yield histograms(report)
    yield coverage_section(report)
    yield worst_pairs(report)
    yield _how_to_read()
    yield _details(report)


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
    kind = KINDS[metric]
    return element(
        "div",
        element("p", symbol(metric), " ", element("span", words[metric], class_="muted"), class_="tile-name"),
        element("p", percent(value), class_="tile-value"),
        element("p", interval(bounds) or "no interval", class_="muted"),
        interval_bar(value, bounds, kind),
        class_=f"tile {kind}",
    )


def _summary_sentence(report: Report) -> str:
    average = report["average"]
    if average["s_a"] is None or average["s_g"] is None:
        return average_caption(report) or "No pair could be scored."
    subtasks, whole = average_over(report)
    over = f"{subtasks} subtasks" if subtasks == whole else f"{subtasks} of {whole} subtasks"
    return (
        f"Averaged over {over}, images score {percent(average['s_a'])} and pairs "
        f"{percent(average['s_g'])}: {percent(average['gap'])} points are lost because the images of a pair score "
        f"unevenly. {interval_caption(report)}"
    )


def _how_to_read() -> Markup:
    terms = (join(element("dt", symbol(term)), element("dd", text)) for term, text in HOW_TO_READ)
    return section("How to read this", element("dl", terms, class_="terms"))


def _details(report: Report) -> Markup:
    generator, judge = report["generator"], report["judge"]
    return section(
        "What was measured",
        definitions(facts(report)),
        element("details", element("summary", "Sampling recipe"), _values(generator["recipe"])),
        element("details", element("summary", "Judge identity"), _values(judge["identity"])),
        element("details", element("summary", "Both readings of unscored images"), both_readings(report)),
    )


def _values(values: Mapping[str, Any]) -> Markup:
    if not values:
        return element("p", "none", class_="muted")
    return definitions([(key, _plain(value)) for key, value in values.items()])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _footer(report: Report) -> Markup:
    text = f"Made by PairComp {report['paircomp_version']} from report.json ({report['schema']}). "
    return element("footer", element("p", text, f"Suite digest {report['suite']['digest'][:16]}."))
