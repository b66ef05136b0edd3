"""What one step hands to the next while both go on: a queue that says when nothing is there for now."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from enum import Enum
from typing import Generic, TypeVar

__all__ = ["Feed", "Pause"]

Item = TypeVar("Item")
_LISTEN_SECONDS = 0.5  # an endless wait could not be interrupted on Windows


class Pause(Enum):
    """Stands in a stream of requests where the next one is not there yet."""

    PAUSE = "what was collected so far goes out, before the next one is waited for"


class Feed(Generic[Item]):
    """Items from one thread to another; iterating ends when it is closed and empty, or abandoned."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._abandoned = threading.Event()

    def put(self, item: Item) -> None:
        """Hand `item` on; nobody waits for it to be taken."""
        if not self._abandoned.is_set():
            self._items.put(item)

    def close(self) -> None:
        """Say that nothing more comes; what is there is still taken."""
        self._closed.set()

    def abandon(self) -> None:
        """Say that nothing more is taken, not even what is there."""
        self._abandoned.set()

    @property
    def abandoned(self) -> bool:
        """Whether nothing more is taken."""
        return self._abandoned.is_set()

    def __iter__(self) -> Iterator[Item | Pause]:
        """Items as they come, and one pause before each wait."""
        paused = False
        while not self._abandoned.is_set():
            last_look = self._closed.is_set()
            try:
                # Closed before this look: what is not there now will not come.
                item = self._items.get(block=paused and not last_look, timeout=_LISTEN_SECONDS)
            except queue.Empty:
                if last_look:
                    return
                if not paused:
                    yield Pause.PAUSE
                    paused = True
                continue
            paused = False
            yield item
