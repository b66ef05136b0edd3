"""The ``folder`` generator: pictures that exist already, under names of any pattern.

``paircomp eval --images DIR`` judges a folder of officially named images in place. This generator takes in all other
names, and copies what it finds into the run.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paircomp.errors import ConfigError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.types import Generated, GenerationRequest

__all__ = ["FolderGenerator", "folder"]

_WHO = "generator 'folder'"
_FIELDS = {"pair": 0, "prompt": 0, "sample": 0, "index": 0, "text": "a prompt", "hash": "0" * 16}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tiff")


@declares(requires=("PIL",))
def folder(
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    pattern: str = "{pair}_{prompt}_{sample}",
    first: int = 0,
) -> FolderGenerator:
    """Takes pictures that exist already, from a folder, under names of any pattern.

    Args:
        checkpoint: the folder.
        device: any; nothing is drawn.
        dtype: any; nothing is drawn.
        pattern: where the picture of a request lies in the folder, in Python's format syntax. ``{pair}``, ``{prompt}``
            and ``{sample}`` are its place, ``{index}`` counts prompts through all pairs of two, ``{text}`` is the
            prompt with ``/`` replaced by ``_``, ``{hash}`` the first 16 hex digits of its SHA-256. A pattern without
            an ending stands for any of .png, .jpg, .jpeg, .webp, .bmp and .tiff.
        first: what counting starts from, 0 or 1.

    Raises:
        ConfigError: no such folder, or a pattern that cannot name a file for each request.

    Example:
        >>> folder(checkpoint=".", pattern="{index:05d}/samples/{sample:04d}").supports_seeds
        False
    """
    del device, dtype
    faults = _pattern_faults(pattern)
    if first not in (0, 1):
        faults.append(f"first: expected 0 or 1, got {first}")
    if not checkpoint:
        faults.append("checkpoint: expected the folder of the pictures")
    elif not Path(checkpoint).is_dir():
        faults.append(f"checkpoint: expected a folder, got {'a file' if Path(checkpoint).exists() else 'nothing'} at "
                      f"{checkpoint}")  # fmt: skip
    if faults or not checkpoint:
        raise ConfigError(faults, where=_WHO)
    return FolderGenerator(Path(checkpoint), pattern, first=first)


def _pattern_faults(pattern: str) -> list[str]:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
        unknown = sorted(names - set(_FIELDS))
        if unknown:
            return [f"pattern: unknown {{{name}}}, known: {', '.join(_FIELDS)}" for name in unknown]
        pattern.format(**_FIELDS)
    except (ValueError, LookupError) as error:
        return [f"pattern {pattern!r}: {error}"]
    if not names & {"pair", "index", "text", "hash"}:
        return [f"pattern {pattern!r}: names the same file for every pair; expected {{pair}}, {{index}}, {{text}} or "
                "{hash} in it"]  # fmt: skip
    return []


class FolderGenerator:
    """Reads one file per request; see :func:`folder`."""

    supports_seeds = False

    def __init__(self, path: Path, pattern: str, *, first: int) -> None:
        self._path = path
        self._pattern = pattern
        self._first = first
        self.identity: Mapping[str, Any] = {"folder": str(path.resolve())}

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """The picture of each request; one that is missing or damaged may be mended and is looked for again."""
        for request in requests:
            yield self._found(request)

    def close(self) -> None:
        """Nothing to free."""

    def _found(self, request: GenerationRequest) -> Generated:
        name = self._pattern.format(**self._fields(request))
        try:
            file, content = _read_first(self._candidates(name))
            image = read_rgb(content)
        except OSError as error:
            return Generated(request.key, unscored=f"missing: {name} ({error.strerror or error})", retry=True)
        except UnreadableImageError as error:
            return Generated(request.key, unscored=f"unreadable: {name}: {error}", retry=True)
        return Generated(request.key, image, metadata={"file": file.relative_to(self._path).as_posix()})

    def _fields(self, request: GenerationRequest) -> dict[str, int | str]:
        pair, prompt, sample = request.key
        numbers = {"pair": pair, "prompt": prompt, "sample": sample, "index": 2 * pair + prompt}
        digest = hashlib.sha256(request.prompt.encode()).hexdigest()[:16]
        counted = {name: number + self._first for name, number in numbers.items()}
        return {**counted, "text": request.prompt.replace("/", "_").strip("."), "hash": digest}

    def _candidates(self, name: str) -> list[Path]:
        if Path(name).suffix.lower() in _SUFFIXES:
            return [self._path / name]
        # Not with_suffix: a prompt such as "version 2.5" has a dot of its own.
        return [self._path / f"{name}{suffix}" for suffix in _SUFFIXES]


def _read_first(files: Sequence[Path]) -> tuple[Path, bytes]:
    """The first file that is there, and its content.

    Raises:
        OSError: none is there, or it cannot be read.
    """
    for file in files[:-1]:
        if file.is_file():
            return file, file.read_bytes()
    return files[-1], files[-1].read_bytes()
