"""Where the seconds of a step go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up seconds by name.

    Attributes:
        seconds: so far.

    Example:
        >>> stopwatch = Stopwatch()
        >>> with stopwatch("rollout"):
        ...     pass
        >>> list(stopwatch.seconds)
        ['rollout']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is done inside; several times under one name add up."""
        _wait_for_device()
        started = time.perf_counter()
        try:
            yield
        finally:
            _wait_for_device()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def _wait_for_device() -> None:
    """An accelerator works behind the program's back; without waiting, its seconds land under another name."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
