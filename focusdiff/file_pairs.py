"""Training prompts from files: pairs as `focusdiff.data` reads them, and prompts without partner, one a line."""

from __future__ import annotations

from collections.abc import Sequence

from focusdiff.data.pairs import PairSequence
from focusdiff.training_protocols import StepPair
from paircomp.shapes import Dice

__all__ = ["FilePairs", "FilePrompts"]


class _Shuffled:
    """Positions of a list in another order every time through, by place in the run alone."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._round = -1
        self._order: list[int] = []

    def at(self, place: int) -> int:
        """The position at a place of the run, counted from its beginning."""
        turn, inside = divmod(place, self._count)
        if turn != self._round:
            self._round, self._order = turn, Dice(f"{self._name} {turn}").shuffled(range(self._count))
        return self._order[inside]


class FilePairs:
    """Pairs of a dataset, every one once before any comes again; see `focusdiff.training_protocols.PairSource`.

    Args:
        pairs: read, their pictures not yet decoded.
        seed: of the run.
    """

    def __init__(self, pairs: PairSequence, seed: int) -> None:
        self._pairs = pairs
        self._order = _Shuffled(f"focusdiff pairs {seed}", len(pairs))

    def draw(self, step: int, count: int) -> Sequence[StepPair]:
        """The pairs of a step, decoded now.

        Raises:
            DataError: a picture is gone or damaged.
        """
        return [self._read(self._order.at(step * count + place)) for place in range(count)]

    def _read(self, position: int) -> StepPair:
        pair = self._pairs[position]
        first, second = pair.load_images()
        pictures = None if first is None or second is None else (first, second)
        return StepPair(pair.pair_id, pair.subtask or "", pair.prompts, pictures)


class FilePrompts:
    """Prompts without partners, two for each pair of a step; every one once before any comes again.

    Args:
        prompts: at least one.
        seed: of the run.
    """

    def __init__(self, prompts: Sequence[str], seed: int) -> None:
        self._prompts = prompts
        self._order = _Shuffled(f"focusdiff prompts {seed}", len(prompts))

    def draw(self, step: int, count: int) -> Sequence[StepPair]:
        """The prompts of a step."""
        places = [self._order.at(2 * step * count + place) for place in range(2 * count)]
        return [StepPair(f"prompt {place + 1}", "", (self._prompts[place],)) for place in places]
