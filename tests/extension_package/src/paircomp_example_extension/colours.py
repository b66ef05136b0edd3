"""The colour that a prompt stands for."""

from __future__ import annotations

import hashlib

__all__ = ["Colour", "colour_of"]

Colour = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""


def colour_of(text: str) -> Colour:
    """The first three bytes of the SHA-256 of `text`."""
    red, green, blue = hashlib.sha256(text.encode()).digest()[:3]
    return red, green, blue
