"""The screening stage: does the edit follow its instruction, does it leave the rest alone, is it natural?

Three yes/no questions about two pictures (arXiv 2506.05501, section 3.1 and appendix B), answered by a judge that looks
at both, or on the shapes world by measuring pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from focusdiff.data.asking import Asked, JudgeAsker
from focusdiff.data.questions import SCREENING, ask
from focusdiff.data.records import EditRecord, Stage, Verdict
from paircomp.runtime.images import UnreadableImageError
from paircomp.types import ImageKey, JudgeRequest, Question

__all__ = ["REASONS", "JudgeScreener", "NoScreener", "PixelScreener", "Screener"]

#: What a failed question is called in the funnel.
REASONS: Mapping[str, str] = {
    "follows": "does not follow the instruction",
    "preserves": "changes what the instruction does not name",
    "natural": "of poor quality or unnatural",
}


class Screener(Protocol):
    """Screens edits."""

    def screen(self, records: Iterable[EditRecord]) -> Iterator[Verdict]:
        """One verdict per record, in any order."""
        ...


class NoScreener:
    """Lets every record through whose pictures can be read: for sources that were screened already."""

    def screen(self, records: Iterable[EditRecord]) -> Iterator[Verdict]:
        """One verdict per record, in order."""
        for record in records:
            try:
                record.images()
            except UnreadableImageError as error:
                yield _unreadable(record, error)
            else:
                yield Verdict(record.position, Stage.SCREEN, passed=True)


class PixelScreener:
    """Screens pictures of the shapes world by their pixels; see :mod:`focusdiff.data.shapes.screening`."""

    def screen(self, records: Iterable[EditRecord]) -> Iterator[Verdict]:
        """One verdict per record, in order."""
        from focusdiff.data.shapes.screening import screen_pixels
        from paircomp.shapes.perception import to_pixels

        for record in records:
            try:
                before, after = map(to_pixels, record.images())
            except UnreadableImageError as error:
                yield _unreadable(record, error)
                continue
            said = screen_pixels(before, after, record.instruction)
            answers = {name: None if each is None else float(each) for name, each in said.items()}
            foreign = "the instruction is none of the shapes world"
            yield _verdict(record.position, answers, threshold=0.5, unscored=foreign)


class JudgeScreener:
    """Asks a judge that looks at two pictures.

    Args:
        asker: of the judge; its question template must take the question as it stands and two pictures.
        threshold: the least score that is a yes.
    """

    def __init__(self, asker: JudgeAsker, *, threshold: float = 0.5) -> None:
        self._asker = asker
        self._threshold = threshold

    def screen(self, records: Iterable[EditRecord]) -> Iterator[Verdict]:
        """One verdict per record, as the answers arrive."""
        unreadable: list[Verdict] = []
        for asked in self._asker.ask(self._requests(records, unreadable)):
            yield from _emptied(unreadable)
            yield self._settled(asked)
        yield from _emptied(unreadable)

    def _requests(self, records: Iterable[EditRecord], unreadable: list[Verdict]) -> Iterator[JudgeRequest]:
        for record in records:
            try:
                images = record.images()
            except UnreadableImageError as error:
                unreadable.append(_unreadable(record, error))
                continue
            # Without an instruction there is nothing to follow and nothing to keep out of.
            names = SCREENING if record.instruction else ("natural",)
            questions = tuple(
                Question(SCREENING.index(name), ask("screen", name, instruction=record.instruction), name)
                for name in names
            )
            yield JudgeRequest(ImageKey(record.position, 0, 0), images, questions)

    def _settled(self, asked: Asked) -> Verdict:
        answers = {SCREENING[place]: score for place, score in asked.scores.items()}
        absent: dict[str, float | None] = {SCREENING[place]: None for place in asked.unscored}
        reason = next(iter(asked.unscored.values()), None)
        return _verdict(asked.request.key.pair, {**answers, **absent}, threshold=self._threshold, unscored=reason,
                        retry=asked.retry)  # fmt: skip


def _emptied(verdicts: list[Verdict]) -> Iterator[Verdict]:
    while verdicts:
        yield verdicts.pop(0)


def _unreadable(record: EditRecord, error: UnreadableImageError) -> Verdict:
    return Verdict(record.position, Stage.SCREEN, passed=False, reason=f"picture {error}")


def _verdict(
    position: int, answers: Mapping[str, float | None], *, threshold: float, unscored: str | None, retry: bool = False
) -> Verdict:
    """A no decides, whatever was not answered; a missing answer among yeses leaves it open or drops it."""
    said = {name: score for name, score in answers.items() if score is not None}
    reason = next((REASONS[name] for name, score in said.items() if score < threshold), None)
    if reason is None and len(said) < len(answers):
        passed, reason = (None if retry else False), f"not judged: {unscored}"
    else:
        passed = reason is None
    return Verdict(position, Stage.SCREEN, passed, reason, answers=said)
