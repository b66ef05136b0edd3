"""A run as data frames: one row per image, one row per pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.report.reasons import PublicReasons
from paircomp.run_store import Run
from paircomp.run_store.score_table import Judged, read_judged
from paircomp.scoring import pair_values
from paircomp.types import ImageKey, Suite

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["image_frame", "image_rows", "pair_frame"]


def image_rows(judged: Judged) -> Iterator[dict[str, Any]]:
    """One mapping per image of the selection: its place, prompt, scores, and the reason if it is unscored.

    Reasons hold no prompts (`paircomp.report.reasons`). ``cross_score`` is the score for the pair's other prompt, where
    the judge was asked.
    """
    scores = judged.table.scores
    public = PublicReasons(judged.suite)
    for row, position in enumerate(judged.pairs):
        pair = judged.suite.pairs[position]
        for prompt, text in enumerate(pair.prompts):
            for sample in range(judged.suite.samples):
                key = ImageKey(position, prompt, sample)
                own = float(scores[row, prompt, sample, prompt])
                cross = float(scores[row, prompt, sample, 1 - prompt]) if len(pair.prompts) == 2 else float("nan")
                yield {
                    "pair": position, "pair_id": pair.pair_id, "subtask": pair.subtask, "prompt": prompt,
                    "sample": sample, "text": text, "score": own, "cross_score": cross,
                    "unscored": public(judged.reason(key), key) if own != own else None,  # noqa: PLR0124 - NaN
                    "image": key.filename, "image_tag": f"{int(judged.images.tag[key]):016x}",
                }  # fmt: skip


def image_frame(run: Run, suite: Suite, judge: str, pairs: Sequence[int]) -> pd.DataFrame:
    """:func:`image_rows` as a frame."""
    import pandas as pd

    return pd.DataFrame(image_rows(read_judged(run, suite, judge, pairs)))


def pair_frame(run: Run, suite: Suite, judge: str, pairs: Sequence[int]) -> pd.DataFrame:
    """One row per pair: ``a``, ``g``, ``gap``, ``passed`` (missing where a score is), prompts, images scored."""
    import numpy as np
    import pandas as pd

    judged = read_judged(run, suite, judge, pairs)
    values = pair_values(judged.table, "exclude")
    complete = {name: getattr(values, name) for name in ("pairs", "a", "g", "gap", "passed")}
    every = pd.DataFrame({
        "pair": judged.pairs,
        "pair_id": [suite.pairs[pair].pair_id for pair in judged.pairs],
        "subtask": judged.table.subtasks,
        "scored": (~np.isnan(judged.table.own)).sum(axis=(1, 2)),
        "prompt1": [suite.pairs[pair].prompts[0] for pair in judged.pairs],
        "prompt2": [suite.pairs[pair].prompts[-1] for pair in judged.pairs],
    })  # fmt: skip
    return every.merge(pd.DataFrame(complete).rename(columns={"pairs": "pair"}), on="pair", how="left")
