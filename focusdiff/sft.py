"""Supervised fine-tuning: the next image token given the text (FocusDiff, arXiv 2506.05501, appendix C).

It departs from the paper where the paper is silent: the optimiser may be Muon, which brings a small model that starts
from nothing to the same loss in about half the steps, and the weights may be averaged along the way. The loop reads top
to bottom in `train`; everything that a step draws comes from the seed and the step's number, so a run that was killed
continues to the same bytes.
"""

from __future__ import annotations

import io
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
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

__all__ = ["Encode", "Examples", "train"]


_LOG = logging.getLogger(__name__)
_SCHEMA, _STATE, _METRICS = "focusdiff-sft/1", "state.pt", "metrics.jsonl"


class Encode(Protocol):
    """Image tokens of pictures."""

    def __call__(self, pictures: Sequence[Image], /) -> Tensor:
        """``[B, N]``: the tokens of each picture, row by row."""
        ...


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
    encode: Encode | None = None,
    tell: Callable[[int, Mapping[str, float]], None] | None = None,
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
        encode: the image tokens of pictures, ``[B, N]``, where they are known better than the policy's image tokenizer
            finds them.
        tell: called with the number of finished steps and the numbers of each line of metrics.

    Raises:
        RunError: the folder holds a training of another plan, or the loss is not finite.
    """
    module = policy.module.train()
    learner = _Learner.of(module, plan)
    losses: list[float] = []
    began = time.monotonic()
    for step, (prompts, pictures) in _batches(examples, plan, _resumed(folder, plan, learner)):
        loss = _gradients(policy, prompts, (encode or policy.encode)(pictures), plan, step)
        norm = float(nn.utils.clip_grad_norm_(list(learner.weights.values()), plan.clip))
        _refuse_divergence(folder, step, loss, norm, plan)
        learner.step(plan.rate_at(step), plan.ema)
        losses.append(loss)
        done = step + 1
        if done % report_every == 0 or done == plan.steps:
            numbers = _report(folder, done, plan, losses, norm, time.monotonic() - began)
            losses.clear()
            if tell is not None:
                tell(done, numbers)
        if done % checkpoint_every == 0 or done == plan.steps:
            _keep(folder, done, plan, learner)
            if evaluate is not None:
                evaluate(done)
                module.train()
    for name, weight in learner.average.items():
        learner.weights[name].data.copy_(weight)
    module.eval()


def _refuse_divergence(folder: Path, step: int, loss: float, norm: float, plan: SftPlan) -> None:
    if not math.isfinite(loss) or not math.isfinite(norm):
        said = f"step {step}: expected finite numbers, got loss {loss} and gradient norm {norm}"
        raise RunError(folder, f"{said}; next: a lower training.rate than {plan.rate}; the last state is kept")


def _batches(examples: Examples, plan: SftPlan, start: int) -> Iterator[tuple[int, tuple[list[str], list[Image]]]]:
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


def _gradients(policy: Policy, prompts: Sequence[str], tokens: Tensor, plan: SftPlan, step: int) -> float:
    """Add the gradients of one batch; its mean loss in nats per image token.

    Prompts of equally many words go through the model together, so that little is spent on padding.
    """
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


def _report(
    folder: Path, done: int, plan: SftPlan, losses: Sequence[float], norm: float, seconds: float
) -> dict[str, float]:
    mean = sum(losses) / max(1, len(losses))
    numbers = {"loss": mean, "gradient_norm": norm, "rate": plan.rate_at(done - 1), "seconds": round(seconds, 2)}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": done, **numbers}) + "\n")
    _LOG.info("sft: step %d of %d, loss %.4f, %.0f s", done, plan.steps, mean, seconds)
    return numbers


@dataclass
class _Learner:
    """What changes from step to step.

    Attributes:
        weights: the trained ones, by name.
        optimisers: theirs.
        average: the averaged weights; empty without averaging.
    """

    weights: dict[str, nn.Parameter]
    optimisers: list[torch.optim.Optimizer]
    average: dict[str, Tensor]

    @classmethod
    def of(cls, module: nn.Module, plan: SftPlan) -> _Learner:
        weights = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        average = {name: weight.detach().clone() for name, weight in weights.items()} if plan.ema else {}
        return cls(weights, _optimisers(weights, plan), average)

    def step(self, rate: float, ema: float) -> None:
        """Change the weights by the gradients that were added up, and the average with them."""
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        for name, mean in self.average.items():
            mean.lerp_(self.weights[name].detach(), 1 - ema)

    def state(self) -> dict[str, Any]:
        """All of it, for a file."""
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        return {"weights": weights, "optimisers": optimisers, "average": self.average}

    def take(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` gave."""
        for name, weight in self.weights.items():
            weight.data.copy_(state["weights"][name])
        for name, mean in self.average.items():
            mean.copy_(state["average"][name])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)


def _optimisers(weights: Mapping[str, nn.Parameter], plan: SftPlan) -> list[torch.optim.Optimizer]:
    inner = {name for name, weight in weights.items() if plan.optimiser == "muon" and _inside_layers(name, weight)}
    rest = [weight for name, weight in weights.items() if name not in inner]
    adamw = torch.optim.AdamW(rest, lr=plan.rate, betas=plan.betas, weight_decay=plan.weight_decay)
    if not inner:
        return [adamw]
    matrices = [weight for name, weight in weights.items() if name in inner]
    muon = torch.optim.Muon(matrices, lr=plan.rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, adamw]


def _inside_layers(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and ".layers." in name


def _keep(folder: Path, done: int, plan: SftPlan, learner: _Learner) -> None:
    buffer = io.BytesIO()
    torch.save({"schema": _SCHEMA, "plan": _plain(plan), "step": done, **learner.state()}, buffer)
    write_atomically(folder / _STATE, buffer.getvalue())


def _resumed(folder: Path, plan: SftPlan, learner: _Learner) -> int:
    """The number of finished steps, with the learner as it was after them."""
    file = folder / _STATE
    if not file.exists():
        return 0
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # damaged files speak through the exceptions of several libraries
        raise RunError(file, f"cannot be read ({error}); next: another --out") from error
    given, there = _plain(plan), state["plan"]
    if differ := [f"{name} {there.get(name)!r} there, {value!r} given"
                  for name, value in given.items() if there.get(name) != value]:  # fmt: skip
        raise RunError(folder, f"holds another training ({'; '.join(differ)}); next: another --out")
    learner.take(state)
    _LOG.info("sft: continues after step %d", state["step"])
    return int(state["step"])


def _plain(plan: SftPlan) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}
