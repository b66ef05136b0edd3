"""Batch sizes that a run remembers, so that a resumed step does not run out of memory a second time."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from paircomp.runtime.batches import BatchSize, batch_size_for
from paircomp.runtime.files import write_json
from paircomp.runtime.json_text import parse_json
from paircomp.runtime.machine import this_machine

__all__ = ["RememberedBatchSize"]

_SCHEMA = "paircomp-batch-size/1"


class RememberedBatchSize:
    """What a step of a run learnt about batch sizes on this machine.

    Args:
        folder: the step's own folder in the run; holds ``batch_size.json``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "batch_size.json"
        self._size: BatchSize | None = None
        self._limit: int | None = None

    def choose(self, part: object, wanted: int | None) -> BatchSize:
        """The size for `part`; `wanted` is what the user asked for, ``None`` automatic."""
        self._limit = getattr(part, "max_batch_size", None)
        size = batch_size_for(part, wanted, start=self._stored())
        if wanted is None:
            self._size = size
        return size

    def store(self) -> None:
        """Keep what was found; a size that the user gave is not worth keeping."""
        if self._size is not None and self._file.parent.is_dir():
            found = {"size": self._size.size, "settled": not self._size.growing, "limit": self._limit}
            with contextlib.suppress(OSError):  # forgetting costs a second probe, and a full disk is told elsewhere
                write_json(self._file, {"schema": _SCHEMA, "machine": _machine(), **found})

    def _stored(self) -> BatchSize | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = parse_json(self._file.read_text(encoding="utf-8"))
            # Under another limit of the part, what was found says little: it may have been the limit itself.
            if (said["schema"], said["machine"], said["limit"]) == (_SCHEMA, _machine(), self._limit):
                # A size that was still growing is tried out afresh; one that was settled is taken as it is.
                return BatchSize(int(said["size"])) if said["settled"] else None
        return None


def _machine() -> str:
    return "/".join([socket.gethostname(), *(accelerator.name for accelerator in this_machine().accelerators)])
