"""What a judge said in a run: how often yes to images' own prompts and to swapped ones, and beside another judge.

No label is certain here, for a generator may err: these are rates of saying yes, never accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.calibration.agreement import agreement
from paircomp.run_store import Run
from paircomp.run_store.score_table import read_judged
from paircomp.scoring import PASS_MARK
from paircomp.statistics import mean_interval
from paircomp.types import ImageKey, Suite

__all__ = ["compare_on_run", "response_rates"]


def response_rates(run: Run, suite: Suite, judge: str, pairs: Sequence[int]) -> dict[str, Any]:
    """How often `judge` said yes to the run's images, for their own prompt and for the other of their pair.

    Args:
        run: judged by `judge`; its records are read, nothing is asked anew.
        suite: its pairs.
        judge: whose answers.
        pairs: positions of the pairs looked at.

    Returns:
        ``model``, then ``own`` and ``swapped``: scored answers, share of yes with its interval over pairs, mean score;
        nulls where no swapped prompt was asked about.

    Raises:
        RunError: this judge has not judged the run.
    """
    table = read_judged(run, suite, judge, pairs).table
    prompts = table.prompts
    swapped = table.scores[:, ~np.eye(prompts, dtype=bool)[:, None, :].repeat(table.samples, axis=1)]  # [P, questions]
    own = table.own.reshape(len(table.pairs), prompts * table.samples)
    return {"model": str(run.identity["model"]), "own": _rates(own), "swapped": _rates(swapped)}


def _rates(scores: NDArray[np.float64]) -> dict[str, Any]:
    """From ``[P, questions]``, NaN where unscored or not asked."""
    rows = [row[~np.isnan(row)] for row in scores]
    rows = [row for row in rows if row.size]
    if not rows:
        return {"items": 0, "yes_rate": None, "ci": None, "mean": None}
    by_pair = np.array([float((row >= PASS_MARK).mean()) for row in rows])
    interval = mean_interval(by_pair)
    every = np.concatenate(rows)
    return {
        "items": int(every.size), "yes_rate": float(by_pair.mean()), "ci": None if interval is None else list(interval),
        "mean": float(every.mean()),
    }  # fmt: skip


def compare_on_run(run: Run, suite: Suite, judge: str, other: str, pairs: Sequence[int]) -> dict[str, Any] | None:
    """Two judges' scores of the run's images for their own prompts; ``None`` where the other has not judged the run."""
    if other not in run.judges():
        return None
    tables = [read_judged(run, suite, name, pairs).table for name in (judge, other)]
    first, second = (table.own[np.argsort(table.pairs, kind="stable")] for table in tables)  # [P, T, K]
    rows = np.sort(tables[0].pairs).tolist()
    units = [_unit(suite, ImageKey(rows[row], prompt, sample)) for row, prompt, sample in np.ndindex(first.shape)]
    return agreement(first.reshape(-1), second.reshape(-1), units)


def _unit(suite: Suite, key: ImageKey) -> dict[str, Any]:
    prompts = suite.pairs[key.pair].prompts
    text = prompts[key.prompt] if key.prompt < len(prompts) and suite.prompts_public else None
    return {"image": key.filename, "prompt": text}
