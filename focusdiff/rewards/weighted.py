"""The reward that the training loop is given: weighted scorers, each in a thread of its own, while the loop goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from focusdiff.rewards.scores import Scorer, Scores

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["WeightedReward"]


class WeightedReward:
    """The weighted sum of several scorers; a `focusdiff.training_protocols.Reward`.

    Calls reach each scorer one after another, in the order they were made and in one thread, so what comes back is what
    a loop that waits would get. A picture that one of the scorers cannot score is unscored: a sum of fewer parts would
    be another reward.

    Args:
        scorers: the first names the reward: it is the judge that the trained model is marked with.
        weights: one per scorer.
        wait: ask while the caller waits; for comparison.
    """

    def __init__(self, scorers: Sequence[Scorer], weights: Sequence[float], *, wait: bool = False) -> None:
        self.name = scorers[0].name
        self._scorers = tuple(scorers)
        self._weights = tuple(weights)
        self._wait = wait
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"reward-{each.name}") for each in scorers]
        self._sums = ThreadPoolExecutor(1, thread_name_prefix="reward-sum")

    @property
    def parts(self) -> Mapping[str, float]:
        """Weights by name, for the manifest."""
        return dict(zip((scorer.name for scorer in self._scorers), self._weights, strict=True))

    def score(
        self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]
    ) -> Future[Sequence[float]]:
        """See `focusdiff.training_protocols.Reward`; the result is `Scores`."""
        asked = [
            thread.submit(_timed, scorer, prompts, pictures, subtasks)
            for thread, scorer in zip(self._threads, self._scorers, strict=True)
        ]
        found: Future[Sequence[float]] = self._sums.submit(self._summed, asked)
        if self._wait:
            found.exception()  # only waits: whoever takes the result is told
        return found

    def close(self) -> None:
        """Wait for what is under way and free every scorer, also when one of them fails at it."""
        for thread in (*self._threads, self._sums):
            thread.shutdown()
        _close_all(self._scorers)

    def _summed(self, asked: Sequence[Future[tuple[Scores, float]]]) -> Scores:
        answers = [future.result() for future in asked]
        found = [scores for scores, _ in answers]
        seconds = {scorer.name: took for scorer, (_, took) in zip(self._scorers, answers, strict=True)}
        columns = zip(*found, strict=True)
        values = tuple(
            math.fsum(weight * value for weight, value in zip(self._weights, column, strict=True)) for column in columns
        )
        reasons: dict[int, str] = {}
        for scores in reversed(found):  # the first scorer's reason is the one that stays
            reasons |= scores.reasons
        parts = {} if len(found) == 1 else {each.name: tuple(scores) for each, scores in zip(self._scorers, found,
                                                                                            strict=True)}  # fmt: skip
        return Scores(values, reasons, seconds, parts)


def _timed(
    scorer: Scorer, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]
) -> tuple[Scores, float]:
    began = time.perf_counter()
    return scorer.scores(prompts, pictures, subtasks), time.perf_counter() - began


def _close_all(scorers: Sequence[Scorer]) -> None:
    if scorers:
        try:
            scorers[0].close()
        finally:
            _close_all(scorers[1:])
