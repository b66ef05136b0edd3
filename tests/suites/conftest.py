"""A real HTTP server on the loopback that misbehaves as it is told, one script line per request."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class ScriptedServer(ThreadingHTTPServer):
    """Serves `content`; each request takes the next word of `script`, and ``ok`` when it is used up."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.script: list[str] = []
        self.ranges_asked: list[str | None] = []
        self.ranges_supported = True
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/at/PairComp.json"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the play."""


class Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges_asked.append(wanted)
        act = self.server.script.pop(0) if self.server.script else "ok"
        if act.isdecimal():
            self.send_error(int(act))
        elif act.startswith("busy"):
            self.send_response(503)
            self.send_header("Retry-After", act.removeprefix("busy"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.serve(wanted, act)

    def serve(self, wanted: str | None, act: str) -> None:
        content = self.server.content
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges_supported else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            shown = start + 1 if act == "shifted" else start
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if act in ("truncated", "reset", "stalled"):
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.break_off(act)
        else:
            self.wfile.write(rest)

    def break_off(self, act: str) -> None:
        if act == "stalled":
            self.server.released.wait(5)
        elif act == "reset":
            time.sleep(0.05)  # let the half arrive: a reset throws away what the client has not read
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """The server, running; proxies of the machine are set aside."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedServer(bytes(range(256)) * 800) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()
