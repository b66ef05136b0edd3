"""Pieces that the sections of the report page share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from paircomp.report.elements import Markup, element, join
from paircomp.report.plots import interval_bar
from paircomp.report.schema import Interval
from paircomp.report.wording import (
    interval,
    percent,
)

__all__ = ["KINDS", "caption", "definitions", "framed_table", "score_heads", "section", "symbol", "value_cell"]

KINDS: Final[Mapping[str, str]] = {"s_a": "a", "s_g": "g", "gap": "gap", "full_pass": "pass"}
"""Colour class of each mean in the style sheet."""


def section(title: str, *children: Markup | Iterator[Markup] | None, lead: Markup | str | None = None) -> Markup:
    """A section with its heading and a muted line below it."""
    caption = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), caption, *children)


def caption(text: str) -> Markup | None:
    """A muted line, nothing for an empty text."""
    return element("p", text, class_="muted") if text else None


def symbol(metric: str) -> Markup | str:
    """s_a and s_g as the paper writes them; other names with spaces."""
    if metric in {"s_a", "s_g"}:
        return element("span", "s", element("sub", metric[-1]), class_="symbol")
    return metric.replace("_", " ")


def score_heads() -> list[Markup | str]:
    """Column heads of the four means."""
    return [symbol("s_a"), symbol("s_g"), "Gap", "Full pass"]


def framed_table(
    heads: Sequence[Markup | str], lines: Iterable[Markup], *, label: str, numbers: slice = slice(1, None)
) -> Markup:
    """A table in a region that scrolls; `numbers` are the right-aligned columns."""
    right = range(len(heads))[numbers]
    titles = (
        element("th", head, scope="col", class_="number" if place in right else None)
        for place, head in enumerate(heads)
    )
    table = element("table", element("thead", element("tr", titles)), element("tbody", lines))
    # A focusable region lets the keyboard scroll a table that is wider than the screen.
    return element("div", table, class_="table", role="region", aria_label=label, tabindex="0")


def value_cell(value: float | None, bounds: Interval | None, kind: str) -> Markup:
    """A value in percent, its interval below, and a bar."""
    written = element("span", interval(bounds), class_="muted interval") if bounds else None
    bar = None if kind == "gap" else interval_bar(value, bounds, kind)  # gaps are small: a 0 to 100 scale hides them
    return element("td", element("b", percent(value)), written, bar, class_="number")


def definitions(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Terms and texts in two columns."""
    return element("dl", (join(element("dt", key), element("dd", text)) for key, text in pairs), class_="facts")
