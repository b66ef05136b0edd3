"""The ``command`` generator: a program of one's own, in its own environment, draws the pictures.

The program reads one JSON object per line on its standard input, one per image, and answers each with one line on its
standard output, in any order::

    {"key": [12, 0, 1], "prompt": "a red cat", "seed": 8312094, "path": "/tmp/.../12_0_1.png"}
    {"key": [12, 0, 1], "path": "/tmp/.../12_0_1.png"}

An answer carries ``path`` (a picture file, at the proposed place or another), ``image`` (a picture file in base64),
``unscored`` (why there is none, for good) or ``error`` (why there is none this time); beside it ``prompt_sent``,
``seconds`` and ``metadata``. What it writes to its standard error is kept. It ends when its input does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from paircomp.errors import ConfigError, GenerationError
from paircomp.runtime.capabilities import declares
from paircomp.types import Generated, GenerationRequest
from paircomp_adapters.command_answers import read_answer, request_line
from paircomp_adapters.command_process import Program, ProgramEnded

__all__ = ["CommandGenerator", "command"]

_WHO = "generator 'command'"
#: Deaths before any answer that end the step: a program that cannot start should not be loaded ten times.
_STILLBORN = 3


@declares(incidental=("timeout", "start_timeout", "in_flight"))
def command(
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    program: str | list[str],
    folder: str | None = None,
    seeded: bool = True,
    in_flight: int = 8,
    timeout: float = 600.0,
    start_timeout: float = 1800.0,
) -> CommandGenerator:
    """Runs a program of your own: one JSON line per request on its stdin, one per image on its stdout.

    Args:
        checkpoint: takes the place of ``{checkpoint}`` in the program's words.
        device: takes the place of ``{device}``.
        dtype: takes the place of ``{dtype}``.
        program: the program and its arguments, as one text in shell syntax or as a list; no shell runs it.
        folder: where it runs; default here.
        seeded: whether it draws from the seed alone, so that an image can be drawn again.
        in_flight: requests that it is sent ahead of its answers.
        timeout: seconds without an answer after which it is ended and started anew.
        start_timeout: the same before its first answer, while it loads; a later start gets three times what the first
            load took, beside `timeout`.

    Raises:
        ConfigError: no such program or folder, or a number that makes no sense.
    """
    numbers = (("in_flight", in_flight), ("timeout", timeout), ("start_timeout", start_timeout))
    faults = [f"{name}: expected a number above 0, got {value!r}" for name, value in numbers if value <= 0]
    if folder is not None and not Path(folder).is_dir():
        faults.append(f"folder: no such folder: {folder}")
    words = _words(program, {"checkpoint": checkpoint or "", "device": device, "dtype": dtype or ""}, faults)
    if words and shutil.which(words[0], path=None) is None and not (Path(folder or ".") / words[0]).is_file():
        faults.append(f"program: {words[0]!r} is not on the PATH and no file")
    if faults:
        raise ConfigError(faults, where=_WHO)
    started = Program(words, folder=folder, timeout=timeout, start_timeout=start_timeout)
    return CommandGenerator(started, seeded=seeded, in_flight=in_flight)


def _words(program: str | list[str], places: Mapping[str, str], faults: list[str]) -> list[str]:
    try:
        words = shlex.split(program, posix=os.name != "nt") if isinstance(program, str) else list(program)
    except ValueError as error:
        faults.append(f"program: {error}, got {program!r}")
        return []
    if not words or not all(isinstance(word, str) and word for word in words):
        faults.append(f"program: expected a command, got {program!r}")
        return []
    for name, value in places.items():
        words = [word.replace("{" + name + "}", value) for word in words]
    return words


class CommandGenerator:
    """Sends requests to a program and reads its answers; see :func:`command`.

    Attributes:
        max_batch_size: how many requests it is sent ahead.
        supports_seeds: whether it draws from the seed alone.
    """

    def __init__(self, program: Program, *, seeded: bool, in_flight: int) -> None:
        self.max_batch_size = in_flight
        self.supports_seeds = seeded
        self._program = program
        self._pictures = Path(tempfile.mkdtemp(prefix="paircomp-command-"))
        self._program.log = self._pictures / "program.log"
        self._answered = False
        self._stillborn = 0

    def keep_logs(self, folder: Path) -> None:
        """Keep what the program says on its standard error in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._program.log, self._program.log_is_kept = folder / "command.log", True

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """The program's answers, as they come; it is started where it does not run.

        Raises:
            GenerationError: its output is not what was agreed, or it never answers anything.
            ProgramEnded: it died or fell silent; the pipeline asks again, one by one.
        """
        if not requests:
            return
        done = False
        try:
            yield from self._exchange(requests)
            done = True
        except ProgramEnded as ended:
            self._give_up_if_stillborn(ended)
            raise
        finally:
            if not done:
                self._program.stop()  # answers still to come would be taken for those of the next requests

    def close(self) -> None:
        """End the program, and delete the pictures it left behind."""
        self._program.stop()
        shutil.rmtree(self._pictures, ignore_errors=True)

    def _exchange(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        self._program.send([request_line(request, self._pictures) for request in requests])
        for _ in requests:
            line = self._program.receive()
            answer = read_answer(line, folder=self._program.folder, ours=self._pictures)
            self._answered = True
            yield answer

    def _give_up_if_stillborn(self, ended: ProgramEnded) -> None:
        if self._answered:
            return
        self._stillborn += 1
        if self._stillborn >= _STILLBORN:
            raise GenerationError(f"{_WHO}: {ended}; it was started {self._stillborn} times and never answered; "
                                  "next: run it by hand with a request on its input") from ended  # fmt: skip
