"""When memory runs out: telling that from other faults, and letting go of what the failed attempt still holds."""

from __future__ import annotations

import gc
import sys

from paircomp.errors import OutOfMemory

__all__ = ["forget_frames", "free_device_memory", "is_out_of_memory"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, without importing torch: ours, Python's, or torch's by name."""
    if isinstance(error, (OutOfMemory, MemoryError)):
        return True
    said = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "can't allocate memory" in said)
    )


def forget_frames(error: BaseException) -> None:
    """Drop the tracebacks of `error` and of what caused it.

    A traceback keeps the frames of the failed call alive, and with them every tensor of the batch that did not fit:
    the half batch would then fail as well.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            chain += [link.__cause__, link.__context__]


def free_device_memory() -> None:
    """Return memory that nothing refers to any more to the device; imports nothing that is not loaded already."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
