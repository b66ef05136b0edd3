"""What leaves this machine with the data: names of folders, not where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

__all__ = ["published"]


def published(value: Any) -> Any:
    """JSON values in which folders of this machine are named by their last part: the data travels, they do not.

    Example:
        >>> published({"checkpoint": "/home/me/models/judge", "model": "OpenGVLab/InternVL2_5-26B"})
        {'checkpoint': 'judge', 'model': 'OpenGVLab/InternVL2_5-26B'}
    """
    if isinstance(value, Mapping):
        return {name: published(each) for name, each in value.items()}
    if isinstance(value, list):
        return [published(each) for each in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value
