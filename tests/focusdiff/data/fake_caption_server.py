"""A fake OpenAI-compatible server on loopback that captions pictures, and misbehaves on request. It is no model."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

Say = Callable[[dict[str, Any], int], str | int]


class FakeCaptionServer(http.server.ThreadingHTTPServer):
    """Start with ``with FakeCaptionServer(say) as server``; the address is ``server.url``.

    Args:
        say: gives the answer's text, or an HTTP status, for a request's body and its number.
    """

    daemon_threads = True

    def __init__(self, say: Say) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say = say
        self.asked: list[dict[str, Any]] = []
        self.changed = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FakeCaptionServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.changed:
            self.server.asked.append(body)
            number = len(self.server.asked)
        said = self.server.say(body, number)
        status = said if isinstance(said, int) else 200
        answer = {"error": {"message": "no luck"}} if isinstance(said, int) else {
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]
        }  # fmt: skip
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
