"""Human labels: images that somebody has looked at, in a JSON Lines file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paircomp.calibration.controls import Case, Probe
from paircomp.errors import ConfigError
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.json_text import parse_json

__all__ = ["LABEL", "read_labels"]

LABEL = "human label"


def read_labels(path: Path) -> list[Case]:
    """Cases from a file of human labels.

    Each line is ``{"image": "cat.png", "prompt": "a black cat", "label": true}``; ``image`` is a path, relative to the
    file's folder. Several lines may speak of one image.

    Args:
        path: the file.

    Raises:
        ConfigError: names every line that cannot be used: not JSON, fields missing or of the wrong type, images that
            cannot be read; or that the file holds no label at all.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"], where="--labels") from error
    faults: list[str] = []
    asked: dict[Path, list[Probe]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _take(line, number, path.parent, asked, faults)
    cases = [_case(image, probes, faults) for image, probes in asked.items()]
    if not asked and not faults:
        faults.append('expected lines such as {"image": "cat.png", "prompt": "a black cat", "label": true}, got none')
    if faults:
        raise ConfigError(faults, where=f"labels {path}")
    return [case for case in cases if case is not None]


def _take(line: str, number: int, folder: Path, asked: dict[Path, list[Probe]], faults: list[str]) -> None:
    try:
        said = parse_json(line)
    except ValueError as error:
        faults.append(f"line {number}: not JSON ({error})")
        return
    fault = _fault(said)
    if fault:
        faults.append(f"line {number}: {fault}")
    else:
        asked.setdefault(folder / said["image"], []).append(Probe(LABEL, said["prompt"], label=said["label"]))


def _fault(said: Any) -> str | None:
    if not isinstance(said, dict):
        return f"expected an object, got {type(said).__name__}"
    for name, kind, word in (("image", str, "a path"), ("prompt", str, "a text"), ("label", bool, "true or false")):
        if not isinstance(said.get(name), kind) or said[name] == "":
            return f"{name}: expected {word}, got {said.get(name)!r}"
    return None


def _case(image: Path, probes: list[Probe], faults: list[str]) -> Case | None:
    try:
        return Case(read_rgb(image.read_bytes()), image.name, "", str(image), tuple(probes))
    except OSError as error:
        faults.append(f"image {image}: {error.strerror or error}")
    except UnreadableImageError as error:
        faults.append(f"image {image}: {error}")
    return None
