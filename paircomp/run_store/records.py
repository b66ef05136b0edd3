"""Append-only JSON Lines in part files with one writer each; reading is their union, later records win.

A part opens with a header line that names its schema. It is never appended to by a later process: a record that a kill
tore apart stays the last line of its part, is dropped on reading and done again.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from paircomp.errors import RunError
from paircomp.runtime.files import disk_faults, sync_files
from paircomp.runtime.json_text import refuse_what_cannot_be_stored
from paircomp.runtime.secrets import Secrets
from paircomp.runtime.shards import ALL, Shard

__all__ = ["PartWriter", "RecordFolder", "Records"]

_DECODE = json.JSONDecoder().raw_decode

#: A power cut loses at most this many seconds of work; a kill loses nothing.
SYNC_SECONDS = 1.0


class PartWriter:
    """Writes one part: each record reaches the operating system at once and the disk within a second.

    Args:
        path: a file that does not exist yet.
        schema: written in the header line.

    Raises:
        RunError: the disk is full, read-only or gone.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self._path = path
        self._secrets = Secrets()
        with disk_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        self._unsynced: list[Path] = []
        self._dirty = False
        self._changed = threading.Lock()
        self._stopping = threading.Event()
        self._trouble: OSError | None = None
        self.write({"schema": schema})
        self._thread = threading.Thread(target=self._sync_each_second, name="record-sync", daemon=True)
        self._thread.start()

    def write(self, record: Mapping[str, Any], *, file: Path | None = None) -> None:
        """Append `record`; `file` is a file it speaks of, brought to the disk before the record is."""
        if self._trouble is not None:
            with disk_faults(self._path):
                raise self._trouble
        text = json.dumps(self._secrets.hidden(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line = text.encode() + b"\n"
        with disk_faults(self._path):
            # An unbuffered write may take a part of the line only; what is torn is never read as a record.
            view = memoryview(line)
            while view:
                view = view[self._file.write(view) :]
        with self._changed:
            self._dirty = True
            if file is not None:
                self._unsynced.append(file)

    def sync(self) -> None:
        """Bring everything written so far to the disk, the files before the records that speak of them."""
        with self._changed:
            files, self._unsynced = self._unsynced, []
            dirty, self._dirty = self._dirty, False
        if dirty:
            sync_files(files)
            os.fsync(self._file.fileno())

    def _sync_each_second(self) -> None:
        while not self._stopping.wait(SYNC_SECONDS):
            try:
                self.sync()
            except OSError as error:
                self._trouble = error  # raised by the next write, in the thread that can stop the step
                return

    def close(self) -> None:
        """Bring the rest to the disk and end the part."""
        self._stopping.set()
        self._thread.join()
        with disk_faults(self._path):
            try:
                self.sync()
            finally:
                self._file.close()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordFolder:
    """The parts of one kind of record.

    Args:
        path: the folder; it may be absent, which means no records.
        schema: ``name/version``; a part of another name or version is refused.

    Attributes:
        dropped: lines of the last reading that were torn or damaged and count as never written.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self.path = path
        self.schema = schema
        self.dropped = 0

    def parts(self) -> list[Path]:
        """The part files, oldest first."""
        return sorted(self.path.glob("part-*.jsonl"))

    def writer(self, *, shard: Shard = ALL) -> PartWriter:
        """A new part behind all that were there; shards that begin at the same time differ in the rest of the name."""
        numbers = [int(part.name.split("-")[1]) for part in self.parts()]
        path = self.path / f"part-{max(numbers, default=0) + 1:06d}-{shard.label}.jsonl"
        return PartWriter(path, schema=self.schema)

    def read(self) -> Records:
        """Every whole record, oldest first.

        Raises:
            RunError: a part of another schema.
        """
        return Records(self)

    def _read_part(self, part: Path, records: Records) -> Iterator[dict[str, Any]]:
        with disk_faults(part), part.open("rb") as lines:
            records.written = os.fstat(lines.fileno()).st_mtime_ns
            header = self._parse(next(lines, b""))
            if header is None:
                return  # killed while opening the part
            if header.get("schema") != self.schema:
                raise RunError(
                    part, f"expected records of {self.schema}, got {header.get('schema')!r}; "
                          "next: use the version of paircomp that wrote this run"
                )  # fmt: skip
            for line in lines:
                record = self._parse(line)
                if record is not None:
                    yield record

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if line.endswith(b"\n"):
            try:
                # Half the time of json.loads, which looks for the encoding and for blanks around the value.
                text = line.decode()
                record, end = _DECODE(text)
                if end != len(text) - 1:
                    record = None
                refuse_what_cannot_be_stored(text, record)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                return record
        if line:
            self.dropped += 1
        return None


class Records(Iterator[dict[str, Any]]):
    """The records of a folder, one after the other.

    Attributes:
        written: when the part of the last record was last written, in ns as the file system tells it; 0 before the
            first record.
    """

    def __init__(self, folder: RecordFolder) -> None:
        self.written = 0
        self._records = self._read(folder)

    def _read(self, folder: RecordFolder) -> Iterator[dict[str, Any]]:
        folder.dropped = 0
        for part in folder.parts():
            yield from folder._read_part(part, self)

    def __next__(self) -> dict[str, Any]:
        return next(self._records)
