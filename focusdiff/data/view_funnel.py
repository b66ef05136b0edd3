"""The funnel on the page: a bar per stage, as long as what it left, with the reasons below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paircomp.report.elements import Markup, element, join

__all__ = ["funnel_section"]

_TITLES = {"screen": "Screened", "caption": "Captioned", "verify": "Verified", "contamination": "Guarded",
           "duplicates": "Without duplicates"}  # fmt: skip
_REASONS_SHOWN = 5


def funnel_section(funnel: Mapping[str, Any]) -> Markup:
    """How many records each stage left, and why the others went.

    Args:
        funnel: what ``funnel.json`` holds.
    """
    whole = max(1, funnel["records"])
    source = _line(f"Source {funnel['source']}", funnel["records"], whole, None)
    stages = (_line(_TITLES[stage["stage"]], stage["left"], whole, stage) for stage in funnel["stages"])
    return element(
        "section",
        element("h2", "The funnel"),
        element("p", _lead(funnel), class_="lead"),
        element("ol", source, stages, class_="funnel"),
        (element("p", f"The contamination guard did not run against the suite {name}.", class_="note")
         for name in funnel["guard"]["missing"]),
    )  # fmt: skip


def _lead(funnel: Mapping[str, Any]) -> str:
    share = 100 * funnel["pairs"] / max(1, funnel["records"])
    said = f"{funnel['pairs']:,} of {funnel['records']:,} records became pairs ({share:.1f} %)"
    said += f", {funnel['rows']:,} rows with repeats for balance." if funnel["rows"] != funnel["pairs"] else "."
    if funnel["regenerated"]:
        said += f" {funnel['regenerated']:,} had their captions written twice; {funnel['rescued']:,} of them were kept."
    return said


def _line(title: str, left: int, whole: int, stage: Mapping[str, Any] | None) -> Markup:
    reasons = (
        element("ul", _reasons(stage), class_="reasons") if stage and (stage["reasons"] or stage["undecided"]) else None
    )
    bar = element("div", element("div", class_="fill", style=f"width:{100 * left / whole:.2f}%"), class_="track-bar")
    return element(
        "li",
        element("span", title, class_="stage"),
        bar,
        element("b", f"{left:,}", class_="number"),
        reasons,
    )


def _reasons(stage: Mapping[str, Any]) -> Iterator[Markup]:
    found = list(stage["reasons"].items())
    for reason, count in found[:_REASONS_SHOWN]:
        yield _reason(count, reason)
    if rest := found[_REASONS_SHOWN:]:
        yield _reason(sum(count for _, count in rest), f"{len(rest)} more reasons")
    if stage["undecided"]:
        yield _reason(stage["undecided"], "undecided, asked again next time")


def _reason(count: int, reason: str) -> Markup:
    return element("li", join(element("b", f"\u2212{count:,}"), " ", reason))
