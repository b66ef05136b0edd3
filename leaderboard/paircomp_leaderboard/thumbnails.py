"""Small WebP copies of a run's images, for the gallery."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from paircomp.run_store import ImageState
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.types import ImageKey
from paircomp_leaderboard.pictures import read_picture

if TYPE_CHECKING:
    from paircomp.run_store.score_table import Judged

__all__ = ["thumbnail", "write_thumbnails"]

_SMALL: Final = 64  # pictures up to this edge are drawings of few pixels, which lossy compression would smear


def thumbnail(content: bytes, edge: int) -> bytes:
    """A WebP copy whose longer side is at most `edge` pixels.

    Raises:
        UnreadableImageError: not a picture.
    """
    image = read_rgb(content)
    lossless = max(image.size) <= _SMALL
    image.thumbnail((edge, edge))
    stream = io.BytesIO()
    image.save(stream, format="WEBP", lossless=lossless, quality=82, method=4)
    return stream.getvalue()


def write_thumbnails(judged: Judged, folder: Path, edge: int) -> int:
    """Write ``thumbnails/{pair}_{prompt}_{sample}.webp`` of the selected pairs' images; returns how many.

    An image that is gone or is no picture has none; its pair says why it is unscored.

    Raises:
        RunError: the store of the images cannot be read.
    """
    store = judged.run.image_store
    target = folder / "thumbnails"
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    for pair in judged.pairs:
        for prompt, sample in _drawn(judged, pair):
            key = ImageKey(pair, prompt, sample)
            content = read_picture(store, key.filename)
            if content is None:
                continue
            try:
                small = thumbnail(content, edge)
            except UnreadableImageError:
                continue
            (target / key.filename.replace(".png", ".webp")).write_bytes(small)
            written += 1
    return written


def _drawn(judged: Judged, pair: int) -> list[tuple[int, int]]:
    import numpy as np

    return [(prompt, sample) for prompt, sample in np.argwhere(judged.images.state[pair] == ImageState.DRAWN).tolist()]
