"""How the image tokenizer of the small Janus is fitted, readable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ImageTokenizerPlan"]


@dataclass(frozen=True)
class ImageTokenizerPlan:
    """How the image tokenizer is fitted.

    Attributes:
        encoder_steps: updates of encoder and codebook.
        decoder_steps: updates of the decoder.
        pictures: of one step.
        rate: the highest learning rate; it rises over 20 steps and falls to zero along a cosine.
        seed: of the scenes.
    """

    encoder_steps: int = 300
    decoder_steps: int = 900
    pictures: int = 32
    rate: float = 3e-3
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step of so many."""
        return self.rate * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
