"""Passes of policy and reference over members: log-probabilities, KL, and what is logged of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from focusdiff.lora import AdapterReference
from focusdiff.objective import exact_kl, k3
from focusdiff.step_metrics import Tally, count_members
from paircomp.errors import ConfigError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from focusdiff.recipe import RLRecipe
    from focusdiff.rollout import StepPictures
    from focusdiff.training_protocols import StepPair
    from paircomp.protocols import Policy

__all__ = ["MemberPasses", "by_length", "checkpoint_gradients", "micro_batches", "move_reference", "own_randomness",
           "probe", "still"]  # fmt: skip


class MemberPasses:
    """Log-probabilities of a step's members, a micro-batch at a time.

    Args:
        recipe: KL and size of a micro-batch.
        policy: to be trained.
        reference: ``None`` where no KL is asked for.
        accelerator: for its number format.
    """

    def __init__(
        self, recipe: RLRecipe, policy: Policy, reference: Policy | AdapterReference | None, accelerator: Accelerator
    ) -> None:
        self._recipe = recipe
        self._policy = policy
        self.reference = reference
        self._accelerator = accelerator

    def looking(self) -> list[nn.Module]:
        """Modules of a reference with weights of its own."""
        return [] if self.reference is None or isinstance(self.reference, AdapterReference) else [self.reference.module]

    def batches(self, drawn: StepPictures, wanted: Tensor) -> Iterator[list[int]]:
        """Micro-batches of the members that are `wanted`, ``[B]`` of booleans, prompts of similar length together."""
        rows = by_length([member.prompt for member in drawn.members], wanted.nonzero()[:, 0].tolist())
        return micro_batches(rows, self._recipe.loop.micro_batch)

    def reference_log_probs(self, drawn: StepPictures) -> Tensor:
        """``[B, L]``; zeros where no KL is asked for."""
        found = torch.zeros(drawn.tokens.shape, device=drawn.tokens.device)
        if self.reference is None:
            return found
        everybody = torch.ones(len(drawn.members), dtype=torch.bool)
        with torch.no_grad(), self._accelerator.autocast():
            for rows in self.batches(drawn, everybody):
                prompts, tokens, keep = drawn.rows(rows)
                found[rows] = self.reference.log_probs(prompts, tokens, keep=keep)
        return found

    def log_probs(self, drawn: StepPictures, rows: list[int], reference: Tensor) -> tuple[Tensor, Tensor]:
        """``[b, L]`` log-probabilities and KL of some members, with gradient.

        Args:
            drawn: the step's members.
            rows: b of them.
            reference: ``[B, L]``, from :meth:`reference_log_probs`.
        """
        prompts, tokens, keep = drawn.rows(rows)
        with self._accelerator.autocast():
            if self._recipe.objective.kl == "k3" or self.reference is None:
                log_probs = self._policy.log_probs(prompts, tokens, keep=keep)
                return log_probs, k3(log_probs, reference[rows])
            every = self._policy.log_distributions(prompts, tokens, keep=keep)  # [b, L, V]
            with torch.no_grad():
                others = self.reference.log_distributions(prompts, tokens, keep=keep)
        return every.gather(-1, tokens[..., None])[..., 0], exact_kl(every, others)

    def count(
        self, tally: Tally, drawn: StepPictures, rows: list[int], log_probs: Tensor, divergence: Tensor,
        reference: Tensor,
    ) -> None:  # fmt: skip
        """Log what a pass found, by kind of member, and how far it is from what the sampler computed."""
        known = {"log_prob": log_probs.detach()}
        if self.reference is not None:
            known |= {"k3": k3(known["log_prob"], reference[rows]), "kl": divergence.detach()}
        count_members(tally, [drawn.members[row].kind for row in rows], known)
        distance = (known["log_prob"] - drawn.rollout_log_probs[rows]).abs().nan_to_num(nan=0.0)
        tally.highest("rollout_difference", [float(distance.max())])


def move_reference(reference: Policy | AdapterReference, policy: Policy, share: float) -> None:
    """Bring the reference's weights towards the policy's, in the memory they have.

    Args:
        reference: of the same shape, or with adapters of the same shape.
        policy: as it is now.
        share: of the way; 1 makes them equal.
    """
    followed = list(policy.module.parameters())
    if isinstance(reference, AdapterReference):
        followed = [weight for weight in followed if weight.requires_grad]
    with torch.no_grad():
        for mine, theirs in zip(reference.module.parameters(), followed, strict=True):
            if share == 1:
                mine.copy_(theirs)
            else:
                mine.lerp_(theirs.to(mine.dtype), share)


def probe(policy: Policy, pairs: Sequence[StepPair], tally: Tally, *, at_once: int) -> None:
    """What the policy makes of the ground truth of pairs, before it learns anything of them.

    Logs the mean log-probability of a token of the right picture, and of the other prompt's picture: pushing the second
    down can push the first down with it (likelihood displacement), which rewards do not show. Guidance is left out.

    Args:
        policy: as it is now.
        pairs: of the step; those without ground truth are passed over.
        tally: takes the means.
        at_once: pictures of one pass.
    """
    known = [pair for pair in pairs if pair.pictures is not None and len(pair.prompts) > 1]
    shown = [
        each for pair in known for each in zip(pair.pictures or (), pair.prompts, reversed(pair.prompts), strict=True)
    ]
    for start in range(0, len(shown), at_once):
        pictures, own, others = zip(*shown[start : start + at_once], strict=True)
        with torch.no_grad():
            tokens = policy.encode(pictures)
            tally.mean("probe/right_log_prob", policy.plain_log_probs(own, tokens).mean(1).tolist())
            tally.mean("probe/other_log_prob", policy.plain_log_probs(others, tokens).mean(1).tolist())


@contextlib.contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Passes that only look: no dropout."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


@contextlib.contextmanager
def own_randomness(name: str, device: torch.device) -> Iterator[None]:
    """Draw dropout from a stream of its own, seeded by `name`, and leave the global one as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))
        yield


def checkpoint_gradients(module: nn.Module) -> None:
    """Have the transformers models inside a module compute their layers again in the backward pass.

    Raises:
        ConfigError: there is no such model.
    """
    for part in module.modules():  # the outermost model tells its parts
        for what in ("activation", "gradient"):  # the newer and the older name of one method
            enable: Any = getattr(part, f"{what}_checkpointing_enable", None)
            if callable(enable):
                enable(**{f"{what}_checkpointing_kwargs": {"use_reentrant": False}})
                return
    raise ConfigError(["gradient_checkpointing: this policy has no model that can"], where="loop")


def by_length(prompts: Sequence[str], rows: Sequence[int]) -> list[int]:
    """Rows ordered so that neighbours have prompts of similar length: less padding."""
    return sorted(rows, key=lambda row: (len(prompts[row]), row))


def micro_batches(rows: Sequence[int], size: int) -> Iterator[list[int]]:
    """Rows, `size` at a time."""
    return (list(rows[start : start + size]) for start in range(0, len(rows), size))
