"""The score table as a data frame and as CSV: unrounded, one line a subtask, ready to be stacked over runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paircomp.report.schema import ContrastScores, Interval, Report, Summary
from paircomp.report.wording import CONTRASTS, METRICS, average_over

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

__all__ = ["csv_text", "subtask_table", "to_csv"]

#: A spreadsheet takes a text that begins so for a formula, which may run a program or call an address.
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def subtask_table(report: Report) -> DataFrame:
    """One line per subtask, then one of `kind` ``average`` (macro) and one of `kind` ``pair_weighted``.

    Columns: ``model, suite, suite_digest, samples, judge, unscored_reading, kind, subtask, pairs``; each of ``s_a, s_g,
    gap, full_pass`` with its ``_low`` and ``_high``; ``zeros``; ``images, scored, unscored`` (missing for the last two
    lines); ``contrast_text, contrast_image, contrast_group`` with bounds where the run has them; ``subtasks`` that an
    average is over and ``suite_subtasks``, all there are. Scores lie in [0, 1];
    a value that does not exist is missing (NaN in the frame, empty in CSV).
    """
    import pandas as pd

    frame = pd.DataFrame(_records(report))
    counts = ["pairs", "zeros", "images", "scored", "unscored", "subtasks", "suite_subtasks"]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def to_csv(report: Report) -> str:
    """:func:`subtask_table` as CSV text with a header line, floats written so that they read back exactly."""
    return csv_text(subtask_table(report))


def csv_text(frame: DataFrame) -> str:
    """A frame as CSV with a header line; texts that a spreadsheet would take for a formula get a ``'`` before them.

    Numbers stay as they are, negative ones too.
    """
    from pandas.api.types import is_numeric_dtype

    texts = [name for name, column in frame.items() if not is_numeric_dtype(column)]
    safe = frame.assign(**{str(name): frame[name].map(_no_formula) for name in texts})
    return safe.rename(columns=_no_formula).to_csv(index=False, lineterminator="\n")


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A bare carriage return is not quoted, and some readers begin a new line at it.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if value.startswith(_BEGINS_A_FORMULA) else text


def _records(report: Report) -> list[dict[str, Any]]:
    run = {
        "model": report["generator"]["model"],
        "suite": report["suite"]["name"],
        "suite_digest": report["suite"]["digest"],
        "samples": report["suite"]["samples"],
        "judge": report["judge"]["name"],
        "unscored_reading": report["unscored_reading"],
    }
    contrast = report.get("contrast")
    by_subtask = contrast["subtasks"] if contrast else {}
    lines: list[tuple[str, str | None, Summary, ContrastScores | None]] = [
        ("subtask", name, summary, by_subtask.get(name)) for name, summary in report["subtasks"].items()
    ]
    lines += [
        ("average", None, report["average"], contrast["average"] if contrast else None),
        ("pair_weighted", None, report["pair_weighted"], None),
    ]
    return [
        run
        | {"kind": kind, "subtask": name, "pairs": summary["pairs"]}
        | _with_bounds(summary, tuple(METRICS))
        | {"zeros": summary["zeros"]}
        | _counts(report, name)
        | (_with_bounds(scores or {}, CONTRASTS, prefix="contrast_") if contrast else {})
        | _averaged(report, kind)
        for kind, name, summary, scores in lines
    ]


def _with_bounds(values: Mapping[str, Any], names: tuple[str, ...], *, prefix: str = "") -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name in names:
        bounds: Interval | None = values.get("ci", {}).get(name)
        low, high = bounds or (None, None)
        cells |= {prefix + name: values.get(name), f"{prefix}{name}_low": low, f"{prefix}{name}_high": high}
    return cells


def _averaged(report: Report, kind: str) -> dict[str, int | None]:
    over, whole = average_over(report) if kind == "average" else (None, None)
    return {"subtasks": over, "suite_subtasks": whole}


def _counts(report: Report, subtask: str | None) -> dict[str, int | None]:
    counts = report["coverage"]["by_subtask"].get(subtask) if subtask is not None else None
    return {
        "images": counts["images"] if counts else None,
        "scored": counts["scored"] if counts else None,
        "unscored": counts["unscored"] if counts else None,
    }
