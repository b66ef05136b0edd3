"""Which subtask a pair belongs to: by the words that its captions differ in, else by the source's kind of edit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources

from focusdiff.data.words import differing_tokens
from paircomp.types import Subtask

__all__ = ["subtask_of"]

_TOKEN = re.compile(r"[\"“”]|\w+(?:['\u2019-]\w+)*")
_QUOTES = frozenset('"“”')
_WORDS = {
    name: frozenset(words.split())
    for name, words in json.loads(
        resources.files("focusdiff.data").joinpath("subtask_words.json").read_text(encoding="utf-8")
    ).items()
}
_CLASSES = (Subtask.COLOR, Subtask.COUNTING, Subtask.POSITION, Subtask.STYLE_TONE)

#: The kinds of edit of AnyEdit (arXiv 2411.15738), and of the embedded world, whose kinds are subtasks.
_EDIT_TYPES: Mapping[str, Subtask] = {
    **{str(subtask): subtask for subtask in Subtask},
    "color_alter": Subtask.COLOR, "counting": Subtask.COUNTING, "textual_change": Subtask.TEXT,
    "movement": Subtask.POSITION, "relation": Subtask.POSITION, "rotation_change": Subtask.POSITION,
    "resize": Subtask.OVERALL_APPEARANCE, "style_change": Subtask.STYLE_TONE, "tune_transfer": Subtask.STYLE_TONE,
    "tone_transfer": Subtask.STYLE_TONE, "background_change": Subtask.STYLE_TONE,
}  # fmt: skip


def subtask_of(edit_type: str | None, captions: tuple[str, str]) -> Subtask:
    """The subtask of a pair.

    The words that tell the captions apart decide where all of them are of one kind (colours, numbers, places, tones,
    or what is written on something); else the kind of edit; else it is overall appearance.

    Args:
        edit_type: the source's own word for the kind of edit.
        captions: the two prompts.

    Example:
        >>> str(subtask_of(None, ("a red cat", "a blue cat")))
        'color'
        >>> str(subtask_of("counting", ("a cat", "some cats")))
        'counting'
    """
    tokens = [_TOKEN.findall(text) for text in captions]
    marks = differing_tokens([token.casefold() for token in tokens[0]], [token.casefold() for token in tokens[1]])
    if _is_writing(tokens[0], marks[0]) and _is_writing(tokens[1], marks[1]) and any(marks[0] + marks[1]):
        return Subtask.TEXT
    words = {
        token.casefold()
        for side, marked in zip(tokens, marks, strict=True)
        for token, differs in zip(side, marked, strict=True)
        if differs and token not in _QUOTES
    } - _WORDS["function"]  # "one cat is", "two cats are": they follow from a change elsewhere
    for subtask in _CLASSES:
        if words and words <= _WORDS[subtask]:
            return subtask
    counted = {word for word in words if word.isdecimal() or word in _WORDS[Subtask.COUNTING]}
    if counted and _are_inflections(words - counted):
        return Subtask.COUNTING
    return _EDIT_TYPES.get((edit_type or "").casefold(), Subtask.OVERALL_APPEARANCE)


def _is_writing(tokens: list[str], marked: list[bool]) -> bool:
    """Whether every marked token stands within quotes or right behind a word such as "reads"."""
    quoted, said = False, False
    for token, differs in zip(tokens, marked, strict=True):
        if token in _QUOTES:
            quoted = not quoted
            continue
        if differs and not (quoted or said):
            return False
        said = token.casefold() in _WORDS["reads"]
    return True


def _are_inflections(words: set[str]) -> bool:
    """Whether the words are nothing but singulars and plurals of one another."""
    stems = {re.sub(r"(es|s)$", "", word) for word in words}
    return len(stems) <= len(words) / 2
