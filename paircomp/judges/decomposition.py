"""Questions that a long prompt is taken apart into, each about one thing and answered by yes or no.

FocusDiff's reward does so for long prompts (arXiv 2506.05501, appendix C): semantic tuples become questions, and the
score is the mean of the answers. The published code has no such step, so the wording is ours. Questions come from rules
that need nothing, or from a file, which `paircomp.judges.question_writing` makes with a language model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from paircomp.errors import ConfigError
from paircomp.runtime.json_text import parse_json

__all__ = ["FileDecomposer", "QuestionsMissingError", "RuleDecomposer", "faults_of"]

_FAULTS_SHOWN = 20
_CUT = re.compile(r"[,;.:]\s+|\s+(?=(?:and|with|while|without)\b)", re.IGNORECASE)
_JOINED = re.compile(r"\b(?:between|both)\b[^,;]*$", re.IGNORECASE)
_LEADING = re.compile(r"^(?:and|while)\s+", re.IGNORECASE)
_FEWEST_WORDS = 3


class QuestionsMissingError(ValueError):
    """A prompt for which there are no questions."""


class Decomposer(Protocol):
    """Takes prompts apart."""

    identity: Mapping[str, Any]

    def questions(self, prompt: str) -> tuple[str, ...]:
        """At least one; raises `QuestionsMissingError` where there is none."""
        ...


class RuleDecomposer:
    """Cuts a prompt at commas and before and, with, while, without; each part becomes a question.

    Parts of fewer than three words stay with what stands before them, and ``between A and B`` stays whole. That is all
    it knows of grammar: it separates things that a prompt lists, not the attributes of one thing.

    Example:
        >>> RuleDecomposer().questions("A red fox, asleep under a tree, with two cubs")[1]
        'Is this true of the image: "asleep under a tree"?'
    """

    identity: Mapping[str, Any] = {"rules": "clauses/1"}

    def questions(self, prompt: str) -> tuple[str, ...]:
        """One question for each part; a prompt of one part is asked about as a whole."""
        return tuple(f'Is this true of the image: "{part}"?' for part in dict.fromkeys(_parts(prompt)))


def _parts(prompt: str) -> list[str]:
    text = " ".join(prompt.split()).rstrip(" .")
    parts: list[str] = []
    start = 0
    for cut in _CUT.finditer(text):
        part = text[start : cut.start()]
        rest = text[cut.end() :]
        short = min(len(part.split()), len(_CUT.split(rest, maxsplit=1)[0].split())) < _FEWEST_WORDS
        if short or _JOINED.search(part):
            continue
        parts.append(part)
        start = cut.end()
    return [_LEADING.sub("", part) for part in (*parts, text[start:])]


class FileDecomposer:
    """Questions from a JSON file: ``{"questions": {PROMPT: [QUESTION, ...], ...}}``.

    Args:
        path: the file.

    Attributes:
        identity: SHA-256 of the file, so that other questions are another judge.

    Raises:
        ConfigError: the file cannot be read or holds something else; every fault is named.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
            said = parse_json(content)
        except (OSError, ValueError) as error:
            raise ConfigError([f"file {path}: not readable as JSON ({error})"], where="questions") from error
        held = said.get("questions") if isinstance(said, dict) else None
        if faults := faults_of(held):
            shown = "; ".join(faults[:_FAULTS_SHOWN])
            raise ConfigError([f"file {path}: {shown}"], where="questions")
        self._held: Mapping[str, Sequence[str]] = held or {}
        self.identity: Mapping[str, Any] = {"sha256": hashlib.sha256(content).hexdigest()}

    def questions(self, prompt: str) -> tuple[str, ...]:
        """Those of exactly this prompt."""
        if prompt not in self._held:
            raise QuestionsMissingError("the file of questions has none for this prompt")
        return tuple(self._held[prompt])


def faults_of(held: object) -> list[str]:
    """What is wrong with a mapping of prompts to questions; empty where nothing is."""
    if not isinstance(held, Mapping) or not held:
        return ['expected {"questions": {PROMPT: [QUESTION, ...]}}']
    return [
        f"{prompt[:60]!r}: expected a list of different questions, got {json.dumps(questions)[:80]}"
        for prompt, questions in held.items()
        if not isinstance(questions, list) or not questions or len(set(map(str, questions))) < len(questions)
        or not all(isinstance(question, str) and question.strip() for question in questions)
    ]  # fmt: skip
