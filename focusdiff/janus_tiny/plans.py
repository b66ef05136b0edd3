"""How the image tokenizer of the small Janus is fitted, readable without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ImageTokenizerPlan", "Stretch"]

_WARM_UP = 20


@dataclass(frozen=True)
class Stretch:
    """One stretch of it.

    Attributes:
        steps: updates of the weights.
        pictures: of one step.
        rate: the highest learning rate; it rises over 20 steps and falls to zero along half a cosine.
    """

    steps: int
    pictures: int
    rate: float

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from zero."""
        return self.rate * min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("steps", "pictures"):
            if getattr(self, name) < 1:
                yield f"{name}: expected a count from 1, got {getattr(self, name)}"


@dataclass(frozen=True)
class ImageTokenizerPlan:
    """All of it.

    Attributes:
        encoder: encoder and codebook, until each patch has its code.
        decoder: the decoder, on absolute and squared errors.
        sharpen: the encoder again, its codebook fixed, until it errs on none of a hundred thousand patches.
        finish: the decoder again, on squared errors alone, in bfloat16 where its operations allow. It takes many steps:
            convolutions over copied neighbours cannot tell which pixel of a patch they draw, and learn it from the
            borders inwards.
        seed: of the scenes.
    """

    encoder: Stretch = Stretch(300, 32, 3e-3)
    sharpen: Stretch = Stretch(500, 32, 1e-3)
    decoder: Stretch = Stretch(900, 32, 3e-3)
    finish: Stretch = Stretch(4000, 32, 1e-3)
    seed: int = 0
