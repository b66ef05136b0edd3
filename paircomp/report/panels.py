"""Panels: plain tables with a title and a line above them, which every renderer shows alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paircomp.report.elements import Markup, element
from paircomp.report.page_parts import caption, framed_table, section
from paircomp.report.wording import MISSING, printable

__all__ = ["Panel", "panel_page", "panel_text", "signed"]


class Panel(NamedTuple):
    """A table for people.

    Attributes:
        title: heading.
        lead: what the table tells, in a sentence.
        heads: column heads; all but the first column hold numbers.
        lines: cells; strings of the report, not yet escaped.
        caption: a line below.
    """

    title: str
    lead: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str = ""


def panel_text(panel: Panel) -> RenderableType:
    """For a terminal; no string is read as markup."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    for number, head in enumerate(panel.heads):
        table.add_column(Text(printable(head)), justify="right" if number else "left", overflow="fold")
    for line in panel.lines:
        table.add_row(*(Text(printable(cell)) for cell in line))
    above = [Text(), Text(printable(panel.title), style="bold"), Text(printable(panel.lead), style="dim")]
    below = [Text(printable(panel.caption), style="dim")] if panel.caption else []
    return Group(*above, *([table] if panel.lines else []), *below)


def panel_page(panel: Panel, *figures: Markup | None) -> Markup:
    """A section of the report page: figures first, then the table."""
    table = framed_table(list(panel.heads), map(_line, panel.lines), label=panel.title) if panel.lines else None
    return section(panel.title, *figures, table, caption(panel.caption), lead=panel.lead)


def _line(cells: Sequence[str]) -> Markup:
    first, *others = cells
    numbers = (element("td", cell, class_="number") for cell in others)
    return element("tr", element("th", first, scope="row"), numbers)


def signed(value: float | None) -> str:
    """A difference of scores in points of a hundred, with its sign; :data:`MISSING` for null.

    Example:
        >>> signed(0.1049)
        '+10.5'
    """
    return MISSING if value is None else f"{100 * value:+.1f}"
