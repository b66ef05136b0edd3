"""A judge by name as a reward, in this process or behind a server: whatever `paircomp judges` lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from focusdiff.rewards.scores import Scores, scores_of
from paircomp.errors import JudgeError
from paircomp.plugins import Registry
from paircomp.runtime.answers import AnswerFault, checked_judgement
from paircomp.runtime.batches import Answered, BatchRunner, batch_size_for
from paircomp.runtime.capabilities import build, check_options
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.protocols import Judge

__all__ = ["JudgeScorer"]

#: Pictures at a time in this process. Never tried out: another size would round otherwise, and a run that continues
#: must equal one that was never broken off. A judge's own limit and what memory allows go before it.
_BATCH = 32


class JudgeScorer:
    """Asks a judge for the score of each picture under its own prompt.

    Args:
        name: of the judge.
        options: of its factory; ``checkpoint`` names its weights.
        device: where it runs.
        registry: where the name is looked up.

    Raises:
        UnknownNameError: no such judge.
        UnavailableError: a package or weights are missing.
        ConfigError: options that do not fit.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], *, device: str = "cpu", registry: Registry | None = None
    ) -> None:
        factory = (registry or Registry()).judge(name)
        given = dict(options)
        checkpoint = given.pop("checkpoint", None)
        check_options(factory, given, where=f"reward.options of judge {name!r}")
        self.name = name
        self._judge: Judge = build(
            factory, f"judge {name!r}", "judge", checkpoint=checkpoint, device=device, **given
        )  # fmt: skip

    def scores(self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]) -> Scores:
        """The judge's scores; see `focusdiff.rewards.scores.Scorer`.

        Memory that runs out halves the batch, a picture that breaks the judge stays unscored with the reason.

        Raises:
            JudgeError: it broke its contract, or failed many times in a row.
        """
        requests = [
            JudgeRequest(ImageKey(place, 0, 0), (picture,), (Question(0, prompt, subtask),))
            for place, (prompt, picture, subtask) in enumerate(zip(prompts, pictures, subtasks, strict=True))
        ]
        found: dict[int, float] = {}
        reasons: dict[int, str] = {}
        for outcome in self._runner().run(requests):
            if isinstance(outcome, Answered):
                self._take(outcome.answer, found, reasons)
            else:
                reasons[outcome.request.key.pair] = outcome.reason
        return scores_of(found, reasons, count=len(requests))

    def close(self) -> None:
        """Free the judge."""
        self._judge.close()

    def _runner(self) -> BatchRunner[JudgeRequest, Judgement]:
        served = getattr(self._judge, "concurrency", None)
        return BatchRunner(
            self._judge.judge,
            expected=lambda request: [(request.key.pair,)],
            answered=_place_of,
            who=f"judge {self.name!r}",
            failure=JudgeError,
            batch_size=batch_size_for(self._judge, None if served else _BATCH),
        )

    def _take(self, answer: Judgement, found: dict[int, float], reasons: dict[int, str]) -> None:
        try:
            checked = checked_judgement(answer)
        except AnswerFault as fault:
            raise JudgeError(f"judge {self.name!r} on picture {answer.key.pair} of a step: {fault}; a judge that "
                             "cannot tell answers unscored") from fault  # fmt: skip
        if checked.score is None:
            reasons[checked.key.pair] = checked.unscored or "unscored"
        else:
            found[checked.key.pair] = checked.score


def _place_of(answer: Any) -> tuple[int, ...]:
    if not isinstance(answer, Judgement):
        raise JudgeError(f"the judge yielded {type(answer).__name__}, expected paircomp.types.Judgement")
    return (answer.key.pair,)
