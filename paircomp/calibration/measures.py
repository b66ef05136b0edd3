"""How well scores tell yes from no: AUC, accuracy, calibration error, false answers, reliability.

Answers about the images of one pair hang together, so intervals are made by drawing whole clusters anew (bootstrap),
and a measure without any spread still gets the interval that so many clusters deserve, see
:func:`paircomp.statistics.intervals.effective_trials`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.calibration.asking import Answer
from paircomp.scoring import PASS_MARK
from paircomp.statistics.intervals import effective_trials, normal_quantile, score_interval

__all__ = ["auc", "calibration_error", "rate", "reliability", "scores_of", "summarize_answers"]

Floats = NDArray[np.float64]
Measure = Callable[[Floats, NDArray[np.bool_], Floats], float]

BINS = 10
_DRAWS = 1000
_LEVEL = 0.95


def auc(scores: Floats, labels: NDArray[np.bool_], weights: Floats | None = None) -> float:
    """Chance that a yes outscores a no, ties counting half; NaN where either is lacking.

    Args:
        scores: ``[n]``.
        labels: ``[n]``, the right answers.
        weights: ``[n]``, how often each counts; default once.
    """
    weights = np.ones_like(scores) if weights is None else weights
    levels, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights * labels, levels.size)
    no = np.bincount(place, weights * ~labels, levels.size)
    below = np.cumsum(no) - no
    total = yes.sum() * no.sum()
    return float((yes * (below + no / 2)).sum() / total) if total > 0 else math.nan


def reliability(scores: Floats, labels: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Ten equal bins of [0, 1]: how many answers, their mean score, and how often yes was right (null when empty)."""
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows = []
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        rows.append({
            "low": number / BINS, "high": (number + 1) / BINS, "items": count,
            "score": float(scores[inside].mean()) if count else None,
            "yes": float(labels[inside].mean()) if count else None,
        })  # fmt: skip
    return rows


def calibration_error(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance of a bin's mean score from its share of yes, weighted by its answers.

    It depends on how many of the questions should be answered with yes; compare it on the same controls only.
    """
    rows = [row for row in reliability(scores, labels) if row["items"]]
    total = sum(row["items"] for row in rows)
    return sum(row["items"] * abs(row["score"] - row["yes"]) for row in rows) / total if total else math.nan


def scores_of(answers: Sequence[Answer]) -> Floats:
    """``[n]``, NaN where unscored."""
    return np.array([answer.score for answer in answers], dtype=np.float64)


def rate(answers: Sequence[Answer], *, said_yes: bool) -> dict[str, Any]:
    """Share of the scored answers that say yes (score of at least 0.5), or no, with its interval."""
    scored = [answer for answer in answers if not math.isnan(answer.score)]
    hits = np.array([(answer.score >= PASS_MARK) == said_yes for answer in scored], dtype=np.float64)
    value, interval = _with_interval(
        lambda _scores, _labels, weights: _mean(hits, weights), scored_arrays(scored), _clusters(scored)
    )
    return {"items": len(scored), "rate": value, "ci": interval}


def _mean(values: Floats, weights: Floats) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else math.nan


def scored_arrays(answers: Sequence[Answer]) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and right answers, ``[n]`` each."""
    return scores_of(answers), np.array([answer.probe.label for answer in answers], dtype=bool)


def summarize_answers(answers: Sequence[Answer]) -> dict[str, Any]:
    """AUC, accuracy, calibration error and false answers over the scored ones; null where they say nothing."""
    scored = [answer for answer in answers if not math.isnan(answer.score)]
    scores, labels = scored_arrays(scored)
    clusters = _clusters(scored)
    area, area_interval = _with_interval(auc, (scores, labels), clusters)
    right = (scores >= PASS_MARK) == labels
    false_yes = rate([answer for answer in scored if not answer.probe.label], said_yes=True)
    false_no = rate([answer for answer in scored if answer.probe.label], said_yes=False)
    error = calibration_error(scores, labels)
    return {
        "items": len(answers), "scored": len(scored), "unscored": len(answers) - len(scored),
        "auc": area, "auc_ci": area_interval, "accuracy": float(right.mean()) if scored else None,
        "calibration_error": None if math.isnan(error) else error,
        "false_yes": false_yes["rate"], "false_yes_ci": false_yes["ci"],
        "false_no": false_no["rate"], "false_no_ci": false_no["ci"],
    }  # fmt: skip


def _clusters(answers: Sequence[Answer]) -> NDArray[np.int64]:
    """``[n]``, the number of each answer's cluster."""
    if not answers:
        return np.zeros(0, np.int64)
    places: NDArray[np.int64] = np.unique([answer.case.cluster for answer in answers], return_inverse=True)[1]
    return places


def _with_interval(
    measure: Measure, arrays: tuple[Floats, NDArray[np.bool_]], clusters: NDArray[np.int64]
) -> tuple[float | None, list[float] | None]:
    """A measure in [0, 1] with its interval; ``None`` where it does not exist, or has fewer than two clusters."""
    scores, labels = arrays
    value = measure(scores, labels, np.ones_like(scores))
    if math.isnan(value):
        return None, None
    count = int(clusters.max()) + 1
    if count < 2:
        return value, None
    random = np.random.default_rng(0)
    draws = random.multinomial(count, [1 / count] * count, size=_DRAWS).astype(np.float64)  # [draws, clusters]
    redrawn = np.array([measure(scores, labels, times[clusters]) for times in draws])
    redrawn = redrawn[~np.isnan(redrawn)]
    error = float(redrawn.std(ddof=1)) if redrawn.size > 1 else 0.0
    interval = score_interval(value, effective_trials(value, error, count), normal_quantile(0.5 + _LEVEL / 2))
    return value, list(interval)
