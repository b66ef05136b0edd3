"""``paircomp compare``: is one run better than another, and is it safe to say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from paircomp.comparison import Comparison

__all__ = ["compare_command"]


class Margin(click.ParamType[float]):
    """A difference of scores: 0.01 is one point of a hundred."""

    name = "X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what cannot be a difference of scores in [0, 1]."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"expected a number such as 0.01 (one point of a hundred), got {value!r}", param, ctx)
        if not 0 <= number < 1:
            self.fail(f"expected a difference of scores in [0, 1), such as 0.01 for one point, got {value}", param, ctx)
        return number


@click.command("compare", short_help="Paired differences of two runs, with gates for CI.")
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option("--judge", metavar="NAME", help="Whose scores; default the only judge, or the suite's own.")
@click.option("--fail-if-worse", type=Margin(), help="Exit 3 when B is surely worse than A by more than X (macro s_g).")
@click.option("--require-not-worse", type=Margin(), help="Exit 3 unless B is surely not worse than A by X (macro s_g).")
@click.option("--alpha", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.05, show_default=True,
              help="Error rate of intervals, tests and gates.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as one JSON object.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def compare_command(first: Path, second: Path, **given: Any) -> None:
    """Compare run B with run A on the pairs that both have; differences are B minus A.

    \b
      paircomp compare runs/base runs/tuned
      paircomp compare runs/main runs/candidate --fail-if-worse 0.01
    """
    from paircomp.comparison import fail_if_worse, require_not_worse
    from paircomp.errors import GateError
    from paircomp.evaluation import load_run

    comparison = load_run(first).compare(load_run(second), judge=given["judge"], alpha=given["alpha"])
    _show(comparison, as_json=given["as_json"])
    margin = given["fail_if_worse"]
    if margin is not None and fail_if_worse(comparison, margin):
        raise GateError(f"{second} is worse than {first} by more than {margin} (macro s_g, alpha {given['alpha']})")
    margin = given["require_not_worse"]
    if margin is not None and not require_not_worse(comparison, margin):
        raise GateError(f"{second} was not shown to be within {margin} of {first} (macro s_g, alpha {given['alpha']})")


def _show(comparison: Comparison, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(comparison.to_json(), allow_nan=False))
        return
    from rich.console import Console

    from paircomp.report.comparison_table import render_comparison

    Console(highlight=False).print(render_comparison(comparison.to_json()))
