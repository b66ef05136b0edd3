"""Files that survive a kill: atomic replacement and locks that end with their process.

Works on Linux, macOS and Windows. A lock is the operating system's own (``flock`` or ``LockFile``): it disappears with
the process that holds it, so a killed run never leaves a stale lock behind.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from paircomp.errors import RunError
from paircomp.runtime.json_text import parse_json

__all__ = ["StepLock", "disk_faults", "is_locked", "sync_files", "waiting_lock", "write_atomically", "write_json"]

# Windows locks bytes, and a locked byte cannot be read: lock one far beyond the text that names the holder.
_LOCKED_BYTE = 1 << 30
_SYNC_ONE_BY_ONE = 4
_HELD_BY_ANOTHER = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})


def write_atomically(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write `content` so that readers see the old file or the new one, never a part.

    Args:
        path: the file; its folder is made when absent.
        content: all of it.
        sync: also survive a power cut (one fsync).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may share the folder and have the same number.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically. NaN is refused: unscored has its own words."""
    write_atomically(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def sync_files(paths: Sequence[Path]) -> None:
    """Bring files that other handles wrote onto the disk; a file that is gone is no fault.

    Each fsync waits for the journal (about 2 ms measured on ext4), so beyond a few files Linux is asked to bring the
    whole file system to the disk at once.
    """
    if len(paths) <= _SYNC_ONE_BY_ONE or not _sync_file_system(paths[0]):
        for path in paths:
            _sync_file(path)


def _sync_file_system(path: Path) -> bool:
    """``syncfs`` of Linux, which Python does not offer; False where there is none."""
    if sys.platform != "linux":
        return False
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            if call(handle) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), str(path.parent))
        finally:
            os.close(handle)
    return True


def _sync_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        # Windows flushes only handles that may write.
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a disk (full, read-only, no such folder) into a :class:`RunError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        said = error.filename if error.filename else path
        raise RunError(
            said, f"{reason}; what was finished is kept; next: mend it and run the same command again"
        ) from error


class StepLock:
    """One step of a run belongs to one process.

    Args:
        path: the lock file; it stays there, only the lock on it comes and goes.
        step: named in the message.

    Raises:
        RunError: another process holds it; the message names that process. Or the disk is full or read-only.
    """

    def __init__(self, path: Path, *, step: str) -> None:
        self._path = path
        self._step = step
        self._handle: int | None = None

    def __enter__(self) -> StepLock:
        with disk_faults(self._path):
            return self._entered()

    def _entered(self) -> StepLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            free = _try_lock(self._handle)
        except OSError:
            os.close(self._handle)
            self._handle = None
            raise
        if not free:
            holder = self._holder()
            os.close(self._handle)
            self._handle = None
            raise RunError(
                self._path.parent.parent,
                f"the {self._step} step of this run is already being done by {holder}; next: wait for it to end",
            )
        try:
            os.ftruncate(self._handle, 0)
            os.write(self._handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        except OSError:  # a full disk; the lock must not outlive the attempt
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)  # closing releases the lock
            self._handle = None

    def _holder(self) -> str:
        try:
            said = parse_json(self._path.read_text(encoding="utf-8"))
            return f"process {said['pid']} on {said['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock on `path` at this moment."""
    if not path.is_file():
        return False
    handle = os.open(path, os.O_RDWR)
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def waiting_lock(path: Path, *, seconds: float = 30.0, remove: bool = False) -> Iterator[None]:
    """Hold the lock on `path`, waiting for whoever has it; for the short moments in which a shared file is rewritten.

    Args:
        path: the lock file, made when absent.
        seconds: how long to wait.
        remove: delete the file at the end, where the system lets an open file go.

    Raises:
        RunError: the lock was not free within `seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    handle, ours = os.open(path, os.O_RDWR | os.O_CREAT, 0o644), False
    try:
        while not (locked := _try_lock(handle)) or not _is_at(handle, path):
            if time.monotonic() > deadline:
                raise RunError(path, f"locked by another process for {seconds:.0f} s; next: see whether it hangs")
            if locked:  # whoever had it before removed it: others lock the file that is there now
                os.close(handle)
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            else:
                time.sleep(0.02)
        ours = True
        yield
    finally:
        if ours and remove:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                path.unlink()
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that lies at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _try_lock(handle: int) -> bool:
    """Whether the lock is ours now; what the operating system says beside "held by another" is raised."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        raise  # no locks on this file system, for instance: waiting would not help
    return True
