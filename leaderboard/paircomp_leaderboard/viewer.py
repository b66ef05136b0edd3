"""The gallery of one or two runs on this machine: ``paircomp view``.

A server for the person at the keyboard: it listens on the loopback address alone, answers only requests that name that
address (so that no page of another site can reach it), reads and never writes, and hands out five kinds of answers:
the page, three assets, the run's gallery, and officially named images of the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from paircomp.errors import PairCompError, RunError
from paircomp.report.elements import element, join
from paircomp_leaderboard.live_gallery import RunGallery
from paircomp_leaderboard.pages import document, gallery_section
from paircomp_leaderboard.site import asset, style_sheet

__all__ = ["ViewerServer"]

LOOPBACK: Final = "127.0.0.1"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
_ASSETS: Final = {"page.css": "text/css", "site.css": "text/css", "gallery.js": "text/javascript"}


class ViewerServer(ThreadingHTTPServer):
    """Serves until it is closed.

    Args:
        runs: one run folder, or two to be held side by side.
        judge: whose scores.
        port: 0 takes a free one.

    Raises:
        RunError: no run there, or the port is taken.
    """

    daemon_threads = True

    def __init__(self, runs: Sequence[Path], *, judge: str | None = None, port: int = 0) -> None:
        self.galleries = [RunGallery(path, number, judge=judge) for number, path in enumerate(runs)]
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise RunError(f"{LOOPBACK}:{port}", f"{error.strerror}; next: another --port, or none") from error

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def page(self) -> str:
        """The page."""
        labels = [gallery.label for gallery in self.galleries]
        run = self.galleries[0].evaluated.run
        line = join(element("b", run.identity["suite"]["name"]), f", run folder {run.path}")
        return document(
            f"{' and '.join(labels)}: PairComp",
            element("header", element("p", "PairComp view", class_="overline"), element("h1", " and ".join(labels)),
                    element("p", line, class_="by")),
            gallery_section("0", live=True, second=len(labels) > 1),
            scripts=["gallery"],
            wide=True,
        )  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: ViewerServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer one request."""
        try:
            status, kind, content = self._answer()
        except PairCompError as error:
            status, kind, content = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(error).encode()
        except OSError as error:  # a file that vanished between looking and reading
            status, kind, content = HTTPStatus.NOT_FOUND, "text/plain", (error.strerror or "gone").encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text") else kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _answer(self) -> tuple[HTTPStatus, str, bytes]:
        # A page elsewhere can make a browser ask here under its own host name; it must learn nothing.
        if self.headers.get("Host", "") not in {
            f"{host}:{self.server.server_port}" for host in (LOOPBACK, "localhost")
        }:
            return HTTPStatus.FORBIDDEN, "text/plain", b"this server answers to its loopback address only"
        asked = urlsplit(self.path)
        match unquote(asked.path).split("/")[1:]:
            case [""]:
                return HTTPStatus.OK, "text/html", self.server.page().encode()
            case ["assets", name] if name in _ASSETS:
                return HTTPStatus.OK, _ASSETS[name], (style_sheet() if name == "page.css" else asset(name)).encode()
            case ["data", number] if gallery := self._gallery(number):
                return self._data(gallery, parse_qs(asked.query).get("since", [""])[0])
            case ["images", number, name] if (gallery := self._gallery(number)) and (picture := gallery.image(name)):
                return HTTPStatus.OK, "image/png", picture
        return HTTPStatus.NOT_FOUND, "text/plain", b"nothing here"

    def _gallery(self, number: str) -> RunGallery | None:
        galleries = {str(gallery.number): gallery for gallery in self.server.galleries}
        return galleries.get(number)

    def _data(self, gallery: RunGallery, known: str) -> tuple[HTTPStatus, str, bytes]:
        said: dict[str, Any] | None = gallery.read(known)
        if said is None:
            return HTTPStatus.NO_CONTENT, "application/json", b""
        return HTTPStatus.OK, "application/json", json.dumps(said, allow_nan=False).encode()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing: the terminal belongs to the address and Ctrl-C."""
