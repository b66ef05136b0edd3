"""One attempt at one download over HTTP: continues a part file, and tells what may pass from what will not."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["Interrupted", "Refused", "download_to"]

_CHUNK = 1 << 16
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416


class Interrupted(Exception):  # noqa: N818 - an event of the transfer, never shown as such
    """The attempt broke off, and another may succeed.

    Args:
        reason: for people.
        wait: seconds the server asked for, where it did.
    """

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(reason)


class Refused(Exception):  # noqa: N818 - an event of the transfer, never shown as such
    """The server or the address will not give the file, however often it is asked."""


def download_to(
    part: Path, url: str, *, timeout: float, progress: Callable[[int, int | None], None] | None = None
) -> None:
    """Continue `part` until it holds the whole answer to `url`; starts over where the server gives no ranges.

    Args:
        part: the file that grows; what an earlier attempt left in it is kept.
        url: ``http`` or ``https``.
        timeout: seconds without a byte.
        progress: called with the bytes so far and the bytes expected.

    Raises:
        Interrupted: the connection failed, stalled or ended early, or the server is busy.
        Refused: the server does not have it or will not give it.
        OSError: `part` cannot be written.
    """
    start = part.stat().st_size if part.is_file() else 0
    with contextlib.closing(_open(part, url, start, timeout)) as response:
        start = _resumed_at(response, part, start)
        expected = _expected_size(response, start)
        size = start
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in _chunks(response):
                file.write(chunk)
                size += len(chunk)
                if progress is not None:
                    progress(size, expected)
    if expected is not None and size < expected:
        raise Interrupted(f"the connection ended after {size} of {expected} bytes")


def _open(part: Path, url: str, start: int, timeout: float) -> http.client.HTTPResponse:
    if not url.startswith(("https://", "http://")):
        raise Refused("expected an http or https address")
    headers = {"User-Agent": "paircomp", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked above
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            raise _answer(error, part) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise Refused(f"the server's certificate is not trusted here: {error.reason.verify_message}") from error
        raise Interrupted(f"no connection: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(_broken(error)) from error
    return response


def _answer(error: urllib.error.HTTPError, part: Path) -> Exception:
    if error.code == _RANGE_NOT_SATISFIABLE:  # the part is longer than the file: start over
        part.unlink(missing_ok=True)
        return Interrupted("what an earlier attempt left did not fit")
    said = f"the server answered {error.code} {error.reason}"
    if error.code not in _MAY_PASS:
        return Refused(said)
    wait = error.headers.get("Retry-After", "")
    return Interrupted(said, wait=float(wait) if wait.isdecimal() else None)


def _resumed_at(response: http.client.HTTPResponse, part: Path, start: int) -> int:
    """Where the answer begins: at `start` only if the server says so."""
    if response.status != _PARTIAL_CONTENT:
        return 0
    given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if given is None or int(given[1]) != start:
        part.unlink(missing_ok=True)
        raise Interrupted(f"asked for bytes from {start}, the server gave {response.headers.get('Content-Range')!r}")
    return start


def _expected_size(response: http.client.HTTPResponse, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The answer as it comes; only what the network does wrong is turned into :class:`Interrupted`."""
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(_broken(error)) from error
        if not chunk:
            return
        yield chunk


def _broken(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the server sent nothing for too long"
    return f"the connection broke: {error or type(error).__name__}"
