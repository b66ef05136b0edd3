"""The colours, shapes and backgrounds of the shapes world, by the words that prompts use for them."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["BASES", "COLORS", "INK", "MARKS", "PATTERNS", "PLURALS", "RGB", "SHAPES", "TONES"]

RGB: TypeAlias = tuple[int, int, int]

# Pairwise at least 100 levels apart (Euclidean RGB), from each other and from every background colour, so that noise of
# a few levels cannot turn one into another.
COLORS: dict[str, RGB] = {
    "red": (215, 40, 40),
    "green": (40, 165, 60),
    "blue": (45, 75, 215),
    "yellow": (240, 205, 40),
    "purple": (150, 55, 190),
    "cyan": (50, 195, 215),
}

SHAPES = ("circle", "square", "triangle", "cross")
PLURALS: dict[str, str] = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses"}

TONES = ("light", "dark")
PATTERNS = ("plain", "striped", "dotted")

# A background is its tone's base colour with the pattern drawn in the tone's mark colour.
BASES: dict[str, RGB] = {"light": (244, 244, 240), "dark": (45, 45, 60)}
MARKS: dict[str, RGB] = {"light": (180, 180, 176), "dark": (109, 109, 124)}

# Writing on signs.
INK: RGB = (255, 255, 255)
