"""Writing the finished data: parquet shards with pictures, and the published trainer's JSON beside them.

Everything is written into a folder of its own and moved into place at the end, so a killed writer leaves the old data
or none, never a part.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from paircomp.errors import UnavailableError
from paircomp.runtime.files import disk_faults
from paircomp.runtime.requirements import install_line

__all__ = ["COLUMNS", "DatasetWriter", "FinishedPair"]

ROW_GROUP = 32  # rows that are read together when a trainer asks for one pair
SHARD_BYTES = 400 * 10**6  # the hub advises shards below 500 MB
SHARD_ROWS = 16_384  # what a shard says of its row groups stays in memory until it is closed
_SCORES = ("score_1_1", "score_2_2", "score_2_1", "score_1_2")

#: Column name to what it holds; the data card prints it.
COLUMNS: Mapping[str, str] = {
    "pair_id": "label, unique",
    "prompt1": "first prompt",
    "image1": "shows prompt1 and not prompt2",
    "prompt2": "second prompt",
    "image2": "shows prompt2 and not prompt1",
    "subtask": "what the prompts differ in",
    "repeats": "how often a trainer visits the pair in an epoch",
    "instruction": "the edit that led from image1 to image2",
    "edit_type": "the source's own word for the edit",
    "score_1_1": "the verifier's score of prompt1 on image1",
    "score_2_2": "of prompt2 on image2",
    "score_2_1": "of prompt2 on image1",
    "score_1_2": "of prompt1 on image2",
    "regenerated": "whether the first captions failed and these are the second ones",
    "source": "data set that the edit came from",
    "origin": "where in it",
    "licence": "of the images",
}


@dataclass(frozen=True)
class FinishedPair:
    """A row of the data."""

    pair_id: str
    prompts: tuple[str, str]
    images: tuple[bytes, bytes]
    subtask: str
    repeats: int
    instruction: str
    edit_type: str | None
    scores: Mapping[str, float]
    regenerated: bool
    source: str
    origin: str
    licence: str

    def to_row(self) -> dict[str, Any]:
        """By column; pictures as the hub's datasets library stores them."""
        pictures = {
            f"image{side}": {"bytes": content, "path": f"{self.pair_id}_{side}.{_ending(content)}"}
            for side, content in enumerate(self.images, start=1)
        }
        said = {name: getattr(self, name) for name in COLUMNS if hasattr(self, name)}
        scores = {name: self.scores.get(name) for name in _SCORES}
        return {"prompt1": self.prompts[0], "prompt2": self.prompts[1], **pictures, **said, **scores}


def _ending(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return "png"
    return "webp" if content[8:12] == b"WEBP" else "jpg"


def _schema() -> Any:
    """Arrow schema, with what the hub needs in order to show pictures as such."""
    import pyarrow as pa

    types = {"repeats": pa.int32(), "regenerated": pa.bool_(), **dict.fromkeys(_SCORES, pa.float32())}
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types |= {"image1": picture, "image2": picture}
    features: dict[str, Any] = {}
    for name in COLUMNS:
        kind = types.get(name, pa.string())
        if kind == picture:
            features[name] = {"_type": "Image"}
        else:
            features[name] = {"dtype": {"float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS], metadata=metadata)


class DatasetWriter:
    """Writes rows; use it as a context. What it wrote is in place once the context ended without an error.

    Args:
        path: the dataset folder.
        scratch: a folder on the same disk to write into.
        trainer_json: also write ``trainer/pairs.json`` and its pictures as files.
        shard_bytes: size of a parquet shard, about.

    Raises:
        UnavailableError: pyarrow is missing.
        RunError: the disk is full or read-only.
    """

    def __init__(self, path: Path, scratch: Path, *, trainer_json: bool = True, shard_bytes: int = SHARD_BYTES) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 - asked for before anything is written
        except ModuleNotFoundError as error:
            raise UnavailableError("focusdiff data", package="pyarrow", remedy=install_line(["pyarrow"])) from error
        self._path, self._scratch, self._shard_bytes = path, scratch, shard_bytes
        self._schema = _schema()
        self._rows: list[dict[str, Any]] = []
        self._shard: Any = None
        self._shards = self._in_shard = self._rows_in_shard = 0
        self._trainer = _TrainerWriter(scratch / "trainer") if trainer_json else None

    def __enter__(self) -> DatasetWriter:
        with disk_faults(self._scratch):
            shutil.rmtree(self._scratch, ignore_errors=True)
            (self._scratch / "data").mkdir(parents=True)
            if self._trainer is not None:
                self._trainer.open()
        return self

    def add(self, pair: FinishedPair) -> None:
        """Write the next row."""
        with disk_faults(self._scratch):
            self._rows.append(pair.to_row())
            self._in_shard += len(pair.images[0]) + len(pair.images[1])
            if len(self._rows) == ROW_GROUP:
                self._write_rows()
            self._rows_in_shard += 1
            if self._in_shard >= self._shard_bytes or self._rows_in_shard == SHARD_ROWS:
                self._end_shard()
            if self._trainer is not None:
                self._trainer.add(pair)

    def _write_rows(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if self._shard is None:
            file = self._scratch / "data" / f"train-{self._shards:05d}.parquet"
            few = ["subtask", "source", "licence", "edit_type"]  # columns of few different values
            # Statistics of the pictures' bytes would be pictures; those of their names tell where one is absent.
            told = [f"{name}.path" if name.startswith("image") else name for name in COLUMNS]
            self._shard = parquet.ParquetWriter(
                file, self._schema, compression="zstd", use_dictionary=few, write_statistics=told
            )
            self._shards += 1
        self._shard.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), row_group_size=ROW_GROUP)
        self._rows.clear()

    def _end_shard(self) -> None:
        if self._rows:
            self._write_rows()
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        self._in_shard = self._rows_in_shard = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_faults(self._scratch):
            if kind is None:
                self._end_shard()
            elif self._shard is not None:
                self._shard.close()
            if self._trainer is not None:
                self._trainer.close()
            if kind is None:
                self._move_into_place()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _move_into_place(self) -> None:
        for name in ("data", "trainer"):
            old, new = self._path / name, self._scratch / name
            if old.is_dir():
                old.rename(self._scratch / f"old-{name}")
            if new.is_dir():
                new.rename(old)


class _TrainerWriter:
    """The published trainer's JSON: a list of prompt1, prompt2, image1, image2, row by row, repeated rows repeated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Any = None
        self._count = 0

    def open(self) -> None:
        (self._folder / "images").mkdir(parents=True)
        self._file = (self._folder / "pairs.json").open("w", encoding="utf-8")
        self._file.write("[")

    def add(self, pair: FinishedPair) -> None:
        names = []
        for side, content in enumerate(pair.images, start=1):
            name = f"images/{self._count // 1000:04d}/{_safe(pair.pair_id)}_{side}.{_ending(content)}"
            (self._folder / name).parent.mkdir(exist_ok=True)
            (self._folder / name).write_bytes(content)
            names.append(name)
        line = json.dumps(
            {"prompt1": pair.prompts[0], "prompt2": pair.prompts[1], "image1": names[0], "image2": names[1],
             "pair_id": pair.pair_id, "subtask": pair.subtask}, ensure_ascii=False,
        )  # fmt: skip
        for copy in range(pair.repeats):
            self._file.write(f"{',' if self._count or copy else ''}\n{line}")
        self._count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.write("\n]\n")
            self._file.close()
            self._file = None


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
