"""A comparison of two runs in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paircomp.report.wording import MISSING, average_title, printable, subtask_title

__all__ = ["render_comparison"]


def render_comparison(comparison: Mapping[str, Any]) -> RenderableType:
    """A Rich renderable of ``paircomp-comparison/1``: s_g and s_a of both runs, the difference, interval and p.

    Scores and differences are shown in points of a hundred. A star marks a difference whose adjusted p is below alpha.
    """
    alpha = comparison["alpha"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("subtask")
    for heading in ("pairs", "A", "B", "B - A", f"{1 - alpha:.0%} interval", "p", "detectable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for measure in ("s_g", "s_a"):
        table.add_row(Text(measure, style="bold"))
        for name, row in comparison["subtasks"].items():
            table.add_row(*_cells(subtask_title(name), row, measure, alpha))
        table.add_row(*_cells(_average_title(comparison), comparison["average"], measure, alpha), end_section=True)
    return Group(*_head(comparison), table, *_foot(comparison))


def _average_title(comparison: Mapping[str, Any]) -> str:
    subtasks = len(comparison["subtasks"])
    return average_title(subtasks, comparison.get("suite_subtasks") or subtasks)


def _head(comparison: Mapping[str, Any]) -> Iterator[Text]:
    for notice in comparison.get("notices", ()):
        yield Text(f"! {printable(notice)}", style="bold yellow")
    names = comparison["names"]
    yield Text(f"A  {printable(names['a'])}")
    yield Text(f"B  {printable(names['b'])}")
    pairs = comparison["pairs"]
    if comparison.get("partial"):
        yield Text(f"PARTIAL: {pairs['matched']} of {comparison['suite_pairs']} pairs", style="bold yellow")
    if pairs["only_a"] or pairs["only_b"]:
        yield Text(f"compared on {pairs['matched']} pairs scored in both; left out: {pairs['only_a']} only in A, "
                   f"{pairs['only_b']} only in B", style="yellow")  # fmt: skip
    yield Text()


def _cells(title: str, row: Mapping[str, Any], measure: str, alpha: float) -> list[Text]:
    said = row[measure]
    p = said["p_holm"] if said["p_holm"] is not None else said["p"]
    sure = p is not None and p < alpha
    style = "" if not sure else ("green" if said["difference"] > 0 else "red")
    interval = MISSING if said["ci"] is None else f"{_signed(said['ci'][0])} to {_signed(said['ci'][1])}"
    cells = [title, str(row["pairs"]), _points(said["a"]), _points(said["b"]),
             _signed(said["difference"]) + ("*" if sure else " "), interval,
             MISSING if p is None else _p_value(p), _detectable(said["mde"])]  # fmt: skip
    return [Text(cell, style=style if index == 4 else "") for index, cell in enumerate(cells)]


def _points(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f}"


def _detectable(value: float | None) -> str:
    """No difference of scores reaches more than a hundred points: so few pairs would show none."""
    return ">100" if value is not None and value > 1 else _points(value)


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:+.1f}"


def _p_value(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _foot(comparison: Mapping[str, Any]) -> Iterator[Text]:
    flips = comparison["average"]
    yield Text()
    yield Text(f"pairs that now pass: {flips['newly_passed']}, that now fail: {flips['newly_failed']}")
    yield Text(
        f"Points of a hundred. p: sign flips over pairs, {comparison['draws']:,} draws, Holm over the subtasks (the "
        f"average apart); * p < {comparison['alpha']:g}. detectable: the smallest true difference that these pairs "
        "would show in 80% of such comparisons.",
        style="dim",
    )
