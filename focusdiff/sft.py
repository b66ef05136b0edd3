"""Supervised fine-tuning: the next image token given the text (FocusDiff, arXiv 2506.05501, appendix C).

It departs from the paper where the paper is silent: the optimiser may be Muon, which brings a small model that starts
from nothing to the same loss in about half the steps, and the weights may be averaged along the way. The loop reads top
to bottom in `train`; everything that a step draws comes from the seed and the step's number, so a run that was killed
continues to the same bytes.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from focusdiff.sft_plan import SftPlan
from paircomp.errors import RunError
from paircomp.runtime.files import write_atomically
from paircomp.shapes import Dice

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.protocols import Policy

__all__ = ["Examples", "train"]

_LOG = logging.getLogger(__name__)
_STATE, _METRICS = "state.pt", "metrics.jsonl"


class Examples(Protocol):
    """Where prompts and pictures come from."""

    def example(self, number: int) -> tuple[str, Image]:
        """The example of that number; the same for the same number, whatever was asked before."""
        ...


def train(
    policy: Policy,
    examples: Examples,
    plan: SftPlan,
    folder: Path,
    *,
    checkpoint_every: int = 200,
    report_every: int = 20,
    evaluate: Callable[[int], None] | None = None,
) -> None:
    """Train the policy in place; continue where an earlier call on the same folder stopped.

    Args:
        policy: what is trained; its ``module`` knows which of its weights take gradients.
        examples: prompts and pictures by number.
        plan: what to do.
        folder: of the state and of ``metrics.jsonl``, one line per `report_every` steps.
        checkpoint_every: steps between two states on disk.
        report_every: steps between two lines of metrics.
        evaluate: called with the number of finished steps at each checkpoint.

    Raises:
        RunError: the folder holds a training of another plan, or the loss is not finite.
    """
    module = policy.module.train()
    weights = _trained(module)
    optimisers = _optimisers(module, plan)
    average = {name: weight.detach().clone() for name, weight in weights.items()} if plan.ema else {}
    start = _resumed(folder, plan, weights, optimisers, average)
    losses: list[float] = []
    began = time.monotonic()
    for step, (prompts, pictures) in _batches(examples, plan, start):
        loss = _gradients(policy, prompts, pictures, plan, step)
        norm = float(nn.utils.clip_grad_norm_(list(weights.values()), plan.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise RunError(folder, f"step {step}: expected finite numbers, got loss {loss} and gradient norm {norm}; next: "
                                   f"a lower training.rate than {plan.rate}; the last state is kept")  # fmt: skip
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = plan.rate_at(step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        _averaged(average, weights, plan.ema)
        losses.append(loss)
        done = step + 1
        if done % report_every == 0 or done == plan.steps:
            _report(folder, done, plan, losses, norm, time.monotonic() - began)
            losses.clear()
        if done % checkpoint_every == 0 or done == plan.steps:
            _keep(folder, done, plan, weights, optimisers, average)
            if evaluate is not None:
                evaluate(done)
                module.train()
    for name, weight in average.items():
        weights[name].data.copy_(weight)
    module.eval()


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def _optimisers(module: nn.Module, plan: SftPlan) -> list[torch.optim.Optimizer]:
    weights = _trained(module)
    inner = [name for name, weight in weights.items() if plan.optimiser == "muon" and _inside_layers(name, weight)]
    rest = [weight for name, weight in weights.items() if name not in set(inner)]
    adamw = torch.optim.AdamW(rest, lr=plan.rate, betas=plan.betas, weight_decay=plan.weight_decay)
    if not inner:
        return [adamw]
    matrices = [weights[name] for name in inner]
    muon = torch.optim.Muon(
        matrices, lr=plan.rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adamw]


def _inside_layers(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and ".layers." in name  # noqa: PLR2004 - a matrix


def _batches(
    examples: Examples, plan: SftPlan, start: int
) -> Iterator[tuple[int, tuple[list[str], list[Image]]]]:
    """The batches from a step on, each drawn while the one before is learned."""

    def batch(step: int) -> tuple[list[str], list[Image]]:
        first = plan.first + step * plan.examples
        drawn = [examples.example(number) for number in range(first, first + plan.examples)]
        return [prompt for prompt, _ in drawn], [picture for _, picture in drawn]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batch, start)
        for step in range(start, plan.steps):
            now = ahead.result()
            if step + 1 < plan.steps:
                ahead = pool.submit(batch, step + 1)
            yield step, now


def _gradients(
    policy: Policy, prompts: Sequence[str], pictures: Sequence[Image], plan: SftPlan, step: int
) -> float:
    """Add the gradients of one batch; its mean loss in nats per image token.

    Prompts of equally many words go through the model together, so that little is spent on padding.
    """
    tokens = policy.encode(pictures)
    dice = Dice(f"sft/{plan.seed}/{step}")
    dropped = [dice.chance(plan.prompt_dropout) for _ in prompts]
    places: dict[int, list[int]] = {}
    for place, prompt in enumerate(prompts):
        places.setdefault(len(prompt.split()), []).append(place)
    total = 0.0
    for alike in places.values():
        log_probs = policy.plain_log_probs(
            [prompts[place] for place in alike], tokens[alike], unconditional=[dropped[place] for place in alike]
        )
        loss = -log_probs.mean() * (len(alike) / len(prompts))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _averaged(average: dict[str, Tensor], weights: dict[str, nn.Parameter], decay: float) -> None:
    for name, mean in average.items():
        mean.lerp_(weights[name].detach(), 1 - decay)


def _report(folder: Path, done: int, plan: SftPlan, losses: Sequence[float], norm: float, seconds: float) -> None:
    mean = sum(losses) / max(1, len(losses))
    line = {"step": done, "loss": mean, "gradient_norm": norm, "rate": plan.rate_at(done - 1),
            "seconds": round(seconds, 2)}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    _LOG.info("sft: step %d of %d, loss %.4f, %.0f s", done, plan.steps, mean, seconds)


def _keep(
    folder: Path, done: int, plan: SftPlan, weights: dict[str, nn.Parameter], optimisers: Sequence[torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> None:  # fmt: skip
    import io

    state = {
        "schema": "focusdiff-sft/1", "plan": _plain(plan), "step": done, "average": average,
        "weights": {name: weight.detach() for name, weight in weights.items()},
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
    }  # fmt: skip
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(folder / _STATE, buffer.getvalue())


def _resumed(
    folder: Path, plan: SftPlan, weights: dict[str, nn.Parameter], optimisers: Sequence[torch.optim.Optimizer],
    average: dict[str, Tensor],
) -> int:  # fmt: skip
    file = folder / _STATE
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True, map_location="cpu")
    if state["plan"] != _plain(plan):
        differ = [f"{name} {state['plan'].get(name)!r} there, {value!r} given"
                  for name, value in _plain(plan).items() if state["plan"].get(name) != value]  # fmt: skip
        raise RunError(folder, f"holds another training ({'; '.join(differ)}); next: another --out")
    for name, weight in weights.items():
        weight.data.copy_(state["weights"][name])
    for name in average:
        average[name].copy_(state["average"][name])
    for optimiser, kept in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(kept)
    _LOG.info("sft: continues after step %d", state["step"])
    return int(state["step"])


def _plain(plan: SftPlan) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}
