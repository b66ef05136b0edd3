"""What a report says of files and folders on the machine that made it: their names, not where they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

__all__ = ["named_only", "without_folders"]

#: Fields that hold one path or name; blanks are part of it.
_ONE_PATH = frozenset({"checkpoint", "file", "folder", "path", "source"})

# "/imagine" is a word to a model, "/home/me" is none.
_WORD = re.compile(
    r"""(?<![\w/:.~<])(?:(?:file://)?/[^\s/"']+/[^\s"']*|[A-Za-z]:[\\/][^\s"']+|\\\\[^\s"']+|~[\\/][^\s"']+)"""
)


def named_only(path: str) -> str:
    """The last name of a path that is absolute or leads out of its folder; hub ids and other names stay.

    Example:
        >>> named_only("/home/me/my weights"), named_only("me/model"), named_only("../weights")
        ('my weights', 'me/model', 'weights')
    """
    windows = PureWindowsPath(path)
    if windows.drive or path.startswith("\\"):
        return windows.name or path
    if path.startswith(("/", "./", "../", "~")):
        return PurePosixPath(path).name or path
    return path


def without_folders(value: Any) -> Any:
    """A JSON value with the last name in place of each absolute path, also inside longer texts.

    Example:
        >>> without_folders({"command": "python3 /home/me/draw.py --style a/b", "url": "https://host/v1"})
        {'command': 'python3 draw.py --style a/b', 'url': 'https://host/v1'}
    """
    if isinstance(value, str):
        return _without_folders(value)
    if isinstance(value, Mapping):
        return {name: _field(name, held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(held) for held in value]
    return value


def _field(name: str, value: Any) -> Any:
    return without_folders(named_only(value) if name in _ONE_PATH and isinstance(value, str) else value)


def _without_folders(text: str) -> str:
    return _WORD.sub(lambda found: named_only(found[0].removeprefix("file://")), text)
