"""The errors a user can act on.

PairCompError
├── ConfigError(faults)                 options or recipes that do not fit; names every fault at once
├── SuiteError(path, faults)            a suite that cannot be read or fetched
├── DataError(path, faults)             training data that cannot be read
├── AdapterError                        a generator or judge that cannot be used
│   ├── UnknownNameError(name, known)   no such model, generator, judge or suite
│   ├── UnavailableError(package, pip)  a package, device or weight that is missing
│   ├── NotRunnableError(model, ...)    a model that this machine cannot run; names all it lacks at once
│   ├── OutOfMemory                     the batch did not fit; the pipeline halves it
│   ├── GenerationError                 a generator broke its contract or kept failing
│   └── JudgeError                      a judge broke its contract or kept failing
├── RunError(path)                      a run folder that cannot be used
│   ├── MissingImagesError              images that a step needs are absent
│   └── RunMismatchError(field, ...)    the run was made with other settings
│       └── IncomparableRunsError       two runs of different suites, K or judges
├── GateError                           a comparison gate that failed (exit code 3)
└── EntryError(path, faults)            a leaderboard entry that cannot be used

Each message is one line: what, where, what was expected, what came, and the next step. `paircomp.cli` is the one place
that turns them into exit codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike

__all__ = [
    "AdapterError",
    "ConfigError",
    "DataError",
    "EntryError",
    "GateError",
    "GenerationError",
    "IncomparableRunsError",
    "JudgeError",
    "MissingImagesError",
    "MissingScoresError",
    "NotRunnableError",
    "OutOfMemory",
    "PairCompError",
    "RunError",
    "RunMismatchError",
    "SuiteError",
    "UnavailableError",
    "UnknownNameError",
]

_FAULTS_SHOWN = 20


class PairCompError(Exception):
    """Base of every error that is shown to a user as one line."""

    exit_code = 1


def _join_faults(faults: Sequence[str]) -> str:
    shown = "; ".join(faults[:_FAULTS_SHOWN])
    return shown if len(faults) <= _FAULTS_SHOWN else f"{shown}; and {len(faults) - _FAULTS_SHOWN} more"


class ConfigError(PairCompError):
    """Options or a recipe that do not fit.

    Args:
        faults: every fault found, not only the first.
        where: what was being read, for instance ``option -o of generator 'sketch'``.
    """

    def __init__(self, faults: Sequence[str], *, where: str = "options") -> None:
        self.faults = tuple(faults)
        super().__init__(f"{where}: {_join_faults(self.faults)}")


class SuiteError(PairCompError):
    """A suite that cannot be read or fetched.

    Args:
        path: the file or address.
        faults: every fault found in it, with line numbers where there are lines.
    """

    def __init__(self, path: str | PathLike[str], faults: Sequence[str]) -> None:
        self.path = str(path)
        self.faults = tuple(faults)
        super().__init__(f"suite {self.path}: {_join_faults(self.faults)}")


class DataError(PairCompError):
    """Training data that cannot be read.

    Args:
        path: the file or folder.
        faults: every fault found in it, with line numbers where there are lines.
    """

    def __init__(self, path: str | PathLike[str], faults: Sequence[str]) -> None:
        self.path = str(path)
        self.faults = tuple(faults)
        super().__init__(f"data {self.path}: {_join_faults(self.faults)}")


class AdapterError(PairCompError):
    """A generator, judge or plugin that cannot be used.

    Attributes:
        in_a_row: whether request after request failed, each for a reason of its own, as far as one could tell.
    """

    in_a_row = False


class UnknownNameError(AdapterError):
    """No part of that name is registered.

    Args:
        kind: ``model``, ``generator``, ``judge`` or ``suite``, or several, such as ``generator or judge``.
        name: what was asked for.
        known: the names there are; the nearest are suggested.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        near = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(self.known) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}: {hint}{_list_of(kind)}")


def _list_of(kind: str) -> str:
    """Which command lists what there is; generators are named beside the models that they draw."""
    commands = [f"paircomp {listed}s" for listed in ("model", "judge", "suite")
                if listed in kind or (listed == "model" and "generator" in kind)]  # fmt: skip
    return f" (list them with: {', '.join(commands)})" if commands else ""


class UnavailableError(AdapterError):
    """Something this part needs is not on this machine.

    Args:
        what: the part that cannot run.
        package: what is missing.
        remedy: the command or step that brings it, for instance a ``pip install`` line.
    """

    def __init__(self, what: str, *, package: str, remedy: str) -> None:
        self.package = package
        self.remedy = remedy
        super().__init__(f"{what} needs {package}, which is not available here; next: {remedy}")


class NotRunnableError(AdapterError):
    """A model that cannot run on this machine as it is asked for.

    Args:
        model: its name.
        missing: everything that it lacks, each with what would bring it.
        instead: what would run here.
    """

    def __init__(self, model: str, *, missing: Sequence[str], instead: str) -> None:
        self.model = model
        self.missing = tuple(missing)
        self.instead = instead
        super().__init__(f"model {model!r} cannot run here: {_join_faults(self.missing)}; what runs here: {instead}")


class OutOfMemory(AdapterError):  # noqa: N818 - the field's word
    """The batch did not fit in memory; the pipeline halves it and tries again."""


class GenerationError(AdapterError):
    """A generator broke its contract or failed on everything it was given."""


class JudgeError(AdapterError):
    """A judge broke its contract or failed on everything it was given."""


class RunError(PairCompError):
    """A run folder that cannot be used.

    Args:
        path: the folder or file.
        problem: what is wrong and what to do next.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        self.path = str(path)
        super().__init__(f"{self.path}: {problem}")


class MissingImagesError(RunError):
    """Images that a step needs are absent altogether."""


class MissingScoresError(RunError):
    """There are images, and not one of them has a score."""


class RunMismatchError(RunError):
    """The run was made with other settings.

    Args:
        path: the run folder.
        differences: ``(field, stored, given)`` of every field that differs.
    """

    def __init__(self, path: str | PathLike[str], differences: Sequence[tuple[str, object, object]]) -> None:
        self.differences = tuple(differences)
        said = "; ".join(f"{field}: stored {stored!r}, given {given!r}" for field, stored, given in differences)
        super().__init__(path, f"this run was made with other settings ({said}); next: choose another --out folder")


class IncomparableRunsError(RunMismatchError):
    """Two runs whose scores say nothing of each other.

    Args:
        first: the folder of run A.
        second: the folder of run B.
        differences: ``(field, of A, of B)`` of every field that differs.
    """

    def __init__(
        self, first: str | PathLike[str], second: str | PathLike[str], differences: Sequence[tuple[str, object, object]]
    ) -> None:
        self.path = str(second)
        self.differences = tuple(differences)
        said = "; ".join(f"{field}: {ours!r} in A, {theirs!r} in B" for field, ours, theirs in differences)
        PairCompError.__init__(self, f"A ({first}) and B ({second}) cannot be compared, they differ in {said}; "
                                     "next: compare runs of one suite, K and judge")  # fmt: skip


class GateError(PairCompError):
    """A comparison gate failed; the comparison itself was made and printed."""

    exit_code = 3


class EntryError(PairCompError):
    """A leaderboard entry that cannot be used."""

    def __init__(self, path: str | PathLike[str], faults: Sequence[str]) -> None:
        self.path = str(path)
        self.faults = tuple(faults)
        super().__init__(f"entry {self.path}: {_join_faults(self.faults)}")
