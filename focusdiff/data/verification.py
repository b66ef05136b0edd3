"""The verifying stage: captions alike, each true of its own picture, neither true of the other's.

arXiv 2506.05501, section 3.1: (1) similar semantic structure, (2) T1-I1 and T2-I2 aligned, (3) T1-I2 and T2-I1 not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from focusdiff.data.asking import Asked, JudgeAsker
from focusdiff.data.records import EditRecord, Stage, Verdict
from focusdiff.data.structure import Alike, Structure
from paircomp.types import ImageKey, JudgeRequest, Question

__all__ = ["CaptionedRecord", "Verifier"]

_STRUCTURE = "the captions are not alike in structure"


@dataclass(frozen=True)
class CaptionedRecord:
    """A record with captions to verify."""

    record: EditRecord
    captions: tuple[str, str]
    attempt: int = 0


@dataclass
class _Open:
    """Scores of a record by (picture, caption), until all four are there."""

    item: CaptionedRecord
    share: float | None
    scores: dict[tuple[int, int], float] = field(default_factory=dict)
    unscored: list[str] = field(default_factory=list)
    retry: bool = False
    left: int = 2


class Verifier:
    """Verifies captions.

    Args:
        structure: compares the captions; asked first, because it costs least.
        asker: of the judge that looks at one picture at a time.
        aligned: the least score at which a caption is true of its own picture.
        unaligned: the score below which a caption is not true of the other picture.
    """

    def __init__(
        self, structure: Structure, asker: JudgeAsker, *, aligned: float = 0.5, unaligned: float = 0.5
    ) -> None:
        self._structure, self._asker = structure, asker
        self._aligned, self._unaligned = aligned, unaligned

    def verify(self, items: Sequence[CaptionedRecord]) -> Iterator[Verdict]:
        """One verdict per item, in any order."""
        alike = list(self._structure.compare([item.captions for item in items]))
        yield from (_unlike(item, said) for item, said in zip(items, alike, strict=True) if not said.alike)
        waiting = {
            item.record.position: _Open(item, said.share) for item, said in zip(items, alike, strict=True) if said.alike
        }
        for asked in self._asker.ask(self._requests(waiting.values())):
            state = waiting[asked.request.key.pair]
            _note(state, asked)
            if not state.left:
                yield self._settled(state)

    def _requests(self, waiting: Iterable[_Open]) -> Iterator[JudgeRequest]:
        for state in list(waiting):
            item = state.item
            questions = tuple(Question(place, text, "") for place, text in enumerate(item.captions))
            for picture, image in enumerate(item.record.images()):
                yield JudgeRequest(ImageKey(item.record.position, picture, item.attempt), (image,), questions)

    def _settled(self, state: _Open) -> Verdict:
        reason = self._reason(state.scores)
        passed: bool | None = reason is None
        if passed and state.unscored:
            passed, reason = (None if state.retry else False), f"not judged: {state.unscored[0]}"
        answers = {f"caption{text + 1} on picture{picture + 1}": round(score, 6)
                   for (picture, text), score in sorted(state.scores.items())}  # fmt: skip
        if state.share is not None:
            answers["share of words that differ"] = state.share
        item = state.item
        return Verdict(item.record.position, Stage.VERIFY, passed, reason, item.attempt, answers=answers)

    def _reason(self, scores: Mapping[tuple[int, int], float]) -> str | None:
        """What the funnel calls the first condition that is not met; ``None`` where all that were told are."""
        for place in (0, 1):
            if scores.get((place, place), 1.0) < self._aligned:
                return f"caption {place + 1} is not true of its own picture"
        for picture, text in ((1, 0), (0, 1)):
            if scores.get((picture, text), 0.0) >= self._unaligned:
                return f"caption {text + 1} is true of the other picture too"
        return None


def _unlike(item: CaptionedRecord, said: Alike) -> Verdict:
    passed = None if said.alike is None and said.retry else False
    reason = said.reason or _STRUCTURE
    answers = {} if said.share is None else {"share of words that differ": said.share}
    return Verdict(item.record.position, Stage.VERIFY, passed, reason, item.attempt, answers=answers)


def _note(state: _Open, asked: Asked) -> None:
    picture = asked.request.key.prompt
    state.scores |= {(picture, text): score for text, score in asked.scores.items()}
    state.unscored += asked.unscored.values()
    state.retry |= asked.retry
    state.left -= 1
