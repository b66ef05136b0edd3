"""The plot of s_g against s_a: what a model can do against how steadily it does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paircomp.report.elements import Markup, element
from paircomp.report.plots import figure, spoken
from paircomp.report.schema import Summary
from paircomp.report.wording import Row

__all__ = ["scatter"]

_HEIGHT = 380.0
_LABEL_GAP = 18.0  # pixels between the labels beside the plot
_LABEL_LENGTH = 20


class _Plane:
    """Maps shares in [low, 1] to the plot: percentages across, pixels down."""

    def __init__(self, low: float) -> None:
        self.low = low

    def x(self, share: float) -> str:
        return f"{100 * (max(share, self.low) - self.low) / (1 - self.low):.2f}%"

    def y(self, share: float) -> float:
        return _HEIGHT * (1 - (max(share, self.low) - self.low) / (1 - self.low))


def scatter(rows: Sequence[Row]) -> Markup:
    """s_g against s_a, one disc a line: the farther below the diagonal, the larger the gap.

    Both axes cover the same range, from the tenth below the lowest interval to 100. Labels stand in a column to the
    right, spread so that they never overlap, each joined to its disc.
    """
    shown = [row for row in rows if row.summary["s_a"] is not None and row.summary["s_g"] is not None]
    plane = _Plane(min(int(10 * min((_lowest(row.summary) for row in shown), default=0.0)) / 10, 0.8))
    parts = [*_grid(plane), *_labels(shown, plane), *_points(shown, plane)]
    said = "; ".join(f"{row.title}: {spoken(row.summary)}" for row in shown)
    return figure(parts, label=f"s_g against s_a. {said}", height=_HEIGHT, css="scatter")


def _lowest(summary: Summary) -> float:
    bounds = summary["ci"].get("s_g")
    return bounds[0] if bounds else _place(summary)[1]


def _place(summary: Summary) -> tuple[float, float]:
    return summary["s_a"] or 0.0, summary["s_g"] or 0.0


def _grid(plane: _Plane) -> Iterator[Markup]:
    for tenth in range(round(plane.low * 10), 11):
        x, y = plane.x(tenth / 10), plane.y(tenth / 10)
        yield element("line", x1=x, x2=x, y1=0, y2=_HEIGHT, class_="grid")
        yield element("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid")
        yield element("text", f"{10 * tenth}", x=x, y=_HEIGHT + 16, text_anchor="middle", class_="tick-label")
        yield element("text", f"{10 * tenth}", x=-8, y=y + 4, text_anchor="end", class_="tick-label")
    for gap in (0.0, 0.1, 0.2):
        start = plane.x(plane.low + gap)
        css = "iso" if gap else "diagonal"
        yield element("line", x1=start, x2="100%", y1=_HEIGHT, y2=plane.y(1 - gap), class_=css)
        said = f"gap {100 * gap:.0f}" if gap else "no gap"
        yield element("text", said, x=start, dx=19, y=_HEIGHT - 3, class_="tick-label gap-label")


def _points(rows: Sequence[Row], plane: _Plane) -> Iterator[Markup]:
    for row in rows:
        yield from _cross(row.summary, plane)
    for row in rows:
        a, g = _place(row.summary)
        css = "mark average" if row.kind == "average" else "mark both"
        said = element("title", f"{row.title}: {spoken(row.summary)}")
        yield element("circle", said, cx=plane.x(a), cy=plane.y(g), r=5.5, class_=css)


def _cross(summary: Summary, plane: _Plane) -> Iterator[Markup]:
    a, g = _place(summary)
    if across := summary["ci"].get("s_a"):
        left, right = (plane.x(bound) for bound in across)
        yield element("line", x1=left, x2=right, y1=plane.y(g), y2=plane.y(g), class_="whisker cross")
    if down := summary["ci"].get("s_g"):
        low, high = (plane.y(bound) for bound in down)
        yield element("line", x1=plane.x(a), x2=plane.x(a), y1=low, y2=high, class_="whisker cross")


def _labels(rows: Sequence[Row], plane: _Plane) -> Iterator[Markup]:
    for row, y in _spread(rows, plane):
        a, g = _place(row.summary)
        yield element("line", x1=plane.x(a), x2="100%", y1=plane.y(g), y2=y, class_="leader")
        title = (
            row.title if len(row.title) <= _LABEL_LENGTH else f"{row.title[: _LABEL_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
        )
        css = "point-label strong" if row.kind == "average" else "point-label"
        yield element("text", title, x="100%", dx=8, y=y + 4, class_=css)


def _spread(rows: Sequence[Row], plane: _Plane) -> Iterator[tuple[Row, float]]:
    """Heights of the labels: near their points, at least a label apart, centred where they crowd."""
    ordered = sorted(rows, key=lambda row: -_place(row.summary)[1])
    heights = [plane.y(_place(row.summary)[1]) for row in ordered]
    for _ in range(200):  # settles in a few rounds; the bound keeps a strange report from hanging
        moved = False
        for upper in range(len(heights) - 1):
            lack = _LABEL_GAP - (heights[upper + 1] - heights[upper])
            if lack > 0.5:
                heights[upper], heights[upper + 1] = heights[upper] - lack / 2, heights[upper + 1] + lack / 2
                moved = True
        if not moved:
            break
    yield from zip(ordered, heights, strict=True)
