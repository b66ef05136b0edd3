"""A generator that fills the image with the colour of its prompt, moved aside by the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paircomp.errors import ConfigError
from paircomp.types import Generated, GenerationRequest
from paircomp_example_extension.colours import Colour, colour_of

__all__ = ["ColourGenerator", "example_colour"]

_SIDE = 32


def example_colour(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, spread: float = 0.2
) -> ColourGenerator:
    """Fills the image with the colour of the prompt's hash; needs no weights.

    This is the factory. The harness passes the first three arguments to every generator; what follows are options of
    this one, given with ``-o spread=0.5`` and checked against this signature before the call.

    Args:
        checkpoint: none is needed.
        device: any; there is nothing to put on it.
        dtype: any; there are no weights.
        spread: how far the seed may move the colour, as a share of the whole range; 0 makes it perfect.

    Raises:
        ConfigError: `spread` is not in [0, 1].
    """
    del checkpoint, device, dtype
    if not 0 <= spread <= 1:
        raise ConfigError([f"spread: expected a number in [0, 1], got {spread!r}"], where="generator 'example-colour'")
    return ColourGenerator(spread)


class ColourGenerator:
    """Draws each request from its prompt and seed alone, so that batches, order and shards change no picture."""

    def __init__(self, spread: float) -> None:
        self._spread = spread

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image per request; what cannot be drawn would be ``Generated(request.key, unscored="why")``."""
        from PIL import Image

        for request in requests:
            colour = self._colour(request)
            image = Image.new("RGB", (_SIDE, _SIDE), colour)
            yield Generated(request.key, image, metadata={"colour": list(colour)})

    def close(self) -> None:
        """Nothing to free."""

    def _colour(self, request: GenerationRequest) -> Colour:
        meant, aside = colour_of(request.prompt), colour_of(f"seed {request.seed}")
        red, green, blue = (self._moved(value, by) for value, by in zip(meant, aside, strict=True))
        return red, green, blue

    def _moved(self, value: int, by: int) -> int:
        """`value` moved by up to `spread` of the range, to either side; `by` (0 to 255) says how far."""
        return min(255, max(0, round(value + self._spread * (2 * by - 255))))
