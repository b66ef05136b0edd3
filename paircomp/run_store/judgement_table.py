"""The judgements of one judge over a suite, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from paircomp.run_store.image_index import ImageIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["JudgementTable"]

NONE, SCORED, UNSCORED, RETRY = range(4)


class JudgementTable:
    """Scores of every image for every prompt of its pair.

    A judgement counts only while the image it looked at is still the one on the disk (same tag).

    Args:
        images: the index the judgements belong to; gives ``[P, T, K]``.

    Attributes:
        scores: ``[P, T, K, T]`` (image's prompt, sample, judged prompt); NaN where there is no score.
        log_odds: same shape, log_yes - log_no where the judge gave both; NaN elsewhere.
        state: same shape: none, scored, unscored, or to be tried again.
        reasons: why a judgement is unscored, by (pair, prompt, sample, judged prompt).
        dropped: records of the last reading with fields that are missing or of another type; they count as never
            written.
    """

    scores: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    state: NDArray[np.uint8]

    def __init__(self, images: ImageIndex) -> None:
        import numpy as np

        self._tags = images.tag
        shape = (*images.state.shape, images.state.shape[1])
        self.scores = np.full(shape, np.nan)
        self.log_odds = np.full(shape, np.nan)
        self.state = np.zeros(shape, np.uint8)
        self.reasons: dict[tuple[int, int, int, int], str] = {}
        self.dropped = 0

    def read(self, records: Iterable[Mapping[str, Any]]) -> JudgementTable:
        """Take in judgement records; later ones win. Those about a changed image are left out, damaged ones counted."""
        self.dropped = 0
        for record in records:
            self.take(record)
        return self

    def take(self, record: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
        """Take in one record; its place, or ``None`` where it is damaged or speaks of another image."""
        pairs, prompts, samples, _ = self.state.shape
        try:
            pair, prompt, sample = image = (record["pair"], record["prompt"], record["sample"])
            judged = record["judged_prompt"]
            if not type(pair) is type(prompt) is type(sample) is type(judged) is int or min(*image, judged) < 0:
                self.dropped += 1
                return None
            inside = pair < pairs and prompt < prompts and sample < samples and judged < prompts
            if not inside or int(self._tags[image]) != int(record["image"], 16):
                return None
            self._take((*image, judged), record)
        except (KeyError, TypeError, ValueError, OverflowError):
            self.dropped += 1
            return None
        return (*image, judged)

    def _take(self, key: tuple[int, int, int, int], record: Mapping[str, Any]) -> None:
        score = record.get("score")
        if score is None:
            reason = record["unscored"]
            if type(reason) is not str:
                raise TypeError("unscored: expected text")
            self.state[key] = RETRY if record.get("retry") else UNSCORED
            self.scores[key] = self.log_odds[key] = float("nan")
            self.reasons[key] = reason
            return
        if type(score) not in (float, int) or not 0 <= score <= 1:
            raise ValueError("score: expected a number in [0, 1]")
        both = "log_yes" in record and "log_no" in record
        self.log_odds[key] = record["log_yes"] - record["log_no"] if both else float("nan")
        self.scores[key] = score
        self.state[key] = SCORED

    def failed(self) -> NDArray[np.bool_]:
        """``[P, T, K, T]``: whether it was asked, failed, and is to be asked again."""
        failed: NDArray[np.bool_] = self.state == RETRY
        return failed

    def settled(self) -> NDArray[np.bool_]:
        """``[P, T, K, T]``: whether nothing is left to ask."""
        settled: NDArray[np.bool_] = (self.state == SCORED) | (self.state == UNSCORED)
        return settled
