"""Figures of a board as inline SVG: rank intervals, bars per subtask, radars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from paircomp.report.elements import Markup, element
from paircomp.report.plots import spoken
from paircomp.report.schema import Summary
from paircomp.report.wording import percent, subtask_title

__all__ = ["bar", "radar", "rank_strip"]

_SHORT: Mapping[str, str] = {"overall_appearance": "Appearance", "style_tone": "Style & tone"}


def rank_strip(ranks: tuple[int, int], rows: int) -> Markup:
    """A dot for each rank of the board, those within the row's interval filled."""
    step = min(9.0, 72 / max(rows, 1))
    low, high = ranks
    dots = [
        element("circle", cx=step / 2 + step * place, cy=4, r=min(3.0, step / 2.6),
                class_="rank-in" if low <= place + 1 <= high else "rank-out")
        for place in range(rows)
    ]  # fmt: skip
    return element("svg", *dots, width=step * rows, height=8, class_="rank-strip", aria_hidden="true")


def bar(summary: Summary, label: str) -> Markup:
    """s_g as a bar with its interval, s_a as a disc, on a 0 to 100 scale."""
    a, g = summary["s_a"], summary["s_g"]
    parts: list[Markup] = [
        element("line", x1=f"{tick}%", x2=f"{tick}%", y1=0, y2=18, class_="grid") for tick in (0, 25, 50, 75, 100)
    ]
    if a is None or g is None:
        parts.append(element("text", "no scored pair", x="50%", y=13, text_anchor="middle", class_="empty"))
    else:
        parts.append(element("rect", x=0, y=4, height=10, width=f"{100 * g:.2f}%", rx=1.5, class_="bar-g"))
        if bounds := summary["ci"].get("s_g"):
            low, high = (f"{100 * bound:.2f}%" for bound in bounds)
            parts.append(element("line", x1=low, x2=high, y1=9, y2=9, class_="bar-whisker"))
        parts.append(element("circle", cx=f"{100 * a:.2f}%", cy=9, r=4.5, class_="mark a"))
    return element("svg", *parts, role="img", aria_label=f"{label}: {spoken(summary)}", width="100%", height=18)


_RADIUS = 78.0
_SIZE = (290.0, 226.0)


def radar(subtasks: Mapping[str, Summary], label: str) -> Markup:
    """s_g as a filled shape and s_a as an outline over the subtasks, 0 in the middle, 100 at the rim."""
    names = list(subtasks)
    parts = [*_rings(len(names)), *_spokes(names)]
    for metric, css in (("s_g", "radar-g"), ("s_a", "radar-a")):
        values = [subtasks[name][metric] or 0.0 for name in names]  # type: ignore[literal-required]
        parts.append(element("polygon", points=_points(values), class_=css))
    said = "; ".join(f"{subtask_title(name)}: {_both(summary)}" for name, summary in subtasks.items())
    width, height = _SIZE
    return element("svg", *parts, role="img", aria_label=f"{label}. {said}", viewbox=f"0 0 {width:g} {height:g}",
                   class_="radar")  # fmt: skip


def _both(summary: Summary) -> str:
    return f"s_a {percent(summary['s_a'])}, s_g {percent(summary['s_g'])}"


def _place(number: int, of: int, share: float) -> tuple[float, float]:
    angle = 2 * math.pi * number / of - math.pi / 2
    return _SIZE[0] / 2 + _RADIUS * share * math.cos(angle), _SIZE[1] / 2 + _RADIUS * share * math.sin(angle)


def _points(values: Sequence[float]) -> str:
    places = (_place(number, len(values), value) for number, value in enumerate(values))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _rings(count: int) -> Iterator[Markup]:
    for share in (0.25, 0.5, 0.75, 1.0):
        yield element("polygon", points=_points([share] * count), class_="ring")


def _spokes(names: Sequence[str]) -> Iterator[Markup]:
    for number, name in enumerate(names):
        x, y = _place(number, len(names), 1.0)
        yield element("line", x1=_SIZE[0] / 2, y1=_SIZE[1] / 2, x2=x, y2=y, class_="ring")
        label_x, label_y = _place(number, len(names), 1.14)
        side = label_x - _SIZE[0] / 2
        anchor = "middle" if abs(side) < 8 else "start" if side > 0 else "end"
        title = _SHORT.get(name, subtask_title(name))
        short = title if len(title) <= 14 else f"{title[:13]}\N{HORIZONTAL ELLIPSIS}"
        yield element("text", short, x=label_x, y=label_y + 4, text_anchor=anchor, class_="tick-label")
