"""The funnel as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["funnel_lines"]

_REASONS_SHOWN = 6


def funnel_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The funnel, its reasons below each stage, then the subtasks.

    Args:
        report: what ``funnel.json`` holds.
    """
    yield f"{'stage':<46}{'entered':>10}{'left':>10}"
    yield f"{'source ' + report['source']:<46}{'':>10}{report['records']:>10,}"
    for stage in report["stages"]:
        yield f"{stage['stage']:<46}{stage['entered']:>10,}{stage['left']:>10,}"
        reasons = list(stage["reasons"].items())
        for reason, count in reasons[:_REASONS_SHOWN]:
            yield f"  {_short(reason):<44}{'-' + format(count, ','):>10}"
        if rest := reasons[_REASONS_SHOWN:]:
            said = f"{len(rest)} more reasons"
            yield f"  {said:<44}{'-' + format(sum(count for _, count in rest), ','):>10}"
        if stage["undecided"]:
            yield f"  {'undecided, asked again next time':<44}{'-' + format(stage['undecided'], ','):>10}"
    yield from _notes(report)
    yield ""
    yield f"{'subtask':<26}{'pairs':>10}{'rows':>10}{'share':>10}"
    for name, said in report["subtasks"].items():
        yield f"{name:<26}{said['pairs']:>10,}{said['rows']:>10,}{100 * said['share']:>9.1f}%"


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    if report["regenerated"]:
        yield f"{report['regenerated']:,} captions written a second time, {report['rescued']:,} of them kept"
    if report["open"]:
        yield f"{report['open']:,} records have not been through all stages yet"
    for name in report["guard"]["missing"]:
        yield f"the contamination guard could not run against suite {name!r}"


def _short(text: str) -> str:
    return text if len(text) <= 44 else f"{text[:43]}…"
