"""Finishing: from verdicts to data, in two passes over the verdicts, the second of which reads the kept pictures.

Between them stand the guard against contamination, duplicates and the balance of subtasks; none of them is remembered
from one command to the next, so all of their options can be changed without judging anything again.
"""

from __future__ import annotations

import functools
import itertools
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from focusdiff.data.balance import repeats_of
from focusdiff.data.building import BuildFolder
from focusdiff.data.card import write_card
from focusdiff.data.dataset import DatasetWriter, FinishedPair
from focusdiff.data.duplicates import DuplicateFinder
from focusdiff.data.funnel import Funnel
from focusdiff.data.hygiene import Hygiene
from focusdiff.data.ledger import Outcome, Step, outcome_of
from focusdiff.data.pairs import read_prompts
from focusdiff.data.records import Block, EditRecord, Source, Stage, Verdict
from focusdiff.data.reporting import Written, contents, opening
from focusdiff.data.stages import BlockCount
from focusdiff.data.subtasks import subtask_of
from focusdiff.data.words import words_of
from paircomp.errors import DataError
from paircomp.runtime.files import disk_faults, write_atomically, write_json
from paircomp.types import Subtask

__all__ = ["finish"]

_SUBTASKS = tuple(map(str, Subtask))
_OUT = 255  # stands in place of a subtask for what is left out


def finish(folder: BuildFolder, source: Source, blocks: Sequence[BlockCount], hygiene: Hygiene) -> dict[str, Any]:
    """Write the data that the verdicts of a build leave, with its card and funnel.

    Args:
        folder: of the build; the caller holds its lock.
        source: the build's own; it is read once, for the pictures of what is kept.
        blocks: what :func:`focusdiff.data.building.take_stages` said of all of its blocks.
        hygiene: what else is left out, and how often pairs are repeated.

    Returns:
        The funnel as ``funnel.json`` holds it.

    Raises:
        DataError: nothing is left.
        RunError: the disk is full.
    """
    chosen = _Chosen(folder, hygiene)
    chosen.choose(blocks)
    pairs = chosen.pairs()
    if not sum(pairs.values()):
        raise DataError(folder.path, [f"no pair is left ({'; '.join(_ways(chosen.funnel))}); next: see what was said "
                                      f"of one of them: focusdiff data inspect {folder.path} --record 0"])  # fmt: skip
    rates = hygiene.balance.rates(pairs)
    written = _write(folder, source, chosen, rates, hygiene)
    report = {**opening(source, folder), **chosen.funnel.to_json(), **contents(pairs, written, hygiene)}
    prompts = _write_prompts(folder.path, hygiene)
    report |= {} if prompts is None else {"unpaired_prompts": prompts}
    with disk_faults(folder.path):
        write_json(folder.path / "funnel.json", report)
        write_card(folder.path, report)
    return report


def _ways(funnel: Funnel) -> Iterator[str]:
    """Where records went, stage by stage, with the most frequent reason, until none was left."""
    for name, count in funnel.stages.items():
        if not count.entered:
            return
        most = count.reasons.most_common(1)
        undecided = f", {count.undecided} undecided" if count.undecided else ""
        yield f"{name}: {count.entered} in, {count.left} out{undecided}" + (f", mostly {most[0][0]!r}" if most else "")


class _Chosen:
    """The records that become data, in a few bytes each."""

    def __init__(self, folder: BuildFolder, hygiene: Hygiene) -> None:
        self._folder, self._hygiene = folder, hygiene
        self.funnel = Funnel()
        self._positions = array("q")
        self._blocks = array("q")
        self._subtasks = array("B")
        self._finder = DuplicateFinder(bits=hygiene.duplicate_bits, overlap=hygiene.duplicate_overlap)

    def choose(self, blocks: Sequence[BlockCount]) -> None:
        """Read all verdicts; then leave out duplicates."""
        contaminated: Counter[str] = Counter()
        verified = 0
        for block in blocks:
            ledger = self._folder.ledger(block.number)
            for position in range(block.start, block.start + block.size):
                said = ledger.said_of(position)
                self.funnel.count(said)
                fate = outcome_of(said)
                if fate.outcome is Outcome.KEPT and fate.captions is not None:
                    verified += 1
                    if refused := self._hygiene.guard.refuses(fate.captions):
                        contaminated[refused] += 1
                    else:
                        self._note(position, block.number, fate.captions, said)
        self.funnel.hygiene("contamination", entered=verified, reasons=contaminated)
        self._leave_out_duplicates()

    def _note(self, position: int, block: int, captions: tuple[str, str], said: Mapping[Step, Verdict]) -> None:
        self._positions.append(position)
        self._blocks.append(block)
        answers = said[Stage.SCREEN, 0].answers
        self._subtasks.append(_SUBTASKS.index(subtask_of(answers.get("edit_type"), captions)))
        self._finder.add(captions, answers["digests"], answers["hashes"])

    def _leave_out_duplicates(self) -> None:
        entered = len(self._positions)
        reasons: Counter[str] = Counter()
        if not self._hygiene.keep_duplicates:
            exact = self._finder.exact()
            near = self._finder.near(self._captions_of, left_out=exact)
            for number in (*exact.tolist(), *near.tolist()):
                self._subtasks[number] = _OUT
            reasons.update({"the same two pictures": len(exact), "nearly the same captions and pictures": len(near)})
            self.funnel.hygiene("duplicates", entered=entered, reasons=+reasons)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - lives as long as this object, which lives as long as a command
    def _captions(self, block: int) -> Mapping[int, tuple[str, str]]:
        """Captions of a block's kept records: all that is held of it, because its verdicts are many times as large."""
        ledger = self._folder.ledger(block)
        fates = {position: outcome_of(ledger.said_of(position)) for position in ledger.positions()}
        return {position: fate.captions for position, fate in fates.items() if fate.captions is not None}

    def _captions_of(self, number: int) -> tuple[str, str]:
        return self._captions(self._blocks[number])[self._positions[number]]

    def pairs(self) -> dict[str, int]:
        """How many pairs are left, by subtask in the fixed order."""
        counts = np.bincount(np.frombuffer(self._subtasks, dtype=np.uint8), minlength=_OUT + 1)
        return {name: int(counts[code]) for code, name in enumerate(_SUBTASKS) if counts[code]}

    def by_block(self) -> Iterator[tuple[int, list[tuple[int, str]]]]:
        """``(block, [(position, subtask), …])`` of what is left, ascending."""
        blocks = np.frombuffer(self._blocks, dtype=np.int64)
        for start, stop in _runs(blocks):
            left = [(self._positions[at], _SUBTASKS[self._subtasks[at]]) for at in range(start, stop)
                    if self._subtasks[at] != _OUT]  # fmt: skip
            if left:
                yield int(blocks[start]), left


def _runs(values: Any) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal values."""
    ends = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return itertools.pairwise(ends)


def _write(
    folder: BuildFolder, source: Source, chosen: _Chosen, rates: Mapping[str, float], hygiene: Hygiene
) -> Written:
    written = Written()
    left = chosen.by_block()
    wanted = next(left, None)
    with DatasetWriter(folder.path, folder.folder / "writing", trainer_json=hygiene.trainer_json) as writer:
        for block in source.blocks():
            if wanted is None or block.number != wanted[0]:
                continue
            for record, subtask, said in _kept(folder, block, wanted[1]):
                repeats = repeats_of(record.record_id, rates[subtask])
                pair = _finished(record, subtask, repeats, said, source.name)
                writer.add(pair)
                written.count(pair)
            wanted = next(left, None)
    return written


def _kept(
    folder: BuildFolder, block: Block, left: Sequence[tuple[int, str]]
) -> Iterator[tuple[EditRecord, str, Mapping[Step, Verdict]]]:
    subtasks = dict(left)
    ledger = folder.ledger(block.number)
    for record in block.records():
        if record.position in subtasks:
            yield record, subtasks[record.position], ledger.said_of(record.position)


def _finished(
    record: EditRecord, subtask: str, repeats: int, said: Mapping[Step, Verdict], source: str
) -> FinishedPair:
    fate = outcome_of(said)
    if fate.captions is None or record.before is None or record.after is None:
        raise DataError(record.origin, ["the source no longer holds what was verified; next: build it anew"])
    answers = said[Stage.VERIFY, fate.attempt].answers
    scores = {f"score_{text}_{picture}": answers[f"caption{text} on picture{picture}"]
              for text in (1, 2) for picture in (1, 2) if f"caption{text} on picture{picture}" in answers}  # fmt: skip
    return FinishedPair(
        pair_id=record.record_id, prompts=fate.captions, images=(record.before, record.after), subtask=subtask,
        repeats=repeats, instruction=record.instruction, edit_type=record.edit_type, scores=scores,
        regenerated=bool(fate.attempt), source=source, origin=record.origin, licence=record.licence,
    )  # fmt: skip


def _write_prompts(path: Path, hygiene: Hygiene) -> dict[str, Any] | None:
    """Unpaired prompts through guard and duplicates into ``prompts.txt``."""
    if hygiene.prompts is None:
        return None
    reasons: Counter[str] = Counter()
    kept: dict[tuple[str, ...], str] = {}
    prompts = read_prompts(hygiene.prompts)
    for prompt in prompts:
        if refused := hygiene.guard.refuses([prompt]):
            reasons[refused] += 1
        elif words_of(prompt) in kept:
            reasons["the same words"] += 1
        else:
            kept[words_of(prompt)] = prompt
    with disk_faults(path):
        write_atomically(path / "prompts.txt", ("\n".join(kept.values()) + "\n").encode())
    return {"entered": len(prompts), "left": len(kept), "reasons": dict(reasons)}
