"""A judge as a reward: its score, NaN where it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from paircomp.plugins import Registry
from paircomp.runtime.capabilities import build, check_options
from paircomp.types import ImageKey, JudgeRequest, Question

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.protocols import Judge

__all__ = ["JudgeReward"]


class JudgeReward:
    """The score of one judge, asked in a thread of its own.

    Args:
        name: of the judge.
        options: of its factory.
        device: where it runs.

    Raises:
        UnknownNameError: no such judge.
        ConfigError: options that do not fit.
    """

    def __init__(self, name: str, options: Mapping[str, Any], *, device: str) -> None:
        factory = Registry().judge(name)
        check_options(factory, options, where=f"option of reward {name!r}")
        self.name = name
        self._judge: Judge = build(factory, f"judge {name!r}", "judge", device=device, **options)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reward")

    def score(
        self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]
    ) -> Future[Sequence[float]]:
        """See `focusdiff.training_protocols.Reward`."""
        requests = [
            JudgeRequest(ImageKey(place, 0, 0), (picture,), (Question(0, prompt, subtask),))
            for place, (prompt, picture, subtask) in enumerate(zip(prompts, pictures, subtasks, strict=True))
        ]
        return self._thread.submit(self._scores, requests)

    def _scores(self, requests: Sequence[JudgeRequest]) -> Sequence[float]:
        found = [math.nan] * len(requests)
        for judgement in self._judge.judge(requests):
            if judgement.score is not None:
                found[judgement.key.pair] = judgement.score
        return found

    def close(self) -> None:
        """Wait for the thread and free the judge."""
        self._thread.shutdown()
        self._judge.close()
