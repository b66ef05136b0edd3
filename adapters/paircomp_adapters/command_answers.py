"""What travels between the harness and the user's program: one JSON object per line, both ways."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import GenerationError
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.json_text import parse_json
from paircomp.types import Generated, GenerationRequest, ImageKey

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["read_answer", "request_line"]

_OUTCOMES = ("path", "image", "unscored", "error")
_KNOWN = {"key", *_OUTCOMES, "prompt_sent", "seconds", "metadata"}


def request_line(request: GenerationRequest, pictures: Path) -> str:
    """A request as the program reads it; `pictures` is a folder that it may write to."""
    place = pictures / request.key.filename
    return json.dumps({"key": list(request.key), "prompt": request.prompt, "seed": request.seed, "path": str(place)})


def read_answer(line: str, *, folder: Path, ours: Path) -> Generated:
    """What a line of the program means.

    Args:
        line: as it came.
        folder: where the program runs; its relative paths start there.
        ours: pictures in this folder are deleted once they are read.

    Raises:
        GenerationError: the line is not an answer; names all that is wrong with it.
    """
    answer, faults = _parsed(line)
    if faults:
        raise GenerationError(
            f"generator 'command': its output line {line.strip()[:120]!r} is not an answer: {'; '.join(faults)}; "
            "next: print answers only, and everything else to stderr"
        )
    key = ImageKey(*answer["key"])
    said = {name: answer[name] for name in ("prompt_sent", "seconds", "metadata") if answer.get(name) is not None}
    if "unscored" in answer:
        return Generated(key, unscored=_one_line(answer["unscored"]), **said)
    if "error" in answer:
        return Generated(key, unscored=f"error: {_one_line(answer['error'])}", retry=True, **said)
    try:
        image = _picture(answer, folder, ours)
    except (UnreadableImageError, OSError) as error:
        return Generated(key, unscored=f"unreadable: {_one_line(str(error))}", retry=True, **said)
    return Generated(key, image, **said)


def _parsed(line: str) -> tuple[dict[str, Any], list[str]]:
    try:
        answer = parse_json(line, nan=True)  # its fields are looked at one by one
    except ValueError:
        return {}, ["expected one JSON object per line"]
    if not isinstance(answer, dict):
        return {}, [f"expected a JSON object, got {type(answer).__name__}"]
    return answer, _faults(answer)


def _faults(answer: Mapping[str, Any]) -> list[str]:
    key, given = answer.get("key"), [name for name in _OUTCOMES if name in answer]
    faults = [] if _is_key(key) else [f"key: expected the request's three numbers, got {key!r}"]
    if len(given) != 1:
        faults.append(f"expected one of {', '.join(_OUTCOMES)}, got {' and '.join(given) or 'none'}")
    faults += [f"{name}: expected text, got {answer[name]!r}"[:200] for name in (*given, "prompt_sent")
               if name in answer and not (isinstance(answer[name], str) and answer[name].strip())]  # fmt: skip
    faults += [f"{name}: unknown" for name in sorted(set(answer) - _KNOWN)]
    if "metadata" in answer and not _is_plain(answer["metadata"]):
        faults.append("metadata: expected an object without NaN or infinity")
    seconds = answer.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        faults.append(f"seconds: expected a number from 0, got {seconds!r}")
    return faults


def _is_key(key: object) -> bool:
    whole = isinstance(key, list) and all(isinstance(part, int) and not isinstance(part, bool) for part in key)
    return isinstance(key, list) and len(key) == 3 and whole


def _is_plain(metadata: object) -> bool:
    try:
        json.dumps(metadata, allow_nan=False)
    except ValueError:
        return False
    return isinstance(metadata, dict)


def _picture(answer: Mapping[str, Any], folder: Path, ours: Path) -> Image:
    if "image" in answer:
        try:
            return read_rgb(base64.b64decode(answer["image"], validate=True))
        except binascii.Error as error:
            raise UnreadableImageError(f"image is not base64 ({error})") from error
    file = folder / answer["path"]
    image = read_rgb(file.read_bytes())
    if file.parent == ours:
        file.unlink()
    return image


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
