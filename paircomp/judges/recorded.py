"""The `recorded` judge: scores that somebody has already given, people or another program, taken from a file.

It looks at no image. It brings human ratings, and the ``score.json`` of the published evaluator, into a run beside the
scores of other judges, with the same statistics and reports. Two runs have two files, which nobody can see to be of one
judge: they are compared where both name the same rater.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paircomp.errors import ConfigError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.json_text import parse_json
from paircomp.types import ImageKey, Judgement, JudgeRequest

__all__ = ["RecordedJudge", "recorded"]

_FAULTS_SHOWN = 20


@declares(incidental=("file",))  # its content is what counts, wherever it lies
def recorded(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, file: str, rater: str | None = None
) -> RecordedJudge:
    """Scores from a file: human ratings, or the score.json of the published evaluator.

    Args:
        checkpoint: not used.
        device: not used.
        dtype: not used.
        file: JSON in the published form, ``{"0": [{"pair_idx": 0, "prompt_idx": 0, "image_idx": 0, "score": 0.7}]}``.
        rater: who gave the scores, by which procedure; runs whose files name the same one can be compared.

    Raises:
        ConfigError: the file cannot be read or holds something else; all faults are named.
    """
    return RecordedJudge(Path(file), rater=rater)


recorded.evidence = ("file",)  # type: ignore[attr-defined]


class RecordedJudge:
    """Answers from a table; what is not in it stays unscored.

    Args:
        path: the file.
        rater: who gave the scores.

    Attributes:
        identity: SHA-256 of the file; empty where a rater is named, whose files differ from run to run.
    """

    def __init__(self, path: Path, *, rater: str | None = None) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError([f"file {path}: {error.strerror or error}"], where="judge 'recorded'") from error
        self.identity = {"sha256": hashlib.sha256(content).hexdigest()} if rater is None else {}
        self._scores = _scores(content, path)

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """Look up each image's score for its own prompt; nothing is recorded about other prompts."""
        for request in requests:
            for question in request.questions:
                own = question.judged_prompt == request.key.prompt
                score = self._scores.get(request.key) if own else None
                reason = None if score is not None else "no score in the file"
                yield Judgement(request.key, question.judged_prompt, score=score, unscored=reason)

    def close(self) -> None:
        """Nothing to free."""


def _scores(content: bytes, path: Path) -> dict[ImageKey, float]:
    try:
        said = parse_json(content, nan=True)
    except ValueError as error:
        raise ConfigError([f"file {path}: not JSON ({error})"], where="judge 'recorded'") from error
    rows = [row for rows in said.values() if isinstance(rows, list) for row in rows] if isinstance(said, dict) else []
    scores: dict[ImageKey, float] = {}
    faults = [] if rows else ["expected an object of lists of scores"]
    for number, row in enumerate(rows):
        fault = _take(row, scores)
        if fault:
            faults.append(f"entry {number}: {fault}")
    if faults:
        raise ConfigError([f"file {path}: {'; '.join(faults[:_FAULTS_SHOWN])}"], where="judge 'recorded'")
    return scores


def _position(place: Any) -> int | None:
    return place if isinstance(place, int) and not isinstance(place, bool) and place >= 0 else None


def _take(row: Any, scores: dict[ImageKey, float]) -> str | None:
    if not isinstance(row, Mapping):
        return f"expected an object, got {type(row).__name__}"
    pair, prompt, image = (_position(row.get(name)) for name in ("pair_idx", "prompt_idx", "image_idx"))
    if pair is None or prompt is None or image is None:
        return f"expected pair_idx, prompt_idx and image_idx from 0, got {dict(row)}"
    score = row.get("score")
    if score is None or score != score:  # noqa: PLR0124 - NaN: the published evaluator found neither yes nor no
        return None
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        return f"expected a score in [0, 1], got {score!r}"
    key = ImageKey(pair, prompt, image)
    if key in scores:
        return f"{key.filename} is scored twice"
    scores[key] = float(score)
    return None
