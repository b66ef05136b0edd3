"""The user's own code behind a part: what of it changed since an earlier command.

A run's identity holds names and options. The code of an adapter in development changes under the same name, and its
older pictures are still there when it is evaluated again; that is worth a word, though no reason to refuse: a mended
program goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import inspect
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["changed_code", "code_digests"]

#: Packages of this project: their version stands in each invocation.
_OURS = ("paircomp", "paircomp_adapters")
_LARGEST = 1 << 20  # bytes; larger files are no programs
_MOST = 500  # files of one package


def code_digests(factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, str]:
    """A short SHA-256 of each file of the user's own code, by its name.

    These are the file that defines the factory, where that belongs to a package all of its Python files, and the files
    that words of the options name (the program of ``command``).
    """
    return {**_defining(factory), **{file.name: _digest(file) for file in set(_named(options))}}


def changed_code(invocations: Iterable[Mapping[str, Any]], now: Mapping[str, str]) -> list[str]:
    """Names of the files that were others when an earlier generate step of the run began, in alphabetical order.

    Args:
        invocations: of ``run.json``; those without ``code`` are passed over.
        now: from :func:`code_digests`.
    """
    earlier = [said.get("code") or {} for said in invocations if said.get("step") == "generate"]
    return sorted(name for name, digest in now.items() if any(said.get(name, digest) != digest for said in earlier))


def _defining(factory: Callable[..., Any]) -> dict[str, str]:
    if (getattr(factory, "__module__", None) or "").partition(".")[0] in _OURS:
        return {}
    try:
        named = inspect.getsourcefile(inspect.unwrap(factory))
    except (TypeError, ValueError):  # built in, or an object without code of its own
        return {}
    if named is None:
        return {}
    file = Path(named)
    package = _outermost_package(file)
    files = [file] if package is None else sorted(package.rglob("*.py"))[:_MOST]
    above = (package or file).parent
    return {found.relative_to(above).as_posix(): _digest(found) for found in files if _is_small(found)}


def _outermost_package(file: Path) -> Path | None:
    """The folder of the package that a module belongs to; ``None`` for a file that stands alone."""
    package = None
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        package = folder
    return package


def _named(options: Mapping[str, Any]) -> Iterator[Path]:
    for value in options.values():
        words = value if isinstance(value, list | tuple) else _words(value)
        yield from (Path(word) for word in words if isinstance(word, str) and _is_small(Path(word)))


def _words(value: object) -> list[str]:
    try:
        return shlex.split(value) if isinstance(value, str) else []
    except ValueError:  # a quotation that does not end: text, and no command
        return []


def _is_small(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size <= _LARGEST
    except (OSError, ValueError):  # a word that cannot be a path
        return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
