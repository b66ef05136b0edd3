"""A generator in one file, without a package.

paircomp eval --plugin own_adapter.py --model noise --suite shapes --limit 12
"""

import random
from collections.abc import Iterator, Sequence

from PIL import Image

from paircomp import Generated, GenerationRequest, ModelSpec


class Noise:
    """Draws noise: each image from its prompt and seed alone."""

    def __init__(self, side: int) -> None:
        self._side = side

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One answer per request, in any order."""
        for request in requests:
            if "@" in request.prompt:
                yield Generated(request.key, unscored="refused: no addresses")
                continue
            pixels = random.Random(f"{request.prompt}/{request.seed}").randbytes(3 * self._side**2)
            yield Generated(request.key, Image.frombytes("RGB", (self._side, self._side), pixels))

    def close(self) -> None:
        """Free the device."""


def noise(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, side: int = 64) -> Noise:
    """Draws noise; the stand-in for a model of your own.

    Args:
        checkpoint: weights to load, here none.
        device: where to load them.
        dtype: their number format.
        side: width and height in pixels; an option, given with ``-o side=128``.
    """
    return Noise(side)


GENERATORS = {"noise": noise}
MODELS = [ModelSpec(name="noise", adapter="noise", recipe={"side": 64}, suite="shapes", description="draws noise")]
