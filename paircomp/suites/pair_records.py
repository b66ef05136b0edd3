"""From the objects of a suite file to prompt pairs: spellings of the keys, names of the subtasks, duplicates."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from paircomp.errors import SuiteError
from paircomp.suites.json_objects import Faults, read_objects, read_text
from paircomp.types import PromptPair, Subtask

__all__ = ["PairReader", "read_pairs", "subtask_name"]

# The published file says caption1 and caption2, category; this project says prompts, subtask.
_PROMPT_SPELLINGS = (("prompts",), ("prompt1", "prompt2"), ("caption1", "caption2"))
_SUBTASK_SPELLINGS = ("subtask", "category")
_LABEL_SPELLINGS = ("pair_id", "id")
_KNOWN_KEYS = frozenset(
    [*(key for keys in _PROMPT_SPELLINGS for key in keys), *_SUBTASK_SPELLINGS, *_LABEL_SPELLINGS, "metadata"]
)
_PROMPTS_EXPECTED = "expected 'prompts' (a list of two), or 'prompt1' and 'prompt2', or 'caption1' and 'caption2'"
_PROMPTS_PER_PAIR = 2

_Record = Mapping[str, Any]
_Value = TypeVar("_Value")


@functools.lru_cache(maxsize=4096)
def subtask_name(text: str) -> str:
    """The subtask that a category of a suite file stands for: lower case, words joined by ``_``; may come out empty.

    The published categories become the six names of :class:`paircomp.types.Subtask`; any other keeps its own words.

    Example:
        >>> subtask_name("Style & Tone difference"), subtask_name("Spatial: left of")
        ('style_tone', 'spatial_left_of')
    """
    slug = re.sub(r"[\W_]+", "_", text.casefold()).strip("_")
    short = slug.removesuffix("_difference")
    return short if short in set(Subtask) else slug


def read_pairs(path: Path) -> tuple[PromptPair, ...]:
    """The pairs of a suite file, in its order.

    Raises:
        SuiteError: the file cannot be read, or is no suite; names every fault by line.
    """
    faults = Faults()
    reader = PairReader(faults)
    objects = read_objects(read_text(path), faults)
    found = [reader.read(line, value, position) for position, (line, value) in enumerate(objects)]
    pairs = tuple(pair for pair in found if pair is not None)
    if faults:
        raise SuiteError(path, faults.messages())
    if not pairs:
        raise SuiteError(path, ["holds no pairs; expected at least one"])
    return pairs


class _UnfitError(ValueError):
    """A field that does not fit; its arguments are the faults."""


class PairReader:
    """Turns objects into pairs one by one; faults go to `faults`, and what was seen before is remembered.

    Args:
        faults: where to note what is wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        # By position, not by line: the whole file may be one line.
        self._seen_prompts: dict[tuple[str, ...], tuple[int, int]] = {}
        self._seen_labels: dict[str, tuple[int, int]] = {}

    def read(self, line: int, value: object, position: int) -> PromptPair | None:
        """The pair at `position` of the suite, which `line` of the file holds; ``None`` when it has faults."""
        if not isinstance(value, dict):
            self._faults.add(line, f"expected an object, got {_kind(value)}")
            return None
        if not value.keys() <= _KNOWN_KEYS:
            for key in sorted(value.keys() - _KNOWN_KEYS):
                self._faults.add(line, _unknown_key(key))
        prompts = self._field(line, _prompts, value)
        subtask = self._field(line, _subtask, value)
        label = self._field(line, lambda record: _label(record, default=str(position)), value)
        metadata = self._field(line, _metadata, value)
        self._check_new((position, line), prompts, label)
        if prompts is None or subtask is None or label is None or metadata is None:
            return None
        if not metadata:  # the shared empty mapping: a quarter of a million own ones would take 16 MB
            return PromptPair(position, label, subtask, prompts)
        return PromptPair(position, label, subtask, prompts, metadata)

    def _field(self, line: int, read: Callable[[_Record], _Value], record: _Record) -> _Value | None:
        try:
            return read(record)
        except _UnfitError as unfit:
            for fault in unfit.args:
                self._faults.add(line, fault)
            return None

    def _check_new(self, place: tuple[int, int], prompts: tuple[str, ...] | None, label: str | None) -> None:
        line = place[1]
        if prompts is not None:
            comparable = tuple(sorted(map(_comparable, prompts)))
            if comparable[0] == comparable[-1]:
                self._faults.add(line, "both prompts are the same")
            first = self._seen_prompts.setdefault(comparable, place)
            if first != place:
                self._faults.add(line, f"the pair of {self._faults.unit} {first[1]} again (in either order)")
        if label is not None:
            first = self._seen_labels.setdefault(label, place)
            if first != place:
                self._faults.add(line, f"pair_id {label!r} is that of {self._faults.unit} {first[1]}")


@functools.lru_cache(maxsize=1024)
def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, sorted(_KNOWN_KEYS), n=1)
    return f"unknown key {key!r}; " + (
        f"did you mean {near[0]!r}?" if near else "what is your own goes into 'metadata'"
    )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _prompts(record: _Record) -> tuple[str, ...]:
    spellings = [keys for keys in _PROMPT_SPELLINGS if not record.keys().isdisjoint(keys)]
    if len(spellings) != 1:
        raise _UnfitError(f"{_PROMPTS_EXPECTED}, got {'more than one of them' if spellings else 'none of them'}")
    keys = spellings[0]
    missing = [key for key in keys if key not in record]
    if missing:
        raise _UnfitError(f"no {missing[0]!r}; {_PROMPTS_EXPECTED}")
    if keys != ("prompts",):
        return _checked({key: record[key] for key in keys})
    prompts = record["prompts"]
    if not isinstance(prompts, list) or len(prompts) != _PROMPTS_PER_PAIR:
        got = f"{len(prompts)}" if isinstance(prompts, list) else _kind(prompts)
        raise _UnfitError(f"'prompts': expected a list of two, got {got}")
    return _checked({f"prompts[{index}]": prompt for index, prompt in enumerate(prompts)})


def _checked(prompts: _Record) -> tuple[str, ...]:
    faults = [fault for key, prompt in prompts.items() if (fault := _prompt_fault(key, prompt))]
    if faults:
        raise _UnfitError(*faults)
    return tuple(prompts.values())


def _prompt_fault(key: str, prompt: object) -> str | None:
    if not isinstance(prompt, str):
        return f"{key!r}: expected a string, got {_kind(prompt)}"
    if not prompt.strip():
        return f"{key!r} is {'blank' if prompt else 'empty'}"
    return None


def _comparable(prompt: str) -> str:
    """Prompts that differ only in blanks or in how accents are encoded count as the same."""
    text = prompt if prompt.isascii() else unicodedata.normalize("NFC", prompt)
    text = " ".join(text.split())
    return prompt if text == prompt else text  # the same object, so that the memory of large suites is not doubled


def _one_of(record: _Record, keys: tuple[str, str]) -> str | None:
    if keys[0] in record and keys[1] in record:
        raise _UnfitError(f"{keys[0]!r} and {keys[1]!r} are two names for one thing; keep one")
    return next((key for key in keys if key in record), None)


def _subtask(record: _Record) -> str:
    key = _one_of(record, _SUBTASK_SPELLINGS)
    if key is None:
        raise _UnfitError("no 'subtask' (or 'category')")
    value = record[key]
    if not isinstance(value, str):
        raise _UnfitError(f"{key!r}: expected a string, got {_kind(value)}")
    if not (name := subtask_name(value)):
        raise _UnfitError(f"{key!r}: expected a name of letters or digits, got {value!r}")
    return name


def _label(record: _Record, *, default: str) -> str:
    key = _one_of(record, _LABEL_SPELLINGS)
    if key is None:
        return default
    value = record[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    raise _UnfitError(f"{key!r}: expected a name or a whole number, got {repr(value) if value == '' else _kind(value)}")


def _metadata(record: _Record) -> _Record:
    value = record.get("metadata", {})
    if not isinstance(value, dict):
        raise _UnfitError(f"'metadata': expected an object, got {_kind(value)}")
    return value
