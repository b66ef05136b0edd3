"""Fetching suites that may not be shipped: into a cache, checked, resumed, retried, and safe for two processes at once.

A download grows in a ``.part`` file beside its place and is renamed into it only when its SHA-256 is right. What a
broken attempt left is continued by the next one, in this process or a later one, where the server can (HTTP ranges).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from paircomp.errors import ConfigError, SuiteError
from paircomp.runtime.files import disk_faults, waiting_lock
from paircomp.suites.transfer import Interrupted, Refused, download_to

__all__ = ["SOURCES", "Source", "cache_directory", "cached_file", "fetch", "file_sha256"]

_LONGEST_PAUSE = 30.0
_PATIENCE = 600.0

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Source:
    """Where a suite's file is published.

    Attributes:
        url: of one fixed version.
        sha256: hex digest of the file.
    """

    url: str
    sha256: str

    @property
    def filename(self) -> str:
        """What the file is called, there and in the cache."""
        return self.url.rsplit("/", maxsplit=1)[-1]


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "paircomp": Source(
            url="https://raw.githubusercontent.com/wendell0218/FocusDiff/070155b01ff74c08841721bd001705120e3ef13d/PairComp/prompt/PairComp.json",
            sha256="f4fe0842de2ea4cd1739e25d888e32bce80959a46e4e96bb606ec2336bb654d4",
        )
    }
)
"""The suites that `fetch` knows by name."""


def fetch(
    name: str,
    *,
    url: str | None = None,
    sha256: str | None = None,
    cache_dir: Path | None = None,
    attempts: int = 5,
    timeout: float = 30.0,
    pause: float = 0.5,
    progress: Progress | None = None,
) -> Path:
    """Bring the file of a suite into the cache, unless it is there already, and return its path.

    Args:
        name: a suite of :data:`SOURCES`.
        url: fetch it from here instead, for instance a mirror.
        sha256: hex digest to expect instead.
        cache_dir: instead of :func:`cache_directory`.
        attempts: how often to try in all; only what may pass is tried again (not a 404).
        timeout: seconds without a byte until an attempt counts as broken.
        pause: seconds before the second attempt; doubled each time, up to 30.
        progress: called with the bytes so far and the bytes expected, where the server says how many.

    Raises:
        ConfigError: a suite that has nothing to fetch.
        SuiteError: the file could not be had, or its digest is wrong.
        RunError: the cache cannot be written, or another process has been fetching for ten minutes.
    """
    if name not in SOURCES:
        raise ConfigError([f"suite {name!r} has nothing to fetch; these have: {', '.join(SOURCES)}"], where="fetch")
    source = Source(url or SOURCES[name].url, sha256 or SOURCES[name].sha256)
    path = cached_file(name, cache_dir=cache_dir)
    transfer = _Transfer(source, path, attempts, timeout, pause, progress)
    with disk_faults(path), waiting_lock(path.with_name(f".{path.name}.lock"), seconds=_PATIENCE):
        if not path.is_file() or file_sha256(path) != source.sha256:
            transfer.run()
    return path


def cache_directory() -> Path:
    """``$PAIRCOMP_CACHE_DIR``, else where this system keeps what programs can fetch again.

    Raises:
        ConfigError: no variable is set and the user has no home folder.
    """
    if chosen := os.environ.get("PAIRCOMP_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or _home() / ".cache"
    return Path(base) / "paircomp"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigError(["this user has no home folder; next: set PAIRCOMP_CACHE_DIR"], where="cache") from error


def cached_file(name: str, *, cache_dir: Path | None = None) -> Path:
    """Where `fetch` keeps the file of a suite, whether or not it is there."""
    return (cache_dir or cache_directory()) / "suites" / name / SOURCES[name].filename


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _Transfer:
    source: Source
    path: Path
    attempts: int
    timeout: float
    pause: float
    progress: Progress | None

    def run(self) -> None:
        """Try until the file is there; the lock on its place must be held."""
        part = self.path.with_name(f".{self.path.name}.part")
        for attempt in range(1, self.attempts + 1):
            try:
                self._attempt(part)
            except Refused as refused:
                raise self._failed(str(refused)) from refused
            except Interrupted as interrupted:
                if attempt == self.attempts:
                    raise self._failed(f"{interrupted} ({attempt} attempts)") from interrupted
                time.sleep(min(interrupted.wait or self.pause * 2 ** (attempt - 1), _LONGEST_PAUSE))
            else:
                return

    def _attempt(self, part: Path) -> None:
        resumed = part.is_file() and part.stat().st_size > 0
        download_to(part, self.source.url, timeout=self.timeout, progress=self.progress)
        got = file_sha256(part)
        if got == self.source.sha256:
            os.replace(part, self.path)
            return
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        wrong = f"expected SHA-256 {self.source.sha256}, got {got}; the wrong file was deleted"
        if resumed:  # the old beginning may be to blame
            raise Interrupted(wrong)
        raise SuiteError(self.source.url, [f"{wrong}; next: see whether a proxy answers in the server's place"])

    def _failed(self, reason: str) -> SuiteError:
        by_hand = f"set PAIRCOMP_DATA_DIR to a folder that holds {self.source.filename}"
        return SuiteError(
            self.source.url, [f"{reason}; next: check the connection and run it again (it resumes), or {by_hand}"]
        )
