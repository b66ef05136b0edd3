"""Checkpoints that ship inside an installed package: ``package:IMPORT_NAME/FOLDER``.

A run remembers this name, not a path, so that it means the same on every machine. Importing this module loads nothing
heavy, and the package itself is not imported either.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path, PurePosixPath

__all__ = ["packaged_folder"]

_SCHEME = "package:"


def packaged_folder(checkpoint: str) -> Path | None:
    """The folder that ``package:IMPORT_NAME/FOLDER`` names; ``None`` for other names and where there is no such folder.

    Example:
        >>> packaged_folder("package:paircomp/suites").name
        'suites'
        >>> packaged_folder("some/model") is None
        True
    """
    if not checkpoint.startswith(_SCHEME):
        return None
    package, _, rest = checkpoint.removeprefix(_SCHEME).partition("/")
    inside = PurePosixPath(rest).parts
    if not package.isidentifier() or ".." in inside:
        return None
    found = importlib.util.find_spec(package)
    places = [] if found is None else found.submodule_search_locations or []
    folders = (Path(place, *inside) for place in places)
    return next((folder for folder in folders if folder.is_dir()), None)
