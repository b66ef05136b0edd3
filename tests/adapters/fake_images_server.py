"""A fake OpenAI-compatible images server on loopback, which misbehaves on request.

A prompt tells what shall happen to it: ``<429 429 ok> a red cat`` is told twice to come later and then gets a picture.
What follows the last step is repeated. Pictures are one colour, made of the prompt and the seed.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import re
import threading
import time
from collections import Counter
from typing import Any

from PIL import Image

PLAN = re.compile(r"^<([^>]*)> ?")


def colour(prompt: str, seed: int | None) -> tuple[int, int, int]:
    red, green, blue = hashlib.sha256(f"{prompt}/{seed}".encode()).digest()[:3]
    return red, green, blue


def png(prompt: str, seed: int | None) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), colour(prompt, seed)).save(stream, "PNG")
    return stream.getvalue()


def error(code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "error", "param": None}}


class FakeImagesServer(http.server.ThreadingHTTPServer):
    """Start with ``with FakeImagesServer() as server``; the address is ``server.url``."""

    daemon_threads = True

    def __init__(self, *, key: str | None = None, seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = key
        self.seconds = seconds
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0
        self.changed = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class Handler(http.server.BaseHTTPRequestHandler):
    server: FakeImagesServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None: ...

    def do_GET(self) -> None:
        """Pictures that answers point to."""
        if self.headers.get("Authorization"):
            self.reply(400, error(None, "a key was sent where none belongs"))
        elif "gone" in self.path:
            self.reply(404, b"gone")
        elif "busy" in self.path and self.count(self.path) == 1:
            self.reply(503, b"busy")
        else:
            self.reply(200, png(self.path.rsplit("/", 1)[1], None), kind="image/png")

    def do_POST(self) -> None:
        with self.server.changed:
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            self.answer()
        finally:
            with self.server.changed:
                self.server.under_way -= 1

    def answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["prompt"]
        with self.server.changed:
            self.server.asked.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self.reply(401, error("invalid_api_key", f"Incorrect API key: {self.headers.get('Authorization')}"))
            return
        time.sleep(self.server.seconds)
        plan = PLAN.match(prompt)
        steps = plan[1].split() if plan else ["ok"]
        step = steps[min(self.count(prompt), len(steps)) - 1]
        self.act(step, prompt, body)

    def count(self, what: str) -> int:
        with self.server.changed:
            self.server.times[what] += 1
            return self.server.times[what]

    def act(self, step: str, prompt: str, body: dict[str, Any]) -> None:
        picture = png(prompt, body.get("seed"))
        encoded = base64.b64encode(picture).decode()
        bodies: dict[str, object] = {
            "ok": {"data": [{"b64_json": encoded}], "usage": {"input_tokens": 20, "output_tokens": 1000}},
            "revised": {"data": [{"b64_json": encoded, "revised_prompt": "a better prompt"}]},
            "url": {"data": [{"url": f"{self.server.url}/pictures/cat?sig=hidden"}]},
            "datauri": {"data": [{"url": f"data:image/png;base64,{encoded}"}]},
            "goneurl": {"data": [{"url": f"{self.server.url}/pictures/gone"}]},
            "busyurl": {"data": [{"url": f"{self.server.url}/pictures/busy"}]},
            "fileurl": {"data": [{"url": "file:///etc/hostname"}]},
            "nothing": {"data": []},
            "neither": {"data": [{}]},
            "nobase64": {"data": [{"b64_json": "%%%"}]},
            "nopicture": {"data": [{"b64_json": base64.b64encode(b"not a picture").decode()}]},
            "list": [],
            "html": b"<html>busy</html>",
            "halfjson": b'{"data": [{"b64',
        }
        if step in bodies:
            self.reply(200, bodies[step])
        elif step == "slow":
            time.sleep(1.0)
            self.reply(200, bodies["ok"])
        elif step == "hangup":
            self.close_connection = True
        elif step == "refuse":
            self.reply(400, error("moderation_blocked", "Your request was rejected by the safety system."))
        elif step == "echo-code":
            said = str(self.headers.get("Authorization")).removeprefix("Bearer ")
            self.reply(400, error(f"moderation_blocked {said}", "Your request was rejected by the safety system."))
        elif step == "echo-escaped":
            said = json.dumps(str(self.headers.get("Authorization"))).replace("/", "\\/")
            encoded = base64.b64encode(png(prompt, 0)).decode()
            answer = f'{{"data": [{{"b64_json": "{encoded}", "revised_prompt": {said}}}]}}'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        elif step == "quota":
            self.reply(429, error("insufficient_quota", "You exceeded your current quota."))
        elif step == "echo":
            self.reply(400, error(None, f"what is {self.headers.get('Authorization')}?"))
        else:
            self.reply(int(step), error(None, f"status {step}"))

    def reply(self, status: int, body: object, *, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(content)
