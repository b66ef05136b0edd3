"""The published PairComp benchmark: 550 pairs (FocusDiff, arXiv 2506.05501, section 2 and appendix A).

Its repository carries no licence, so the file is never part of this package: ``paircomp fetch paircomp`` brings it from
where its authors publish it, or ``PAIRCOMP_DATA_DIR`` names a folder that holds ``PairComp.json``. The authors' README
speaks of 924 pairs; the file they publish, whose categories match the paper's proportions, has 550.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from paircomp.errors import SuiteError, UnavailableError
from paircomp.suites.fetching import SOURCES, cached_file, file_sha256
from paircomp.suites.pair_records import read_pairs
from paircomp.types import PromptPair, Suite, suite_digest

__all__ = ["DATA_VARIABLE", "official_suite", "paircomp_suite"]

DATA_VARIABLE = "PAIRCOMP_DATA_DIR"
_NAME = "paircomp"
_DIGEST = "acf4a9c59a76135a915017d40550f4c0816d2e0871100a311d4b4cf6a1f4b324"
"""Digest of the contents, so that the suite is known in any layout and under any file name."""


def paircomp_suite() -> Suite:
    """The published suite, from ``$PAIRCOMP_DATA_DIR/PairComp.json`` where that is set, else as fetched.

    Raises:
        UnavailableError: it has not been fetched yet.
        SuiteError: the file is not the published one, byte for byte.
    """
    path = _find()
    expected = SOURCES[_NAME].sha256
    got = file_sha256(path)
    if got != expected:
        remedy = f"{_fetch_step()}; or give it as a suite of its own: --suite {path}"
        raise SuiteError(path, [f"not the published file: expected SHA-256 {expected}, got {got}; next: {remedy}"])
    pairs = read_pairs(path)
    return _suite(pairs, suite_digest(pairs), name=_NAME)


def official_suite(pairs: Sequence[PromptPair], digest: str, *, name: str | None, source: str) -> Suite | None:
    """The published suite if `pairs` are its pairs (whatever file they came from), else ``None``.

    So a copy given with ``--suite FILE`` keeps the rules of the original: the same seeds, and prompts that stay
    private.
    """
    return _suite(pairs, digest, name=name or _NAME, found=source) if digest == _DIGEST else None


def _suite(pairs: Sequence[PromptPair], digest: str, *, name: str, found: str = "") -> Suite:
    published = "PairComp of FocusDiff (arXiv 2506.05501), github.com/wendell0218/FocusDiff at 070155b"
    return Suite(
        name=name,
        pairs=tuple(pairs),
        digest=digest,
        samples=2,
        default_judge="internvl2.5-26b",
        held_out_judge="qwen2.5-vl-7b",
        prompts_public=False,
        source=f"{published}; read from {found}" if found else published,
    )


def _find() -> Path:
    source = SOURCES[_NAME]
    folder = os.environ.get(DATA_VARIABLE)
    path = Path(folder) / source.filename if folder else cached_file(_NAME)
    if path.is_file():
        return path
    if folder:
        raise SuiteError(path, [f"no such file, though {DATA_VARIABLE} names its folder; next: {_fetch_step()}"])
    raise UnavailableError(f"suite {_NAME!r}", package=f"its published file ({path})", remedy=_fetch_step())


def _fetch_step() -> str:
    unset = f"unset {DATA_VARIABLE} and run: " if os.environ.get(DATA_VARIABLE) else ""
    return f"{unset}paircomp fetch {_NAME}"
