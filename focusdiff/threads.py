"""How many threads of the processor a training takes: its results hang on it, as sums are added in another order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["processor_threads"]


@contextmanager
def processor_threads(count: int) -> Iterator[None]:
    """So many threads, and afterwards as many as before; 0 leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
