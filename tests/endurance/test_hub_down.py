"""The hub is down and its cache is full: models run from the cache, whatever the hub does instead of answering."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("torch", reason="needs the extra paircomp[models]")
pytest.importorskip("transformers", reason="needs the extra paircomp[models]")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# The hub's client reads its address when it is imported, hence processes of their own.
RUN = """
import sys
from paircomp.cli import run
sys.exit(run(["eval", "--adapter", sys.argv[1], "--checkpoint", "owner/name", "--suite", "shapes", "--judge", "pixels",
              "--limit", "1", "--out", sys.argv[2], "--device", "cpu", *sys.argv[3:]]))
"""


class _Broken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the server's own way to name its methods

    def log_message(self, *said: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def broken_hub() -> Iterator[str]:
    """The address of a hub that listens and answers 503 to everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def absent_hub() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


def cache_with(home: Path) -> Path:
    """Where the files of ``owner/name`` lie in the cache of the hub's client."""
    repository = home / "hub" / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def evaluated(home: Path, endpoint: str, adapter: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        environment.pop(name, None)
    command = [sys.executable, "-c", RUN, adapter, str(home / "run"), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=250)


def test_janus_runs_from_the_cache(tmp_path: Path) -> None:
    from tests.adapters.tiny_janus import save_tiny_janus

    save_tiny_janus(cache_with(tmp_path))
    with broken_hub() as endpoint:
        ended = evaluated(tmp_path, endpoint, "janus")
    assert ended.returncode == 0, ended.stderr
    assert "4 of 4 images scored" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("hub", [absent_hub, broken_hub], ids=["absent", "broken"])
def test_diffusers_runs_from_the_cache(tmp_path: Path, hub: object) -> None:
    pytest.importorskip("diffusers", reason="needs the extra paircomp[diffusion]")
    from tests.adapters import tiny_pipelines

    tiny_pipelines.build("sd15").save_pretrained(cache_with(tmp_path))
    with hub() as endpoint:  # type: ignore[operator]
        ended = evaluated(tmp_path, endpoint, "diffusers", "-o", "steps=1", "-o", "width=32", "-o", "height=32")
    assert ended.returncode == 0, ended.stderr
    assert "4 of 4 images scored" in ended.stdout


def test_what_is_in_no_cache_is_told_in_one_line(tmp_path: Path) -> None:
    with absent_hub() as endpoint:
        ended = evaluated(tmp_path, endpoint, "janus")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert "owner/name" in ended.stderr.strip().splitlines()[-1]
