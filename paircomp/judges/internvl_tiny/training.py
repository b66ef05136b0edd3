"""Trains the small InternVL from nothing: ``python -m paircomp.judges.internvl_tiny.training FOLDER``.

Two things are learned at once in the same forward. At the end of each question the answer: yes and no with the
probabilities that the ``pixels`` judge gives. And inside the questions whose description fits, its next word, which is
captioning: it says a dozen bits about a picture where an answer says one.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import InternVLForConditionalGeneration

from paircomp.judges.internvl_layout import config_of, load_internvl
from paircomp.judges.internvl_tiny.batches import NO_LABEL, Batch, Conversation
from paircomp.judges.internvl_tiny.lessons import OWN, Lesson, draw_lesson
from paircomp.judges.internvl_tiny.model import build_model, write_checkpoint
from paircomp.types import Subtask

__all__ = ["COURSE", "Plan", "train"]


_AHEAD = 4  # batches drawn before they are needed


@dataclass(frozen=True)
class Plan:
    """One stretch of training; the learning rate rises, stays and falls in each.

    Attributes:
        steps: updates of the weights.
        turns: the subtasks that lessons take in turn.
        first: number of the first lesson.
        pictures: of one step, a lesson each.
        rate: the highest learning rate.
        warm_up: steps over which the rate rises.
        cool_down: share of the steps, the last ones, over which it falls to zero; 0 leaves it high, for a stretch that
            another one follows.
        captions: weight of the next words against that of the answers.
        telling: weight of a word that names a relation or a glyph against that of any other.
        seed: of the first weights and of the lessons.
    """

    steps: int
    turns: tuple[Subtask, ...] = tuple(Subtask)
    first: int = 0
    pictures: int = 24
    rate: float = 2e-3
    warm_up: int = 50
    cool_down: float = 0.4
    captions: float = 1.0
    telling: float = 1.0
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        falling = self.cool_down * self.steps
        left = (self.steps - step) / falling if falling else 1.0
        return self.rate * min(1.0, (step + 1) / self.warm_up, left)


#: Mostly relations and signs, which take longest.
_HARD = (*Subtask, *(Subtask.POSITION,) * 3, *(Subtask.TEXT,) * 2)

#: Relations above all: what is learnt last.
_RELATIONS = (*Subtask, *(Subtask.POSITION,) * 8)

#: How the shipped checkpoint was made.
COURSE = (
    Plan(steps=1000, cool_down=0.0),
    Plan(steps=1000, turns=_HARD, first=100_000, telling=6.0),
    Plan(steps=2400, turns=_RELATIONS, first=200_000, telling=6.0),
)


class Student(nn.Module):
    """The model with the forward that trains it: all questions about a picture in one row.

    Args:
        model: the native model.
        conversation: how questions are written.
        telling: see `Plan`.
    """

    def __init__(
        self, model: InternVLForConditionalGeneration, conversation: Conversation, *, telling: float = 1.0
    ) -> None:
        super().__init__()
        self._weights = torch.ones(model.lm_head.out_features)
        self._weights[list(conversation.telling)] = telling
        self.model, self._conversation = model, conversation
        self._opening = torch.tensor(conversation.opening)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss of the answers and of the words."""
        questions, width = batch.questions.shape[1:]
        hidden = self._hidden(batch)[:, len(self._opening) :]
        hidden = hidden.reshape(len(hidden), questions, width, -1)  # [B, Q, W, H]
        ends = batch.ends[..., None, None].expand(-1, -1, 1, hidden.shape[-1])
        answers = self.model.lm_head(hidden.gather(2, ends)[:, :, 0]).float().log_softmax(-1)  # [B, Q, V]
        yes, no = answers[..., self._conversation.yes], answers[..., self._conversation.no]
        answer_loss = -(batch.scores * yes + (1 - batch.scores) * no).mean()
        words = self.model.lm_head(hidden[:, :OWN]).float()
        word_loss = functional.cross_entropy(
            words.flatten(0, 2), batch.words.flatten(), weight=self._weights, ignore_index=NO_LABEL
        )
        return answer_loss, word_loss

    def _hidden(self, batch: Batch) -> Tensor:
        """``[B, opening + Q * W, H]``."""
        core, table = self.model.model, self.model.get_input_embeddings()
        looks = core.get_image_features(batch.pixels).pooler_output  # [B, image tokens, H]
        opening = table(self._opening).expand(len(looks), -1, -1)
        where = torch.eq(self._opening, self.model.config.image_token_id)[:, None]
        opening = opening.masked_scatter(where, looks.to(opening.dtype))
        inputs = torch.cat([opening, table(batch.questions.flatten(1))], dim=1)
        positions, mask = _places(len(self._opening), *batch.questions.shape[1:])
        hidden: Tensor = core.language_model(
            inputs_embeds=inputs, position_ids=positions, attention_mask=mask, use_cache=False
        ).last_hidden_state
        return hidden


def _places(opening: int, questions: int, width: int) -> tuple[Tensor, Tensor]:
    """Positions ``[1, S]`` and the mask ``[1, 1, S, S]``: a token sees the opening and its own question so far."""
    positions = torch.cat([torch.arange(opening), opening + torch.arange(width).repeat(questions)])
    owners = torch.cat([torch.full((opening,), -1), torch.arange(questions).repeat_interleave(width)])
    alike = (owners[:, None] == owners[None, :]) | (owners == -1)[None, :]
    size = len(positions)
    return positions[None], (alike & torch.ones(size, size, dtype=torch.bool).tril())[None, None]


def optimisers(student: Student, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for all else."""
    layers = (student.model.model.vision_tower.encoder.layer, student.model.model.language_model.layers)
    matrices = [weight for stack in layers for weight in stack.parameters() if weight.ndim == 2]
    taken = set(map(id, matrices))
    rest = [weight for weight in student.parameters() if id(weight) not in taken]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(plan: Plan, *, folder: Path, start: Path | None = None, every: int = 50) -> None:
    """Train, say now and then how it goes, and write the checkpoint.

    Args:
        plan: what to do.
        folder: where the checkpoint goes, last and with every line of progress.
        start: a checkpoint to go on from; new weights when not given.
        every: steps between two lines of progress.
    """
    model = build_model(plan.seed) if start is None else _opened(start)
    conversation = Conversation(model.config)
    student = Student(model, conversation, telling=plan.telling)
    chosen = optimisers(student, plan.rate)
    began, sums = time.monotonic(), torch.zeros(2)
    for step, batch in enumerate(_batches(plan, conversation)):
        sums += _learn(student, batch, chosen, plan, step)
        if (step + 1) % every == 0:
            _say(plan, step + 1, sums / every, time.monotonic() - began)
            sums.zero_()
        if (step + 1) % every == 0 or step + 1 == plan.steps:
            write_checkpoint(model, folder)


def _opened(start: Path) -> InternVLForConditionalGeneration:
    model, _ = load_internvl(start, config_of(start), device="cpu", dtype=torch.float32)
    model.requires_grad_(requires_grad=True).train()
    return model


def _batches(plan: Plan, conversation: Conversation) -> Iterator[Batch]:
    """The steps' batches, drawn ahead in a process of their own."""
    ahead: collections.deque[Future[list[Lesson]]] = collections.deque()
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as worker:
        for step in range(plan.steps + _AHEAD):
            if step < plan.steps:
                ahead.append(worker.submit(_lessons, plan, step))
            if step >= _AHEAD:
                yield conversation.batch(ahead.popleft().result())


def _lessons(plan: Plan, step: int) -> list[Lesson]:
    numbers = range(plan.first + step * plan.pictures, plan.first + (step + 1) * plan.pictures)
    return [draw_lesson(number, seed=plan.seed, turns=plan.turns) for number in numbers]


def _learn(student: Student, batch: Batch, chosen: list[torch.optim.Optimizer], plan: Plan, step: int) -> Tensor:
    for optimiser in chosen:
        for group in optimiser.param_groups:
            group["lr"] = plan.rate_at(step)
        optimiser.zero_grad(set_to_none=True)
    # The other kernels take twice as long backwards on rows this short.
    with sdpa_kernel(SDPBackend.MATH):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answers, words = student(batch)
        (answers + plan.captions * words).backward()
    nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    for optimiser in chosen:
        optimiser.step()
    return torch.stack([answers.detach(), words.detach()])


def _say(plan: Plan, step: int, losses: Tensor, seconds: float) -> None:
    answers, words = losses.tolist()
    line = f"step {step}/{plan.steps}  answers {answers:.4f}  words {words:.4f}  {seconds / 60:.1f} min"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the checkpoint goes")
    parser.add_argument(
        "--from",
        dest="first",
        type=int,
        default=1,
        choices=range(1, len(COURSE) + 1),
        help="stretch to go on with, from FOLDER's weights",
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch; more pay where no other work goes on")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for number, plan in enumerate(COURSE[arguments.first - 1 :], start=arguments.first):
        train(plan, folder=arguments.folder, start=None if number == 1 else arguments.folder)


if __name__ == "__main__":
    main()
