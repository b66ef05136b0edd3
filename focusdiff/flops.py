"""Floating-point operations of training, counted rather than timed: what arms of an ablation are matched by.

The operations of one member's forward pass are counted by torch's own counter on a few prompts of the run; a step is
then so many of them. A backward pass counts as two forward passes, and drawing a picture token by token as one: each
token passes the model once. The products inside attention are counted where torch's counter knows the kernel (on
accelerators), and left out on CPUs, where they are a twentieth of the whole for the embedded model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from paircomp.errors import ConfigError

if TYPE_CHECKING:
    from paircomp.protocols import Policy

__all__ = ["MemberFlops", "member_flops"]


class MemberFlops(NamedTuple):
    """Operations for one picture.

    Attributes:
        forward: log-probabilities of its tokens, both halves of guidance included.
        plain: the same without guidance: a supervised example costs three of them.
        decode: its tokens to pixels.
    """

    forward: float
    plain: float
    decode: float

    def supervised(self, examples: int) -> float:
        """Operations of supervised updates on so many examples in all."""
        return 3 * self.plain * examples

    def step(self, *, sampled: int, decoded: int, trained: int, watched: int, reference: bool) -> dict[str, float]:
        """Operations of one step of reinforcement learning, by part.

        Args:
            sampled: pictures drawn.
            decoded: pictures decoded, ground truth included.
            trained: members with a gradient.
            watched: members that are looked at without one.
            reference: whether a reference model looks at all of them.
        """
        return {
            "rollout": self.forward * sampled,
            "decode": self.decode * decoded,
            "reference": self.forward * (trained + watched) if reference else 0.0,
            "update": self.forward * (3 * trained + watched),
        }


def member_flops(policy: Policy, prompts: Sequence[str]) -> MemberFlops:
    """Count on `prompts`; their mean length should be the run's.

    Args:
        policy: its weights stay as they are.
        prompts: a few.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    device = next(policy.module.parameters()).device
    tokens = torch.zeros((len(prompts), policy.length), dtype=torch.long, device=device)

    def count(work: Callable[[], object]) -> float:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        return float(counter.get_total_flops()) / len(prompts)

    plain = count(lambda: policy.plain_log_probs(prompts, tokens))
    try:
        forward = count(lambda: policy.log_probs(prompts, tokens))
    except ConfigError:  # a truncated sampler: its masks come with its own tokens
        drawn = policy.sample(prompts, seeds=range(len(prompts)))
        forward = count(lambda: policy.log_probs(prompts, drawn.tokens, keep=drawn.keep))
    return MemberFlops(forward, plain, count(lambda: policy.decode(tokens)))
