"""HTML and SVG elements that cannot forget to escape: plain strings are text, only `Markup` is markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from paircomp.report.wording import printable

__all__ = ["Child", "Markup", "element", "join"]


class Markup(str):
    """A string that is already HTML. Made by :func:`element`; everything else is escaped."""

    __slots__ = ()


Child = str | Iterable["Child"] | None

_VOID: Final = frozenset({"meta", "link", "img", "input", "br", "circle", "line", "path", "polygon", "rect"})


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """``<name attributes>children</name>``.

    Args:
        name: of the element.
        children: text (escaped, control characters made visible), `Markup`, iterables of both; None is left out.
        attributes: values are escaped, None leaves the attribute out, numbers are rounded to two decimals; underscores
            become hyphens and a trailing one is dropped (``class_``).

    Example:
        >>> element("td", "a < b", class_="number", data_row=1)
        '<td class="number" data-row="1">a &lt; b</td>'
    """
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """The children one after the other, text escaped."""
    return Markup("".join(_written(child) for child in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(printable(child) if child.strip(" \n") else child)
    return "".join(_written(part) for part in child)


def _name(key: str) -> str:
    return "viewBox" if key == "viewbox" else key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(printable(value))
    return f"{value:.2f}".rstrip("0").rstrip(".")
