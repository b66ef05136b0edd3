"""Where weights lie, and what is said when they cannot be had, against a fake hub on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paircomp.errors import AdapterError, UnavailableError
from paircomp.runtime.weights import (
    cached_snapshot,
    explained_load,
    hub_cache,
    hub_page,
    hub_reachable,
    is_hub_id,
    local_folder,
    weights_identity,
    weights_within_reach,
)
from tests.runtime.fake_hub import fake_hub

# The hub's client reads its address when it is imported, hence a process of its own; one for all cases, because
# importing the libraries takes seconds.
LOAD = """
from paircomp.cli import run
for adapter, checkpoint in (("diffusers", "gated/name"), ("emu3", "gated/name"), ("emu3", "absent/name")):
    run(["generate", "--adapter", adapter, "--checkpoint", checkpoint, "--suite", "shapes", "--limit", "1",
         "--out", f"{adapter}-{checkpoint[:3]}", "--device", "cpu"])
"""


@pytest.fixture(autouse=True)
def fresh_answer() -> None:
    hub_reachable.cache_clear()


@pytest.mark.slow
def test_a_licence_to_accept_is_told_from_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    """Through the real client of the hub, as diffusers and transformers use it."""
    pytest.importorskip("torch", reason="needs the extra paircomp[models]")
    pytest.importorskip("diffusers", reason="needs the extra paircomp[diffusion]")
    with fake_hub() as endpoint:
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0",
                       "HF_TOKEN": "hf_fake", "PYTHONWARNINGS": "ignore"}  # fmt: skip
        ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, env=environment,
                               cwd=tmp_path, timeout=200, check=True)  # fmt: skip

    said = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    page = f"accept it at {endpoint}/gated/name, then `hf auth login` or set HF_TOKEN"
    for line, adapter in zip(said, ("diffusers", "emu3"), strict=False):
        assert f"generator {adapter!r} needs access to gated/name, whose licence must be accepted" in line
        assert page in line
    assert "absent/name, which the hub does not have in that form" in said[2]
    assert len(said) == 3


def test_whether_the_hub_is_within_reach_is_told_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with fake_hub() as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert hub_reachable()
    hub_reachable.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    started = time.perf_counter()
    assert not hub_reachable()
    assert time.perf_counter() - started < 1.5
    hub_reachable.cache_clear()


def test_offline_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with fake_hub() as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert not hub_reachable()


def test_the_cache_is_where_the_hubs_client_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "a"))
    assert hub_cache() == tmp_path / "a"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "b"))
    assert hub_cache() == tmp_path / "b" / "hub"


def test_hub_ids_are_told_from_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)

    assert is_hub_id("black-forest-labs/FLUX.1-dev")
    assert not is_hub_id("mine/model")
    assert not is_hub_id("./weights/x")
    assert not is_hub_id("/abs/olute")
    assert not is_hub_id("name")
    assert hub_page("a/b") == "https://huggingface.co/a/b"


def test_a_cached_snapshot_serves_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UnavailableError, match="which is not available here"):
        weights_within_reach("generator 'x'", "a/b")
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.bin").write_bytes(b"1")

    assert cached_snapshot("a/b") is None  # no branch points to it
    assert weights_within_reach("generator 'x'", "a/b", "0" * 40) == str(snapshot)
    assert local_folder("a/b", "0" * 40) == snapshot
    assert local_folder(str(snapshot)) == snapshot
    assert weights_identity(snapshot) == f"commit {'0' * 40}"


def test_another_byte_anywhere_near_the_ends_is_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    weights = tmp_path / "unet" / "model.safetensors"
    weights.write_bytes(bytes(1000))
    first = weights_identity(tmp_path)
    (tmp_path / "README.md").write_text("no weights", encoding="utf-8")
    assert weights_identity(tmp_path) == first

    weights.write_bytes(bytes(999) + b"1")

    assert weights_identity(tmp_path) != first
    assert weights_identity(tmp_path / "absent") == "unknown"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (MemoryError("no"), UnavailableError, "more memory than there is, to hold a/b"),
        (OSError("401 Client Error: unauthorised"), UnavailableError, "whose licence must be accepted"),
        (ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece"), UnavailableError,
         "python -m pip install 'paircomp[diffusion]'"),
        (ValueError("odd\nthing"), AdapterError, "a/b cannot be loaded: ValueError: odd thing"),
        (AdapterError("ours"), AdapterError, "ours"),
    ],
    ids=["memory", "unauthorised", "package", "other", "ours"],
)  # fmt: skip
def test_what_libraries_raise_becomes_one_line(error: Exception, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as raised, explained_load("generator 'x'", "a/b", extra="diffusion"):
        raise error

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
