"""Whether a judge is the one whose score trained a model, under whatever name."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["trained_on"]

#: What changes the question, the view or the arithmetic, and not the weights.
_VARIANT: Final = re.compile(r"-(exact|448px|reward|paper|edit|decomposed|questions)$")
#: Judges that take any checkpoint of their family, and the names of those checkpoints' own judges.
_ANY_OF_FAMILY: Final = {
    "internvl": re.compile(r"internvl\d+(\.\d+)?-\d+b"),
    "qwen-vl": re.compile(r"qwen\d+(\.\d+)?-vl-\d+b"),
}


def trained_on(trained_with: str | None, judge: str) -> bool:
    """Whether `judge` has, or may have, the weights of the judge that rewarded a model in training.

    Variants of one family and size share their weights. A judge that loads any checkpoint of its family may have loaded
    the same ones, so that it counts as the same judge.

    Args:
        trained_with: the judge whose score was the training reward; ``None`` where there was none.
        judge: the judge in question.

    Example:
        >>> trained_on("internvl2.5-26b", "internvl2.5-26b-exact"), trained_on("internvl", "internvl-tiny")
        (True, False)
    """
    if trained_with is None:
        return False
    first, second = _weights(trained_with), _weights(judge)
    return first == second or _may_load(first, second) or _may_load(second, first)


def _weights(judge: str) -> str:
    return _VARIANT.sub("", judge)


def _may_load(judge: str, weights: str) -> bool:
    family = _ANY_OF_FAMILY.get(judge)
    return family is not None and family.fullmatch(weights) is not None
