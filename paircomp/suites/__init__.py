"""Suites: what is asked of a model. The embedded `shapes`, the published `paircomp`, and any file of pairs."""

from __future__ import annotations

import hashlib

from paircomp.suites.checking import checked_suite
from paircomp.suites.files import load_suite, load_suite_file
from paircomp.suites.selection import select_pairs

__all__ = ["checked_suite", "load_suite", "load_suite_file", "prompt_sha256", "select_pairs"]


def prompt_sha256(prompt: str) -> str:
    """Hex SHA-256 of the prompt's UTF-8 bytes: what public exports carry in place of a prompt that may not be shown.

    Example:
        >>> prompt_sha256("a red circle")[:8]
        'a1e4a280'
    """
    return hashlib.sha256(prompt.encode()).hexdigest()
