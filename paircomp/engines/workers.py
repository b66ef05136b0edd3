"""What runs in the actors: they load a generator or a judge by name, and answer chunks of work with records.

Images go from the worker that drew them to the run's store and from there to the worker that judges them; only records
pass through the process that writes them down. Nothing here knows of the engine.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import PairCompError
from paircomp.evaluation import Evaluation
from paircomp.pipeline.generate import drawing_runner, image_record
from paircomp.pipeline.judge import (
    UnjudgeableImageError,
    judgement_records,
    judging_runner,
    recorded_image,
    unscored_records,
)
from paircomp.plugins import Registry
from paircomp.runtime.batches import FAILURES_IN_A_ROW, batch_size_for
from paircomp.runtime.capabilities import identity_of
from paircomp.runtime.stores import open_store
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, ModelSpec, Question, Suite

if TYPE_CHECKING:
    from paircomp.run_store import Run

__all__ = ["LEFT_ALONE", "Assignment", "DrawingWorker", "Fault", "JudgingWorker", "Plan", "Ready", "plan_of"]


#: The reason of images and judgements that were left as they are; the driver puts their older reason in its place.
LEFT_ALONE = f"error: not tried again, because the last {FAILURES_IN_A_ROW} that had failed before failed again"


@dataclass(frozen=True)
class Plan:
    """All that a worker on another machine needs to know, as plain values.

    Attributes:
        spec: the model; ``None`` where nothing is drawn.
        judge: the judge's name.
        judge_checkpoint: its weights.
        judge_options: its options.
        device: as asked for.
        dtype: of the generator's weights.
        batch_size: largest batch; ``None`` is automatic.
        plugins: Python files with further parts.
        store: where the images lie.
        directory: relative paths in options are meant from here.
        mark: a file in the store, by which a worker knows that it sees the same store.
        failed: images that an earlier command could not draw.
        failed_to_judge: images about which one could not get an answer.
    """

    spec: ModelSpec | None
    judge: str
    judge_checkpoint: str | None
    judge_options: dict[str, Any]
    device: str
    dtype: str | None
    batch_size: int | None
    plugins: tuple[str, ...]
    store: str
    directory: str
    mark: str
    failed: frozenset[ImageKey] = frozenset()
    failed_to_judge: frozenset[ImageKey] = frozenset()

    def evaluation(self) -> Evaluation:
        """The evaluation as far as a worker is concerned with it: what opens the parts."""
        return Evaluation(
            Registry([Path(file) for file in self.plugins]), Suite("", (), ""), self.judge, self.spec,
            judge_checkpoint=self.judge_checkpoint, judge_options=self.judge_options, device=self.device,
            dtype=self.dtype, batch_size=self.batch_size,
        )  # fmt: skip


def plan_of(
    evaluation: Evaluation, run: Run, *, mark: str, failed: frozenset[ImageKey], failed_to_judge: frozenset[ImageKey]
) -> Plan:
    """What the workers of an evaluation must know."""
    spec = evaluation.spec
    return Plan(
        spec=None if spec is None else replace(spec, recipe=dict(spec.recipe)), judge=evaluation.judge_name,
        judge_checkpoint=evaluation.judge_checkpoint, judge_options=dict(evaluation.judge_options),
        device=evaluation.device, dtype=evaluation.dtype, batch_size=evaluation.batch_size,
        plugins=tuple(str(file.resolve()) for file in evaluation.registry.plugin_files),
        store=run.image_store.location, directory=str(Path.cwd()), mark=mark, failed=failed,
        failed_to_judge=failed_to_judge,
    )  # fmt: skip


@dataclass(frozen=True)
class Ready:
    """What a worker says once it has loaded its part.

    Attributes:
        host: where it runs.
        identity: what the part says of itself.
        seeded: whether a generator takes seeds.
        chunk: how many requests it wants at a time.
    """

    host: str
    identity: dict[str, Any]
    seeded: bool
    chunk: int


@dataclass(frozen=True)
class Fault:
    """An error that stops the step, in one line; errors themselves do not all survive the way between processes."""

    said: str


@dataclass(frozen=True)
class Assignment:
    """An image to be judged: which, what to ask, and the first 64 bits of its SHA-256."""

    key: ImageKey
    questions: tuple[Question, ...]
    tag: int


class _Worker:
    """Common to both kinds.

    Args:
        plan: what to load.
    """

    def __init__(self, plan: Plan) -> None:
        with contextlib.suppress(OSError):  # another machine may not have it, and need not
            os.chdir(plan.directory)
        self._plan = plan
        self._store = open_store(plan.store)

    def ready(self) -> Ready | Fault:
        """Load the part and say what it is."""
        try:
            self._see_store()
            part = self._load()
        except PairCompError as error:
            return Fault(f"on {socket.gethostname()}: {error}")
        size = batch_size_for(part, self._plan.batch_size)
        return Ready(socket.gethostname(), identity_of(part), getattr(part, "supports_seeds", True), size.size)

    def _see_store(self) -> None:
        try:
            self._store.read(self._plan.mark)
        except OSError as error:
            raise PairCompError(f"{self._plan.store} does not hold this run's images here ({error}); next: --out or "
                                "--store on something that all machines share") from error  # fmt: skip

    def _load(self) -> object:
        raise NotImplementedError


class DrawingWorker(_Worker):
    """Draws chunks of requests, each image straight into the store."""

    def _load(self) -> object:
        generator = self._plan.evaluation().open_generator()
        self._who = f"generator {self._plan.spec.adapter!r}" if self._plan.spec else "generator"
        size = batch_size_for(generator, self._plan.batch_size)
        self._runner = drawing_runner(generator, self._who, size, failed=self._plan.failed)
        return generator

    def work(self, chunk: Sequence[GenerationRequest]) -> Iterator[tuple[ImageKey, dict[str, Any]] | Fault]:
        """Each image's key and record, as soon as the image is in the store."""
        seeds = {request.key: request.seed for request in chunk}
        try:
            for outcome in self._runner.run(chunk):
                key, record, content = image_record(outcome, seed=seeds.__getitem__, who=self._who)
                if content is not None:
                    self._store.write(key.filename, content)
                del seeds[key]
                yield key, record
        except PairCompError as error:
            yield Fault(str(error))
            return
        for key in seeds:  # the runner went no further with what failed before
            yield (
                key,
                {"pair": key.pair, "prompt": key.prompt, "sample": key.sample, "unscored": LEFT_ALONE, "retry": True},
            )


class JudgingWorker(_Worker):
    """Judges chunks of images, which it reads from the store."""

    def _load(self) -> object:
        judge = self._plan.evaluation().open_judge()
        self._who = f"judge {self._plan.judge!r}"
        size = batch_size_for(judge, self._plan.batch_size)
        self._runner = judging_runner(judge, self._who, size, failed=self._plan.failed_to_judge)
        return judge

    def work(self, chunk: Sequence[Assignment]) -> Iterator[tuple[ImageKey, list[dict[str, Any]]] | Fault]:
        """The key and the records of each answer."""
        tags = {assignment.key: assignment.tag for assignment in chunk}
        requests: list[JudgeRequest] = []
        for assignment in chunk:
            try:
                image = recorded_image(self._store, assignment.key, tag=assignment.tag)
            except UnjudgeableImageError as error:
                yield assignment.key, unscored_records(assignment.key, assignment.questions, str(error),
                                                       tag=assignment.tag)  # fmt: skip
            else:
                requests.append(JudgeRequest(assignment.key, (image,), assignment.questions))
        left = {(request.key, question.judged_prompt) for request in requests for question in request.questions}
        try:
            for outcome in self._runner.run(requests):
                records = judgement_records(outcome, tag=tags.__getitem__, who=self._who)
                key = ImageKey(records[0]["pair"], records[0]["prompt"], records[0]["sample"])
                left.difference_update((key, record["judged_prompt"]) for record in records)
                yield key, records
        except PairCompError as error:
            yield Fault(str(error))
            return
        for request in requests:  # the runner went no further with what failed before
            questions = [each for each in request.questions if (request.key, each.judged_prompt) in left]
            if questions:
                yield request.key, unscored_records(request.key, questions, LEFT_ALONE, tag=tags[request.key])
