"""The second opinion in the report: what a held-out judge says of a model that was trained with a judge's score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paircomp.report.local_paths import without_folders
from paircomp.run_store import Run
from paircomp.run_store.held_out import held_out_judge, held_out_obstacle, needs_held_out, read_problem
from paircomp.run_store.score_table import read_judged
from paircomp.scoring import PairValues, ScoreTable, pair_values
from paircomp.statistics import paired_differences
from paircomp.types import Suite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paircomp.statistics import Difference

__all__ = ["build_held_out", "held_out_notice"]

_MEASURES = ("s_a", "s_g")


def build_held_out(
    run: Run, suite: Suite, judge: str, table: ScoreTable, pairs: Sequence[int]
) -> dict[str, Any] | None:
    """Both judges' scores of the pairs that both scored in full, and how they differ.

    Args:
        run: the run.
        suite: its pairs.
        judge: whose scores make the headline.
        table: those scores.
        pairs: positions of the pairs the report speaks of.

    Returns:
        the report's ``held_out`` section; ``None`` where the model was trained with no judge, or the headline is the
        held-out judge's own.
    """
    if not needs_held_out(run, suite, judge):
        return None
    obstacle = held_out_obstacle(run, suite)
    held_out = held_out_judge(run, suite)
    section: dict[str, Any] = {
        "trained_with_judge": run.manifest["trained_with_judge"], "judge": held_out, "identity": None,
        "problem": obstacle, "subtasks": {}, "average": None,
    }  # fmt: skip
    if held_out is not None:
        _compare(section, run, suite, held_out, table, pairs)
    return section


def _compare(
    section: dict[str, Any], run: Run, suite: Suite, held_out: str, table: ScoreTable, pairs: Sequence[int]
) -> None:
    section["problem"] = read_problem(run, held_out)
    if held_out not in run.judges():
        unasked = f"it has not judged this run; next: paircomp judge RUN --judge {held_out}"
        section["problem"] = section["problem"] or unasked
        return
    section["identity"] = without_folders(run.judge(held_out).identity)
    second = pair_values(read_judged(run, suite, held_out, pairs).table)
    first, second_values, counts = _matched(pair_values(table), second)
    if not sum(counts.values()):
        section["problem"] = section["problem"] or "no pair was scored in full by both judges"
        return
    found = paired_differences(second_values, first)
    section["subtasks"] = {
        name: _line(differences, counts[name]) for name, differences in found.strata.items()
    }  # fmt: skip
    section["average"] = _line(found.macro, sum(counts.values()))


_Strata = dict[str, "NDArray[np.float64]"]


def _matched(judge: PairValues, held_out: PairValues) -> tuple[_Strata, _Strata, dict[str, int]]:
    """By subtask: ``[n, 2]`` a and g of the pairs that both judges scored in full, twice, and n."""
    import numpy as np

    both = np.intersect1d(judge.pairs, held_out.pairs)
    strata: list[_Strata] = []
    for values in (judge, held_out):
        kept = np.isin(values.pairs, both)
        columns = np.stack([values.a, values.g], axis=1)
        strata.append({name: columns[rows[kept[rows]]] for name, rows in values.rows().items()})
    return strata[0], strata[1], {name: len(rows) for name, rows in strata[0].items()}


def _line(differences: Sequence[Difference], pairs: int) -> dict[str, Any]:
    measured = zip(_MEASURES, differences, strict=True)
    return {"pairs": pairs, **{name: _measure(difference) for name, difference in measured}}


def _measure(difference: Difference) -> dict[str, Any]:
    return {
        "judge": difference.b, "held_out": difference.a, "difference": difference.difference,
        "ci": None if difference.ci is None else list(difference.ci),
    }  # fmt: skip


def held_out_notice(section: dict[str, Any] | None) -> str | None:
    """What the report says at its top where the second opinion is missing or stopped half-way."""
    if section is None or section["problem"] is None:
        return None
    named = "" if section["judge"] is None else f" {section['judge']}"
    state = "MISSING" if section["average"] is None else "INCOMPLETE"
    return (
        f"HELD-OUT JUDGE{named} {state}: this model was trained with judge {section['trained_with_judge']}, and its "
        f"score stands without a second opinion: {section['problem']}"
    )
