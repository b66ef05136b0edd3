"""Knowing pictures again: a digest of the pixels, and a perceptual hash that small changes leave nearly as it is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["HASH_BITS", "perceptual_hash", "pixel_digest"]

_COLUMNS = _ROWS = 8
HASH_BITS = 3 * _COLUMNS * _ROWS


def pixel_digest(image: Image) -> str:
    """Hex digest (16 characters) of size and pixels: equal for the same picture in any lossless file."""
    return hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()[:16]


def perceptual_hash(image: Image) -> str:
    """Difference hash of each colour channel: 192 bits as 48 hex characters.

    Each bit says whether a cell of an 8 x 8 grid is brighter than its neighbour to the right. Scaling, mild compression
    and a shift of brightness change few bits; the distance of two hashes is the number of bits that differ.
    """
    from PIL import Image as Pillow

    small = image.convert("RGB").resize((_COLUMNS + 1, _ROWS), Pillow.Resampling.BOX)
    cells = np.asarray(small, dtype=np.int16)  # [8, 9, 3]
    # A difference of a level or two is noise of the compression, not a gradient.
    bits = cells[:, :-1] > cells[:, 1:] + 2
    return np.packbits(bits).tobytes().hex()
