"""From the records of a run to the array that scores are computed from."""

from __future__ import annotations

from collections.abc import Sequence

from paircomp.errors import RunError
from paircomp.run_store.image_index import CHANGED, ImageIndex, ImageState
from paircomp.run_store.judgement_table import JudgementTable
from paircomp.run_store.run import Run
from paircomp.scoring import ScoreTable
from paircomp.types import ImageKey, Suite

__all__ = ["Judged", "read_judged"]


class Judged:
    """One judge's scores of the selected pairs, and why some are missing.

    Attributes:
        run: the run.
        suite: its pairs.
        judge: the judge's name.
        pairs: positions of the selected pairs, ascending.
        images: the images there are.
        judgements: all judgements of this judge.
        table: scores of the selected pairs.
    """

    def __init__(self, run: Run, suite: Suite, judge: str, pairs: Sequence[int]) -> None:
        import numpy as np

        self.run = run
        self.suite = suite
        self.judge = judge
        self.pairs = tuple(pairs)
        self.images: ImageIndex = run.read_images(suite)
        self.judgements: JudgementTable = run.judge(judge).read(self.images)
        rows = np.asarray(self.pairs, dtype=int)
        # An image whose file is gone is not scored, even though its judgement is still on record.
        there = (self.images.state[rows] == ImageState.DRAWN)[..., None]
        self.table = ScoreTable(
            pairs=rows,
            subtasks=tuple(suite.pairs[pair].subtask for pair in self.pairs),
            scores=np.where(there, self.judgements.scores[rows], np.nan),
            log_odds=np.where(there, self.judgements.log_odds[rows], np.nan),
        )

    def reason(self, key: ImageKey) -> str:
        """Why an image of the selection has no score for its own prompt."""
        state = self.images.state[key]
        if state in (ImageState.REFUSED, ImageState.FAILED):
            return self.images.reasons[key]
        if state == ImageState.ABSENT:
            return CHANGED if key in self.images.changed else "missing: no image"
        return self.judgements.reasons.get((*key, key.prompt), "unjudged")


def read_judged(run: Run, suite: Suite, judge: str, pairs: Sequence[int]) -> Judged:
    """Read one judge's scores.

    Raises:
        RunError: this judge has not looked at the run, or nothing is selected.
    """
    run.judge(judge).identity  # noqa: B018 - raises where there is none
    if not pairs:
        raise RunError(run.path, "no pairs are selected; next: another --limit or --subtask")
    return Judged(run, suite, judge, pairs)
