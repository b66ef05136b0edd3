"""Who may work on a step of a run: one process for each shard, and all shards of one division."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from paircomp.runtime.files import StepLock, is_locked, waiting_lock
from paircomp.runtime.shards import Shard

__all__ = ["is_at_work", "manifest_lock", "step_lock"]

#: A thousand shards that start at the same moment wait for each other here, a few milliseconds each.
_SECONDS = 120.0
_MANIFEST = "run.lock"
_SHARD_FILE = re.compile(r"-(\d+)of(\d+)\.lock$")


def manifest_lock(run: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the files of a run that are rewritten (``run.json``, identities) for the moment of rewriting them."""
    return waiting_lock(run / "locks" / _MANIFEST, seconds=_SECONDS)


def is_at_work(run: Path) -> bool:
    """Whether a process is in a step of this run, though it may have stored nothing yet.

    Exact while the manifest lock is held, under which steps are begun.
    """
    return any(is_locked(path) for path in (run / "locks").glob("*.lock") if path.name != _MANIFEST)


@contextlib.contextmanager
def step_lock(run: Path, step: str, shard: Shard) -> Iterator[None]:
    """Hold one shard of a step.

    The other shards of the same division may be held by other processes; a division into another number of shards may
    not, because its shards overlap with this one.

    Args:
        run: the run folder.
        step: ``generate``, ``import`` or ``judge <name>``.
        shard: this process's share.

    Raises:
        RunError: another process is at it; the message names that process.
    """
    folder, name = run / "locks", re.sub(r"[^A-Za-z0-9._-]+", "-", step)
    with contextlib.ExitStack() as held:
        with manifest_lock(run):
            for path, other in _other_divisions(folder, name, shard):
                with _lock(path, step, other):
                    pass  # nobody is at it
            held.enter_context(_lock(folder / f"{name}-{shard.label}.lock", step, shard))
        yield


def _lock(path: Path, step: str, shard: Shard) -> StepLock:
    return StepLock(path, step=step if shard.whole else f"{step} (shard {shard})")


def _other_divisions(folder: Path, name: str, shard: Shard) -> Iterator[tuple[Path, Shard]]:
    for path in sorted(folder.glob(f"{name}-*.lock")):
        match = _SHARD_FILE.match(path.name, len(name))
        if match is not None and int(match[2]) != shard.count and int(match[1]) < int(match[2]):
            yield path, Shard(int(match[1]), int(match[2]))
