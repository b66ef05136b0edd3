"""A program that runs beside the harness and talks in lines: started when needed, and never waited for without end."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from paircomp.errors import GenerationError

__all__ = ["Program", "ProgramEnded"]

_GRACE_SECONDS = 5.0
_SLOWER_START = 3.0
_LISTEN_SECONDS = 0.5  # an endless wait could not be interrupted on Windows
_TAIL_BYTES = 2000


class ProgramEnded(Exception):  # noqa: N818 - the pipeline records it as the reason of a failed image
    """The program died or fell silent; the message says how, with the end of its standard error."""


class Program:
    """A program and its three streams.

    Args:
        words: the program and its arguments; no shell is between.
        folder: where it runs; ``None`` is here.
        timeout: seconds without a line after which it counts as hanging.
        start_timeout: the same before its first line. Once it has loaded, a later start gets what that took thrice, and
            `timeout` for the answer: a prompt that hangs is met again alone, right behind a start.

    Attributes:
        folder: where it runs.
        log: the file that its standard error is appended to.
        log_is_kept: whether that file is there when the program has ended, so that messages may name it.
    """

    def __init__(self, words: Sequence[str], *, folder: str | None, timeout: float, start_timeout: float) -> None:
        self.folder = Path(folder or ".").resolve()
        self.log = Path(os.devnull)
        self._words = list(words)
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._spoke = False
        self._begun = 0.0
        self._loaded: float | None = None
        self._writer: threading.Thread | None = None
        self.log_is_kept = False

    def send(self, lines: Iterable[str]) -> None:
        """Hand it lines, starting it where it does not run."""
        process = self._process or self._start()
        # Writing blocks while the program does not read, and would keep us from noticing that it hangs.
        self._writer = threading.Thread(target=_write, args=(process, list(lines)), daemon=True, name="command-input")
        self._writer.start()

    def receive(self) -> str:
        """Its next line.

        Raises:
            ProgramEnded: it died, or said nothing for too long and was ended.
        """
        patience = self._timeout if self._spoke else self._patience_at_start()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=min(_LISTEN_SECONDS, patience))
                if line is None:
                    raise ProgramEnded(self._obituary())
                if not self._spoke:
                    self._spoke, self._loaded = True, self._loaded or time.monotonic() - self._begun
                return line
        self.stop(grace=0.0)
        raise ProgramEnded(f"it gave no answer for {patience:g} s and was ended{self._tail()}")

    def _patience_at_start(self) -> float:
        if self._loaded is None:
            return self._start_timeout
        # In whole seconds, so that equal reasons read the same.
        return min(self._start_timeout, math.ceil(self._timeout + _SLOWER_START * self._loaded))

    def stop(self, *, grace: float = _GRACE_SECONDS) -> None:
        """End it: its input ends first, and what is still there after `grace` seconds is killed with its children."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._still_writing():
            grace = 0.0  # it does not read; closing its input would wait for the writer
        with contextlib.suppress(OSError, ValueError):
            if process.stdin is not None and grace > 0:
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace)
        _kill(process)

    def _still_writing(self) -> bool:
        if self._writer is None:
            return False
        self._writer.join(timeout=0.2)
        return self._writer.is_alive()

    def _start(self) -> subprocess.Popen[str]:
        self._lines, self._spoke, self._begun = queue.SimpleQueue(), False, time.monotonic()
        with self.log.open("ab") as log:
            try:
                process = subprocess.Popen(  # noqa: S603 - the user's own program, without a shell
                    self._words, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    text=True, encoding="utf-8", errors="replace", bufsize=1,
                    start_new_session=sys.platform != "win32",  # Ctrl-C is ours to hand on, and children end with it
                )  # fmt: skip
            except OSError as error:
                raise GenerationError(f"generator 'command': {self._words[0]} cannot be started: "
                                      f"{error.strerror or error}") from error  # fmt: skip
        threading.Thread(target=_read, args=(process, self._lines), daemon=True, name="command-output").start()
        self._process = process
        return process

    def _obituary(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return "it was ended"
        try:
            code = process.wait(timeout=_GRACE_SECONDS)
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        except subprocess.TimeoutExpired:
            how = "closed its standard output and was ended"
        _kill(process)
        return f"it {how}{self._tail()}, before it had answered everything"

    def _tail(self) -> str:
        """The last line of what it said on its standard error, which as a rule is the reason, and where the rest is."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            lines = [" ".join(line.split()) for line in log.read().decode(errors="replace").splitlines()]
            said = [line for line in lines if line][-1:]
            where = f" (all of it: {self.log})" if self.log_is_kept else ""
            return f", having said {said[0][:160]!r}{where}" if said else ""
        return ""


def _write(process: subprocess.Popen[str], lines: list[str]) -> None:
    # A program that died or was ended meanwhile is noticed where its answers are awaited.
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            if process.stdin is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    output: IO[str] | None = process.stdout
    with contextlib.suppress(OSError, ValueError):
        for line in output or ():
            lines.put(line)
    lines.put(None)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill it with all that it started, and close its streams."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE_SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
