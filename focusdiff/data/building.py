"""Building: every block of a source through the stages, in this process or in several, resumable at any moment."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focusdiff.data.ledger import Ledger
from focusdiff.data.recipe import Crew, Recipe
from focusdiff.data.records import Block, Source, Stage
from focusdiff.data.stages import BlockCount, take_block
from paircomp.errors import AdapterError, PairCompError, RunError, RunMismatchError
from paircomp.plugins import Registry
from paircomp.run_store.run import differences
from paircomp.runtime.files import StepLock, disk_faults, waiting_lock, write_json

__all__ = ["BuildFolder", "take_stages"]

SCHEMA = "focusdiff-data-build/1"
#: What of a recipe decides the verdicts of a later stage alone.
_PARTS: Mapping[Stage, tuple[str, ...]] = {
    Stage.CAPTION: ("captioner",), Stage.VERIFY: ("structure", "verifier", "alignment"),
}  # fmt: skip
_WAITING_PER_WORKER = 2  # blocks handed out ahead, so that no worker waits for the source


class BuildFolder:
    """Where a build keeps what it knows: ``DIR/build`` beside the finished data.

    Args:
        path: the dataset folder, `DIR`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / "build"

    def lock(self) -> StepLock:
        """One process builds at a time."""
        return StepLock(self.folder / "locks" / "build.lock", step="build")

    def ledger(self, number: int) -> Ledger:
        """The verdicts of a block."""
        return Ledger(self.folder / "verdicts" / f"block-{number:06d}")

    def blocks(self) -> list[int]:
        """Numbers of the blocks that have verdicts, ascending."""
        return sorted(int(each.name.rpartition("-")[2]) for each in (self.folder / "verdicts").glob("block-*"))

    def settle(self, given: Mapping[str, Any]) -> None:
        """Hold fields against the stored ones; new ones are added.

        Raises:
            RunMismatchError: the build was begun with other settings.
        """
        file = self.folder / "build.json"
        with disk_faults(file), waiting_lock(self.folder / "locks" / "settings.lock"):
            stored = self.identity()
            known = {name: value for name, value in given.items() if name in stored}
            if changed := differences({name: stored[name] for name in known}, known):
                raise RunMismatchError(self.path, changed)
            if len(known) < len(given):
                write_json(file, {"schema": SCHEMA, "identity": {**stored, **given}})

    def identity(self) -> dict[str, Any]:
        """What the build was begun with; empty before that.

        Raises:
            RunError: the file is damaged.
        """
        file = self.folder / "build.json"
        if not file.is_file():
            return {}
        try:
            said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(file, "not the settings of a build (damaged); next: restore it, or choose another "
                                 "--out folder") from error  # fmt: skip
        return said

    def begin(self, source: Source, recipe: Recipe, registry: Registry) -> None:
        """Make the folder, or go on with what is there when its settings agree.

        Raises:
            RunMismatchError: they do not.
            RunError: the folder holds something else.
        """
        with disk_faults(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            foreign = sorted(each.name for each in self.path.iterdir() if each.name != "build")
        if foreign and not (self.folder / "build.json").is_file():
            raise RunError(self.path, f"this folder holds other files (first: {foreign[0]}) and no build; "
                                      "next: choose an empty or new --out folder")  # fmt: skip
        given = {"source": dict(source.identity), "recipe": recipe.identity(registry)}
        self._free_unasked(given)
        self.settle(given)

    def _free_unasked(self, given: Mapping[str, Any]) -> None:
        """Let parts that have decided nothing yet be others than those that the build was begun with."""
        stored = self.identity()
        if not stored or all(stored.get(name) == value for name, value in given.items()):
            return
        said = self._stages()
        if not said:
            stored = {}
        for stage, parts in _PARTS.items():
            for part in () if stage in said or not stored else parts:
                stored["recipe"] = {**stored["recipe"], part: given["recipe"][part]}
                stored.pop(f"{part} opened", None)
        with disk_faults(self.folder):
            write_json(self.folder / "build.json", {"schema": SCHEMA, "identity": stored})

    def _stages(self) -> set[Stage]:
        """The stages that have decided something."""
        found: set[Stage] = set()
        for number in self.blocks():
            ledger = self.ledger(number)
            for position in ledger.positions():
                found |= {stage for (stage, _), verdict in ledger.said_of(position).items()
                          if verdict.passed is not None}  # fmt: skip
            if len(found) == len(Stage):
                break
        return found

    def settle_part(self, part: str, says: Mapping[str, Any]) -> None:
        """Store what an opened part says of itself, or hold it against what is stored."""
        self.settle({f"{part} opened": dict(says)})


def take_stages(
    folder: BuildFolder, source: Source, recipe: Recipe, *, until: Stage = Stage.VERIFY, workers: int = 1
) -> Iterator[BlockCount]:
    """Take every block through the stages, yielding as each is done.

    Args:
        folder: of the build; the caller holds its lock.
        source: gives the blocks.
        recipe: who answers.
        until: the last stage to do, for machines that hold one model at a time.
        workers: processes; each opens the parts for itself.

    Raises:
        PairCompError: a part cannot be opened, breaks its contract or keeps failing; what was said is kept.
    """
    if workers > 1:
        yield from _in_workers(folder, source, recipe, until, workers)
        return
    crew = Crew(recipe, folder.settle_part)
    try:
        for block in source.blocks():
            yield _take(folder, block, crew, until)
    finally:
        crew.close()


def _take(folder: BuildFolder, block: Block, crew: Crew, until: Stage) -> BlockCount:
    ledger = folder.ledger(block.number)
    ledger.forget_undecided()
    try:
        return take_block(block, ledger, crew, until=until)
    finally:
        ledger.close()


@dataclass(frozen=True)
class _Told:
    """A fault in a worker; the errors themselves do not travel between processes."""

    message: str


_worker: tuple[BuildFolder, Crew, Stage] | None = None


def _open_worker(path: Path, recipe: Recipe, until: Stage) -> None:
    global _worker  # noqa: PLW0603 - what an initializer makes has no other place to lie
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = BuildFolder(path)
    _worker = folder, Crew(recipe, folder.settle_part), until


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(block: Block) -> BlockCount | _Told:
    if _worker is None:
        return _Told("a worker was asked before it was opened")
    folder, crew, until = _worker
    try:
        return _take(folder, block, crew, until)
    except PairCompError as error:
        return _Told(str(error))


def _in_workers(
    folder: BuildFolder, source: Source, recipe: Recipe, until: Stage, workers: int
) -> Iterator[BlockCount]:
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[BlockCount | _Told]] = deque()
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_open_worker, initargs=(folder.path, recipe, until)
    ) as pool:
        try:
            for block in source.blocks():
                waiting.append(pool.submit(_work, block))
                if len(waiting) >= workers * _WAITING_PER_WORKER:
                    yield _settled(waiting.popleft())
            while waiting:
                yield _settled(waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _settled(future: Future[BlockCount | _Told]) -> BlockCount:
    try:
        said = future.result()
    except BrokenProcessPool as error:
        raise AdapterError("a worker process ended unexpectedly (killed for memory?); what was finished is kept; "
                           "next: run the same command again, with fewer --workers") from error  # fmt: skip
    if isinstance(said, _Told):
        raise PairCompError(said.message)
    return said
