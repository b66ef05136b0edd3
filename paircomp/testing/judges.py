"""The contract of judges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from paircomp.protocols import Judge
from paircomp.testing.checks import (
    PROMPTS,
    Check,
    attempt,
    check_answers,
    check_batch_size,
    check_empty_batch,
    check_identity,
    check_type,
    is_plain_json,
)
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question

__all__ = ["check_judge"]

_TOLERANCE = 2e-3  # bf16 sums in another order for another batch


def check_judge(open_judge: Callable[[], Judge], *, prompts: Sequence[str] = PROMPTS) -> Iterator[Check]:
    """Hold a judge against the contract of `paircomp.protocols.Judge`.

    Args:
        open_judge: builds it; called twice. What it raises is raised here.
        prompts: what to ask about plain pictures.
    """
    requests = [_request(pair, prompts) for pair in range(len(prompts))]
    first = open_judge()
    yield check_batch_size(first)
    answers: list[Judgement] = []
    answered = attempt("a batch is answered", lambda: _answered(first, requests, answers))
    if answered.failed:
        yield answered
    if (agreed := check_type(answers, Judgement)).failed:  # nothing more can be said of answers that are none
        yield agreed
        yield _closed(first)
        return
    if not answered.failed:
        expected = [(*request.key, question.judged_prompt) for request in requests for question in request.questions]
        yield check_answers([(*answer.key, answer.judged_prompt) for answer in answers], expected)
        yield attempt("each answer holds a score in [0, 1] or a reason", lambda: _score_or_reason(answers))
        yield attempt("what it says beside the score can be stored", lambda: _storable(answers))
    for name, check in _further_checks(first, requests, answers):
        yield attempt(name, check)
    yield _closed(first)
    fresh = open_judge()
    yield attempt("its identity is the same each time", lambda: check_identity(first, fresh))
    yield _closed(fresh)


def _answered(judge: Judge, requests: Sequence[JudgeRequest], answers: list[Judgement]) -> Check:
    answers += judge.judge(requests)
    return Check("a batch is answered", passed=True)


def _further_checks(
    judge: Judge, requests: Sequence[JudgeRequest], answers: Sequence[Judgement]
) -> Iterator[tuple[str, Callable[[], Check]]]:
    def single() -> Check:
        again = [answer for request in requests for answer in judge.judge([request])]
        return _same_scores("a batch equals its images judged one by one", answers, again)

    def alone() -> Check:
        each = [JudgeRequest(r.key, r.images, (question,)) for r in requests for question in r.questions]
        again = [answer for request in each for answer in judge.judge([request])]
        return _same_scores("questions asked together equal questions asked alone", answers, again)

    yield "a batch equals its images judged one by one", single
    yield "questions asked together equal questions asked alone", alone
    yield "an empty batch is answered with nothing", lambda: check_empty_batch(judge.judge)


def _request(pair: int, prompts: Sequence[str]) -> JudgeRequest:
    from PIL import Image

    image = Image.new("RGB", (32, 32), (40 * pair % 256, 128, 200 - 40 * pair % 200))
    questions = tuple(Question(number, prompt, "color") for number, prompt in enumerate(prompts[:2]))
    return JudgeRequest(ImageKey(pair, 0, 0), (image,), questions)


def _closed(judge: Judge) -> Check:
    def close() -> Check:
        judge.close()
        return Check("close can be called", passed=True)

    return attempt("close can be called", close)


def _score_or_reason(answers: Sequence[Judgement]) -> Check:
    name = "each answer holds a score in [0, 1] or a reason"
    for answer in answers:
        sound = bool(answer.unscored) if answer.score is None else 0 <= answer.score <= 1 and answer.unscored is None
        if not sound:
            return Check(name, passed=False, detail=f"{tuple(answer.key)}: score {answer.score!r}, unscored "
                         f"{answer.unscored!r}")  # fmt: skip
    return Check(name, passed=True)


def _storable(answers: Sequence[Judgement]) -> Check:
    name = "what it says beside the score can be stored"
    for answer in answers:
        logs = [said for said in (answer.log_yes, answer.log_no) if said is not None]
        if not is_plain_json(dict(answer.evidence)) or not all(map(math.isfinite, logs)):
            said = f"expected JSON values and finite logs, got {dict(answer.evidence)!r}, {logs}"
            return Check(name, passed=False, detail=f"{tuple(answer.key)}: {said}"[:200])
    return Check(name, passed=True)


def _same_scores(name: str, one: Sequence[Judgement], other: Sequence[Judgement]) -> Check:
    first = {(*answer.key, answer.judged_prompt): answer.score for answer in one}
    second = {(*answer.key, answer.judged_prompt): answer.score for answer in other}
    if first.keys() != second.keys():
        return Check(name, passed=False, detail="other questions were answered")
    if any((first[key] is None) != (second[key] is None) for key in first):
        return Check(name, passed=False, detail="other questions were left unscored")
    worst = max((abs(score - (second[key] or 0.0)) for key, score in first.items() if score is not None), default=0.0)
    return Check(name, passed=worst <= _TOLERANCE, detail=f"largest difference {worst:.2g}")
