"""How long and how fast a supervised training learns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["SftPlan"]


@dataclass(frozen=True)
class SftPlan:
    """One stretch of supervised training.

    Attributes:
        steps: updates of the weights.
        examples: of one step.
        rate: the highest learning rate.
        warm_up: steps over which the rate rises linearly.
        last_rate: the rate of the last step as a share of the highest; between them it falls along half a cosine.
        optimiser: ``adamw``, or ``muon`` for the matrices inside layers with AdamW for the rest.
        betas: of AdamW.
        weight_decay: of both.
        clip: largest norm of the gradient.
        prompt_dropout: share of the examples whose prompt is replaced by its unconditional twin, which guidance needs.
        ema: decay of the averaged weights that are saved in the end; 0 saves the last ones.
        first: number of the first example.
        seed: of the dropped prompts.
    """

    steps: int
    examples: int
    rate: float
    warm_up: int = 0
    last_rate: float = 0.0
    optimiser: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    clip: float = 1.0
    prompt_dropout: float = 0.1
    ema: float = 0.0
    first: int = 0
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from zero."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.rate * (self.last_rate + (1 - self.last_rate) * 0.5 * (1 + math.cos(math.pi * done)))

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("steps", "examples"):
            if getattr(self, name) < 1:
                yield f"{name}: expected a count from 1, got {getattr(self, name)}"
        if self.rate <= 0:
            yield f"rate: expected a number above 0, got {self.rate}"
        for name in ("prompt_dropout", "ema", "last_rate"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name}: expected a number from 0 to 1, got {getattr(self, name)}"
