"""Where weights lie and what stands between them and a model: local folders, the hub's cache, the hub itself.

Reads files and environment variables only, so that it answers in milliseconds; the hub's own client is never imported.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from paircomp.errors import AdapterError, PairCompError, UnavailableError
from paircomp.runtime.checkpoints import WeightFiles, settings_fingerprint
from paircomp.runtime.memory import is_out_of_memory
from paircomp.runtime.packaged import packaged_folder

__all__ = [
    "cached_snapshot",
    "explained_load",
    "hub_cache",
    "hub_page",
    "hub_reachable",
    "is_hub_id",
    "local_folder",
    "weights_identity",
    "weights_within_reach",
]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
# By name, because the hub's client and its transport are not imported here and change theirs.
_NOT_ON_THE_HUB = frozenset({"RevisionNotFoundError", "RepositoryNotFoundError", "EntryNotFoundError"})
_NO_NETWORK = frozenset({"ConnectError", "ConnectTimeout", "ConnectionError", "OfflineModeIsEnabled",
                         "LocalEntryNotFoundError", "MaxRetryError", "ReadTimeout"})  # fmt: skip
_YES = frozenset({"1", "ON", "YES", "TRUE"})


def is_hub_id(checkpoint: str) -> bool:
    """Whether `checkpoint` reads as ``owner/name`` and is no folder here."""
    return _HUB_ID.fullmatch(checkpoint) is not None and not Path(checkpoint).exists()


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def hub_page(checkpoint: str) -> str:
    """The page of a hub id, where its licence is read and accepted."""
    return f"{_endpoint()}/{checkpoint}"


def hub_cache() -> Path:
    """The folder in which the hub's client keeps what it has downloaded (``HF_HUB_CACHE``, ``HF_HOME``)."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser() / "hub"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def cached_snapshot(checkpoint: str, revision: str | None = None) -> Path | None:
    """The folder of a hub id in the cache; ``None`` where it is absent, holds no weights or was not fetched whole."""
    repository = hub_cache() / f"models--{checkpoint.replace('/', '--')}"
    with contextlib.suppress(OSError):
        if any((repository / "blobs").glob("*.incomplete")):
            return None
        named = repository / "refs" / (revision or "main")
        commit = named.read_text(encoding="utf-8").strip() if named.is_file() else revision
        snapshot = repository / "snapshots" / (commit or "")
        if commit and _weight_files(snapshot):
            return snapshot
    return None


def local_folder(checkpoint: str, revision: str | None = None) -> Path | None:
    """Where the weights lie on this machine: the folder itself, a package, or the hub's cache; ``None`` elsewhere."""
    here = packaged_folder(checkpoint) or Path(checkpoint)
    return here if here.is_dir() else cached_snapshot(checkpoint, revision)


def _weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _WEIGHT_SUFFIXES and path.is_file())


def weights_identity(folder: Path) -> str:
    """What tells these weights from others, for a run's identity: the hub's commit, or a fingerprint of the files.

    A folder whose weights or settings were replaced must not resume the older run. All files of the folder and of its
    subfolders count (see `WeightFiles.fingerprint` and `settings_fingerprint`).
    """
    if folder.parent.name == "snapshots":
        return f"commit {folder.name}"
    if not folder.is_dir():
        return "unknown"
    weights = WeightFiles(folder, tuple(_weight_files(folder))).fingerprint()
    return f"fingerprint {weights}, settings {settings_fingerprint(folder)}"


def weights_within_reach(what: str, checkpoint: str, revision: str | None = None) -> str:
    """What to load: `checkpoint` itself, or its folder in the hub's cache where the hub cannot be reached.

    The hub's client would try for minutes, file by file, before it says so.

    Raises:
        UnavailableError: it is not here, and the hub cannot be reached.
    """
    if not is_hub_id(checkpoint) or hub_reachable():
        return checkpoint
    folder = cached_snapshot(checkpoint, revision)
    if folder is None:
        raise _out_of_reach(what, checkpoint)
    return str(folder)


def _out_of_reach(what: str, checkpoint: str) -> UnavailableError:
    return UnavailableError(
        what, package=f"the checkpoint {checkpoint}",
        remedy=f"fetch {hub_page(checkpoint)} where there is a network, then give its folder as the checkpoint",
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def hub_reachable(seconds: float = 1.0) -> bool:
    """Whether the hub, or the proxy before it, accepts a connection within `seconds`; asked once per process."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES:
        return False
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy if proxy and "://" in proxy else _endpoint())
    answers: list[bool] = []
    # In a thread, because looking a name up knows no timeout.
    asking = threading.Thread(target=lambda: answers.append(_accepts(address.hostname, address.port, seconds)))
    asking.daemon = True
    asking.start()
    asking.join(seconds)
    return bool(answers and answers[0])


def _accepts(host: str | None, port: int | None, seconds: float) -> bool:
    try:
        socket.create_connection((host or "", port or 443), timeout=seconds).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def explained_load(what: str, checkpoint: str, *, extra: str = "models") -> Iterator[None]:
    """Turn what libraries raise while weights are loaded into one line that says what to do.

    Args:
        what: who loads, for instance ``generator 'diffusers'``.
        checkpoint: what was asked for.
        extra: the extra of this package that brings what the loader imports.

    Raises:
        UnavailableError: the licence has not been accepted, the weights are not here and cannot be fetched, a package
            is missing, or memory ran out.
        AdapterError: anything else; the library's own words are kept.
    """
    try:
        yield
    except PairCompError:
        raise
    except Exception as error:
        raise _explanation(error, what, checkpoint, extra) from error


def _explanation(error: Exception, what: str, checkpoint: str, extra: str) -> AdapterError:
    raised = {type(link).__name__ for link in _chain(error)}
    if is_out_of_memory(error):
        return UnavailableError(
            what, package=f"more memory than there is, to hold {checkpoint}",
            remedy="a smaller model, or -o offload=model where the generator offers it",
        )  # fmt: skip
    if "GatedRepoError" in raised or (is_hub_id(checkpoint) and _says_unauthorised(error)):
        return UnavailableError(
            what, package=f"access to {checkpoint}, whose licence must be accepted",
            remedy=f"accept it at {hub_page(checkpoint)}, then `hf auth login` or set HF_TOKEN",
        )  # fmt: skip
    if raised & _NOT_ON_THE_HUB:
        return UnavailableError(
            what, package=f"{checkpoint}, which the hub does not have in that form",
            remedy=f"look at {hub_page(checkpoint)}",
        )  # fmt: skip
    if raised & _NO_NETWORK:
        return _out_of_reach(what, checkpoint)
    if missing := [link.name for link in _chain(error) if isinstance(link, ModuleNotFoundError) and link.name]:
        return UnavailableError(what, package=missing[0], remedy=f"python -m pip install 'paircomp[{extra}]'")
    said = " ".join(str(error).split())[:400]
    return AdapterError(f"{what}: {checkpoint} cannot be loaded: {type(error).__name__}: {said}")


def _says_unauthorised(error: Exception) -> bool:
    said = " ".join(str(link) for link in _chain(error))
    return "401 Client Error" in said or "403 Client Error" in said


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__
