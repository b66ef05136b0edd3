"""A fake OpenAI-compatible server of a vision-language model on loopback, which misbehaves on request.

It is a fake and says so: its "model" is a small vocabulary whose logits a test chooses by prompt and picture. A prompt
tells what shall happen to it: ``<429 429 ok> a red cat`` is told twice to come later and then answered; what follows
the last step is repeated. How much of vLLM's protocol it knows is set by `exact` and `tokenizer`.
"""

from __future__ import annotations

import base64
import http.server
import io
import json
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

WORDS = ("yes", "Yes", "YES", "no", "No", "NO", " yes", "The", *(f"w{number}" for number in range(40)))
PLAN = re.compile(r"<([^>]*)> ?")

Logits = Callable[[str, Image.Image], Mapping[str, float]]


def by_redness(prompt: str, image: Image.Image) -> Mapping[str, float]:
    """Says yes to red, the more of it the surer; other words are unlikely."""
    red, _, _ = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    sure = red / 255 * 6 - 3
    return {"yes": sure, "Yes": sure - 1, "YES": sure - 4, "no": -sure, "No": -sure - 1, "NO": -sure - 4}


def log_softmax(logits: Mapping[str, float]) -> dict[str, float]:
    every = {word: logits.get(word, -8.0 - place / 100) for place, word in enumerate(WORDS)}
    total = math.log(math.fsum(map(math.exp, every.values())))
    return {word: value - total for word, value in every.items()}


def error(code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "error", "param": None}}


class FakeVLMServer(http.server.ThreadingHTTPServer):
    """Start with ``with FakeVLMServer() as server``; the address is ``server.url``.

    Args:
        exact: ``honoured`` shows the tokens asked for, ``ignored`` the likeliest instead, ``rejected`` answers 400.
        tokenizer: whether there is ``/tokenize``; ``split`` makes several tokens of YES.
        models: names served.
        most: largest ``top_logprobs`` that is taken.
        key: required in every request, where given.
        seconds: time an answer takes.
        logits: the "model".
        faults: what happens to the question of that number, from one; ``None`` answers it as its prompt says.
        port: to listen at; 0 takes any that is free.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, *, exact: str = "honoured", tokenizer: bool | str = True, models: tuple[str, ...] = ("fake-vlm",),
        most: int = 20, key: str | None = None, seconds: float = 0.0, logits: Logits = by_redness,
        faults: Callable[[int], str | None] = lambda number: None, port: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(("127.0.0.1", port), Handler)
        self.faults = faults
        self.exact, self.tokenizer, self.models, self.most = exact, tokenizer, models, most
        self.key, self.seconds, self.logits = key, seconds, logits
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0
        self.broken: str | None = None
        self.changed = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class Handler(http.server.BaseHTTPRequestHandler):
    server: FakeVLMServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None: ...

    def do_GET(self) -> None:
        if self.allowed():
            entries = [{"id": name, "object": "model", "owned_by": "fake", "root": f"weights/{name}"}
                       for name in self.server.models]  # fmt: skip
            self.reply(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.changed:
            self.server.keys.append(self.headers.get("Authorization"))
        if not self.allowed():
            return
        if self.path == "/tokenize":
            self.tokenize(body["prompt"])
            return
        with self.server.changed:
            self.server.asked.append(body)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            time.sleep(self.server.seconds)
            self.complete(body)
        finally:
            with self.server.changed:
                self.server.under_way -= 1

    def allowed(self) -> bool:
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self.reply(401, error("invalid_api_key", f"Incorrect API key: {self.headers.get('Authorization')}"))
            return False
        return True

    def tokenize(self, text: str) -> None:
        if not self.server.tokenizer:
            self.reply(404, {"detail": "Not Found"})
        elif self.server.tokenizer == "split" and text == "YES":
            self.reply(200, {"count": 2, "tokens": [40, 41]})
        else:
            self.reply(200, {"count": 1, "tokens": [WORDS.index(text)]})

    def complete(self, body: dict[str, Any]) -> None:
        *_, picture, text = body["messages"][-1]["content"]  # of two pictures the last one is looked at
        prompt = text["text"].split('"')[1] if '"' in text["text"] else text["text"]
        plan = PLAN.match(prompt)
        steps = plan[1].split() if plan else ["ok"]
        with self.server.changed:
            self.server.times[prompt] += 1
            fault = self.server.faults(self.server.times.total())
            step = self.server.broken or fault or steps[min(self.server.times[prompt], len(steps)) - 1]
        if body["top_logprobs"] > self.server.most:
            self.reply(400, error("bad_request", f"top_logprobs: at most {self.server.most}, see --max-logprobs"))
            return
        if "logprob_token_ids" in body and self.server.exact == "rejected":
            self.reply(400, error("extra_forbidden", "Extra inputs are not permitted: logprob_token_ids"))
            return
        content = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
        logs = log_softmax(self.server.logits(prompt, Image.open(io.BytesIO(content))))
        self.act(step, self.shown(body, logs))

    def shown(self, body: dict[str, Any], logs: Mapping[str, float]) -> list[dict[str, Any]]:
        ids = body.get("logprob_token_ids")
        as_ids = body.get("return_tokens_as_token_ids", False)
        ranked = sorted(logs, key=lambda word: -logs[word])
        best = ranked[0]
        words = ranked[: body["top_logprobs"]]
        if ids is not None and self.server.exact == "honoured":
            words = [best, *(WORDS[number] for number in ids)]  # vLLM lists the sampled token too
        return [
            {"token": f"token_id:{WORDS.index(word)}" if as_ids else word, "logprob": logs[word],
             "bytes": list(word.encode())}
            for word in words
        ]  # fmt: skip

    def act(self, step: str, shown: list[dict[str, Any]]) -> None:
        bodies: dict[str, object] = {
            "ok": completion(shown),
            "nothing": b"",
            "html": b"<html>busy</html>",
            "halfjson": b'{"choices": [{"logp',
            "list": [],
            "nochoice": {"choices": []},
            "nologprobs": {"choices": [{"message": {"content": "Yes"}, "logprobs": None}]},
            "empty": completion([]),
            "words": completion([{"token": "yes", "logprob": "high"}]),
            "nan": json.dumps(completion([{**shown[0], "logprob": float("nan")}, *shown[1:]])).encode(),
            "positive": completion([{**shown[0], "logprob": 3.0}, *shown[1:]]),
            "notoken": completion([{"logprob": -1.0}]),
        }
        if step in bodies:
            self.reply(200, bodies[step])
        elif step == "slow":
            time.sleep(1.5)
            self.reply(200, bodies["ok"])
        elif step == "hangup":
            self.close_connection = True
        else:
            self.reply(int(step), error(None, f"no luck, {self.headers.get('Authorization')}"))

    def reply(self, status: int, content: object) -> None:
        said = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        if status == 429:
            self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(said)


def completion(shown: list[dict[str, Any]]) -> dict[str, Any]:
    first = shown[0] if shown else {"token": "", "logprob": 0.0}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "fake-vlm",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "?"}, "finish_reason": "length",
                     "logprobs": {"content": [{**first, "top_logprobs": shown}]}}],
    }  # fmt: skip
