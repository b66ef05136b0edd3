"""How the image tokenizer of the small Janus is fitted, readable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ImageTokenizerPlan"]


@dataclass(frozen=True)
class ImageTokenizerPlan:
    """How the image tokenizer is fitted.

    Attributes:
        encoder_steps: updates of encoder and codebook, in float32.
        encoder_pictures: of one step.
        decoder_steps: updates of the decoder, in bfloat16 where its operations allow. It takes many: convolutions over
            copied neighbours cannot tell which pixel of a patch they draw, and learn it from the borders inwards.
        decoder_pictures: of one step.
        rate: the highest learning rate; it rises over 20 steps and falls to zero along a cosine.
        seed: of the scenes.
    """

    encoder_steps: int = 300
    encoder_pictures: int = 32
    decoder_steps: int = 7000
    decoder_pictures: int = 16
    rate: float = 3e-3
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step of so many."""
        return self.rate * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
