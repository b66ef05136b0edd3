"""Putting the questions of the controls to a judge, by the same rules as in a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paircomp.calibration.controls import Case, Probe
from paircomp.errors import JudgeError
from paircomp.protocols import Judge
from paircomp.runtime.batches import Answered, BatchRunner, BatchSize
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question

__all__ = ["Answer", "ask"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge said to one probe.

    Attributes:
        case: the image.
        probe: the question.
        score: in [0, 1]; NaN where there is none.
        unscored: why there is none.
    """

    case: Case
    probe: Probe
    score: float
    unscored: str | None = None


def ask(
    judge: Judge, cases: Sequence[Case], *, who: str, batch_size: int, advance: Callable[[int], None] | None = None
) -> list[Answer]:
    """One answer to each probe of each case, in their order.

    Args:
        judge: is asked about each image once, with all its questions.
        cases: the images.
        who: names the judge in messages.
        batch_size: images at a time; halved when memory runs out.
        advance: hears how many questions were answered.

    Raises:
        JudgeError: the judge broke its contract, or failed time after time.
    """
    runner: BatchRunner[JudgeRequest, Judgement] = BatchRunner(
        judge.judge, expected=_expected, answered=_answered, who=who, failure=JudgeError,
        batch_size=BatchSize(batch_size),
    )  # fmt: skip
    answers: dict[tuple[int, int], tuple[float, str | None]] = {}
    for outcome in runner.run(_requests(cases)):
        if isinstance(outcome, Answered):
            said = outcome.answer
            answers[said.key.pair, said.judged_prompt] = _score(said, who)
        else:
            place = outcome.request.key.pair
            answers |= {(place, asked.judged_prompt): (math.nan, outcome.reason) for asked in outcome.request.questions}
        if advance is not None:
            advance(len(answers))
    return [
        Answer(case, probe, *answers[place, number])
        for place, case in enumerate(cases)
        for number, probe in enumerate(case.probes)
    ]


def _requests(cases: Sequence[Case]) -> list[JudgeRequest]:
    return [
        JudgeRequest(
            ImageKey(place, 0, 0),
            (case.image,),
            tuple(Question(number, probe.prompt, case.subtask) for number, probe in enumerate(case.probes)),
        )
        for place, case in enumerate(cases)
    ]


def _expected(request: JudgeRequest) -> list[tuple[int, ...]]:
    return [(*request.key, question.judged_prompt) for question in request.questions]


def _answered(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, Judgement):
        raise JudgeError(f"the judge yielded {type(answer).__name__}, expected paircomp.types.Judgement")
    return (*answer.key, answer.judged_prompt)


def _score(said: Judgement, who: str) -> tuple[float, str | None]:
    if said.score is None:
        return math.nan, said.unscored or "no reason given"
    if not 0.0 <= said.score <= 1.0:
        raise JudgeError(f"{who}: expected a score in [0, 1], got {said.score!r}; a judge that cannot tell answers "
                         "unscored")  # fmt: skip
    return float(said.score), None
