"""Which pairs a partial run takes: spread over the subtasks, and a larger limit only ever adds."""

from __future__ import annotations

import difflib
import hashlib
import itertools
from collections.abc import Sequence

from paircomp.errors import ConfigError
from paircomp.suites.pair_records import subtask_name
from paircomp.types import Suite

__all__ = ["select_pairs"]


def select_pairs(suite: Suite, *, limit: int | None = None, subtasks: Sequence[str] | None = None) -> tuple[int, ...]:
    """Positions of the pairs to take, sorted.

    Subtasks take turns, in the order in which the suite names them; within a subtask the order is a fixed shuffle (by
    the SHA-256 of the position), because neighbours in a file tend to be alike. So ``limit=12`` of six subtasks takes
    two of each, and the pairs of a smaller limit are always among those of a larger one.

    Args:
        suite: where to take from.
        limit: how many at most; ``None`` for all.
        subtasks: only these; ``None`` or none given for all. The file's own spelling works too.

    Raises:
        ConfigError: a limit below one, or a subtask that the suite does not have.
    """
    faults = [] if limit is None or limit >= 1 else [f"--limit: expected at least 1, got {limit}"]
    wanted = _known_subtasks(suite, subtasks or (), faults)
    if faults:
        raise ConfigError(faults, where=f"selection from suite {suite.name!r}")
    queues: dict[str, list[int]] = {name: [] for name in suite.subtasks if name in wanted}
    for pair in suite.pairs:
        if pair.subtask in queues:
            queues[pair.subtask].append(pair.pair)
    if limit is None:
        return tuple(sorted(itertools.chain.from_iterable(queues.values())))
    shuffled = [sorted(queue, key=_shuffled) for queue in queues.values()]
    turns = itertools.zip_longest(*shuffled)
    taken = (position for turn in turns for position in turn if position is not None)
    return tuple(sorted(itertools.islice(taken, limit)))


def _known_subtasks(suite: Suite, asked: Sequence[str], faults: list[str]) -> frozenset[str]:
    known = suite.subtasks
    names = {name: name if name in known else subtask_name(name) for name in asked}
    for name, meant in names.items():
        if meant not in known:
            near = difflib.get_close_matches(meant, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            faults.append(f"--subtask: unknown subtask {name!r}; {hint}")
    return frozenset(names.values() if asked else known)


def _shuffled(position: int) -> bytes:
    return hashlib.sha256(str(position).encode()).digest()
