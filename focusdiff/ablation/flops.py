"""Counted floating-point operations of what a policy does, so that arms can be given equal amounts of computing.

Counted are matrix products, convolutions and attention, a multiplication and an addition as two; on one machine or
another, idle or busy, the count is the same. Judging is not counted: supervised arms need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from focusdiff.groups import Group

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.protocols import Policy

__all__ = ["Costs", "added", "counted", "members_flops", "policy_costs"]


@dataclass(frozen=True)
class Costs:
    """FLOPs of one picture in each thing that training does with it.

    Attributes:
        sample: draw its tokens.
        decode: tokens to picture.
        encode: picture to tokens.
        look: log-probabilities without gradient, as of the reference model.
        learn: log-probabilities with gradient.
        supervised: the same without guidance, as supervised training takes them.
    """

    sample: float
    decode: float
    encode: float
    look: float
    learn: float
    supervised: float

    def to_json(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)


def policy_costs(policy: Policy, prompts: Sequence[str], pictures: Sequence[Image]) -> Costs:
    """Measure a policy; its weights and gradients are left as they were.

    Args:
        policy: as it is trained, not compiled: compiled code hides its operations.
        prompts: some typical ones.
        pictures: as many.
    """
    count = len(prompts)
    tokens = policy.encode(pictures)

    def learn(log_probs: Callable[..., Any]) -> None:
        log_probs(prompts, tokens).mean().backward()
        policy.module.zero_grad(set_to_none=True)

    def look() -> None:
        import torch

        with torch.no_grad():
            policy.log_probs(prompts, tokens)

    return Costs(
        sample=counted(lambda: policy.sample(prompts, seeds=range(count))) / count,
        decode=counted(lambda: policy.decode(tokens)) / count,
        encode=counted(lambda: policy.encode(pictures)) / count,
        look=counted(look) / count,
        learn=counted(lambda: learn(policy.log_probs)) / count,
        supervised=counted(lambda: learn(policy.plain_log_probs)) / count,
    )


def counted(action: Callable[[], object]) -> int:
    """FLOPs of whatever `action` does."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False, custom_mapping=_attention_on_processors())
    with counter:
        action()
    return counter.get_total_flops()


def _attention_on_processors() -> dict[Any, Any]:
    """The counter knows the FLOPs of attention on accelerators only; the arithmetic is the same.

    Two matrix products forward; five backward, because the scores are computed again. Masks save nothing, as there.
    """
    import torch

    def product(query: Sequence[int], key: Sequence[int]) -> int:
        batch, heads, queries, width = query
        return 2 * batch * heads * queries * key[-2] * width

    def forward(query: Any, key: Any, *_: Any, **__: Any) -> int:
        return 2 * product(query, key)

    def backward(_: Any, query: Any, key: Any, *__: Any, **___: Any) -> int:
        return 5 * product(query, key)

    aten = torch.ops.aten
    return {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


def members_flops(groups: Sequence[Group], costs: Costs, *, negatives: str, reference: bool) -> dict[str, float]:
    """FLOPs of one step of reinforcement learning, by part.

    Args:
        groups: of the step.
        costs: of one picture.
        negatives: ``loss`` or ``statistics``; the latter are looked at but not learnt from.
        reference: whether there is a reference model.
    """
    kinds = [member.kind for group in groups for member in group]
    sampled, true = kinds.count("sampled"), len(kinds) - kinds.count("sampled")
    looked = kinds.count("negative") if negatives == "statistics" else 0
    return {
        "rollout": sampled * costs.sample,
        "pictures": len(kinds) * costs.decode + true / 2 * costs.encode,  # each true picture is held twice
        "reference": len(kinds) * costs.look if reference else 0.0,
        "update": (len(kinds) - looked) * costs.learn + looked * costs.look,
    }


def added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums by name, and of all as ``total``."""
    names = dict.fromkeys(name for part in parts for name in part)
    sums = {name: sum(part.get(name, 0.0) for part in parts) for name in names}
    return {**sums, "total": sum(sums.values())}
