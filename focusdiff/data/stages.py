"""Taking the records of a block through the stages: whatever has no verdict yet, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from focusdiff.data.captions import Captioned, CaptionRequest
from focusdiff.data.fingerprints import perceptual_hash, pixel_digest
from focusdiff.data.ledger import STEPS, Ledger, Step, what_next
from focusdiff.data.recipe import Crew
from focusdiff.data.records import Block, EditRecord, Stage, Verdict
from focusdiff.data.verification import CaptionedRecord

__all__ = ["BlockCount", "take_block"]


@dataclass(frozen=True)
class BlockCount:
    """What was done with a block.

    Attributes:
        number: of the block.
        start: position of its first record.
        size: its records.
        verdicts: written now.
        torn: lines of an earlier process that were torn and done again.
    """

    number: int
    start: int
    size: int
    verdicts: int = 0
    torn: int = 0


def take_block(block: Block, ledger: Ledger, crew: Crew, *, until: Stage = Stage.VERIFY) -> BlockCount:
    """Bring every record of a block as far as `until`; each verdict is written down at once.

    The source is read only when something is open.
    """
    work = _Work(block, ledger, crew)
    stages = tuple(Stage)[: tuple(Stage).index(until) + 1]
    for step in STEPS:
        if step[0] in stages and (step[1] == 0 or until is Stage.VERIFY):
            work.do(step)
    return BlockCount(block.number, block.start, block.size, work.verdicts, ledger.dropped if work.verdicts else 0)


class _Work:
    def __init__(self, block: Block, ledger: Ledger, crew: Crew) -> None:
        self._block, self._ledger, self._crew = block, ledger, crew
        self._records: Mapping[int, EditRecord] | None = None
        self.verdicts = 0

    def do(self, step: Step) -> None:
        """One step, for the records whose turn it is."""
        positions = range(self._block.start, self._block.start + self._block.size)
        due = [position for position in positions if what_next(self._ledger.said_of(position)) == step]
        if not due:
            return
        records = [self._record(position) for position in due]
        for verdict in self._verdicts(step, records):
            self._ledger.add(verdict)
            self.verdicts += 1

    def _record(self, position: int) -> EditRecord:
        if self._records is None:
            self._records = {record.position: record for record in self._block.records()}
        return self._records[position]

    def _verdicts(self, step: Step, records: Sequence[EditRecord]) -> Iterator[Verdict]:
        stage, attempt = step
        if stage is Stage.SCREEN:
            return self._screened(records)
        if stage is Stage.CAPTION:
            requests = (self._request(record, attempt) for record in records)
            return (_verdict(answer, attempt) for answer in self._crew.captioner.ask(requests))
        return self._crew.verifier.verify([self._captioned(record, attempt) for record in records])

    def _screened(self, records: Sequence[EditRecord]) -> Iterator[Verdict]:
        for record in records:
            if record.skipped:
                verdict = Verdict(record.position, Stage.SCREEN, passed=False, reason=f"skipped: {record.skipped}")
                yield self._labelled(verdict)
        shown = [record for record in records if not record.skipped]
        for verdict in self._crew.screener.screen(shown) if shown else ():
            yield self._labelled(self._known_again(verdict))

    def _labelled(self, verdict: Verdict) -> Verdict:
        """The verdict with the record's label, where that does not tell its position."""
        label = self._record(verdict.position).record_id
        if label.endswith(f"-{verdict.position}"):
            return verdict
        return replace(verdict, answers={**verdict.answers, "pair_id": label})

    def _known_again(self, verdict: Verdict) -> Verdict:
        """The verdict with what duplicates and subtasks are found by, while the record is at hand."""
        if not verdict.passed:
            return verdict
        record = self._record(verdict.position)
        images = record.images()
        known: dict[str, Any] = {
            "digests": [pixel_digest(each) for each in images],
            "hashes": [perceptual_hash(each) for each in images],
        }
        known |= {"edit_type": record.edit_type} if record.edit_type else {}
        return replace(verdict, answers={**verdict.answers, **known})

    def _request(self, record: EditRecord, attempt: int) -> CaptionRequest:
        said = self._ledger.said_of(record.position)
        first, refused = said.get((Stage.CAPTION, 0)), said.get((Stage.VERIFY, 0))
        failed = None
        if attempt and first is not None and first.captions is not None and refused is not None:
            failed = first.captions, refused.reason or ""
        return CaptionRequest(record.position, record.images(), record.instruction, record.captions, attempt, failed)

    def _captioned(self, record: EditRecord, attempt: int) -> CaptionedRecord:
        captions = self._ledger.said_of(record.position)[Stage.CAPTION, attempt].captions
        if captions is None:
            raise ValueError(f"record {record.position} has no captions of attempt {attempt}")
        return CaptionedRecord(record, captions, attempt)


def _verdict(answer: Captioned, attempt: int) -> Verdict:
    if answer.captions is not None:
        captions = " ".join(answer.captions[0].split()), " ".join(answer.captions[1].split())
        return Verdict(answer.position, Stage.CAPTION, passed=True, attempt=attempt, captions=captions)
    passed = None if answer.retry else False
    return Verdict(answer.position, Stage.CAPTION, passed, answer.unscored, attempt)
