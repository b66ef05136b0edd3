"""Where the seconds of a step go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up seconds by name.

    Args:
        clock: tells seconds.

    Attributes:
        seconds: so far.

    Example:
        >>> stopwatch = Stopwatch()
        >>> with stopwatch("rollout"):
        ...     pass
        >>> list(stopwatch.seconds)
        ['rollout']
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is done inside; several times under one name add up."""
        _wait_for_device()
        started = self._clock()
        try:
            yield
        finally:
            _wait_for_device()
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - started


def _wait_for_device() -> None:
    """An accelerator works behind the program's back; without waiting, its seconds land under another name."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
