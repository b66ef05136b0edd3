"""What a policy thinks of the *right* picture: does training that pushes wrong pictures down take the right one along?

For each pair of a suite of the shapes world both scenes are rendered; the policy's log-probability of each picture is
taken under its own prompt and under the other one, without guidance. A pair's two pictures share most of their tokens,
so a gradient that lowers one lowers both: *likelihood displacement*. The margin between them may grow all the while,
so it is no measure of success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from paircomp.shapes import parse_prompt
from paircomp.shapes.renderer import render

if TYPE_CHECKING:
    from torch import Tensor

    from paircomp.protocols import Policy
    from paircomp.types import PromptPair

__all__ = ["Likelihood", "likelihood"]

_AT_ONCE = 60


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Means over pictures, in nats a picture.

    Attributes:
        right: log-probability of a picture under its own prompt.
        wrong: under the other prompt of its pair.
    """

    right: float
    wrong: float

    @property
    def margin(self) -> float:
        """How much likelier a picture is under its own prompt."""
        return self.right - self.wrong

    def to_json(self) -> dict[str, float]:
        """All fields and the margin by name."""
        return {**asdict(self), "margin": self.margin}


def likelihood(policy: Policy, pairs: Sequence[PromptPair]) -> Likelihood:
    """Take the log-probabilities.

    Args:
        policy: of any weights.
        pairs: of the shapes world, two prompts each.
    """
    prompts, pictures = [], []
    for pair in pairs:
        for prompt in pair.prompts:
            prompts.append(prompt)
            pictures.append(render(parse_prompt(prompt), pair.pair))
    swapped = [prompt for first, second in zip(prompts[::2], prompts[1::2], strict=True) for prompt in (second, first)]
    tokens = policy.encode(pictures)
    right, wrong = (_mean(policy, texts, tokens) for texts in (prompts, swapped))
    return Likelihood(right, wrong)


def _mean(policy: Policy, prompts: Sequence[str], tokens: Tensor) -> float:
    import torch

    total = 0.0
    with torch.no_grad():
        for start in range(0, len(prompts), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            total += float(policy.plain_log_probs(prompts[rows], tokens[rows]).sum())
    return total / len(prompts)
