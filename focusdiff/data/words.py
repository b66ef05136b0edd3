"""Words of prompts and how far two prompts are apart in words."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence

__all__ = ["differing_tokens", "word_edits", "word_ngrams", "words_of"]

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


@functools.lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """The words in lower case, without punctuation; accents are composed.

    Example:
        >>> words_of("A red-haired cat, on the cat's mat.")
        ('a', 'red-haired', 'cat', 'on', 'the', "cat's", 'mat')
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def word_edits(first: str, second: str) -> int:
    """Words to insert, delete or replace to turn one text into the other (Levenshtein distance).

    Example:
        >>> word_edits("a red cat", "A blue cat!")
        1
    """
    return _distance(words_of(first), words_of(second))


def _distance(first: Sequence[str], second: Sequence[str]) -> int:
    row = list(range(len(second) + 1))
    for number, word in enumerate(first, start=1):
        above, row[0] = row[0], number
        for place, other in enumerate(second, start=1):
            above, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, above + (word != other))
    return row[-1]


def word_ngrams(text: str, length: int) -> frozenset[tuple[str, ...]]:
    """Every run of `length` words; the whole text where it is shorter."""
    words = words_of(text)
    if len(words) <= length:
        return frozenset([words])
    return frozenset(words[start : start + length] for start in range(len(words) - length + 1))


def differing_tokens(first: Sequence[str], second: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Which tokens of two sequences are not shared by both (outside their longest common subsequence).

    Example:
        >>> differing_tokens(["a", "red", "cat"], ["a", "blue", "cat"])
        ([False, True, False], [False, True, False])
    """
    import difflib

    matcher = difflib.SequenceMatcher(a=list(first), b=list(second), autojunk=False)
    marked = [True] * len(first), [True] * len(second)
    for block in matcher.get_matching_blocks():
        marked[0][block.a : block.a + block.size] = [False] * block.size
        marked[1][block.b : block.b + block.size] = [False] * block.size
    return marked
