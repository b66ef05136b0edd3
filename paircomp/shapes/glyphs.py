"""The eight glyphs that signs carry, and the strings that can be made of them."""

from __future__ import annotations

import itertools

__all__ = ["GLYPHS", "STRINGS"]

# Three columns by five rows, each cell two pixels wide and high when drawn. These eight were chosen out of 21 drawn
# ones because any two differ in at least five of the fifteen cells: a smudge cannot turn one into another.
GLYPHS: dict[str, tuple[str, ...]] = {
    "A": ("010", "101", "111", "101", "101"),
    "F": ("111", "100", "110", "100", "100"),
    "J": ("001", "001", "001", "101", "111"),
    "L": ("100", "100", "100", "100", "111"),
    "T": ("111", "010", "010", "010", "010"),
    "V": ("101", "101", "101", "101", "010"),
    "X": ("101", "101", "010", "101", "101"),
    "7": ("111", "001", "001", "001", "001"),
}

# All strings of one or two glyphs, single glyphs first.
STRINGS: tuple[str, ...] = tuple(
    "".join(glyphs) for length in (1, 2) for glyphs in itertools.product(GLYPHS, repeat=length)
)
