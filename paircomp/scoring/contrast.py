"""Contrast: does the model draw the difference between the two prompts, whatever the level of its scores?

Own scores cannot tell a model that ignores the changed word from one that draws both pictures, if the judge is lenient.
The cross scores (each image held against the *other* prompt) can. Text, image and group score follow Winoground
(Thrush et al., 2022, section 3); here they are averaged over all choices of one sample per prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from paircomp.scoring.pairs import PerPair, ScoreTable

__all__ = ["CHANCE", "ContrastValues", "contrast_values"]

CHANCE: Mapping[str, float] = MappingProxyType({"text": 1 / 4, "image": 1 / 4, "group": 1 / 6})
"""What four scores in random order reach."""


@dataclass(frozen=True, eq=False)
class ContrastValues(PerPair):
    """Contrast of each pair whose own and cross scores are all there.

    Attributes:
        text: ``[N]`` share of the K x K choices in which each image prefers its own prompt to the other.
        image: ``[N]`` share of the choices in which each prompt's own image beats the other image.
        group: ``[N]`` share of the choices in which both hold.
        margin: ``[N]`` mean own score minus mean cross score, in [-1, 1].
    """

    text: NDArray[np.float64]
    image: NDArray[np.float64]
    group: NDArray[np.float64]
    margin: NDArray[np.float64]


def contrast_values(table: ScoreTable) -> ContrastValues | None:
    """Contrast of each pair; ``None`` where no pair has all its cross scores or the suite has no pairs of two prompts.

    Comparisons are strict, so ties fail: a judge or a model that cannot tell the prompts apart earns nothing.
    """
    if table.prompts != 2:
        return None
    order = np.argsort(table.pairs, kind="stable")
    kept = order[~np.isnan(table.scores[order]).any(axis=(1, 2, 3))]
    if kept.size == 0:
        return None
    text, image, group = _wins(_log_odds(table, kept))
    scores = table.scores[kept]
    own = np.einsum("ntkt->n", scores) / (2 * table.samples)
    cross = (scores[:, 0, :, 1] + scores[:, 1, :, 0]).mean(axis=1) / 2
    return ContrastValues(
        pairs=table.pairs[kept],
        subtasks=tuple(table.subtasks[i] for i in kept),
        subtask_names=table.subtask_names,
        text=text,
        image=image,
        group=group,
        margin=own - cross,
    )


def _log_odds(table: ScoreTable, kept: NDArray[np.int64]) -> NDArray[np.float64]:
    """``[N, 2, K, 2]``. Log-odds still order scores that rounding or saturation made equal; logits stand in for them.

    A pair takes one of the two throughout, so that a comparison never mixes them.
    """
    scores = table.scores[kept]
    with np.errstate(divide="ignore"):
        logits = np.log(scores) - np.log1p(-scores)
    if table.log_odds is None:
        return logits
    log_odds = table.log_odds[kept]
    missing = np.isnan(log_odds).any(axis=(1, 2, 3), keepdims=True)
    return np.where(missing, logits, log_odds)


def _wins(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Text, image and group score, each ``[N]``, from ``x [N, 2, K, 2]``."""
    prefers_0 = x[:, 0, :, 0] > x[:, 0, :, 1]  # [N, K] image of prompt 0 prefers its own prompt
    prefers_1 = x[:, 1, :, 1] > x[:, 1, :, 0]  # [N, K]
    text = prefers_0[:, :, None] & prefers_1[:, None, :]  # [N, K, K]: sample of prompt 0, sample of prompt 1
    beats_0 = x[:, 0, :, None, 0] > x[:, 1, None, :, 0]  # [N, K, K] for prompt 0 its own image beats the other
    beats_1 = x[:, 1, None, :, 1] > x[:, 0, :, None, 1]
    image = beats_0 & beats_1
    return tuple(won.mean(axis=(1, 2)) for won in (text, image, text & image))
