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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from focusdiff.groups import Group, groups_of, pad_rewards, unpadded
from focusdiff.objective import Objective, exact_kl, group_advantages, k3, normalised
from focusdiff.rollout import StepPictures, draw_step
from focusdiff.run_folder import RunFolder, TrainerState
from focusdiff.schedules import piecewise_linear
from focusdiff.step_metrics import Tally, count_members, count_rewards
from focusdiff.stopwatch import Stopwatch
from paircomp.errors import OutOfMemory, RunError
from paircomp.runtime.memory import is_out_of_memory

if TYPE_CHECKING:
    from accelerate import Accelerator

    from focusdiff.recipe import RLRecipe
    from focusdiff.training_protocols import Controller, Observer, Reward, TrainingPairs
    from paircomp.protocols import Policy

__all__ = ["Trainer"]


class Trainer:
    """Trains a policy by reinforcement learning.

    Args:
        recipe: of the run.
        policy: to be trained.
        reference: what it must not stray from; ``None`` only where beta is 0.
        pairs: where prompts come from.
        reward: what rewards pictures.
        folder: of the run.
        accelerator: processes, devices and number formats.
        observers: are told of every step.
        controller: keeps the run steady; ``None`` leaves it alone.
    """

    def __init__(
        self, recipe: RLRecipe, policy: Policy, reference: Policy | None, pairs: TrainingPairs, reward: Reward,
        folder: RunFolder, accelerator: Accelerator, *, observers: Sequence[Observer] = (),
        controller: Controller | None = None,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.policy = policy
        self.reference = reference
        self.pairs = pairs
        self.reward = reward
        self.folder = folder
        self.accelerator = accelerator
        self.observers = observers
        self.controller = controller
        self.state = TrainerState()
        self._weights = [weight for weight in policy.module.parameters() if weight.requires_grad]
        asked = recipe.optimiser
        optimiser = torch.optim.AdamW(self._weights, lr=asked.rate, betas=asked.betas, weight_decay=asked.weight_decay)
        if recipe.loop.compile:
            policy.module.compile()
        policy.module.train()
        self._module, self._optimiser = accelerator.prepare(policy.module, optimiser)

    def run(self) -> None:
        """Train to the last step, then write the model."""
        for step in range(self.state.step, self.recipe.loop.steps):
            numbers = self.train_step(step)
            self.state.step = step + 1
            self._tell("on_step", step, numbers)
            self._steady(step, numbers)
            if self.state.step % self.recipe.loop.checkpoint_every == 0 or self.state.step == self.recipe.loop.steps:
                self._checkpoint()
        if self.accelerator.is_main_process:
            self.folder.write_model(self.policy)

    def train_step(self, step: int) -> dict[str, float]:
        """One step: rollout, decode, reward, advantages, reference, loss, update.

        Returns:
            its numbers by name.

        Raises:
            RunError: too much stayed unscored, or a loss, KL or gradient is not finite.
            OutOfMemory: with what to lower.
        """
        recipe, stopwatch, tally = self.recipe, Stopwatch(), Tally()
        probability = piecewise_linear(step, recipe.groups.probability, total=recipe.loop.steps)
        rate = recipe.optimiser.schedule.at(step + 1, recipe.loop.steps) * self.state.learning_rate_scale
        groups = groups_of(
            self.pairs.draw(step, recipe.prompts.pairs), recipe.groups,
            seed=recipe.loop.seed, step=step, probability=probability,
        )  # fmt: skip

        with self._memory("rollout_batch", recipe.loop.rollout_batch or sum(map(len, groups))):
            drawn = draw_step(
                self.policy, self.reward, self._own(groups), at_most=recipe.loop.rollout_batch, stopwatch=stopwatch
            )

        with self._memory("micro_batch", recipe.loop.micro_batch):
            with stopwatch("reference"):
                reference = self._reference_log_probs(drawn)

            with stopwatch("reward"):  # what is left of it: it works since the first picture was decoded
                rewards = drawn.rewards()
            self._tell_samples(step, drawn, rewards)
            padded = pad_rewards(rewards, drawn.sizes)
            count_rewards(tally, drawn, rewards, padded)
            self._refuse_unscored(step, rewards)
            advantages = unpadded(group_advantages(padded), drawn.sizes)

            with stopwatch("update"):
                for group in self._optimiser.param_groups:
                    group["lr"] = rate
                members = sum(map(len, groups))
                self._update(step, drawn, advantages, reference, members, tally)

        for name, seconds in stopwatch.seconds.items():
            tally.highest(f"seconds/{name}", [seconds])
        numbers = self._gathered(tally)
        return {**numbers, "learning_rate": rate, "ground_truth_probability": probability}

    def _own(self, groups: Sequence[Group]) -> Sequence[Group]:
        """The groups of this process; a group is never cut, so its advantages need no other process."""
        return groups[self.accelerator.process_index :: self.accelerator.num_processes]

    def _reference_log_probs(self, drawn: StepPictures) -> Tensor:
        """``[B, L]``; zeros where no KL is asked for."""
        if self.reference is None:
            return torch.zeros(drawn.tokens.shape)
        found = torch.zeros(drawn.tokens.shape, device=drawn.tokens.device)
        with torch.no_grad(), self.accelerator.autocast():
            for rows in _micro_batches(_by_length(drawn, range(len(drawn.members))), self.recipe.loop.micro_batch):
                prompts, tokens, keep = _rows(drawn, rows)
                found[rows] = self.reference.log_probs(prompts, tokens, keep=keep)
        return found

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
        for rows, last in _with_last(_micro_batches(_by_length(drawn, _places(trained)), self.recipe.loop.micro_batch)):
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self._module):
                log_probs, divergence = self._log_probs(drawn, rows, reference)
                here = Objective(*(each[rows].to(log_probs.device) for each in objective))
                per_token = here.loss(
                    log_probs, divergence, beta=self.recipe.objective.beta, epsilon=self.recipe.objective.epsilon
                )
                loss = normalised(per_token, images=members, kind=self.recipe.objective.normalisation)
                self.accelerator.backward(loss * self.accelerator.num_processes)  # processes are averaged
            tally.add("loss", loss.item())
            self._count(tally, drawn, rows, log_probs.detach(), divergence.detach(), reference)
        norm = float(self.accelerator.clip_grad_norm_(self._weights, self.recipe.optimiser.max_gradient_norm))
        tally.highest("gradient_norm", [norm])
        for rows in _micro_batches(_by_length(drawn, _places(~trained)), self.recipe.loop.micro_batch):
            with torch.no_grad():  # looked at, not learnt from
                log_probs, divergence = self._log_probs(drawn, rows, reference)
            self._count(tally, drawn, rows, log_probs, divergence, reference)
        if not math.isfinite(norm):
            self._diverged(step, norm)
        self._optimiser.step()

    def _objective(self, drawn: StepPictures, advantages: Tensor) -> Objective:
        sampled, negative = drawn.mask("sampled"), drawn.mask("negative")
        counted = ~negative if self.recipe.groups.negatives == "statistics" else torch.ones_like(negative)
        regularised = counted if self.recipe.objective.kl_members == "all" else sampled
        return Objective(advantages, counted, regularised & (self.recipe.objective.beta > 0))

    def _log_probs(self, drawn: StepPictures, rows: list[int], reference: Tensor) -> tuple[Tensor, Tensor]:
        """``[b, L]`` log-probabilities and KL of some members, with gradient."""
        prompts, tokens, keep = _rows(drawn, rows)
        with self.accelerator.autocast():
            if self.recipe.objective.kl == "k3" or self.reference is None:
                log_probs = self.policy.log_probs(prompts, tokens, keep=keep, module=self._module)
                return log_probs, k3(log_probs, reference[rows].to(log_probs.device))
            every = self.policy.log_distributions(prompts, tokens, keep=keep)  # [b, L, V]
            with torch.no_grad():
                others = self.reference.log_distributions(prompts, tokens, keep=keep)
        return every.gather(-1, tokens[..., None])[..., 0], exact_kl(every, others)

    def _count(
        self, tally: Tally, drawn: StepPictures, rows: list[int], log_probs: Tensor, divergence: Tensor,
        reference: Tensor,
    ) -> None:  # fmt: skip
        known = {"log_prob": log_probs}
        if self.reference is not None:
            known |= {"k3": k3(log_probs, reference[rows].to(log_probs.device)), "kl": divergence}
        count_members(tally, [drawn.members[row].kind for row in rows], known)
        distance = (log_probs.cpu() - drawn.rollout_log_probs[rows].cpu()).abs().nan_to_num(nan=0.0)
        tally.highest("rollout_difference", [float(distance.max())])

    def _gathered(self, tally: Tally) -> dict[str, float]:
        if self.accelerator.num_processes == 1:
            return tally.numbers()
        from accelerate.utils import gather_object

        return Tally.together(gather_object([tally])).numbers()

    def _steady(self, step: int, numbers: dict[str, float]) -> None:
        if self.controller is None:
            return
        asked = self.controller.observe(step, numbers)
        self.state.learning_rate_scale = asked.learning_rate_scale
        if asked.move_reference and self.reference is not None:
            self.reference = self.policy.frozen_copy()
            self.state.reference_moved = True
        if asked.reason:
            self.event(step, "steadiness", asked.reason)

    # What is kept and told

    def event(self, step: int, kind: str, message: str) -> None:
        """Note something worth a line."""
        if self.accelerator.is_main_process:
            self.folder.append("events", {"step": step, "kind": kind, "message": message})
        self._tell("on_event", step, kind, message)

    def resume(self) -> None:
        """Take up the newest checkpoint; the policy was loaded from it already."""
        if not (found := self.folder.checkpoints()):
            return
        self.state = self.folder.read_state(found[-1])
        tensors = torch.load(found[-1] / "trainer.pt", map_location="cpu", weights_only=True)
        self._optimiser.load_state_dict(tensors["optimiser"])
        if "reference" in tensors and self.reference is not None:
            self.reference.module.load_state_dict(tensors["reference"])
        if self.controller is not None:
            self.controller.load_state_dict(self.state.controller)
        if self.accelerator.is_main_process:
            self.folder.forget_from(self.state.step)
        self.event(self.state.step, "resumed", f"from {found[-1].name}")

    def _checkpoint(self) -> None:
        if not self.accelerator.is_main_process:
            return
        if self.controller is not None:
            self.state.controller = self.controller.state_dict()
        tensors: dict[str, Any] = {"optimiser": self._optimiser.state_dict()}
        if self.state.reference_moved and self.reference is not None:
            tensors["reference"] = self.reference.module.state_dict()
        place = self.folder.write_checkpoint(self.policy, self.state, tensors, keep=self.recipe.loop.keep)
        self._tell("on_checkpoint", self.state.step, place)

    def _tell(self, what: str, step: int, *told: Any) -> None:
        if not self.accelerator.is_main_process:
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

    def _refuse_unscored(self, step: int, rewards: Sequence[float]) -> None:
        unscored = sum(map(math.isnan, rewards))
        if unscored > self.recipe.reward.most_unscored * len(rewards):
            raise RunError(
                self.folder.path,
                f"step {step}: {unscored} of {len(rewards)} pictures could not be scored by {self.reward.name!r} "
                f"(at most {self.recipe.reward.most_unscored:.0%} may); next: see that the judge understands these "
                "prompts, mend its server, or raise reward.most_unscored",
            )

    def _diverged(self, step: int, norm: float) -> NoReturn:
        """Keep the weights from before the step, which are finite still, and stop."""
        self._checkpoint()
        rate = self.recipe.optimiser.rate
        raise RunError(
            self.folder.path,
            f"step {step} diverged: the gradient's norm is {norm} (loss or KL not finite); the weights before it are "
            f"kept in {self.folder.checkpoints()[-1] / 'model'}; next: begin another run from them with "
            f"optimiser.rate={rate / 2:g} (now {rate:g}), a larger objective.beta, or kl_members='sampled'",
        )

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


def _rows(drawn: StepPictures, rows: list[int]) -> tuple[list[str], Tensor, Tensor | None]:
    keep = None if drawn.keep is None else drawn.keep[rows]
    return [drawn.members[row].prompt for row in rows], drawn.tokens[rows], keep


def _places(mask: Tensor) -> list[int]:
    return [int(place) for place in mask.nonzero()[:, 0]]


def _by_length(drawn: StepPictures, rows: Sequence[int]) -> list[int]:
    """Members ordered so that micro-batches hold prompts of similar length: less padding, fewer masks."""
    return sorted(rows, key=lambda row: (len(drawn.members[row].prompt), row))


def _micro_batches(rows: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def _with_last(parts: Iterator[list[int]]) -> Iterator[tuple[list[int], bool]]:
    """Each part, and whether it is the last."""
    before = None
    for part in parts:
        if before is not None:
            yield before, False
        before = part
    if before is not None:
        yield before, True
