"""Bundles as files: writing one with its checksums, and reading one that may be hostile.

Nothing is ever extracted by the names that an archive gives. Members must have known names, be plain files, be stored
or deflated, and stay within limits on count, size and compression; they are read into memory one at a time.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

from paircomp.errors import EntryError
from paircomp.runtime.files import disk_faults

__all__ = ["CHECKSUMS", "BundleFile", "write_archive"]

CHECKSUMS: Final = "SHA256SUMS"
_PICTURE: Final = r"(0|[1-9]\d{0,6})_(0|[1-9]\d{0,2})_(0|[1-9]\d{0,3})"
_TEXTS: Final = re.compile(r"bundle\.json|entry/(entry\.json|pairs\.jsonl)|(judgements|images|suite)\.jsonl|SHA256SUMS")
_PICTURES: Final = re.compile(rf"images/{_PICTURE}\.png|entry/thumbnails/{_PICTURE}\.webp")
_MOST_MEMBERS: Final = 2_000_000
_MOST_TEXT: Final = 512 * 2**20
_MOST_PICTURE: Final = 64 * 2**20
_MOST_BYTES: Final = 64 * 2**30
_MOST_RATIO: Final = 500  # of JSON Lines that repeat themselves; bombs begin in the thousands
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, members: Iterable[tuple[str, bytes]]) -> int:
    """Write a bundle; the checksum list comes last. Same members, same bytes.

    Returns:
        How many members there are besides the list.
    """
    sums: list[str] = []
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in members:
                    archive.writestr(_header(name), content)
                    sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
                archive.writestr(_header(CHECKSUMS), "".join(sums))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return len(sums)


def _header(name: str) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(name, _EPOCH)
    header.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".webp")) else zipfile.ZIP_DEFLATED
    header.external_attr = (stat.S_IFREG | 0o644) << 16
    return header


class BundleFile:
    """A bundle opened for reading.

    Args:
        path: of the file.

    Raises:
        EntryError: not a ZIP file, or one with members that no bundle has; every fault is named, nothing was read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise EntryError(path, [f"not a readable ZIP file ({error})"]) from error
        faults = _archive_faults(self._archive)
        if faults:
            self._archive.close()
            raise EntryError(path, faults)
        self.names = tuple(info.filename for info in self._archive.infolist())

    def __enter__(self) -> BundleFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def read(self, name: str) -> bytes:
        """The content of a member.

        Raises:
            EntryError: there is none, or it is damaged.
        """
        if name not in self._archive.NameToInfo:
            raise EntryError(self.path, [f"{name} is missing; next: make the bundle again"])
        expected = self._archive.getinfo(name).file_size
        try:
            with self._archive.open(name) as member:
                content = member.read(expected + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise EntryError(self.path, [f"{name} is damaged ({error})"]) from error
        if len(content) != expected:
            raise EntryError(self.path, [f"{name}: expected {expected} bytes, got {len(content)}"])
        return content

    def checksum_faults(self) -> list[str]:
        """Members whose content is not what the list says, that the list lacks, or that it names in vain."""
        listed: dict[str, str] = {}
        faults = []
        for line in self.read(CHECKSUMS).decode("utf-8", "replace").splitlines():
            digest, _, name = line.partition("  ")
            if name in listed:
                faults.append(f"{CHECKSUMS} names {name} twice")
            listed[name] = digest
        present = [name for name in self.names if name != CHECKSUMS]
        faults += [f"{name} is not in {CHECKSUMS}" for name in present if name not in listed]
        faults += [f"{name} is listed in {CHECKSUMS} and missing" for name in listed if name not in present]
        for name in present:
            if name in listed and hashlib.sha256(self.read(name)).hexdigest() != listed[name]:
                faults.append(f"{name} was changed after the bundle was made (SHA-256 differs)")
        return faults


def _archive_faults(archive: zipfile.ZipFile) -> list[str]:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        return [f"expected at most {_MOST_MEMBERS:,} members, got {len(members):,}"]
    faults = [fault for member in members if (fault := _member_fault(member))]
    if len({member.filename for member in members}) < len(members):
        faults.append("a member occurs twice")
    total = sum(member.file_size for member in members)
    if total > _MOST_BYTES:
        faults.append(f"expected at most {_MOST_BYTES // 2**30} GiB of content, got {total / 2**30:.0f} GiB")
    return faults


def _member_fault(member: zipfile.ZipInfo) -> str:
    """Why a member has no place in a bundle; empty where it has one."""
    name, mode = member.filename, member.external_attr >> 16
    picture = _PICTURES.fullmatch(name) is not None
    most = _MOST_PICTURE if picture else _MOST_TEXT
    swelling = member.file_size // max(member.compress_size, 1)
    tests = (
        (not picture and _TEXTS.fullmatch(name) is None, "is no file of a bundle"),
        (stat.S_IFMT(mode) not in (0, stat.S_IFREG), "is no plain file"),
        (bool(member.flag_bits & 0x1), "is encrypted"),
        (member.compress_type not in _COMPRESSIONS, "is compressed in a way that bundles do not use"),
        (member.file_size > most, f"holds {member.file_size / 2**20:.0f} MiB, more than {most // 2**20}"),
        (member.file_size > 2**20 and swelling > _MOST_RATIO, f"swells {swelling:,}-fold when it is read"),
    )
    return next((f"{name[:80]!r} {fault}" for found, fault in tests if found), "")
