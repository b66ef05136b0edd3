"""Asking judges and captioners in batches that survive: what `paircomp.pipeline` does for runs, here for records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from focusdiff.data.captions import Captioned, Captioner, CaptionRequest
from paircomp.errors import AdapterError, JudgeError
from paircomp.protocols import Judge
from paircomp.runtime.answers import AnswerFault, checked_judgement
from paircomp.runtime.batches import BatchRunner, BatchSize, Failed, batch_size_for
from paircomp.types import Judgement, JudgeRequest

__all__ = ["Asked", "CaptionAsker", "JudgeAsker"]


@dataclass(frozen=True)
class Asked:
    """A request whose questions were all answered, or could not be.

    Attributes:
        request: which one.
        scores: by question, in [0, 1].
        unscored: why a question has no score, by question.
        retry: whether such a reason may pass.
    """

    request: JudgeRequest
    scores: Mapping[int, float]
    unscored: Mapping[int, str]
    retry: bool


class JudgeAsker:
    """Asks a judge; the batch size it finds is kept from call to call.

    Args:
        judge: closed by whoever opened it.
        name: for messages.
        batch_size: what the user asked for.
    """

    def __init__(self, judge: Judge, *, name: str, batch_size: int | None = None) -> None:
        self._judge, self._who = judge, f"judge {name!r}"
        self._size: BatchSize = batch_size_for(judge, batch_size)

    def ask(self, requests: Iterable[JudgeRequest]) -> Iterator[Asked]:
        """Each request once, as soon as its last answer is there.

        Raises:
            JudgeError: the judge broke its contract, or everything fails.
        """
        waiting: dict[tuple[int, ...], tuple[JudgeRequest, dict[int, Judgement]]] = {}
        runner = BatchRunner(
            self._judge.judge,
            expected=lambda request: ((*request.key, each.judged_prompt) for each in request.questions),
            answered=self._key, who=self._who, failure=JudgeError, batch_size=self._size,
        )  # fmt: skip
        for outcome in runner.run(_remembered(requests, waiting)):
            if isinstance(outcome, Failed):
                yield _failed(*waiting.pop(tuple(outcome.request.key)), reason=outcome.reason)
                continue
            answer = self._checked(outcome.answer)
            request, answers = waiting[tuple(answer.key)]
            answers[answer.judged_prompt] = answer
            if len(answers) == len(request.questions):
                del waiting[tuple(answer.key)]
                yield _settled(request, answers)

    def _key(self, answer: Judgement) -> tuple[int, ...]:
        if not isinstance(answer, Judgement):
            raise JudgeError(f"{self._who} yielded {type(answer).__name__}, expected paircomp.types.Judgement")
        return (*answer.key, answer.judged_prompt)

    def _checked(self, answer: Judgement) -> Judgement:
        try:
            return checked_judgement(answer)
        except AnswerFault as fault:
            raise JudgeError(f"{self._who} on record {answer.key.pair}: {fault}; earlier verdicts are kept") from fault


def _remembered(
    requests: Iterable[JudgeRequest], waiting: dict[tuple[int, ...], tuple[JudgeRequest, dict[int, Judgement]]]
) -> Iterator[JudgeRequest]:
    for request in requests:
        waiting[tuple(request.key)] = (request, {})
        yield request


def _settled(request: JudgeRequest, answers: Mapping[int, Judgement]) -> Asked:
    return Asked(
        request,
        scores={place: answer.score for place, answer in answers.items() if answer.score is not None},
        unscored={place: answer.unscored or "" for place, answer in answers.items() if answer.score is None},
        retry=any(answer.retry for answer in answers.values()),
    )


def _failed(request: JudgeRequest, answers: Mapping[int, Judgement], *, reason: str) -> Asked:
    asked = _settled(request, answers)
    absent = {each.judged_prompt: reason for each in request.questions if each.judged_prompt not in answers}
    return Asked(request, asked.scores, {**asked.unscored, **absent}, retry=True)


class CaptionAsker:
    """Asks a captioner; as :class:`JudgeAsker`."""

    def __init__(self, captioner: Captioner, *, name: str, batch_size: int | None = None) -> None:
        self._captioner, self._who = captioner, f"captioner {name!r}"
        self._size: BatchSize = batch_size_for(captioner, batch_size)

    def ask(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned]:
        """Each request once; one that fails alone has its reason and may be asked again.

        Raises:
            AdapterError: the captioner broke its contract, or everything fails.
        """
        runner = BatchRunner(
            self._captioner.caption, expected=lambda request: [(request.position,)], answered=self._key,
            who=self._who, failure=AdapterError, batch_size=self._size,
        )  # fmt: skip
        for outcome in runner.run(requests):
            if isinstance(outcome, Failed):
                yield Captioned(outcome.request.position, unscored=outcome.reason, retry=True)
            else:
                yield outcome.answer

    def _key(self, answer: Captioned) -> tuple[int, ...]:
        if not isinstance(answer, Captioned):
            raise AdapterError(f"{self._who} yielded {type(answer).__name__}, expected Captioned")
        texts = answer.captions
        if texts is None and not answer.unscored:
            raise AdapterError(f"{self._who} on record {answer.position}: neither captions nor a reason why not")
        if texts is not None and not (
            len(texts) == 2 and all(isinstance(text, str) and text.strip() for text in texts)
        ):
            raise AdapterError(f"{self._who} on record {answer.position}: expected two texts, got {texts!r}")
        return (answer.position,)
