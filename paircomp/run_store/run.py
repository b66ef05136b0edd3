"""The run folder: its identity, what was done to it, and where everything lies."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paircomp.errors import ConfigError, MissingImagesError, RunError, RunMismatchError
from paircomp.run_store.addresses import holds_user_or_query, storable
from paircomp.run_store.forms import IDENTITY_FORM, PAIR_FORM, RUN_FORM, refuse_other_form
from paircomp.run_store.image_index import ImageIndex
from paircomp.run_store.judgement_table import JudgementTable
from paircomp.run_store.locks import is_at_work, manifest_lock, step_lock
from paircomp.run_store.records import RecordFolder
from paircomp.runtime.files import disk_faults, write_atomically, write_json
from paircomp.runtime.json_text import parse_json
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.runtime.shards import ALL, Shard
from paircomp.runtime.stores import ImageStore, open_store
from paircomp.suites.selection import select_pairs
from paircomp.types import PromptPair, Suite, suite_digest

__all__ = ["JudgeFolder", "Run", "Selection", "differences"]

RUN_SCHEMA = "paircomp-run/1"
IMAGES_SCHEMA = "paircomp-images/1"
GENERATOR_SCHEMA = "paircomp-generator/1"
JUDGE_SCHEMA = "paircomp-judge/1"
JUDGEMENTS_SCHEMA = "paircomp-judgements/1"

_OURS = re.compile(r"run\.json|suite\.jsonl|images|generate|judges|locks|\..*")


@dataclass(frozen=True)
class Selection:
    """Which pairs a command was asked for; both ``None`` means all.

    Attributes:
        limit: at most so many pairs, spread over the subtasks.
        subtasks: only these.
    """

    limit: int | None = None
    subtasks: tuple[str, ...] | None = None

    def pairs(self, suite: Suite) -> tuple[int, ...]:
        """Positions of the selected pairs, ascending."""
        return select_pairs(suite, limit=self.limit, subtasks=self.subtasks)


def differences(stored: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """``(field, stored, given)`` of every leaf that differs; nested fields are joined by dots."""
    found: list[tuple[str, Any, Any]] = []
    for name in sorted({*stored, *given}):
        old, new = stored.get(name), given.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append((prefix + name, old, new))
    return found


class Run:
    """One run folder.

    Made by :meth:`create` (or resumed by it when identity agrees) and :meth:`open`.

    Attributes:
        path: the folder.
        manifest: what ``run.json`` holds.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._begun: dict[str, dict[str, Any]] = {}

    @classmethod
    def create(
        cls, path: Path, *, suite: Suite, identity: Mapping[str, Any], images: Path | None = None,
        trained_with_judge: str | None = None, store: str | None = None,
    ) -> Run:  # fmt: skip
        """Make the run, or open the one that is there when its identity agrees.

        Args:
            path: the run folder.
            suite: its pairs are copied into the run, so that later steps need nothing else.
            identity: everything that decides the images.
            images: a folder of existing images that this run judges in place.
            trained_with_judge: the judge that rewarded this model in training.
            store: URL of a bucket for the images of this run; ``None`` takes what the run has, at first its own folder.

        Raises:
            ConfigError: an address of a store that carries a user, a password or a query.
            RunMismatchError: made with other settings.
            RunError: the path is a file, a folder of something else, or not writable.
        """
        if store is not None and holds_user_or_query(store):
            said = "carries a user, a password or a query, which the run would store"
            raise ConfigError([f"{said}; next: give credentials in the environment"], where="--store")
        own = {"name": suite.name, "digest": suite.digest, "samples": suite.samples}
        wanted: dict[str, Any] = {"suite": own, **storable(identity)}
        if path.exists() and not path.is_dir():
            raise RunError(path, "expected a run folder, got a file; next: choose another --out folder")
        with disk_faults(path):
            path.mkdir(parents=True, exist_ok=True)
            with manifest_lock(path):
                if (path / "run.json").exists():
                    run = cls.open(path)
                    changed = differences(storable(run.identity), wanted)
                    if store is not None and store != run.manifest.get("store"):
                        changed.append(("store", run.manifest.get("store"), store))
                    if not changed:
                        if trained_with_judge is not None and run.manifest.get("trained_with_judge") is None:
                            run.manifest["trained_with_judge"] = trained_with_judge  # by now it is known
                            write_json(path / "run.json", run.manifest)
                        return run
                    if run.holds_records() or is_at_work(path):
                        raise RunMismatchError(path, changed)
                    run._forget_identities()  # made by a command that failed before its first result
                else:
                    cls._refuse_foreign_folder(path)
                return cls._write_new(path, suite, wanted, images, trained_with_judge, store)

    @classmethod
    def _refuse_foreign_folder(cls, path: Path) -> None:
        foreign = sorted(entry.name for entry in path.iterdir() if not _OURS.fullmatch(entry.name))
        if foreign:
            raise RunError(path, f"this folder holds other files (first: {foreign[0]}) and no run.json; "
                                 "next: choose an empty or new --out folder")  # fmt: skip

    @classmethod
    def _write_new(
        cls, path: Path, suite: Suite, identity: dict[str, Any], images: Path | None, trained_with_judge: str | None,
        store: str | None,
    ) -> Run:  # fmt: skip
        write_atomically(path / "suite.jsonl", b"".join(_pair_line(pair) for pair in suite.pairs))
        manifest: dict[str, Any] = {
            "schema": RUN_SCHEMA,
            "identity": identity,
            "suite": {"pairs": len(suite.pairs), "subtasks": list(suite.subtasks), "source": suite.source,
                      "prompts_public": suite.prompts_public, "default_judge": suite.default_judge,
                      "held_out_judge": suite.held_out_judge},
            "images": None if images is None else str(images),
            "trained_with_judge": trained_with_judge,
            "invocations": [],
        }  # fmt: skip
        if store is not None:
            manifest["store"] = store
        write_json(path / "run.json", manifest)
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run.

        Raises:
            RunError: no run there, or one that this version cannot read.
        """
        file = path / "run.json"
        if not file.is_file():
            raise RunError(path, "no run here (no run.json); next: paircomp eval --out this folder, or name another")
        with disk_faults(file):
            try:
                manifest = parse_json(file.read_bytes())
                schema = manifest["schema"]
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(file, "not a run manifest (damaged); next: restore it, or start a new run") from error
        if schema != RUN_SCHEMA:
            raise RunError(file, f"expected schema {RUN_SCHEMA}, got {str(schema)[:40]!r}; next: use the paircomp that "
                                 "wrote it")  # fmt: skip
        refuse_other_form(manifest, RUN_FORM, file, what="a run manifest", remedy="restore it, or start a new run")
        return cls(path, manifest)

    @property
    def identity(self) -> dict[str, Any]:
        """What must agree for the run to be resumed."""
        identity: dict[str, Any] = self.manifest["identity"]
        return identity

    @property
    def images_folder(self) -> Path:
        """Where the images lie: in the run, or where they were found."""
        outside = self.manifest.get("images")
        return Path(outside) if outside else self.path / "images"

    @property
    def image_store(self) -> ImageStore:
        """The images by name: in :attr:`images_folder`, or in a bucket."""
        return open_store(self.manifest.get("store") or str(self.images_folder))

    @property
    def image_records(self) -> RecordFolder:
        """Records of the generate step."""
        return RecordFolder(self.path / "generate", schema=IMAGES_SCHEMA)

    @property
    def generator(self) -> dict[str, Any]:
        """What the generator said of itself (``seeded``, ``says``); empty before it drew anything here."""
        file = self.path / "generate" / "generator.json"
        return _read_identity(file) if file.is_file() else {}

    def settle_generator(self, says: Mapping[str, Any], *, seeded: bool) -> None:
        """Store what the generator says of itself, or hold it against what is stored.

        Raises:
            RunMismatchError: another generator drew the images that are there.
        """
        with manifest_lock(self.path):
            _settle(self.path / "generate" / "generator.json", GENERATOR_SCHEMA, {"seeded": seeded, "says": dict(says)})

    def suite(self) -> Suite:
        """The suite as it was when the run was made.

        Raises:
            RunError: the copy in the run was changed.
        """
        said, about = self.identity["suite"], self.manifest["suite"]
        pairs = _read_pairs(self.path / "suite.jsonl")
        if (digest := suite_digest(pairs)) != said["digest"]:
            raise RunError(self.path / "suite.jsonl", f"digest {digest[:12]} differs from the run's "
                           f"{said['digest'][:12]}; next: restore the file, or start a new run")  # fmt: skip
        return Suite(
            name=said["name"], pairs=pairs, digest=digest, samples=said["samples"],
            default_judge=about["default_judge"], held_out_judge=about["held_out_judge"],
            prompts_public=about["prompts_public"], source=about["source"],
        )  # fmt: skip

    def lock(self, step: str, *, shard: Shard = ALL) -> AbstractContextManager[None]:
        """The lock of one step and shard; entering it fails at once when another process holds it."""
        return step_lock(self.path, step, shard)

    def begin(self, step: str, *, selection: Selection, device: str | None = None, **said: Any) -> None:
        """Append an invocation: what is being done, with which versions, where and by which command.

        Raises:
            RunMismatchError: a command with other settings took this folder before either had stored anything.
        """
        with disk_faults(self.path), manifest_lock(self.path):
            stored = self.open(self.path).manifest
            if changed := differences(stored["identity"], self.identity):
                raise RunMismatchError(self.path, changed)
            self.manifest = stored
            begun = storable({
                "step": step,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "selection": asdict(selection),
                "device": device,
                "versions": package_versions(),
                "machine": this_machine().to_json(),
                "host": socket.gethostname(),
                "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
                **said,
            })  # fmt: skip
            self.manifest["invocations"].append(begun)
            write_json(self.path / "run.json", self.manifest)
            self._begun[step] = begun

    def withdraw(self, step: str) -> None:
        """Take back what :meth:`begin` appended, where the step was refused before it did anything."""
        begun = self._begun.pop(step, None)
        with disk_faults(self.path), manifest_lock(self.path):
            self.manifest = self.open(self.path).manifest
            invocations = self.manifest["invocations"]
            places = [place for place, invocation in enumerate(invocations) if invocation == begun]
            if places:
                del invocations[places[-1]]
                write_json(self.path / "run.json", self.manifest)

    def holds_records(self) -> bool:
        """Whether any step has left something."""
        folders = [self.image_records, *(self.judge(name).records for name in self.judges())]
        return any(next(folder.read(), None) is not None for folder in folders)

    def _forget_identities(self) -> None:
        for file in (self.path / "generate" / "generator.json", *self.path.glob("judges/*/judge.json")):
            file.unlink(missing_ok=True)

    def selections(self) -> set[Selection]:
        """What the commands on this run were asked to draw or take in; all of the suite where that is not known."""
        wanted = {
            Selection(said["limit"], None if said["subtasks"] is None else tuple(said["subtasks"]))
            for said in (
                invocation["selection"]
                for invocation in self.manifest["invocations"]
                if invocation["step"] in ("generate", "import")
            )
        }
        return wanted if wanted and Selection() not in wanted else {Selection()}

    def selected_pairs(self, suite: Suite) -> tuple[int, ...]:
        """Every pair whose images some command on this run was asked for, ascending."""
        return tuple(sorted(set().union(*(selection.pairs(suite) for selection in self.selections()))))

    def read_images(self, suite: Suite) -> ImageIndex:
        """The index of all images; an image whose file is gone or another one by now counts as absent.

        Raises:
            MissingImagesError: the folder of images that this run judges in place is gone.
        """
        if self.manifest.get("images") and not self.images_folder.is_dir():
            raise MissingImagesError(self.images_folder, "the folder of this run's images is gone; next: bring it back")
        index = ImageIndex(suite).read(self.image_records.read())
        index.forget_lost_files(self.image_store)
        return index

    def judge(self, name: str) -> JudgeFolder:
        """The folder of a judge, which need not exist yet."""
        return JudgeFolder(self.path / "judges" / name, name)

    def judges(self) -> Sequence[str]:
        """Names of the judges that have looked at this run, in alphabetical order."""
        return sorted(file.parent.name for file in (self.path / "judges").glob("*/judge.json"))


class JudgeFolder:
    """What one judge said of a run.

    Args:
        path: its folder.
        name: the judge's name.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    @property
    def records(self) -> RecordFolder:
        """Records of the judge step."""
        return RecordFolder(self.path, schema=JUDGEMENTS_SCHEMA)

    @property
    def identity(self) -> dict[str, Any]:
        """The stored identity.

        Raises:
            RunError: this judge has not looked at the run, or its file is damaged.
        """
        file = self.path / "judge.json"
        if not file.is_file():
            raise RunError(self.path, f"judge {self.name!r} has not judged this run; next: paircomp judge")
        return _read_identity(file)

    def settle(self, identity: Mapping[str, Any]) -> None:
        """Hold the given fields against the stored ones; fields that are new are added.

        What the command line asks for is known before the judge is loaded, what the judge says of itself only after.

        Raises:
            RunMismatchError: the same judge with other settings has already judged this run.
        """
        with manifest_lock(self.path.parents[1]):
            _settle(self.path / "judge.json", JUDGE_SCHEMA, identity)

    def read(self, images: ImageIndex) -> JudgementTable:
        """All judgements of images as they are now."""
        return JudgementTable(images).read(self.records.read())


def _read_identity(file: Path) -> dict[str, Any]:
    remedy = "restore it, or delete the folder it lies in"
    with disk_faults(file):
        try:
            said = parse_json(file.read_bytes())
        except ValueError as error:
            raise RunError(file, f"not an identity (damaged); next: {remedy}") from error
    refuse_other_form(said, IDENTITY_FORM, file, what="an identity", remedy=remedy)
    identity: dict[str, Any] = said["identity"]
    return identity


def _settle(file: Path, schema: str, given: Mapping[str, Any]) -> None:
    stored, given = _read_identity(file) if file.is_file() else {}, storable(given)
    known = {name: value for name, value in given.items() if name in stored}
    if changed := differences(storable({name: stored[name] for name in known}), known):
        raise RunMismatchError(file.parent, changed)
    if len(known) < len(given):
        with disk_faults(file):
            write_json(file, {"schema": schema, "identity": {**stored, **given}})


def _read_pairs(file: Path) -> tuple[PromptPair, ...]:
    """The pairs as the run wrote them; they were checked then, and the digest shows whether they are still the same."""
    remedy = "restore the file, or start a new run"
    with disk_faults(file):
        try:
            records = [parse_json(line) for line in file.read_bytes().splitlines()]
        except ValueError as error:
            raise RunError(file, f"not the pairs of a run (damaged); next: {remedy}") from error
    odd = [record for record in records if not _is_pair(record)]  # a tenth of the time that the form itself takes
    refuse_other_form(odd, {"type": "array", "items": PAIR_FORM}, file, what="the pairs of a run", remedy=remedy)
    return tuple(
        PromptPair(pair, said["pair_id"], said["subtask"], tuple(said["prompts"]), said.get("metadata", {}))
        for pair, said in enumerate(records)
    )


def _is_pair(record: Any) -> bool:
    return (
        type(record) is dict
        and type(record.get("pair_id")) is type(record.get("subtask")) is str
        and type(record.get("prompts")) is list
        and len(record["prompts"]) == 2
        and all(type(prompt) is str for prompt in record["prompts"])
        and record["subtask"] != ""
        and type(record.get("metadata", {})) is dict
    )


def _pair_line(pair: PromptPair) -> bytes:
    record: dict[str, Any] = {"pair_id": pair.pair_id, "subtask": pair.subtask, "prompts": list(pair.prompts)}
    if pair.metadata:
        record["metadata"] = dict(pair.metadata)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
