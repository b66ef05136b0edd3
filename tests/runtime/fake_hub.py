"""A fake hub on loopback: everything of the owner ``gated`` needs a licence, and nothing else exists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, code = (403, "GatedRepo") if "gated/" in self.path else (404, "RepoNotFound")
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", f"fake hub: {code}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the server's own way to name its methods

    def log_message(self, *said: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def fake_hub() -> Iterator[str]:
    """The address of a running fake hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
