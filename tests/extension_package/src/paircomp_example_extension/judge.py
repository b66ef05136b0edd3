"""A judge that compares the mean colour of an image with the colour of the prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from paircomp.runtime.capabilities import declares
from paircomp.types import Judgement, JudgeRequest
from paircomp_example_extension.colours import Colour, colour_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ColourJudge", "example_colour"]

_HALVED_BY = 0.2


@declares(cross_by_default=True)  # asking about the pair's other prompt too costs nothing
def example_colour(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> ColourJudge:
    """Scores how near the image's mean colour is to that of the prompt's hash; needs no weights.

    Args:
        checkpoint: none is needed.
        device: any; there is nothing to put on it.
        dtype: any; there are no weights.
    """
    del checkpoint, device, dtype
    return ColourJudge()


class ColourJudge:
    """The score is 1 for the prompt's very colour, and halves with each fifth of the range that the mean is off."""

    identity = {"rule": "example-colour/1"}

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question; the image of a request is looked at once."""
        for request in requests:
            seen = mean_colour(request.images[0])
            for question in request.questions:
                distance = colour_distance(seen, colour_of(question.prompt))
                yield Judgement(
                    request.key,
                    question.judged_prompt,
                    score=0.5 ** (distance / _HALVED_BY),
                    evidence={"mean_colour": list(seen), "distance": round(distance, 4)},
                )

    def close(self) -> None:
        """Nothing to free."""


def mean_colour(image: Image) -> Colour:
    """Mean of each channel, rounded."""
    from PIL import ImageStat

    red, green, blue = ImageStat.Stat(image.convert("RGB")).mean
    return round(red), round(green), round(blue)


def colour_distance(one: Colour, other: Colour) -> float:
    """Root mean square difference of the channels, in [0, 1]."""
    return math.dist(one, other) / (255 * math.sqrt(3))
