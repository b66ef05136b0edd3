"""Seconds per sampled image of a step of Pair-GRPO, and of its parts: this project's trainer beside a plain loop.

    python benchmarks/rl_step.py                      # janus-tiny, the recipe `shapes`
    python benchmarks/rl_step.py --model small        # random weights, 4 layers of width 512, 144 tokens; minutes
    python benchmarks/rl_step.py --quick              # janus-tiny, one pair, seconds
    python benchmarks/rl_step.py --model janus-pro-1b --device cuda       # random weights, 576 tokens; peak memory too

Both train the same weights on the same prompts, ground truth and judge with the same loss; the learning rate is 0, so
that all work of an update is done and every round begins with the same model:

- ``ours``: `focusdiff.trainer.Trainer.train_step`, which samples all pairs of a step together.
- ``plain_loop``: the way of the published code, written anew: one pair per micro-batch, a cache that grows by
  concatenation, conditional and unconditional rows interleaved even where guidance is 1, all logits at once and their
  logarithms in bfloat16, a reward that is waited for.
- ``plain_loop_spared``, where guidance is 1: the same without the unconditional rows that have no effect then.

``--clock processor --threads 1`` counts the seconds that each had the processor, which is fair on a machine that other
work shares; it shows nothing of a reward that works beside the loop. The fastest round of each counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from generate import (
    CLOCKS,
    SHAPES,
    SMALL_TOKENIZER,
    build,
    build_prompts,
    interleaved,
    plain_loop,
    product_rate,
)
from generate import Stopwatch as Timer
from PIL import Image
from torch import Tensor

from focusdiff.groups import Group, Member, groups_of
from focusdiff.objective import group_advantages
from focusdiff.policies import Models
from focusdiff.processes import open_processes
from focusdiff.recipe import RLRecipe
from focusdiff.recipe_reading import read_recipe
from focusdiff.rewards.building import build_reward
from focusdiff.run_folder import RunFolder
from focusdiff.shapes_pairs import ShapesPairs
from focusdiff.stopwatch import Stopwatch
from focusdiff.trainer import Trainer
from paircomp.runtime.checkpoints import checkpoint_folder
from paircomp.runtime.machine import package_versions, this_machine
from paircomp_adapters.janus_checkpoint import JanusCheckpoint, load_janus
from paircomp_adapters.janus_images import encode_pictures
from paircomp_adapters.janus_policy import JanusPolicy
from paircomp_adapters.janus_prompts import PromptTokens
from paircomp_adapters.janus_sampling import Sampling

PARTS = ("rollout", "encode", "decode", "reward", "reference", "update")
TINY = "janus-tiny"
#: No weight moves, whatever is computed; nothing but the step is measured.
STILL: Mapping[str, Any] = {
    "optimiser.rate": 0.0, "optimiser.convert_rate": 0.0, "optimiser.final_rate": 0.0, "loop.probe_every": 0,
}  # fmt: skip
#: What the shapes with random weights train on: four pairs, as many as the published code accumulates.
LARGE: Mapping[str, Any] = {
    "prompts.pairs": 4, "groups.samples": 7, "policy.options": {"guidance": 5.0}, "loop.micro_batch": 18,
}  # fmt: skip


class Setting(NamedTuple):
    """What all contestants train.

    Attributes:
        recipe: of the step.
        loaded: model and tokenizer.
        policy: over them.
        reference: a frozen copy.
        timer: the clock of the run.
    """

    recipe: RLRecipe
    loaded: JanusCheckpoint
    policy: JanusPolicy
    reference: JanusPolicy
    timer: Timer

    @property
    def groups(self) -> list[Group]:
        """The members of the step, ground truth included: its probability is 1 at the beginning of a run."""
        pairs = ShapesPairs(self.recipe.loop.seed).draw(0, self.recipe.prompts.pairs)
        return groups_of(pairs, self.recipe.groups, seed=self.recipe.loop.seed, step=0, probability=1.0)

    @property
    def guidance(self) -> float:
        """Of rollouts and log-probabilities."""
        return self.policy.sampling.guidance


class Step(NamedTuple):
    """One step: seconds of the whole and of its parts, and floating-point operations by part where counted."""

    seconds: float
    parts: Mapping[str, float]
    operations: Mapping[str, float]


def ours(setting: Setting, folder: Path) -> Callable[[], Step]:
    """The step of the project's own trainer."""
    recipe = setting.recipe
    processes = open_processes(
        device=setting.timer.device, precision=recipe.loop.precision, sharding=recipe.loop.sharding
    )
    trainer = Trainer(recipe, Models(setting.policy, setting.reference), ShapesPairs(recipe.loop.seed),
                      build_reward(recipe.reward), RunFolder(folder), processes)  # fmt: skip
    trainer.clock = CLOCKS[setting.timer.clock]

    def step() -> Step:
        numbers: dict[str, float] = {}
        seconds = setting.timer(lambda: numbers.update(trainer.train_step(0)))
        told = {kind: {name.removeprefix(kind): value for name, value in numbers.items() if name.startswith(kind)}
                for kind in ("seconds/", "flops/")}  # fmt: skip
        return Step(seconds, told["seconds/"], told["flops/"])

    return step


class PlainLoop:
    """The published way of a step, written anew.

    Args:
        setting: what is trained.
        twins: whether each row has an unconditional one beside it.
    """

    def __init__(self, setting: Setting, *, twins: bool) -> None:
        self.setting = setting
        self.twins = twins
        self.model = setting.loaded.model
        self.reward = build_reward(setting.recipe.reward)
        asked = setting.recipe.optimiser
        self.weights = [weight for weight in setting.policy.module.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.weights, lr=asked.rate, betas=asked.betas, weight_decay=asked.weight_decay
        )

    def __call__(self) -> Step:
        """One pair after another, then the optimiser."""
        stopwatch = Stopwatch(CLOCKS[self.setting.timer.clock])
        return Step(self.setting.timer(lambda: self._step(stopwatch)), stopwatch.seconds, {})

    def _step(self, stopwatch: Stopwatch) -> None:
        groups = self.setting.groups
        self.optimiser.zero_grad()
        for group in groups:
            self._pair(group, len(groups), stopwatch)
        with stopwatch("update"):
            torch.nn.utils.clip_grad_norm_(self.weights, self.setting.recipe.optimiser.max_gradient_norm)
            self.optimiser.step()

    def _pair(self, group: Group, accumulated: int, stopwatch: Stopwatch) -> None:
        tokens, pictures = self._members(group, stopwatch)
        with stopwatch("reward"):
            asked = [member.prompt for member in group], pictures, [member.subtask for member in group]
            rewards = torch.tensor([self.reward.score(*asked).result()])
        advantages = group_advantages(rewards)[0].to(tokens.device)
        batch = self._batch(group)
        with stopwatch("reference"), torch.no_grad():
            reference = self.log_probs(self.setting.reference.module.model, batch, tokens)
        with stopwatch("update"):
            log_probs = self.log_probs(self.model, batch, tokens)
            distance = reference - log_probs
            kl = distance.exp() - distance - 1
            gained = (log_probs - log_probs.detach()).exp() * advantages[:, None]
            loss = -(gained - self.setting.recipe.objective.beta * kl).mean(1).mean()
            (loss / accumulated).backward()

    def _members(self, group: Group, stopwatch: Stopwatch) -> tuple[Tensor, list[Image.Image]]:
        """Tokens and pictures of a group: samples drawn and decoded, ground truth encoded and left as it is."""
        sampled = [member for member in group if member.kind == "sampled"]
        with stopwatch("rollout"):
            drawn = plain_loop(self.model, self._batch(sampled), self.setting.guidance, twins=self.twins)
        with stopwatch("decode"), torch.no_grad():
            pixels = self.model.decode_image_tokens(drawn)
            levels = ((pixels.float() + 1) / 2 * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()
            samples = iter([Image.fromarray(each) for each in levels])
        truths = {id(member.picture): member.picture for member in group if member.picture is not None}
        with stopwatch("encode"):
            encoded = dict(zip(truths, encode_pictures(self.model, list(truths.values())), strict=True))
        rows = iter(drawn)
        tokens = [encoded[id(member.picture)] if member.picture else next(rows) for member in group]
        return torch.stack(tokens), [member.picture or next(samples) for member in group]

    def _batch(self, members: tuple[Member, ...] | list[Member]) -> PromptTokens:
        found = self.setting.loaded.prompts.batch([member.prompt for member in members])
        return PromptTokens(*(each.to(self.model.device) for each in found))

    def log_probs(self, model: Any, batch: PromptTokens, tokens: Tensor) -> Tensor:
        """``[B, L]`` float32 out of bfloat16 logarithms of all codes at once."""
        rows, mask = interleaved(batch) if self.twins else (batch.ids, batch.mask)
        fed = tokens.repeat_interleave(2, 0) if self.twins else tokens
        image = model.prepare_embeddings_for_image_generation(fed)
        whole = torch.cat([mask, mask.new_ones(fed.shape)], 1)
        said = model.model.language_model(
            inputs_embeds=torch.cat([model.model.language_model.embed_tokens(rows), image], 1), attention_mask=whole,
            position_ids=(whole.cumsum(-1) - 1).clamp(min=0), use_cache=False,
        )  # fmt: skip
        logits = model.model.generation_head(said.last_hidden_state[:, rows.shape[1] - 1 : -1])
        if self.twins:
            conditional, unconditional = logits[0::2], logits[1::2]
            logits = unconditional + self.setting.guidance * (conditional - unconditional)
        found: Tensor = logits.bfloat16().log_softmax(-1).gather(-1, tokens[..., None])[..., 0].float()
        return found


def furthest(setting: Setting) -> float:
    """Largest difference of a mean log-probability of an image between both ways: do they compute the same?"""
    members = [member for member in setting.groups[0] if member.kind == "sampled"]
    prompts = [member.prompt for member in members]
    tokens = setting.policy.sample(prompts, seeds=range(len(prompts))).tokens
    plain = PlainLoop(setting, twins=setting.guidance != 1)
    with torch.no_grad():
        theirs = plain.log_probs(plain.model, plain._batch(members), tokens)
        mine = setting.policy.log_probs(prompts, tokens)
    return float((mine - theirs).mean(1).abs().max())


class Measured(NamedTuple):
    """The fastest step of a contestant, and the most memory any of its steps took (0 on a CPU)."""

    fastest: Step
    peak_bytes: int


def contest(makers: Mapping[str, Callable[[], Callable[[], Step]]], rounds: int, device: str) -> dict[str, Measured]:
    """Contestants take turns on a CPU, so that a busy machine slows all; on a GPU each has its memory to itself."""
    if device == "cpu":
        made = {name: maker() for name, maker in makers.items()}
        told: dict[str, list[Step]] = {name: [] for name in made}
        for _ in range(rounds):
            for name, step in made.items():
                told[name].append(step())
        return {name: Measured(min(steps, key=lambda each: each.seconds), 0) for name, steps in told.items()}
    return {name: _alone(maker, rounds) for name, maker in makers.items()}


def _alone(maker: Callable[[], Callable[[], Step]], rounds: int) -> Measured:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step = maker()
    fastest = min((step() for _ in range(rounds)), key=lambda each: each.seconds)
    return Measured(fastest, torch.cuda.max_memory_allocated())


def figures(measured: Mapping[str, Measured], images: int, products_per_second: float) -> dict[str, Any]:
    """Everything per sampled image; ground truth is part of the work and not of the count."""
    mine = measured["ours"].fastest
    rows = {}
    for name, (step, peak) in measured.items():
        parts = {part: step.parts.get(part, 0.0) / images for part in PARTS}
        parts["rest"] = step.seconds / images - math.fsum(parts.values())
        rows[name] = {"seconds_per_image": step.seconds / images, "parts": parts, "peak_bytes": peak}
    return {
        "images": images,
        "contestants": rows,
        **{f"vs_{name}": each.fastest.seconds / mine.seconds for name, each in measured.items() if name != "ours"},
        "products_share": {
            part: count / 2 / products_per_second / mine.parts[part] for part, count in mine.operations.items() if count
        },
    }


def print_table(found: Mapping[str, Any]) -> None:
    titles = ("ms per sampled image", "whole", *PARTS, "rest", "peak memory")
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    mine = found["contestants"]["ours"]
    for name, row in found["contestants"].items():
        ratio = "" if name == "ours" else f" ({row['seconds_per_image'] / mine['seconds_per_image']:.2f}x)"
        parts = [f"{1000 * seconds:.1f}" for seconds in row["parts"].values()]
        peak = f"{row['peak_bytes'] / 2**30:.1f} GiB" if row["peak_bytes"] else "not measured"
        print(f"| {name} | {1000 * row['seconds_per_image']:.1f}{ratio} | {' | '.join(parts)} | {peak} |")
    shares = ", ".join(f"{part} {share:.0%}" for part, share in found["products_share"].items())
    print(f"\nShare of the time that the products alone need at the machine's own rate: {shares}.\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair of few samples, one round")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    parser.add_argument("--model", choices=(TINY, *SHAPES), default=TINY)
    parser.add_argument("--tokens", type=int, help="of an image of random weights; 144 for small, else 576")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="float32 on a CPU, else bfloat16")
    parser.add_argument("--step", choices=("eager", "compiled", "graphed"), default="eager", help="of our sampler")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=JSON", help="of the recipe")
    parser.add_argument("--rounds", type=int, help="3 unless given")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 leaves torch its own number")
    return parser.parse_args()


def recipe_of(said: argparse.Namespace) -> RLRecipe:
    values = {**STILL, **({} if said.model == TINY else LARGE)}
    values |= {"prompts.pairs": 1, "groups.samples": 2} if said.quick else {}
    values |= {name: json.loads(value) for name, value in (each.split("=", 1) for each in said.set)}
    return read_recipe(RLRecipe, "shapes", folder="rl", values=values)


def checkpoint_of(said: argparse.Namespace, recipe: RLRecipe, dtype: torch.dtype) -> JanusCheckpoint:
    if said.model == TINY:
        folder = checkpoint_folder(recipe.policy.checkpoint, revision=None, what="policy 'janus'")
        return load_janus(folder, device=said.device, dtype=dtype)
    small = said.model == "small"
    tokens = said.tokens or (16 if said.quick else 144 if small else 576)
    model = build(SHAPES[said.model], tokens, said.device, dtype, SMALL_TOKENIZER if small else {})
    with tempfile.TemporaryDirectory() as folder:
        return JanusCheckpoint(model, build_prompts(Path(folder)), "transformers", "random", "random")


def measured(said: argparse.Namespace, setting: Setting) -> dict[str, Measured]:
    with tempfile.TemporaryDirectory() as folder:
        makers: dict[str, Callable[[], Callable[[], Step]]] = {
            "ours": lambda: ours(setting, Path(folder)),
            "plain_loop": lambda: PlainLoop(setting, twins=True),
        }
        if setting.guidance == 1:
            makers["plain_loop_spared"] = lambda: PlainLoop(setting, twins=False)
        return contest(makers, said.rounds or (1 if said.quick else 3), said.device)


def main() -> None:
    said = arguments()
    if said.threads:
        torch.set_num_threads(said.threads)
    dtype = getattr(torch, said.dtype or ("float32" if said.device == "cpu" else "bfloat16"))
    recipe = recipe_of(said)
    loaded = checkpoint_of(said, recipe, dtype)
    policy = JanusPolicy(loaded, Sampling(**recipe.policy.options), step=said.step)
    setting = Setting(recipe, loaded, policy, policy.frozen_copy(), Timer(said.device, said.clock))
    difference = furthest(setting)
    images = sum(member.kind == "sampled" for group in setting.groups for member in group)
    found = figures(measured(said, setting), images, product_rate(setting.timer, dtype))
    if not said.json:
        print_table(found)
    config = loaded.model.config
    print(
        json.dumps(
            {
                "benchmark": "rl_step",
                "model": said.model,
                "tokens": config.vision_config.num_image_tokens,
                "codes": config.vq_config.num_embeddings,
                "device": said.device,
                "dtype": str(dtype).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "clock": said.clock,
                "step": said.step,
                "pairs": recipe.prompts.pairs,
                "members": sum(map(len, setting.groups)),
                "guidance": setting.guidance,
                "micro_batch": recipe.loop.micro_batch,
                "log_prob_difference": difference,
                **found,
                "versions": package_versions(),
                "machine": this_machine().to_json(),
            }
        )
    )


if __name__ == "__main__":
    main()
