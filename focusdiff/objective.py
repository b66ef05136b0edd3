"""The objective of GRPO and Pair-GRPO on image tokens: pure functions of tensors.

Source: FocusDiff, arXiv 2506.05501, equations 1 and 2 and section 3.2. Two things differ from the published text,
because they were measured to matter. The KL estimate k3 is taken over sampled members only unless a recipe asks for
all: on ground-truth tokens, which the policy did not draw, k3 estimates nothing and grows like exp(distance). And k3 is
not clamped: a clamp of the exponent turns its gradient's sign beyond it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Normalisation", "Objective", "clipped_surrogate", "exact_kl", "group_advantages", "k3", "normalised"]

#: ``token``: the sum over all tokens by their number (the paper's equation 2). ``sequence``: the mean of each image's
#: mean (the published code). Equal as long as all images have as many tokens.
Normalisation = Literal["token", "sequence"]


def group_advantages(rewards: Tensor, *, eps: float = 1e-4) -> Tensor:
    """Advantages within groups (FocusDiff, arXiv 2506.05501, Eq. 1; the group of a pair is that of section 3.2).

    Args:
        rewards: ``[N, M]``, rewards in [0, 1] of the M members of N groups; NaN marks an unscored member or padding.
        eps: added to the standard deviation; 1e-4 in the published code.

    Returns:
        ``[N, M]``: (r - mean) / (unbiased std + eps) over the scored members; 0 where unscored, where a group has no
        spread, or where fewer than two members are scored.

    Example:
        >>> group_advantages(torch.tensor([[1.0, 0.0, float("nan")], [0.5, 0.5, 0.5]])).round(decimals=2)
        tensor([[ 0.7100, -0.7100,  0.0000],
                [ 0.0000,  0.0000,  0.0000]])
    """
    scored = ~rewards.isnan()  # [N, M]
    count = scored.sum(1, keepdim=True)  # [N, 1]
    values = rewards.double().masked_fill(~scored, 0)
    mean = values.sum(1, keepdim=True) / count.clamp(min=1)
    distance = (values - mean).masked_fill(~scored, 0)
    spread = (distance.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    advantages = distance / (spread + eps)
    return advantages.masked_fill(~has_spread(rewards)[:, None], 0).to(rewards.dtype)


def has_spread(rewards: Tensor) -> Tensor:
    """``[N]`` of booleans: groups with at least two scored members that are not all rewarded alike.

    Args:
        rewards: ``[N, M]``, NaN where unscored or padding.
    """
    unscored = rewards.isnan()
    highest = rewards.masked_fill(unscored, float("-inf")).amax(1)
    lowest = rewards.masked_fill(unscored, float("inf")).amin(1)
    return highest > lowest


def clipped_surrogate(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, *, epsilon: float) -> Tensor:
    """What is maximised, per token: min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon) A), Eq. 2.

    Args:
        log_probs: ``[B, L]`` with gradient.
        old_log_probs: ``[B, L]`` of the policy that sampled; the first update after a rollout has them equal to
            `log_probs`, so that the ratio is 1 and carries the gradient alone.
        advantages: ``[B]``.
        epsilon: half width of the trusted range of the ratio.

    Returns:
        ``[B, L]``.
    """
    ratio = (log_probs - old_log_probs).exp()  # [B, L]
    advantage = advantages[:, None]  # [B, 1]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


#: Nats beyond which k3 grows no more: e to this power is still far from the largest float32.
_FARTHEST = 80.0


def k3(log_probs: Tensor, reference: Tensor) -> Tensor:
    """The estimate of KL(policy || reference) that GRPO takes of tokens drawn from the policy: e^d - d - 1.

    d is the reference's log-probability minus the policy's (Schulman's third estimate: unbiased, never negative).

    Args:
        log_probs: ``[B, L]`` with gradient.
        reference: ``[B, L]``.

    Returns:
        ``[B, L]``.
    """
    distance = reference - log_probs
    # A token that the policy has left behind would overflow, and the gradient of infinity is NaN even where it is
    # multiplied by zero: for members outside the loss, or with no weight on the KL.
    return distance.clamp(max=_FARTHEST).exp() - distance - 1


def exact_kl(distributions: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) itself, for codebooks small enough to hold.

    Args:
        distributions: ``[B, L, V]`` log-probabilities of every code, with gradient.
        reference: ``[B, L, V]``.

    Returns:
        ``[B, L]``.
    """
    # Codes that a truncated sampler dropped have minus infinity on both sides and add nothing.
    difference = (distributions - reference).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return (distributions.exp() * difference).sum(-1)


def normalised(values: Tensor, *, images: int, kind: Normalisation, tokens: int | None = None) -> Tensor:
    """A micro-batch's share of the step's mean, so that the shares of all micro-batches sum to it.

    Args:
        values: ``[B, L]`` of this micro-batch.
        images: members of the whole step, over all micro-batches.
        kind: see :data:`Normalisation`.
        tokens: of the whole step; ``images`` times L when not given.

    Returns:
        a scalar.
    """
    if kind == "sequence":
        return values.mean(1).sum() / images
    return values.sum() / (tokens if tokens is not None else images * values.shape[1])


class Objective(NamedTuple):
    """What a micro-batch is told about its members.

    Attributes:
        advantages: ``[B]``; 0 where unscored.
        counted: ``[B]`` of booleans: members in the loss; the others gave their reward to the group's statistics only.
        regularised: ``[B]`` of booleans: members whose KL is in the loss.
    """

    advantages: Tensor
    counted: Tensor
    regularised: Tensor

    def loss(
        self, log_probs: Tensor, kl: Tensor, *, beta: float, epsilon: float, old_log_probs: Tensor | None = None
    ) -> Tensor:
        """``[B, L]``: what is minimised per token, before :func:`normalised`.

        Args:
            log_probs: ``[B, L]`` with gradient.
            kl: ``[B, L]``, from :func:`k3` or :func:`exact_kl`.
            beta: weight of the KL.
            epsilon: see :func:`clipped_surrogate`.
            old_log_probs: ``[B, L]`` of the policy that sampled; those of now when not given.
        """
        old = log_probs.detach() if old_log_probs is None else old_log_probs
        surrogate = clipped_surrogate(log_probs, old, self.advantages, epsilon=epsilon)
        gained = torch.where(self.counted[:, None], surrogate, 0)
        paid = torch.where(self.regularised[:, None], kl, 0)
        return beta * paid - gained
