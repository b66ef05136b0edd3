"""A canary in every key: after a whole evaluation with servers that repeat their keys, no file holds any of them."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paircomp.cli import run as paircomp
from paircomp.run_store.addresses import storable
from paircomp.runtime.secrets import Secrets
from tests.adapters import fake_images_server
from tests.judges import fake_vlm_server

pytest.importorskip("openai", reason="needs the extra paircomp[api]")

CANARIES = {
    "OPENAI_API_KEY": "sk-canary-of-the-images-0123456789abcdef",
    "JUDGE_API_KEY": "canary-of-the-judge-fedcba9876543210",
    "HF_TOKEN": "hf_canaryOfTheHub0123456789",
    "SERVICE_PASSWORD": "correct horse canary staple",
}


class TalkativeImages(fake_images_server.Handler):
    """Repeats the key in refusals, and even where it answers."""

    def act(self, step: str, prompt: str, body: dict[str, Any]) -> None:
        said = self.headers.get("Authorization")
        if step in ("ok", "talk"):
            held = base64.b64encode(fake_images_server.png(prompt, 0)).decode()
            self.reply(200, {"data": [{"b64_json": held, "revised_prompt": f"{prompt}, {said}"}], "key": said})
        elif step == "refuse":
            self.reply(400, fake_images_server.error("moderation_blocked", f"refused for {said}"))
        else:
            super().act(step, prompt, body)


class TalkativeJudge(fake_vlm_server.Handler):
    """Repeats the key where a model's owner and the likeliest tokens belong."""

    def do_GET(self) -> None:  # noqa: N802 - the server's own way to name its methods
        said = self.headers.get("Authorization")
        self.reply(200, {"object": "list", "data": [{"id": "fake-vlm", "owned_by": said, "root": said}]})

    def act(self, step: str, shown: list[dict[str, Any]]) -> None:
        said = str(self.headers.get("Authorization"))
        key = {"token": said, "logprob": -0.1, "bytes": []}
        super().act("ok" if step in ("talk", "refuse") else step, [key] if step == "talk" else [key, *shown])


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    with fake_images_server.FakeImagesServer() as images, fake_vlm_server.FakeVLMServer(tokenizer=False) as judge:
        images.RequestHandlerClass, judge.RequestHandlerClass = TalkativeImages, TalkativeJudge
        monkeypatch.setenv("OPENAI_BASE_URL", images.url)
        yield images.url, judge.url


def suite_at(path: Path) -> Path:
    """Prompts that tell the fakes what to do; the judge's own plan stands in the same words."""
    steps = ["ok", "talk", "refuse", "talk"]
    pairs = [
        {"prompts": [f"<{step}> a red {n}", f"<{step}> a blue {n}"], "subtask": "color"} for n, step in enumerate(steps)
    ]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return path


def holding(content: bytes) -> list[str]:
    """Names of the canaries in `content`, plain or as base64 would hold them in the middle of something."""
    plain = [name for name, value in CANARIES.items() if value.encode() in content]
    coded = [name for name, value in CANARIES.items() if base64.b64encode(value.encode())[4:-8] in content]
    return plain + coded


def files_with_canaries(folder: Path) -> list[tuple[str, list[str]]]:
    found = [(str(path), holding(path.read_bytes())) for path in folder.rglob("*") if path.is_file()]
    for archive in folder.rglob("*.zip"):
        with zipfile.ZipFile(archive) as opened:
            found += [(name, holding(opened.read(name))) for name in opened.namelist()]
    return [(name, held) for name, held in found if held]


def test_no_secret_reaches_a_file_or_a_message(
    tmp_path: Path, servers: tuple[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, judge = servers
    run, suite = tmp_path / "run", suite_at(tmp_path / "suite.jsonl")
    command = [
        "eval", "--adapter", "openai-images", "--checkpoint", "gpt-image-1", "--suite", str(suite), "--out", str(run),
        "-o", "attempts=1", "--judge", "vlm-server", "-j", f"base_url={judge}", "-j", "key_variable=JUDGE_API_KEY",
        "-j", "attempts=1",
    ]  # fmt: skip
    # Somebody types a password where none belongs; what looks like a key is refused anyway.
    fields = json.dumps({"user": CANARIES["SERVICE_PASSWORD"]})
    typed = [*command, "-o", f"fields={fields}"]
    monkeypatch.setattr("sys.argv", ["paircomp", *typed])

    assert paircomp(typed) == 0
    assert paircomp(["report", str(run), "--format", "json,md,csv,html,eee,official"]) == 0
    assert paircomp(["leaderboard", "add", str(run), "--entries", str(tmp_path / "entries")]) == 0
    assert paircomp(["leaderboard", "bundle", str(run), "--out", str(tmp_path / "bundle.zip")]) == 0

    said = capfd.readouterr()
    assert holding((said.out + said.err).encode()) == []
    assert files_with_canaries(tmp_path) == []
    written = (run / "run.json").read_text() + "".join(path.read_text() for path in run.rglob("part-*.jsonl"))
    assert "[SERVICE_PASSWORD]" in written  # the net was needed
    assert "[key]" in written or "[OPENAI_API_KEY]" in written
    assert paircomp(typed) == 0  # a run that hid something is still resumed


def test_a_wrong_key_is_told_without_it(
    tmp_path: Path, servers: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    _, judge = servers
    with fake_images_server.FakeImagesServer(key="another") as images:
        command = ["eval", "--adapter", "openai-images", "--checkpoint", "m", "--suite", "shapes", "--limit", "6",
                   "--out", str(tmp_path / "run"), "-o", f"base_url={images.url}", "-o", "key_variable=OPENAI_API_KEY",
                   "--judge", "pixels"]  # fmt: skip
        assert paircomp(command) == 1
    said = capfd.readouterr().err
    assert "the key is wrong" in said
    assert holding(said.encode()) == []
    assert files_with_canaries(tmp_path) == []
    del judge


def test_the_net_knows_what_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MY_SERVICE_KEY": "abcdefgh", "SHORT_KEY": "abc", "SSH_KEY": "/home/me/.ssh/key",
                        "KEYBOARD": "dvorak-layout", "DB_PASSWORD": "abcdefgh-and-more"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    text = "abcdefgh abc /home/me/.ssh/key dvorak-layout abcdefgh-and-more"
    assert Secrets().hidden_text(text) == "[MY_SERVICE_KEY] abc /home/me/.ssh/key dvorak-layout [DB_PASSWORD]"
    assert Secrets().hidden({"abcdefgh": ("abcdefgh", 1, None)}) == {"[MY_SERVICE_KEY]": ["[MY_SERVICE_KEY]", 1, None]}


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1?api-key=hunter2", "http://me:hunter2@127.0.0.1:9/v1"])
def test_a_key_in_an_address_is_refused_and_stored_nowhere(
    address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARIES["OPENAI_API_KEY"])
    common = ["--suite", "shapes", "--limit", "1", "--out", str(tmp_path / "run")]
    judged = ["eval", "--model", "sketch", "--judge", "vlm-server", "-j", f"base_url={address}"]
    drawn = ["eval", "--adapter", "openai-images", "--checkpoint", "m", "-o", f"base_url={address}"]
    for command in (judged, drawn):
        monkeypatch.setattr("sys.argv", ["paircomp", *command, *common])
        assert paircomp([*command, *common]) == 1
        said = capfd.readouterr()
        assert "carries a user, a password or a query" in said.err
        assert "hunter2" not in said.out + said.err
        assert [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []
        shutil.rmtree(tmp_path / "run")


def test_addresses_keep_where_they_lead() -> None:
    said = {
        "fields": '{"url": "http://a:b@host/x?k=1", "mail": "me@place"}',
        "store": "s3://bucket/run",
        "n": (1, None),
    }
    assert storable(said) == {"fields": '{"url": "http://[user:6783]@host/x?[query:9b19]", "mail": "me@place"}',
                              "store": "s3://bucket/run", "n": [1, None]}  # fmt: skip


def test_addresses_of_different_queries_are_told_apart_and_stored_ones_stay() -> None:
    one, other = storable("prog 'http://host/sd?ckpt=A' --z 1"), storable("prog 'http://host/sd?ckpt=B' --z 1")

    assert one != other
    assert one.endswith("]' --z 1")
    assert storable(one) == one


def test_a_store_with_a_password_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--model", "sketch", "--limit", "1", "--out", str(tmp_path / "run")]

    assert paircomp([*command, "--store", f"file://{tmp_path}/bucket?sig=hunter2"]) == 1

    said = capsys.readouterr()
    assert "--store: carries a user, a password or a query" in said.err
    assert "hunter2" not in said.err
    assert not (tmp_path / "run").exists()
