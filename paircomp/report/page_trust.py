"""The sections of the report page that say how far its numbers can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paircomp.report.elements import Markup, element
from paircomp.report.panels import panel_page
from paircomp.report.plots import figure
from paircomp.report.schema import Report
from paircomp.report.trust import calibration_panels, held_out_panel
from paircomp.report.wording import percent

__all__ = ["calibration_sections", "reliability_plot", "trust_sections"]

_HEIGHT, _BASE = 214.0, 190.0
_SCALE = 180.0


def trust_sections(report: Report) -> Iterator[Markup]:
    """Held-out judge and calibration, where the report has them."""
    if panel := held_out_panel(report):
        yield panel_page(panel)
    calibration = report.get("calibration")
    if calibration:
        yield from calibration_sections(calibration)


def calibration_sections(calibration: Mapping[str, Any]) -> Iterator[Markup]:
    """The tables of a calibration; the reliability plot stands with the accuracy."""
    for number, panel in enumerate(calibration_panels(calibration)):
        yield panel_page(panel, reliability_plot(calibration["reliability"]) if number == 1 else None)


def reliability_plot(bins: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Mean score (across) against the share of questions whose right answer is yes (up); None without any score.

    On the diagonal a score is a probability. Discs grow with the number of answers.
    """
    filled = [row for row in bins if row["items"]]
    if not filled:
        return None
    most = max(row["items"] for row in filled)
    parts = [*_grid(), *(_disc(row, most) for row in filled)]
    said = "; ".join(f"{row['items']} answers of mean score {percent(row['score'])}: {percent(row['yes'])} yes"
                     for row in filled)  # fmt: skip
    plot = figure(parts, label=f"Reliability: {said}", height=_HEIGHT)
    axes = element("figcaption", "score across, share of right answers that are yes up, in percent; dotted: a score "
                   "that is a probability", class_="muted axes")  # fmt: skip
    return element("figure", plot, axes, class_="reliability")


def _grid() -> Iterator[Markup]:
    for tick in (0, 25, 50, 75, 100):
        y = _up(tick / 100)
        yield element("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid")
        yield element("line", x1=f"{tick}%", x2=f"{tick}%", y1=_up(1), y2=_BASE, class_="grid")
        yield element("text", str(tick), x=f"{tick}%", y=_BASE + 17, text_anchor="middle", class_="tick-label")
    yield element("line", x1="0%", x2="100%", y1=_up(0), y2=_up(1), class_="iso")


def _up(share: float) -> float:
    return _BASE - share * _SCALE


def _disc(row: Mapping[str, Any], most: int) -> Markup:
    said = f"{row['items']} answers, mean score {percent(row['score'])}, {percent(row['yes'])} yes"
    radius = 4 + 7 * (row["items"] / most) ** 0.5
    return element("circle", element("title", said), cx=f"{100 * row['score']:.2f}%", cy=_up(row["yes"]), r=radius,
                   class_="mark a")  # fmt: skip
