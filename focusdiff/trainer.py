"""The training loop of GRPO and Pair-GRPO, to be read from top to bottom.

How it departs from the published loop (FocusDiff, arXiv 2506.05501, and its code):

- All micro-batches of a step are sampled in one batch; the published loop samples one pair at a time.
- One update per rollout, so the importance ratio is 1 and carries the gradient alone; log-probabilities are computed
  anew by the pass that trains, and their distance to the sampler's own is logged.
- k3 is taken over sampled members unless the recipe says all; ground truth's is logged beside it.
- What is rewarded of a ground-truth picture is what its tokens decode to, as for samples.
- Every draw is seeded by (seed, step, place) and no global random stream is used, so a run that was killed continues to
  the bit.
- A reward that could not be had is NaN and gives no advantage; beyond a limit the step stops. Never a silent 0.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from focusdiff.flops import member_flops
from focusdiff.groups import groups_of, pad_rewards, unpadded
from focusdiff.member_passes import (
    MemberPasses,
    checkpoint_gradients,
    move_reference,
    own_randomness,
    probe,
    still,
)
from focusdiff.objective import Objective, group_advantages, normalised
from focusdiff.rollout import StepPictures, draw_step
from focusdiff.run_folder import RunFolder, TrainerState
from focusdiff.schedules import piecewise_linear
from focusdiff.sharding import load_whole, share_held, shares_of
from focusdiff.step_metrics import Tally, count_reward_calls, count_rewards
from focusdiff.stopwatch import Stopwatch
from paircomp.errors import OutOfMemory, RunError
from paircomp.runtime.memory import is_out_of_memory

if TYPE_CHECKING:
    from focusdiff.policies import Models
    from focusdiff.processes import Processes
    from focusdiff.recipe import RLRecipe
    from focusdiff.training_protocols import Controller, Observer, PairSource, Reward

__all__ = ["Trainer"]


class Trainer:
    """Trains a policy by reinforcement learning.

    Args:
        recipe: of the run.
        models: the policy to be trained, what it must not stray from, and its adapters.
        pairs: where prompts come from.
        reward: what rewards pictures.
        folder: of the run.
        processes: that share the work.
        observers: are told of every step.
        controller: keeps the run steady; ``None`` leaves it alone.

    Attributes:
        clock: tells the seconds that a step's parts are said to take.
    """

    def __init__(
        self, recipe: RLRecipe, models: Models, pairs: PairSource, reward: Reward, folder: RunFolder,
        processes: Processes, *, observers: Sequence[Observer] = (), controller: Controller | None = None,
    ) -> None:  # fmt: skip
        policy, reference, adapters = models
        self.recipe = recipe
        self.policy = policy
        self.pairs = pairs
        self.reward = reward
        self.folder = folder
        self.processes = processes
        self.adapters = adapters
        self.observers = observers
        self.controller = controller
        self.state = TrainerState()
        self.clock = time.perf_counter
        self._flops = member_flops(policy, [prompt for pair in pairs.draw(0, 1) for prompt in pair.prompts])
        if recipe.loop.gradient_checkpointing:
            checkpoint_gradients(policy.module)
        if recipe.loop.compile:
            policy.module.compile()
        policy.module.train()
        if reference is not None and adapters is None:
            processes.share_out(reference.module)
        processes.share_out(policy.module)
        self._weights = [weight for weight in policy.module.parameters() if weight.requires_grad]
        asked = recipe.optimiser
        self._optimiser = torch.optim.AdamW(
            self._weights, lr=asked.rate, betas=asked.betas, weight_decay=asked.weight_decay
        )
        self._passes = MemberPasses(recipe, policy, reference, processes.accelerator)

    def run(self) -> None:
        """Train to the last step, then write the model."""
        if self.processes.sharded:
            held = share_held(self.policy.module)
            self.event(
                self.state.step, "shares", f"each of {self.processes.count} processes holds {held:.0%} of the weights"
            )
        for step in range(self.state.step, self.recipe.loop.steps):
            numbers = self.train_step(step)
            self.state.step = step + 1
            self._tell("on_step", step, numbers)
            self._steady(step, numbers)
            if self.state.step % self.recipe.loop.checkpoint_every == 0 or self.state.step == self.recipe.loop.steps:
                self._checkpoint()
        weights = self.whole_weights()
        with self.processes.apart(self.folder.path):
            if self.processes.main:
                self.folder.write_model(self.policy, dtype=self.recipe.loop.weights, weights=weights)

    def train_step(self, step: int) -> dict[str, float]:
        """One step: rollout, decode, reward, advantages, reference, loss, update.

        Returns:
            its numbers by name.

        Raises:
            RunError: too much stayed unscored, or a loss, KL or gradient is not finite.
            OutOfMemory: with what to lower.
        """
        recipe, stopwatch, tally = self.recipe, Stopwatch(self.clock), Tally()
        probability = piecewise_linear(step, recipe.groups.probability, total=recipe.loop.steps)
        rate = recipe.optimiser.schedule.at(step + 1, recipe.loop.steps) * self.state.learning_rate_scale
        pairs = self.pairs.draw(step, recipe.prompts.pairs)
        groups = groups_of(
            pairs, recipe.groups,
            seed=recipe.loop.seed, step=step, probability=probability,
        )  # fmt: skip

        at_once = recipe.loop.rollout_batch or sum(map(len, groups))
        with self._apart("rollout_batch", at_once, self.policy.module):
            if recipe.loop.probe_every and step % recipe.loop.probe_every == 0:
                with stopwatch("probe"), still(self.policy.module):
                    probe(self.policy, self.processes.own(pairs), tally, at_once=recipe.loop.micro_batch)
            drawn = draw_step(
                self.policy, self.reward, self.processes.own(groups), at_most=recipe.loop.rollout_batch,
                stopwatch=stopwatch,
            )  # fmt: skip

        with self._apart("micro_batch", recipe.loop.micro_batch, *self._passes.looking()):
            with stopwatch("reference"):
                reference = self._passes.reference_log_probs(drawn)
            with stopwatch("reward"):  # what is left of it: it works since the first picture was decoded
                rewards = drawn.rewards()
        self._tell_samples(step, drawn, rewards)
        padded = pad_rewards(rewards, drawn.sizes)
        count_rewards(tally, drawn, rewards, padded)
        self._refuse_unscored(step, rewards, count_reward_calls(tally, drawn))
        advantages = unpadded(group_advantages(padded), drawn.sizes)

        with self._memory("micro_batch", recipe.loop.micro_batch), stopwatch("update"):
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._update(step, drawn, advantages, reference, sum(map(len, groups)), tally)

        self._count_costs(tally, drawn, stopwatch)
        numbers = Tally.together(self.processes.gathered(tally)).numbers()
        return {**numbers, "learning_rate": rate, "ground_truth_probability": probability}

    def _update(
        self, step: int, drawn: StepPictures, advantages: Tensor, reference: Tensor, members: int, tally: Tally
    ) -> None:
        """Gradients of all micro-batches, then one step of the optimiser.

        Args:
            step: for messages.
            drawn: the members of this process.
            advantages: ``[B]``.
            reference: ``[B, L]``.
            members: of the whole step, over all processes.
            tally: takes what is learnt of the members.
        """
        objective = self._objective(drawn, advantages)
        trained = objective.counted | objective.regularised
        self._optimiser.zero_grad()
        for number, (rows, counts) in enumerate(self.processes.paced(self._passes.batches(drawn, trained))):
            name = f"dropout {self.recipe.loop.seed} {step} {self.processes.index} {number}"
            with own_randomness(name, drawn.tokens.device):
                log_probs, divergence = self._passes.log_probs(drawn, rows, reference)
            here = Objective(*(each[rows] for each in objective))
            per_token = here.loss(
                log_probs, divergence, beta=self.recipe.objective.beta, epsilon=self.recipe.objective.epsilon
            )
            loss = normalised(per_token, images=members, kind=self.recipe.objective.normalisation)
            (loss if counts else 0 * loss).backward()  # type: ignore[no-untyped-call]
            if not counts:
                continue
            tally.add("loss", loss.item())
            self._passes.count(tally, drawn, rows, log_probs, divergence, reference)
        self.processes.share_gradients(self._weights)
        norm = self.processes.clip_gradients(self._weights, self.recipe.optimiser.max_gradient_norm)
        tally.highest("gradient_norm", [norm])
        self._watch(drawn, ~trained, reference, tally)
        if not math.isfinite(norm):
            self._diverged(step, norm)
        self._optimiser.step()

    def _watch(self, drawn: StepPictures, watched: Tensor, reference: Tensor, tally: Tally) -> None:
        """Look at members that are not learnt from, with the weights that the others were looked at with."""
        if self.recipe.groups.negatives == "loss":
            return  # all of them are learnt from
        exchanged = (self.policy.module, *self._passes.looking())
        with self._apart("micro_batch", self.recipe.loop.micro_batch, *exchanged), torch.no_grad():
            for rows in self._passes.batches(drawn, watched):
                with still(self.policy.module):
                    log_probs, divergence = self._passes.log_probs(drawn, rows, reference)
                self._passes.count(tally, drawn, rows, log_probs, divergence, reference)

    def _objective(self, drawn: StepPictures, advantages: Tensor) -> Objective:
        sampled, negative = drawn.mask("sampled"), drawn.mask("negative")
        counted = ~negative if self.recipe.groups.negatives == "statistics" else torch.ones_like(negative)
        regularised = counted if self.recipe.objective.kl_members == "all" else sampled
        told = advantages, counted, regularised & (self.recipe.objective.beta > 0)
        return Objective(*(each.to(drawn.tokens.device) for each in told))

    def _count_costs(self, tally: Tally, drawn: StepPictures, stopwatch: Stopwatch) -> None:
        for name, seconds in stopwatch.seconds.items():
            tally.highest(f"seconds/{name}", [seconds])
        watched = int(drawn.mask("negative").sum()) if self.recipe.groups.negatives == "statistics" else 0
        sampled, members = int(drawn.mask("sampled").sum()), len(drawn.members)
        parts = self._flops.step(sampled=sampled, decoded=drawn.decoded, trained=members - watched, watched=watched,
                                 reference=self._passes.reference is not None)  # fmt: skip
        for name, count in {"": sum(parts.values()), **{f"/{name}": count for name, count in parts.items()}}.items():
            tally.add(f"flops{name}", count)

    def _steady(self, step: int, numbers: dict[str, float]) -> None:
        if self.controller is None:
            return
        asked = self.controller.observe(step, numbers)
        self.state.learning_rate_scale = asked.learning_rate_scale
        if asked.move_reference and self._passes.reference is not None:
            move_reference(self._passes.reference, self.policy, asked.reference_share)
            self.state.reference_moved = True
        if asked.reason:
            self.event(step, "steadiness", asked.reason)

    # What is kept and told

    def event(self, step: int, kind: str, message: str) -> None:
        """Note something worth a line."""
        if self.processes.main:
            self.folder.append("events", {"step": step, "kind": kind, "message": message})
        self._tell("on_event", step, kind, message)

    def resume(self, place: Path | None) -> None:
        """Take up a checkpoint, if there is one; the policy was loaded from it already."""
        self.state = self.folder.read_state(place) if place else TrainerState()
        if self.processes.main:
            self.folder.forget_from(self.state.step)
        if place is None:
            return
        tensors = torch.load(place / "trainer.pt", map_location="cpu", weights_only=True)
        optimiser = tensors["optimiser"]
        self._optimiser.load_state_dict(shares_of(optimiser, self._weights) if self.processes.sharded else optimiser)
        if "reference" in tensors and self._passes.reference is not None:
            load = load_whole if self.processes.sharded else nn.Module.load_state_dict
            load(self._passes.reference.module, tensors["reference"])
        if self.controller is not None:
            self.controller.load_state_dict(self.state.controller)
        self.event(self.state.step, "resumed", f"from {place.name}")
        with self.processes.apart(self.folder.path):
            self._tell("on_checkpoint", self.state.step, place)

    def _checkpoint(self) -> None:
        if self.controller is not None:
            self.state.controller = self.controller.state_dict()
        tensors: dict[str, Any] = {"optimiser": self.processes.whole(self._optimiser.state_dict())}
        if self.state.reference_moved and self._passes.reference is not None:
            tensors["reference"] = self.processes.whole(self._passes.reference.module.state_dict())
        weights = self.whole_weights()
        with self.processes.apart(self.folder.path):
            if self.processes.main:
                place = self.folder.write_checkpoint(self.policy, self.state, tensors, keep=self.recipe.loop.keep,
                                                     weights=weights, adapters=self.adapters)  # fmt: skip
                self._tell("on_checkpoint", self.state.step, place)

    def whole_weights(self) -> Mapping[str, Tensor] | None:
        """The policy's weights as its files hold them, where its module holds them otherwise."""
        if self.adapters is not None:
            return self.adapters.merged()
        return self.processes.whole(self.policy.module.state_dict()) if self.processes.sharded else None

    def _tell(self, what: str, step: int, *told: Any) -> None:
        if not self.processes.main:
            return
        if what == "on_step":
            self.folder.append("metrics", {"step": step, **told[0]})
        for observer in self.observers:
            getattr(observer, what)(step, *told)

    def _tell_samples(self, step: int, drawn: StepPictures, rewards: Sequence[float]) -> None:
        sampled = [place for place, member in enumerate(drawn.members) if member.kind == "sampled"]
        self._tell("on_samples", step, [drawn.members[place].prompt for place in sampled],
                   [drawn.pictures[place] for place in sampled], [rewards[place] for place in sampled])  # fmt: skip

    # What stops a run

    def _refuse_unscored(self, step: int, rewards: Sequence[float], reasons: Counter[str]) -> None:
        """Count over all processes, so that all go on or none."""
        told = self.processes.gathered((sum(map(math.isnan, rewards)), len(rewards), reasons))
        unscored, members = sum(each[0] for each in told), sum(each[1] for each in told)
        if not unscored:
            return
        every = sum((each[2] for each in told), Counter[str]())
        said = "; ".join(f"{reason} ({count})" for reason, count in every.most_common(3)) or "no reason given"
        self.event(step, "unscored", f"{unscored} of {members} pictures: {said}")
        if unscored > self.recipe.reward.most_unscored * members:
            raise RunError(
                self.folder.path,
                f"step {step}: {unscored} of {members} pictures could not be scored by {self.reward.name!r} "
                f"(at most {self.recipe.reward.most_unscored:.0%} may): {said}; next: see that the judge understands "
                "these prompts, mend its server, or raise reward.most_unscored",
            )

    def _diverged(self, step: int, norm: float) -> NoReturn:
        """Stop, and name the last checkpoint whose weights are not those that diverged."""
        good = [place for place in self.folder.checkpoints() if self.folder.read_state(place).step < step]
        kept = f"{good[-1] / 'model'} is the last good checkpoint" if good else "no checkpoint was written yet"
        rate = self.recipe.optimiser.rate
        raise RunError(
            self.folder.path,
            f"step {step} diverged: the gradient's norm is {norm} (loss or KL not finite); {kept}; next: begin another "
            f"run, from it or anew, with optimiser.rate={rate / 2:g} (now {rate:g}), a larger objective.beta, or "
            "objective.kl_members='sampled'",
        )

    @contextlib.contextmanager
    def _apart(self, field: str, now: int, *modules: nn.Module) -> Iterator[None]:
        """A part of the step in which no process waits for another, with some modules' weights whole."""
        with self.processes.apart(self.folder.path, *modules), self._memory(field, now):
            yield

    @contextlib.contextmanager
    def _memory(self, field: str, now: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error) or isinstance(error, OutOfMemory):
                raise
            raise OutOfMemory(
                f"training: memory ran out with loop.{field}={now}; next: loop.{field}={max(1, now // 2)}, and run the "
                "same command again"
            ) from error
