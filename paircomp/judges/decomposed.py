"""A judge that asks several small questions instead of one large one, and takes their mean."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paircomp.judges.decomposition import Decomposer, QuestionsMissingError
from paircomp.protocols import Judge
from paircomp.runtime.capabilities import identity_of
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question

__all__ = ["DecomposedJudge"]


class DecomposedJudge:
    """Asks another judge about the parts of each prompt (FocusDiff, arXiv 2506.05501, appendix C).

    All parts of all prompts about a picture are asked together, so that a judge which shares a picture between
    questions looks at it once; a part that both prompts of a pair have is asked once.

    Args:
        judge: answers the questions; closed with this one.
        decomposer: makes them.
    """

    def __init__(self, judge: Judge, decomposer: Decomposer) -> None:
        self._judge, self._decomposer = judge, decomposer

    @property
    def identity(self) -> Mapping[str, Any]:
        """The judge's own, and where the questions come from."""
        return {**identity_of(self._judge), "decomposition": dict(self._decomposer.identity)}

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """The mean of the answers; unscored where one of them is. Each answer is kept as evidence."""
        plans: dict[ImageKey, _Plan] = {}
        for request in requests:
            plan = plans[request.key] = _Plan(request, self._decomposer)
            yield from plan.refused
        for answer in self._judge.judge([plan.request for plan in plans.values() if plan.asked]):
            yield from plans[answer.key].hear(answer)

    def close(self) -> None:
        """Close the judge that answers."""
        self._judge.close()


class _Plan:
    """What is asked about one picture, and what was answered so far."""

    def __init__(self, request: JudgeRequest, decomposer: Decomposer) -> None:
        self.refused: list[Judgement] = []
        self._parts: dict[int, tuple[str, ...]] = {}
        for question in request.questions:
            try:
                self._parts[question.judged_prompt] = decomposer.questions(question.prompt)
            except QuestionsMissingError as error:
                self.refused.append(Judgement(request.key, question.judged_prompt, unscored=str(error)))
        self.asked = list(dict.fromkeys(part for parts in self._parts.values() for part in parts))
        subtask = request.questions[0].subtask
        self.request = JudgeRequest(
            request.key, request.images, tuple(Question(n, part, subtask) for n, part in enumerate(self.asked))
        )
        self._heard: dict[str, Judgement] = {}
        self._waiting: dict[str, list[int]] = collections.defaultdict(list)
        for place, parts in self._parts.items():
            for part in parts:
                self._waiting[part].append(place)

    def hear(self, answer: Judgement) -> Iterator[Judgement]:
        """Take one answer; yields what is complete now."""
        part = self.asked[answer.judged_prompt]
        self._heard[part] = answer
        for place in self._waiting[part]:
            if all(each in self._heard for each in self._parts[place]):
                yield self._mean(place)

    def _mean(self, place: int) -> Judgement:
        answers = {part: self._heard[part] for part in self._parts[place]}
        scores = [answer.score for answer in answers.values() if answer.score is not None]
        said = {part: answer.score for part, answer in answers.items()}
        if len(scores) < len(answers):
            part, first = next((part, each) for part, each in answers.items() if each.score is None)
            reason = f"no answer to {part!r}: {first.unscored}"
            return Judgement(self.request.key, place, evidence={"questions": said}, unscored=reason, retry=first.retry)
        return Judgement(self.request.key, place, math.fsum(scores) / len(scores), evidence={"questions": said})
