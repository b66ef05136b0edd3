"""What a run will take: memory by what fills it, operations and the least seconds by part of a step.

Weights, gradients, the optimiser's state and the cache of keys and values are counted; what a backward pass keeps is
counted from the layers' sums. Seconds are bounds: no machine is faster than its own rate of products, nor than reading
the weights once for each token that is drawn. A real step takes longer, often two to four times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from focusdiff.flops import MemberFlops
from paircomp.runtime.checkpoints import resolve_dtype, torch_dtype

if TYPE_CHECKING:
    import torch

    from focusdiff.dry_run.sizes import ModelSizes
    from focusdiff.recipe import RLRecipe

__all__ = ["MachineRates", "StepMembers", "least_seconds", "measure_rates", "memory_needed", "saved_for_backward"]

_TEXT_TOKENS = 40  # of a prompt with its frame; those of long captions are twice as many
_LOGITS = 2**24  # numbers of the head's output that are held at once
_SIDE, _BUFFER = 2048, 2**28


@dataclass(frozen=True)
class StepMembers:
    """How much a step of a recipe looks at.

    Attributes:
        sampled: pictures drawn.
        truths: pictures of ground truth that enter, at most.
        doubled: whether each member has an unconditional row beside it.
    """

    sampled: int
    truths: int
    doubled: bool

    @classmethod
    def of(cls, recipe: RLRecipe, *, prompts: int = 2) -> StepMembers:
        """Of a recipe whose pairs have so many prompts."""
        groups, pairs = recipe.groups, recipe.prompts.pairs
        sampled = pairs * prompts * groups.samples
        enter = any(share > 0 for _, share in groups.probability) and prompts == 2
        truths = pairs * 4 if enter else 0  # both pictures under both prompts
        if groups.ground_truth == "replace":
            sampled -= min(truths, sampled)
        options = recipe.policy.options
        return cls(sampled, truths, options.get("guidance", 5.0) != 1 and options.get("convention") != "conditional")

    @property
    def all(self) -> int:
        """Members of the step."""
        return self.sampled + self.truths


def memory_needed(recipe: RLRecipe, sizes: ModelSizes, *, device: str, processes: int = 1) -> dict[str, float]:
    """Bytes on each device at the fullest moment of a step, by what fills them.

    Args:
        recipe: of the run.
        sizes: of its model.
        device: where it runs.
        processes: that share the work; with ``sharding = "full"`` also the weights.
    """
    weight = torch_dtype(resolve_dtype(recipe.policy.dtype or None, device)).itemsize
    passed = torch_dtype(recipe.loop.precision).itemsize
    share = 1 / processes if recipe.loop.sharding == "full" else 1.0
    trained = sizes.adapters(recipe.lora.rank, recipe.lora.targets) if recipe.lora.rank else sizes.trained
    trained_weight = 4 if recipe.lora.rank else weight
    own_reference = recipe.objective.beta > 0 and not recipe.lora.rank
    whole = (sizes.trained + sizes.frozen) * weight
    needed: dict[str, float] = {
        "weights": whole * share + (trained * 4 if recipe.lora.rank else 0),
        "reference model": whole * share if own_reference else 0,
        "gradients": trained * trained_weight * share,
        "optimiser's state": 2 * trained * trained_weight * share,
    }
    members = StepMembers.of(recipe)
    mine = -(-members.sampled // processes)
    rows = min(recipe.loop.rollout_batch or mine, mine) * (2 if recipe.policy.options.get("guidance", 5.0) != 1 else 1)
    cache = rows * (_TEXT_TOKENS + sizes.tokens) * sizes.layers * 2 * sizes.key_width * weight
    cast = sizes.passed * passed if passed < weight else 0
    moments: tuple[dict[str, float], ...] = (  # one is over before the other begins
        {"weights gathered for the rollout": whole if share < 1 else 0, "keys and values of the rollout": cache},
        {"weights cast for passes": cast / sizes.layers if share < 1 else cast,
         "kept for the backward pass": saved_for_backward(recipe, sizes, members)},
    )  # fmt: skip
    fullest = max(moments, key=lambda moment: math.fsum(moment.values()))
    needed.update(fullest)
    return {name: size for name, size in needed.items() if size}


def saved_for_backward(recipe: RLRecipe, sizes: ModelSizes, members: StepMembers) -> float:
    """Bytes that one micro-batch keeps from its forward pass for its backward pass.

    Of each layer and token: both norms' inputs twice (as they are and normalised), queries, keys, values, what
    attention gives, and three times the inner width of the feed-forward part; with gradient checkpointing the layer's
    input only, and one layer's all. Four widths a token lie outside the layers.
    """
    passed = torch_dtype(recipe.loop.precision).itemsize
    rows = min(recipe.loop.micro_batch, members.all) * (2 if members.doubled else 1)
    tokens = rows * (_TEXT_TOKENS + sizes.tokens)
    of_layer = 8 * sizes.width + 2 * sizes.key_width + 4 * sizes.inner
    layers = sizes.width * sizes.layers + of_layer if recipe.loop.gradient_checkpointing else of_layer * sizes.layers
    layers += 4 * sizes.width
    head = min(_LOGITS, rows * sizes.tokens * sizes.codes) * 4 * 2  # logits and their gradient, in float32
    return float(tokens * layers * passed + head)


@dataclass(frozen=True)
class MachineRates:
    """What a device can do, as measured.

    Attributes:
        products: multiplications with their additions a second, in the number format of the passes.
        bandwidth: bytes read a second.
    """

    products: float
    bandwidth: float


def measure_rates(device: str, precision: str) -> MachineRates:
    """Rates of a device: a product of square matrices, and a sum over a large buffer; the best of a few."""
    import torch

    left, right = (torch.ones(_SIDE, _SIDE, dtype=torch_dtype(precision), device=device) for _ in range(2))
    buffer = torch.ones(_BUFFER // 4, device=device)
    product = _fastest(lambda: left @ right, device)
    reading = _fastest(buffer.sum, device)
    return MachineRates(_SIDE**3 / product, _BUFFER / reading)


def _fastest(work: Callable[[], torch.Tensor], device: str, *, rounds: int = 3) -> float:
    import torch

    def once() -> float:
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()  # the first call sets things up
    return min(once() for _ in range(rounds))


def least_seconds(
    recipe: RLRecipe, sizes: ModelSizes, rates: MachineRates, *, device: str, processes: int = 1
) -> Mapping[str, float]:
    """Seconds that no step of the run can go below, by part; reward and decoding are left out.

    Args:
        recipe: of the run.
        sizes: of its model.
        rates: of the device.
        device: its name.
        processes: that share the work.
    """
    members, tokens = StepMembers.of(recipe), sizes.tokens
    twice = 2 if members.doubled else 1
    # A multiplication with its addition is two operations, as in `focusdiff.flops`.
    forward = 2.0 * twice * (sizes.passed * (_TEXT_TOKENS + tokens) + sizes.head * tokens)
    each = MemberFlops(forward, forward / twice, 0.0)
    watched = members.truths // 2 if recipe.groups.negatives == "statistics" else 0
    parts = each.step(sampled=members.sampled, decoded=0, trained=members.all - watched, watched=watched,
                      reference=recipe.objective.beta > 0)  # fmt: skip
    seconds = {name: count / 2 / rates.products / processes for name, count in parts.items() if count}
    if recipe.loop.gradient_checkpointing:
        seconds["update"] *= 4 / 3
    weight = torch_dtype(resolve_dtype(recipe.policy.dtype or None, device)).itemsize
    mine = -(-members.sampled // processes)
    batches = -(-mine // (recipe.loop.rollout_batch or mine))
    reading = batches * tokens * (sizes.passed + sizes.head) * weight / rates.bandwidth
    return {**seconds, "rollout": max(seconds["rollout"], reading)}
