"""Long prompts go to another judge, one that asks about their parts (FocusDiff, arXiv 2506.05501, appendix C).

The paper takes long prompts apart into questions and averages the answers, and asks one question of short ones. The
published code asks one question always. How long is long, neither says; the recipe does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from focusdiff.rewards.scores import Scorer, Scores

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["LongPromptScorer"]


class LongPromptScorer:
    """Sends each picture to one of two scorers by the length of its prompt.

    Args:
        short: for prompts below `words`; its name is this scorer's.
        long: for the others, for instance ``internvl2.5-26b-decomposed``.
        words: from which a prompt is long.
    """

    def __init__(self, short: Scorer, long: Scorer, *, words: int) -> None:
        self.name = short.name
        self._short, self._long, self._words = short, long, words

    def scores(self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]) -> Scores:
        """Both scorers' answers in the order of the pictures."""
        values = [0.0] * len(prompts)
        reasons: dict[int, str] = {}
        is_long = [len(prompt.split()) >= self._words for prompt in prompts]
        for scorer, wanted in ((self._short, False), (self._long, True)):
            places = [place for place, answer in enumerate(is_long) if answer is wanted]
            if not places:
                continue
            found = scorer.scores(
                [prompts[place] for place in places],
                [pictures[place] for place in places],
                [subtasks[place] for place in places],
            )
            for place, value in zip(places, found, strict=True):
                values[place] = value
            reasons |= {places[place]: reason for place, reason in found.reasons.items()}
        return Scores(tuple(values), reasons)

    def close(self) -> None:
        """Free both."""
        try:
            self._short.close()
        finally:
            self._long.close()
