"""The judge step: every question about an image that has no answer yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paircomp.errors import JudgeError
from paircomp.pipeline.batching import RememberedBatchSize
from paircomp.pipeline.progress import Progress, Silent, StepCount
from paircomp.pipeline.questions import OpenQuestions
from paircomp.protocols import Judge
from paircomp.run_store import ImageIndex, JudgeFolder, JudgementTable, PartWriter, Run, Selection
from paircomp.run_store.image_index import CHANGED, fingerprint
from paircomp.runtime.answers import AnswerFault, checked_judgement
from paircomp.runtime.batches import Answered, BatchRunner, BatchSize, Failed
from paircomp.runtime.capabilities import closing_part, identity_of
from paircomp.runtime.feed import Pause
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.shards import ALL, Shard
from paircomp.runtime.stores import ImageStore
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question, Suite

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "Arrival",
    "UnjudgeableImageError",
    "judge_images",
    "judgement_records",
    "judging_runner",
    "recorded_image",
    "unscored_records",
]

#: An image that was just settled, and its record.
Arrival = tuple[ImageKey, Mapping[str, Any]]


def judge_images(  # noqa: PLR0913 - all but four keyword-only
    run: Run,
    suite: Suite,
    open_judge: Callable[[], Judge],
    selection: Selection,
    *,
    name: str,
    identity: Mapping[str, Any],
    cross: bool,
    begin: Callable[[], None] = lambda: None,
    images: ImageIndex | None = None,
    arriving: Iterable[Arrival | Pause] | None = None,
    shard: Shard = ALL,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> StepCount:
    """Ask what has not been asked; answers are on the disk one by one.

    Args:
        run: holds the images.
        suite: the prompts.
        open_judge: brings the judge; called only when something is open, and what it brings is closed.
        selection: which pairs.
        name: the judge's name, which names its folder.
        identity: what must agree for its earlier answers to be kept.
        cross: ask about the other prompts of the pair too.
        begin: called once the step is ours, to record that it began.
        images: the images as a generate step of this process just left them; read from the run where absent.
        arriving: images and their records as a generate step that goes on now settles them; the step ends with it.
        shard: which share of the images; other processes see to the others.
        batch_size: images at a time, never above the judge's ``max_batch_size``; default found while judging, and
            remembered in the run.
        progress: hears of each image.

    Raises:
        JudgeError: the judge broke its contract (a NaN, a score outside [0, 1]) or keeps failing.
        MissingImagesError: there is no image at all in this share of the selection.
        RunError: another process is at it, or the disk is full.
    """
    heard: Progress = progress or Silent()
    folder = run.judge(name)
    with run.lock(f"judge {name}", shard=shard):
        begin()
        folder.settle(identity)
        work = _Work(run, suite, folder, selection, shard=shard, images=images, arriving=arriving, cross=cross)
        remembered = RememberedBatchSize(folder.path)
        started = time.monotonic()
        heard.start(work.count, what="judgements")
        try:
            if work.count.cached < work.count.total:
                with (
                    closing_part(open_judge(), f"judge {name!r}") as judge,
                    folder.records.writer(shard=shard) as writer,
                ):
                    folder.settle({"says": identity_of(judge)})
                    work.do(judge, writer, heard, size=remembered.choose(judge, batch_size), who=f"judge {name!r}")
            work.refuse_nothing()
        finally:
            if work.count.new:  # a torn record stays in its file; it is worth a word only while it is done again
                work.count.dropped = work.dropped
            remembered.store()
            work.count.seconds = time.monotonic() - started
            heard.finish(work.count)
    return work.count


class _Work:
    """What is left to ask of one judge about one run, and the writing down of the answers."""

    def __init__(
        self,
        run: Run,
        suite: Suite,
        folder: JudgeFolder,
        selection: Selection,
        *,
        shard: Shard,
        images: ImageIndex | None,
        arriving: Iterable[Arrival | Pause] | None,
        cross: bool,
    ) -> None:
        self._images = run.image_store
        self._index = images or run.read_images(suite)
        self._arriving = arriving
        records = folder.records
        table = JudgementTable(self._index).read(records.read())
        self._open = OpenQuestions(run, suite, self._index, table, selection=selection, shard=shard, cross=cross,
                                   arriving=arriving is not None)  # fmt: skip
        self.count = self._open.count
        self.dropped = records.dropped + table.dropped

    def _requests(self, writer: PartWriter, progress: Progress) -> Iterator[JudgeRequest | Pause]:
        for key, questions in self._open.at_start():
            yield from self._request(key, questions, writer, progress)
        for arrival in self._arriving or ():
            if isinstance(arrival, Pause):
                yield arrival
            else:
                yield from self._request(arrival[0], self._open.arrive(*arrival), writer, progress)
        self._open.nothing_more()

    def _request(
        self, key: ImageKey, questions: tuple[Question, ...], writer: PartWriter, progress: Progress
    ) -> Iterator[JudgeRequest]:
        """The request about one image; none where nothing is open or the image cannot be read."""
        if not questions:
            return
        tag = int(self._index.tag[key])
        try:
            image = recorded_image(self._images, key, tag=tag)
        except UnjudgeableImageError as error:
            for record in unscored_records(key, questions, str(error), tag=tag):
                self._write(writer, record, progress)
            return
        yield JudgeRequest(key, (image,), questions)

    def refuse_nothing(self) -> None:
        """Complain where all images that arrived are none."""
        self._open.refuse_nothing()

    def do(self, judge: Judge, writer: PartWriter, progress: Progress, *, size: BatchSize, who: str) -> None:
        """Ask everything that is open."""
        runner = judging_runner(judge, who, size, failed=self._open.failed())
        for outcome in runner.run(self._requests(writer, progress)):
            for record in judgement_records(outcome, tag=lambda key: int(self._index.tag[key]), who=who):
                self._write(writer, record, progress)
        if left := runner.what_was_left("judgements"):
            progress.say(left)

    def _write(self, writer: PartWriter, record: Mapping[str, Any], progress: Progress) -> None:
        writer.write(record)
        self.count.new += 1
        self.count.unscored += "score" not in record
        progress.advance(self.count)


def judging_runner(
    judge: Judge, who: str, size: BatchSize, *, failed: frozenset[ImageKey] = frozenset()
) -> BatchRunner[JudgeRequest, Judgement]:
    """What hands `judge` its requests in batches; images about which it `failed` before cannot end the step."""
    return BatchRunner(
        judge.judge,
        expected=lambda request: ((*request.key, question.judged_prompt) for question in request.questions),
        answered=_key_of,
        who=who,
        failure=JudgeError,
        batch_size=size,
        narrowed=_narrowed,
        retried=lambda request: request.key in failed,
    )


def _narrowed(request: JudgeRequest, is_open: Callable[[tuple[int, ...]], bool]) -> JudgeRequest:
    """A request without the questions that were answered before something broke."""
    open_questions = tuple(each for each in request.questions if is_open((*request.key, each.judged_prompt)))
    return replace(request, questions=open_questions)


def judgement_records(
    outcome: Answered[Judgement] | Failed[JudgeRequest], *, tag: Callable[[ImageKey], int], who: str
) -> list[dict[str, Any]]:
    """What is written of one answer, or of all questions of a request that failed.

    Raises:
        JudgeError: the answer breaks the contract.
    """
    if isinstance(outcome, Failed):
        key = outcome.request.key
        return unscored_records(key, outcome.request.questions, outcome.reason, tag=tag(key))
    answer = _checked(outcome.answer, who)
    record = _place(answer.key, answer.judged_prompt, tag(answer.key))
    said = {"score": answer.score, "log_yes": answer.log_yes, "log_no": answer.log_no, "unscored": answer.unscored}
    record |= {name: value for name, value in said.items() if value is not None}
    if answer.unscored is not None and answer.retry:
        record["retry"] = True
    if answer.evidence:
        record["evidence"] = dict(answer.evidence)
    return [record]


def unscored_records(key: ImageKey, questions: Iterable[Question], reason: str, *, tag: int) -> list[dict[str, Any]]:
    """What is written where an error stood in the way; the next judge step tries again."""
    return [{**_place(key, question.judged_prompt, tag), "unscored": reason, "retry": True} for question in questions]


def _place(key: ImageKey, judged_prompt: int, tag: int) -> dict[str, Any]:
    return {"pair": key.pair, "prompt": key.prompt, "sample": key.sample, "judged_prompt": judged_prompt,
            "image": f"{tag:016x}"}  # fmt: skip


class UnjudgeableImageError(ValueError):
    """An image that no judge can be shown; the message is the reason that is recorded."""


def recorded_image(store: ImageStore, key: ImageKey, *, tag: int) -> Image:
    """An image as it was recorded, 8-bit RGB.

    Args:
        store: the images.
        key: which one.
        tag: its recorded fingerprint: a score of other bytes would stand for the recorded ones.

    Raises:
        UnjudgeableImageError: it is not there, cannot be read or is another one by now.
    """
    try:
        content = store.read(key.filename)
    except OSError as error:
        raise UnjudgeableImageError(f"unreadable: {error.strerror or error}") from error
    if fingerprint(content) != tag:
        raise UnjudgeableImageError(CHANGED)
    try:
        return read_rgb(content)
    except UnreadableImageError as error:
        raise UnjudgeableImageError(f"unreadable: {error}") from error


def _key_of(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, Judgement):
        raise JudgeError(f"the judge yielded {type(answer).__name__}, expected paircomp.types.Judgement")
    return (*answer.key, answer.judged_prompt)


def _checked(answer: Judgement, who: str) -> Judgement:
    try:
        return checked_judgement(answer)
    except AnswerFault as fault:
        where = f"{who} on image {answer.key.filename}, prompt {answer.judged_prompt}"
        raise JudgeError(f"{where}: {fault}; a judge that cannot tell answers unscored; "
                         "earlier judgements are kept") from fault  # fmt: skip
