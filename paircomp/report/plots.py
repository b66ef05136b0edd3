"""Figures of the report page as inline SVG: no script, no image files, readable at any width.

Horizontal positions are percentages of the plot and heights are pixels, so that a figure fills a phone and a projector
alike while its text keeps its size. Colour never carries a meaning alone: s_a is a disc, s_g a diamond. Colours are
classes of the page's style sheet (Okabe and Ito's palette, safe for colour-blind readers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from paircomp.report.elements import Markup, element
from paircomp.report.schema import ContrastScores, Interval, Summary
from paircomp.report.wording import CONTRASTS, interval, percent

__all__ = ["contrast_plot", "dumbbell", "figure", "histogram", "interval_bar", "percent_axis", "spoken"]


def percent_axis(*, ticks: Sequence[int] = (0, 25, 50, 75, 100)) -> Markup:
    """The labelled 0 to 100 axis that stands below a column of dumbbells."""
    labels = [
        element("text", str(tick), x=f"{tick}%", y=13, text_anchor="middle", class_="tick-label") for tick in ticks
    ]
    return element("svg", *labels, class_="axis", height=18, width="100%", aria_hidden="true")


def dumbbell(summary: Summary, label: str) -> Markup:
    """s_a (disc) and s_g (diamond) of one line on a 0 to 100 scale, the gap a bar between them, intervals beside."""
    a, g = summary["s_a"], summary["s_g"]
    parts: list[Markup] = list(_grid(42))
    if a is None or g is None:
        parts.append(_empty(25))
    else:
        parts += [
            *_whisker(summary["ci"].get("s_a"), 10, "a"),
            *_whisker(summary["ci"].get("s_g"), 32, "g"),
            element("line", x1=_at(g), x2=_at(a), y1=21, y2=21, class_="gap-bar"),
            _diamond(g, 21, f"s_g {percent(g)}"),
            _disc(a, 21, f"s_a {percent(a)}"),
        ]
    return figure(parts, label=f"{label}: {spoken(summary)}", height=42)


def interval_bar(value: float | None, bounds: Interval | None, kind: str) -> Markup | None:
    """A hair-thin 0 to 100 scale with the interval as a band and the value as a tick; for table cells."""
    if value is None:
        return None
    band = None
    if bounds is not None:
        low, high = bounds
        band = element("rect", x=_at(low), width=_at(high - low), y=1, height=4, rx=2, class_=f"band {kind}")
    tick = element("line", x1=_at(value), x2=_at(value), y1=0, y2=6, class_=f"point {kind}")
    track = element("line", x1="0%", x2="100%", y1=3, y2=3, class_="track")
    return element("svg", track, band, tick, class_="bar", height=6, width="100%", aria_hidden="true")


def histogram(counts: Mapping[str, Sequence[int]], label: str) -> Markup:
    """How many pairs have which g (bars) and which a (outline), in equal bins of [0, 1]."""
    height, base = 92.0, 74.0
    top = max([*counts["a"], *counts["g"], 1])
    bars = [
        element("rect", x=_at(i / len(counts["g"])), width=_at(1 / len(counts["g"])), class_="histogram-bar",
                y=base - count / top * 66, height=count / top * 66)
        for i, count in enumerate(counts["g"]) if count
    ]  # fmt: skip
    ticks = [
        element("text", str(tick), x=f"{tick}%", y=height - 4, text_anchor="middle", class_="tick-label")
        for tick in (0, 50, 100)
    ]
    axis = element("line", x1="0%", x2="100%", y1=base, y2=base, class_="base")
    upper = sum(counts["g"][len(counts["g"]) // 2 :])
    said = f"{label}: {sum(counts['g'])} pairs, {upper} of them with g of 50 or more"
    return figure([*bars, *_outline(counts["a"], top, base), axis, *ticks], label=said, height=height)


def contrast_plot(scores: ContrastScores, chance: Mapping[str, float], label: str) -> Markup:
    """Text, image and group score of one line, each with its interval and, dashed, what guessing would reach."""
    parts = list(_grid(62))
    for number, name in enumerate(CONTRASTS):
        y, value = 14 + 17 * number, scores[name]
        odds = chance[name]
        parts.append(element("line", x1=_at(odds), x2=_at(odds), y1=y - 8.5, y2=y + 8.5, class_="chance"))
        if value is not None:
            parts += _whisker(scores["ci"].get(name), y, name)
            parts.append(element("circle", _title(f"{name} {percent(value)}"), cx=_at(value), cy=y, r=4.5, class_=name))
    if not scores["pairs"]:
        parts.append(_empty(35))
    said = ", ".join(f"{name} {percent(scores[name])} (chance {percent(chance[name])})" for name in CONTRASTS)
    return figure(parts, label=f"{label}: {said}", height=62)


def figure(parts: Sequence[Markup], *, label: str, height: float, css: str | None = None) -> Markup:
    """A figure of full width whose `label` says in words what it shows."""
    return element("svg", *parts, role="img", aria_label=label, width="100%", height=height, class_=css)


def spoken(summary: Summary) -> str:
    """A line of the score table in words, for labels and tooltips."""
    if summary["s_a"] is None:
        return "no scored pair"
    named = (("s_a", summary["s_a"]), ("s_g", summary["s_g"]), ("gap", summary["gap"]))
    return ", ".join(f"{name} {percent(value)} ({interval(summary['ci'].get(name)) or 'no interval'})"
                     for name, value in named)  # fmt: skip


def _at(share: float) -> str:
    return f"{100 * share:.2f}%"


def _empty(y: float) -> Markup:
    return element("text", "no scored pair", x="50%", y=y, text_anchor="middle", class_="empty")


def _title(text: str) -> Markup:
    return element("title", text)


def _grid(height: float) -> Iterator[Markup]:
    for tick in (0, 25, 50, 75, 100):
        yield element("line", x1=f"{tick}%", x2=f"{tick}%", y1=0, y2=height, class_="grid")


def _whisker(bounds: Interval | None, y: float, kind: str) -> list[Markup]:
    if bounds is None:
        return []
    low, high = bounds
    css = f"whisker {kind}"
    line = element("line", _title(f"interval {interval(bounds)}"), x1=_at(low), x2=_at(high), y1=y, y2=y, class_=css)
    ends = [element("line", x1=_at(x), x2=_at(x), y1=y - 3, y2=y + 3, class_=css) for x in (low, high)]
    return [line, *ends]


def _disc(share: float, y: float, said: str) -> Markup:
    return element("circle", _title(said), cx=_at(share), cy=y, r=5.5, class_="mark a")


def _diamond(share: float, y: float, said: str) -> Markup:
    # A nested svg can stand at a percentage; a path cannot.
    path = element("path", _title(said), d="M0 -6.5L6.5 0L0 6.5L-6.5 0Z", class_="mark g")
    return element("svg", path, x=_at(share), y=y, overflow="visible")


def _outline(counts: Sequence[int], top: int, base: float) -> Iterator[Markup]:
    """The steps of a histogram's upper edge, as lines: a path cannot hold percentages."""
    previous = base
    for number, count in enumerate([*counts, 0]):
        x, y = _at(number / len(counts)), base - count / top * 66
        if y != previous:
            yield element("line", x1=x, x2=x, y1=previous, y2=y, class_="outline")
        if number < len(counts) and count:
            yield element("line", x1=x, x2=_at((number + 1) / len(counts)), y1=y, y2=y, class_="outline")
        previous = y
