"""The package that ``paircomp adapter new`` writes."""

from __future__ import annotations

import keyword
import re
import string
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from paircomp.errors import ConfigError, RunError
from paircomp.runtime.files import disk_faults, write_atomically

__all__ = ["write_package"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "init.py": "src/{package}/__init__.py",
    "generator.py": "src/{package}/generator.py",
    "models.py": "src/{package}/models.py",
    "test_contract.py": "tests/test_contract.py",
}


def write_package(name: str, folder: Path) -> Iterator[Path]:
    """Write an installable package with generator and model `name`.

    Args:
        name: lower-case words joined by hyphens.
        folder: where to; must not exist or be empty.

    Yields:
        each file written.

    Raises:
        ConfigError: a name that no package or command line could carry.
        RunError: the folder holds something, or cannot be written.
    """
    words = _words(name)
    _refuse_occupied(folder)
    templates = files("paircomp.cli") / "adapter_template"
    for template, place in _FILES.items():
        text = string.Template((templates / f"{template}.txt").read_text(encoding="utf-8")).substitute(words)
        yield _write(folder / place.format(**words), text)
    yield _write(folder / "src" / words["package"] / "py.typed", "")


def _words(name: str) -> dict[str, str]:
    if not _NAME.fullmatch(name):
        raise ConfigError([f"expected lower-case words joined by hyphens, such as my-model, got {name!r}"],
                          where="adapter name")  # fmt: skip
    factory = name.replace("-", "_")
    if keyword.iskeyword(factory):
        raise ConfigError([f"{name!r} is a word of Python; next: choose another"], where="adapter name")
    return {
        "name": name,
        "distribution": f"paircomp-{name}",
        "package": f"paircomp_{factory}",
        "factory": factory,
        "class_name": "".join(word.capitalize() for word in name.split("-")) + "Generator",
    }


def _refuse_occupied(folder: Path) -> None:
    with disk_faults(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            said = "a folder that holds files" if folder.is_dir() else "a file"
            raise RunError(folder, f"expected a new or empty folder, got {said}; next: choose another with --into")


def _write(path: Path, text: str) -> Path:
    with disk_faults(path):
        write_atomically(path, text.encode())
    return path
