"""How far drawn pictures are from any that the shapes world can show: what a judge may miss while its score rises.

A picture is seen (`paircomp.shapes.perception`), the nearest scene is drawn again, and what that drawing does not
explain is counted. The prompt plays no part: a flawless picture of the wrong scene is faithful, and a smudged one of
the right scene is not. So the figure watches for rewards that are won with pictures that look like nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paircomp.shapes.layout import SIDE
from paircomp.shapes.perception import look, to_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Fidelity", "fidelity"]

#: Unexplained pixels from which a picture counts as blemished: the smallest blemish a person sees at once.
_BLEMISHED = 4.0


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Of many pictures.

    Attributes:
        pictures: how many.
        distance: mean share of pixels that the nearest rendered scene leaves unexplained, in [0, 1].
        blemished: share of pictures with at least four such pixels (of 1,024).
        empty: share of pictures that show neither a thing nor a sign.
    """

    pictures: int
    distance: float
    blemished: float
    empty: float

    def to_json(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)


def fidelity(pictures: Iterable[Image]) -> Fidelity | None:
    """Measure pictures of the shapes world, of any size; ``None`` where there are none."""
    count, wrong, blemished, empty = 0, 0.0, 0, 0
    for picture in pictures:
        seen = look(to_pixels(picture))
        count += 1
        wrong += seen.wrong_pixels
        blemished += seen.wrong_pixels >= _BLEMISHED
        empty += not seen.things and seen.sign is None
    if not count:
        return None
    return Fidelity(count, wrong / (count * SIDE * SIDE), blemished / count, empty / count)
