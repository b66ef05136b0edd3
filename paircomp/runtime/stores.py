"""Where the images of a run lie: in a folder, or in a bucket that workers on several machines share.

A small interface, because it must hold for object stores: whole files are written and read by name, a name that is
written again is replaced at once, and all names can be listed with their sizes. Nothing is appended to or locked there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from paircomp.errors import ConfigError, RunError, UnavailableError
from paircomp.runtime.files import disk_faults, write_atomically

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["BucketStore", "FolderStore", "ImageStore", "open_store"]


class ImageStore(Protocol):
    """Whole files by name."""

    @property
    def location(self) -> str:
        """What :func:`open_store` opens it by, on any machine."""
        ...

    def write(self, name: str, content: bytes, *, sync: bool = True) -> Path | None:
        """Write a file; readers see all of it or what was there before.

        Args:
            name: without folders.
            content: all of it.
            sync: bring it to the disk now; without, the file is returned for whoever does that later.

        Raises:
            RunError: it cannot be written.
        """
        ...

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            OSError: it is not there or cannot be read.
        """
        ...

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Names and sizes in bytes of all files, in no order."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no fault."""
        ...


class FolderStore:
    """A folder; on several machines, one that all of them see under the same path.

    Args:
        path: need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def location(self) -> str:
        """The absolute path."""
        return str(self._path.resolve())

    def write(self, name: str, content: bytes, *, sync: bool = True) -> Path | None:
        """See `ImageStore.write`."""
        path = self._path / name
        with disk_faults(path):
            write_atomically(path, content, sync=sync)
        return None if sync else path

    def read(self, name: str) -> bytes:
        """See `ImageStore.read`."""
        return (self._path / name).read_bytes()

    def sizes(self) -> Iterator[tuple[str, int]]:
        """See `ImageStore.sizes`."""
        if not self._path.is_dir():
            return
        with os.scandir(self._path) as entries:
            for entry in entries:
                # A file that is being written has another name, and loses it at any moment.
                if not entry.name.startswith(".") and entry.is_file():
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.name, entry.stat().st_size

    def remove(self, name: str) -> None:
        """See `ImageStore.remove`."""
        (self._path / name).unlink(missing_ok=True)


class BucketStore:
    """A prefix of an object store, through fsspec.

    Args:
        location: ``s3://bucket/prefix``, or any URL for which an fsspec file system is installed.

    Raises:
        UnavailableError: the package for this kind of store is missing.
        ConfigError: no such kind of store.
    """

    def __init__(self, location: str) -> None:
        self._location = location.rstrip("/")
        self._files, self._prefix = _file_system(self._location)

    @property
    def location(self) -> str:
        """The URL."""
        return self._location

    def write(self, name: str, content: bytes, *, sync: bool = True) -> Path | None:
        """See `ImageStore.write`; an object appears when its upload is complete."""
        try:
            self._files.pipe_file(f"{self._prefix}/{name}", content)
        except OSError as error:
            raise self._fault(name, error) from error
        return None

    def read(self, name: str) -> bytes:
        """See `ImageStore.read`."""
        content: bytes = self._files.cat_file(f"{self._prefix}/{name}")
        return content

    def sizes(self) -> Iterator[tuple[str, int]]:
        """See `ImageStore.sizes`."""
        try:
            found = self._files.find(self._prefix, detail=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault("", error) from error
        for path, about in found.items():
            yield path.rsplit("/", maxsplit=1)[-1], int(about["size"])

    def remove(self, name: str) -> None:
        """See `ImageStore.remove`."""
        try:
            self._files.rm_file(f"{self._prefix}/{name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault(name, error) from error

    def _fault(self, name: str, error: OSError) -> RunError:
        said = " ".join(str(error).split())[:300]
        return RunError(f"{self._location}/{name}", f"{said}; what was finished is kept; next: mend it (bucket, "
                        "credentials, AWS_ENDPOINT_URL) and run the same command again")  # fmt: skip


def open_store(location: str) -> ImageStore:
    """The store at a path or URL; raises as `BucketStore` does."""
    return BucketStore(location) if "://" in location else FolderStore(Path(location))


def _file_system(location: str) -> tuple[AbstractFileSystem, str]:
    kind = location.partition("://")[0]
    try:
        if kind == "s3":
            return _s3(), location.removeprefix("s3://")
        from fsspec.core import url_to_fs

        files, prefix = url_to_fs(location)
    except ImportError as error:
        package = error.name or kind
        raise UnavailableError(f"store {location!r}", package=package,
                               remedy=f"pip install {package}") from error  # fmt: skip
    except ValueError as error:
        raise ConfigError([f"{location!r}: {error}"], where="store") from error
    return files, str(prefix)


def _s3() -> AbstractFileSystem:
    """S3 through Arrow's own client, which needs nothing beside pyarrow; credentials and region as AWS's tools do."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"endpoint_override": endpoint} if endpoint else {}
    return ArrowFSWrapper(S3FileSystem(**options))
