"""The published trainer's JSON (openr1-focusdiff/src/open_r1/mydataset.py of FocusDiff), and the same as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from focusdiff.data.pairs import ImageFile, TrainingPair
from paircomp.errors import DataError, SuiteError
from paircomp.suites.json_objects import Faults, read_objects, read_text

__all__ = ["read_json_pairs", "read_records"]

_PROMPTS = (("prompt1", "prompt2"), ("caption1", "caption2"))
_IMAGES = ("image1", "image2")


def read_records(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """``(line, object)`` of a JSON list or JSON Lines file.

    Raises:
        DataError: it cannot be read; every fault is named.
    """
    faults = Faults()
    found: list[tuple[int, Mapping[str, Any]]] = []
    try:
        for line, value in read_objects(read_text(path), faults):
            if isinstance(value, dict):
                found.append((line, value))
            else:
                faults.add(line, f"expected an object, got {type(value).__name__}")
    except SuiteError as error:
        raise DataError(path, error.faults) from error
    if faults:
        raise DataError(path, faults.messages())
    if not found:
        raise DataError(path, ["holds no pairs; expected at least one"])
    return found


def read_json_pairs(path: Path) -> Iterator[TrainingPair]:
    """The pairs of a file, in its order; nothing is yielded before all of it was checked.

    Raises:
        DataError: names every fault by line.
    """
    faults = Faults()
    found = [
        _pair(record, number, path.parent, line, faults) for number, (line, record) in enumerate(read_records(path))
    ]
    if faults:
        raise DataError(path, faults.messages())
    yield from (pair for pair in found if pair is not None)


def _pair(record: Mapping[str, Any], number: int, folder: Path, line: int, faults: Faults) -> TrainingPair | None:
    prompts = _prompts(record)
    images = tuple(_image(record.get(key), folder) for key in _IMAGES)
    wrong = [each for each in (prompts, *images) if isinstance(each, str)]
    label, subtask = _text(record, "pair_id", "id"), _text(record, "subtask", "category")
    for fault in wrong:
        faults.add(line, fault)
    if isinstance(prompts, str) or wrong:
        return None
    first, second = (None if isinstance(each, str) else each for each in images)
    return TrainingPair(label or str(number), prompts, (first, second), subtask)


def _prompts(record: Mapping[str, Any]) -> tuple[str, str] | str:
    """The prompts, or what is wrong with them."""
    for keys in _PROMPTS:
        if keys[0] in record or keys[1] in record:
            texts = [record.get(key) for key in keys]
            if all(isinstance(text, str) and text.strip() for text in texts):
                return str(texts[0]), str(texts[1])
            return f"{keys[0]!r} and {keys[1]!r}: expected two texts"
    return f"expected 'prompt1' and 'prompt2', got {', '.join(sorted(record)) or 'nothing'}"


def _image(value: Any, folder: Path) -> ImageFile | str | None:
    """The picture, or what is wrong with it."""
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        return f"image: expected a path or null, got {value!r}"
    path = folder / value  # an absolute path stands for itself
    return ImageFile(path) if path.is_file() else f"image {path}: no such file"


def _text(record: Mapping[str, Any], *keys: str) -> str | None:
    return next((str(record[key]) for key in keys if record.get(key) is not None), None)
