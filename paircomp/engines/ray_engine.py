"""Drawing and judging on a Ray cluster: pools of generator actors and of judge actors, and one process that writes.

Why actors and not Ray Data: docs/design/ray.md. The run is the same as without an engine: the same locks, records and
seeds, so any step of it can be resumed with or without Ray.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from paircomp.engines.pool import Lost, Pool
from paircomp.engines.workers import LEFT_ALONE, Assignment, DrawingWorker, JudgingWorker, Plan, Ready, plan_of
from paircomp.errors import ConfigError, GenerationError, JudgeError, RunError, UnavailableError
from paircomp.evaluation import judge_identity
from paircomp.pipeline import Progress, Silent, StepCount
from paircomp.pipeline.generate import cost_of, count_images, failed_images, missing_images
from paircomp.pipeline.judge import unscored_records
from paircomp.pipeline.questions import OpenQuestions
from paircomp.pipeline.share import wanted_images
from paircomp.run_store import ImageIndex, JudgementTable, Run
from paircomp.steps import needs_device
from paircomp.types import GenerationRequest, ImageKey, Question

if TYPE_CHECKING:
    from paircomp.evaluation import Evaluation

__all__ = ["RayResources", "draw_and_judge", "ray_cluster"]

#: Images that wait for a judge, for each judge actor and request of its chunk, before generators are given no more.
_WAITING_CHUNKS = 4
_START_SECONDS = 600.0
_LISTEN_SECONDS = 5.0
_MARK = ".paircomp-store"


@dataclass(frozen=True)
class RayResources:
    """What the two pools take of a cluster.

    Attributes:
        address: an existing cluster; ``None`` takes ``RAY_ADDRESS``, else starts one on this machine.
        generators: generator actors.
        judges: judge actors.
        generator_gpus: of each generator actor; parts of a GPU are possible. ``None`` is one GPU where the generator
            uses torch and the cluster has any.
        judge_gpus: of each judge actor, likewise.
        cpus: of each actor.
    """

    address: str | None = None
    generators: int = 1
    judges: int = 1
    generator_gpus: float | None = None
    judge_gpus: float | None = None
    cpus: float = 1.0

    def settled(self, evaluation: Evaluation, *, gpus: float) -> RayResources:
        """The same with GPUs decided on.

        Args:
            evaluation: says what needs them.
            gpus: how many the cluster has.
        """
        judge = evaluation.registry.judge(evaluation.judge_name)
        generator = None if evaluation.spec is None else evaluation.registry.generator(evaluation.spec.adapter)
        needs = {"generator_gpus": needs_device(generator), "judge_gpus": needs_device(judge)}
        chosen = {name: float(need and gpus > 0) for name, need in needs.items() if getattr(self, name) is None}
        return replace(self, **chosen)  # type: ignore[arg-type]


@contextlib.contextmanager
def ray_cluster(resources: RayResources, evaluation: Evaluation, progress: Progress) -> Iterator[RayResources]:
    """Be connected to the cluster; one that was started for this is ended.

    Yields:
        the resources with nothing left open.

    Raises:
        UnavailableError: Ray is not installed, or nothing answers at the address.
        ConfigError: the actors ask for more than a cluster of this machine alone has.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UnavailableError("--engine ray", package="ray", remedy="pip install 'paircomp[ray]'") from error
    ours = not ray.is_initialized()
    address = resources.address or os.environ.get("RAY_ADDRESS") or "local"
    if ours:
        _connect(address)
    try:
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        settled = resources.settled(evaluation, gpus=there.get("GPU", 0))
        _look_at_resources(settled, there, progress, local=address == "local" and ours)
        yield settled
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise UnavailableError("--engine ray", package=f"a Ray cluster at {address!r} ({said})",
                               remedy="ray start --head, or --ray-address local") from error  # fmt: skip


def _look_at_resources(resources: RayResources, there: Mapping[str, float], progress: Progress, *, local: bool) -> None:
    gpus = (resources.generator_gpus or 0) * resources.generators + (resources.judge_gpus or 0) * resources.judges
    wanted = {"CPU": resources.cpus * (resources.generators + resources.judges), "GPU": gpus}
    short = [f"{amount:g} {name}, the cluster has {there.get(name, 0):g}" for name, amount in wanted.items()
             if amount > there.get(name, 0)]  # fmt: skip
    if short and local:
        raise ConfigError([f"the actors ask for {'; '.join(short)}; next: fewer --generators or --judges, or less of a "
                           "GPU or CPU for each"], where="--engine ray")  # fmt: skip
    if short:
        progress.say(f"the actors ask for {'; '.join(short)}: as many as fit work now, others when there is room")


def draw_and_judge(
    evaluation: Evaluation, run: Run, resources: RayResources, progress: Progress | None = None
) -> tuple[StepCount, StepCount]:
    """Draw what is missing and ask what was not asked, on the cluster that :func:`ray_cluster` connected to.

    Raises:
        GenerationError: a generator broke its contract, keeps failing, or no actor for it stays alive.
        JudgeError: likewise a judge.
        RunError: another process is at it, or the disk is full.
    """
    if evaluation.spec is None or evaluation.generator is not None or not evaluation.shard.whole:
        raise ConfigError(["draws models that go by name, all of a run at once; next: leave out --images and --shard"],
                          where="--engine ray")  # fmt: skip
    heard: Progress = progress or Silent()
    name = evaluation.judge_name
    with contextlib.ExitStack() as held:
        for step in ("generate", f"judge {name}"):
            held.enter_context(run.lock(step))
            said = {"judge": name} if step != "generate" else {}
            run.begin(step, selection=evaluation.selection, device=evaluation.device, engine="ray", **said)
        factory = evaluation.registry.judge(name)
        run.judge(name).settle(judge_identity(factory, name, evaluation.judge_checkpoint, evaluation.judge_options))
        store = run.image_store
        store.write(_MARK, b"paircomp\n")
        held.callback(store.remove, _MARK)
        work = _Work(evaluation, run)
        with work.counted(heard):
            if work.drawn.cached < work.drawn.total or work.judged.cached < work.judged.total:
                plan = plan_of(evaluation, run, mark=_MARK, failed=work.failed, failed_to_judge=work.open.failed())
                work.go(plan, resources, heard, held)
        work.open.refuse_nothing()
    return work.drawn, work.judged


class _Work:
    """Both steps of one run: what is left of them, and the writing down of what comes."""

    def __init__(self, evaluation: Evaluation, run: Run) -> None:
        suite, selection = evaluation.suite, evaluation.selection
        self._run = run
        self._judge = run.judge(evaluation.judge_name)
        records, judgements = run.image_records, self._judge.records
        self._index = ImageIndex(suite).read(records.read())
        self._lost = self._index.forget_lost_files(run.image_store)
        wanted = wanted_images(suite, selection.pairs(suite))
        self.drawn = count_images(self._index, wanted)
        self.requests = list(missing_images(suite, self._index, wanted, run_seed=int(run.identity["run_seed"])))
        self.failed = failed_images(self._index)
        table = JudgementTable(self._index).read(judgements.read())
        self._reasons = table.reasons
        self.open = OpenQuestions(run, suite, self._index, table, selection=selection, shard=evaluation.shard,
                                  cross=evaluation.asks_cross(), arriving=True)  # fmt: skip
        self.judged = self.open.count
        self._dropped = (records.dropped + self._index.dropped, judgements.dropped + table.dropped)
        self._unanswered: dict[ImageKey, set[int]] = {}

    @contextlib.contextmanager
    def counted(self, progress: Progress) -> Iterator[None]:
        """Tell `progress` of both steps."""
        started = time.monotonic()
        progress.start(self.drawn, what="images")
        progress.start(self.judged, what="judgements")
        try:
            yield
        finally:
            self.drawn.dropped = self._lost + (self._dropped[0] if self.drawn.new else 0)
            self.judged.dropped = self._dropped[1] if self.judged.new else 0
            self.drawn.seconds = self.judged.seconds = time.monotonic() - started
            progress.finish(self.drawn)
            progress.finish(self.judged)

    def go(self, plan: Plan, resources: RayResources, progress: Progress, held: contextlib.ExitStack) -> None:
        """Start the actors and hand out work until nothing is left."""
        self._images = held.enter_context(self._run.image_records.writer())
        self._answers = held.enter_context(self._judge.records.writer())
        count = min(resources.generators, len(self.requests))
        generators = self._pool("generator", DrawingWorker, plan, count, progress.say,
                                cpus=resources.cpus, gpus=resources.generator_gpus or 0)  # fmt: skip
        held.callback(generators.close)
        judges = self._pool("judge", JudgingWorker, plan, resources.judges, progress.say,
                            cpus=resources.cpus, gpus=resources.judge_gpus or 0)  # fmt: skip
        held.callback(judges.close)
        requests = iter(self.requests)
        for key, questions in self.open.at_start():
            self._ask(judges, key, questions)
        started, pending = time.monotonic(), len(self.requests)
        while pending or generators.busy or judges.busy:
            if len(judges.queue) < _WAITING_CHUNKS * resources.judges * 8:  # back-pressure
                taken = list(itertools.islice(requests, resources.generators * 8))
                generators.add(taken)
                pending -= len(taken)
            generators.hand_out()
            judges.hand_out()
            self._listen(generators, judges, progress)
            _refuse_waiting(started, generators, judges)
        self.open.nothing_more()

    def _pool(self, name: str, worker: type, plan: Plan, size: int, say: Callable[[str], None], *, cpus: float,
              gpus: float) -> Pool[Any]:  # fmt: skip
        import ray

        make: Callable[[], Any] = partial(ray.remote(worker).options(num_cpus=cpus, num_gpus=gpus).remote, plan)
        failure = GenerationError if name == "generator" else JudgeError
        return Pool(name, make, size, key_of=lambda request: request.key, failure=failure, say=say)

    def _listen(self, generators: Pool[GenerationRequest], judges: Pool[Assignment], progress: Progress) -> None:
        """Write down what has come, of one pool or the other."""
        import ray

        awaited = [*generators.awaited(), *judges.awaited()]
        come, _ = ray.wait(awaited, num_returns=1, timeout=_LISTEN_SECONDS, fetch_local=False)
        for ref in come:
            for said in generators.take(ref):
                self._heard_of_image(said, generators, judges, progress)
            for said in judges.take(ref):
                self._heard_of_judgement(said, judges, progress)

    def _heard_of_image(
        self, said: Any, generators: Pool[GenerationRequest], judges: Pool[Assignment], progress: Progress
    ) -> None:
        if isinstance(said, Ready):
            self._run.settle_generator(said.identity, seeded=said.seeded)
            return
        key, record = _failed_image(said.request.key) if isinstance(said, Lost) else said
        if record.get("unscored") == LEFT_ALONE:
            record = {**record, "unscored": self._index.reasons.get(key, LEFT_ALONE)}
        self._images.write(record)
        generators.answered(key)
        self.drawn.new += 1
        self.drawn.unscored += "sha256" not in record
        self.drawn.usd += cost_of(record)
        progress.advance(self.drawn)
        self._ask(judges, key, self.open.arrive(key, record))

    def _ask(self, judges: Pool[Assignment], key: ImageKey, questions: tuple[Question, ...]) -> None:
        if questions:
            self._unanswered[key] = {question.judged_prompt for question in questions}
            judges.add([Assignment(key, questions, int(self._index.tag[key]))])

    def _heard_of_judgement(self, said: Any, judges: Pool[Assignment], progress: Progress) -> None:
        if isinstance(said, Ready):
            self._judge.settle({"says": said.identity})
            return
        key, records = _failed_judgement(said.request) if isinstance(said, Lost) else said
        still_open = self._unanswered.get(key, set())
        for record in records:
            if record.get("unscored") == LEFT_ALONE:
                older = self._reasons.get((*key, record["judged_prompt"]), LEFT_ALONE)
                record = {**record, "unscored": older}  # noqa: PLW2901
            if record["judged_prompt"] in still_open:  # else a judge that died had answered it already
                still_open.discard(record["judged_prompt"])
                self._answers.write(record)
                self.judged.new += 1
                self.judged.unscored += "score" not in record
                progress.advance(self.judged)
        if not still_open:
            self._unanswered.pop(key, None)
            judges.answered(key)


def _failed_image(key: ImageKey) -> tuple[ImageKey, dict[str, Any]]:
    place = {"pair": key.pair, "prompt": key.prompt, "sample": key.sample}
    return key, {**place, "unscored": "error: the actors that were drawing this image died", "retry": True}


def _failed_judgement(lost: Assignment) -> tuple[ImageKey, Sequence[Mapping[str, Any]]]:
    reason = "error: the actors that were judging this image died"
    return lost.key, unscored_records(lost.key, lost.questions, reason, tag=lost.tag)


def _refuse_waiting(started: float, generators: Pool[Any], judges: Pool[Any]) -> None:
    waiting = [name for name, pool in (("generator", generators), ("judge", judges)) if pool.busy and not pool.started]
    if waiting and time.monotonic() - started > _START_SECONDS:
        raise RunError("--engine ray", f"no {' and no '.join(waiting)} actor could be started in {_START_SECONDS:.0f} "
                       "s; next: see what the cluster has free (ray status), ask for less of it")  # fmt: skip
