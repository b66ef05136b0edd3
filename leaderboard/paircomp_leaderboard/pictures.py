"""Reading a run's images from where they lie: its folder, another folder, or a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paircomp.errors import RunError

if TYPE_CHECKING:
    from paircomp.runtime.stores import ImageStore

__all__ = ["read_picture"]


def read_picture(store: ImageStore, name: str) -> bytes | None:
    """The content of an image file; ``None`` where it is gone.

    Raises:
        RunError: it is there and cannot be read.
    """
    try:
        return store.read(name)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{store.location}/{name}", f"{reason}; next: see whether the store can be read") from error
