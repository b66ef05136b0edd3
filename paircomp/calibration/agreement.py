"""Do two judges agree: Krippendorff's alpha, rank agreement, and the images that they see most differently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paircomp.scoring import PASS_MARK

__all__ = ["agreement", "krippendorff_alpha", "rank_agreement"]

Floats = NDArray[np.float64]
_DISAGREEMENTS = 10


def krippendorff_alpha(first: Floats, second: Floats) -> float:
    """Krippendorff's alpha of two raters for interval data; for zeros and ones it equals the nominal one.

    ``1 - D_o / D_e``: observed disagreement (mean squared difference within units) over the one expected by chance
    (mean squared difference between all values). 1 is perfect, 0 is chance, below 0 is worse than chance. Krippendorff,
    Content Analysis, 2nd ed. (2004), chapter 11.

    Args:
        first: ``[n]``, no NaN.
        second: ``[n]``, the other rater on the same units.

    Returns:
        NaN for fewer than two units, or where all values are equal and nothing can be said.
    """
    if first.size < 2:
        return math.nan
    expected = 2 * float(np.concatenate([first, second]).var(ddof=1))
    return 1 - float(((first - second) ** 2).mean()) / expected if expected > 0 else math.nan


def rank_agreement(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; NaN where a rater gives everything the same score."""
    from scipy.stats import rankdata

    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def agreement(first: Floats, second: Floats, units: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Two judges on the same units.

    Args:
        first: ``[n]``, scores of one judge; NaN where unscored.
        second: ``[n]``, the other's.
        units: what each unit is, as JSON values.

    Returns:
        how many units both scored, alpha of the scores and of yes or no (score of at least 0.5), rank agreement, both
        means, and the units with the largest differences, the largest first.
    """
    both = np.flatnonzero(~(np.isnan(first) | np.isnan(second)))
    a, b = first[both], second[both]
    order = both[np.argsort(-np.abs(a - b), kind="stable")][:_DISAGREEMENTS]
    yes_or_no = [(scores >= PASS_MARK).astype(np.float64) for scores in (a, b)]
    return {
        "items": int(both.size),
        "alpha_scores": _plain(krippendorff_alpha(a, b)),
        "alpha_yes_no": _plain(krippendorff_alpha(*yes_or_no)),
        "rank_correlation": _plain(rank_agreement(a, b)),
        "means": [_plain(float(a.mean())), _plain(float(b.mean()))] if both.size else [None, None],
        "disagreements": [
            {**units[place], "scores": [float(first[place]), float(second[place])]} for place in order.tolist()
        ],
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
