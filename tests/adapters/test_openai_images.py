"""The ``openai-images`` generator against a fake server on loopback that misbehaves in every way it can."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import ConfigError, GenerationError, UnavailableError
from paircomp.pipeline import generate_images
from paircomp.run_store import ImageState, Run, Selection
from paircomp.runtime.capabilities import check_options, effective_options
from paircomp.runtime.remote import Patience
from paircomp.testing import check_generator
from paircomp.types import Generated, GenerationRequest, ImageKey, PromptPair, Suite, suite_digest
from paircomp_adapters import openai_images as module
from paircomp_adapters.openai_images import OpenAIImagesGenerator, openai_images
from tests.adapters.fake_images_server import FakeImagesServer, colour
from tests.parts import IDENTITY

pytest.importorskip("openai", reason="needs the extra paircomp[api]")

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key_and_little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "Patience", functools.partial(Patience, first_wait=0.02, longest_wait=0.1))
    monkeypatch.setattr(module, "_DOWNLOAD_WAITS", (0.01, 0.02))


@pytest.fixture
def server() -> Iterator[FakeImagesServer]:
    with FakeImagesServer() as started:
        yield started


def opened(server: FakeImagesServer, **options: Any) -> OpenAIImagesGenerator:
    return openai_images(checkpoint="fake-1", base_url=server.url, size=None, **options)


def requests(*prompts: str, seed: int = 5) -> list[GenerationRequest]:
    return [GenerationRequest(ImageKey(number, 0, 0), prompt, seed) for number, prompt in enumerate(prompts)]


def answers_of(generator: OpenAIImagesGenerator, asked: list[GenerationRequest]) -> list[Generated]:
    """In the order of the requests; the generator is closed."""
    with contextlib.closing(generator):
        return sorted(generator.generate(asked), key=lambda answer: answer.key)


def draw(server: FakeImagesServer, *prompts: str, **options: Any) -> list[Generated]:
    return answers_of(opened(server, **options), requests(*prompts))


def drawn(answer: Generated) -> tuple[int, ...]:
    assert answer.image is not None, answer.unscored
    pixel = answer.image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


# What is sent and what comes back


def test_it_keeps_the_contract(server: FakeImagesServer) -> None:
    failed = [str(check) for check in check_generator(lambda: opened(server, send_seed=True)) if check.passed is False]

    assert failed == []


def test_a_request_holds_what_was_asked_for_and_nothing_else(server: FakeImagesServer) -> None:
    draw(server, "a red cat")
    draw(server, "a red cat", quality="high", fields={"background": "opaque"}, send_seed=True)

    bare, full = server.asked
    assert bare == {"model": "fake-1", "prompt": "a red cat", "n": 1}
    assert full == {**bare, "quality": "high", "background": "opaque", "seed": 5}
    assert json.loads(json.dumps(openai_images(checkpoint="m", base_url=server.url).identity)) == {
        "server": server.url, "fields": {"size": "1024x1024"},
    }  # fmt: skip


def test_seeds_are_cut_to_what_servers_hold_and_declared(server: FakeImagesServer) -> None:
    generator = opened(server, send_seed=True)
    answers_of(generator, requests("x", seed=2**53 - 1))

    assert generator.supports_seeds
    assert server.asked[0]["seed"] == 2**31 - 1
    with contextlib.closing(opened(server)) as without:
        assert not without.supports_seeds


@pytest.mark.parametrize("form", ["ok", "datauri"])
def test_a_picture_in_the_answer_is_read(server: FakeImagesServer, form: str) -> None:
    prompt = f"<{form}> a cat"
    (answer,) = draw(server, prompt)

    assert drawn(answer) == colour(prompt, None)
    assert answer.seconds is not None
    assert 0 < answer.seconds < 5


@pytest.mark.parametrize("form", ["url", "busyurl"])
def test_a_picture_at_an_address_is_fetched_without_the_key(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_KEY", CANARY)
    with FakeImagesServer(key=CANARY) as server:
        (answer,) = draw(server, f"<{form}> a cat", key_variable="FAKE_KEY")

    assert drawn(answer) == colour("cat?sig=hidden" if form == "url" else "busy", None)


def test_a_rewritten_prompt_is_recorded(server: FakeImagesServer) -> None:
    (answer,) = draw(server, "<revised> a cat")

    assert answer.prompt_sent == "a better prompt"


def test_tokens_and_cost_are_counted(server: FakeImagesServer) -> None:
    (plain,) = draw(server, "a cat")
    (priced,) = draw(server, "a cat", prices={"image": 0.01, "million_input": 10, "million_output": 40})

    assert plain.metadata == {"usage": {"input_tokens": 20, "output_tokens": 1000}}
    assert priced.metadata["usd"] == pytest.approx(0.01 + 20 * 10e-6 + 1000 * 40e-6)


# When things go wrong


@pytest.mark.parametrize("plan", ["429 ok", "500 ok", "503 502 ok", "408 ok", "hangup ok", "429 429 429 ok"])
def test_what_passes_is_waited_for(server: FakeImagesServer, plan: str) -> None:
    (answer,) = draw(server, f"<{plan}> a cat")

    assert answer.image is not None
    assert len(server.asked) == len(plan.split())


def test_a_slow_answer_is_asked_for_again(server: FakeImagesServer) -> None:
    begun = time.monotonic()
    (answer,) = draw(server, "<slow ok> a cat", timeout=0.2)

    assert answer.image is not None
    assert time.monotonic() - begun < 0.9


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("500", "error: HTTP 500: status 500"),
        ("slow", "did not answer in time"),
        ("hangup", "broke off its answer"),
        ("nothing", "answered without a picture"),
        ("neither", "neither b64_json nor an http address"),
        ("fileurl", "neither b64_json nor an http address"),
        ("goneurl", "could not be downloaded (HTTP 404)"),
        ("nobase64", "b64_json is not base64"),
        ("nopicture", "not an image file"),
        ("list", "expected a JSON object, got '[]'"),
        ("html", "expected a JSON object, got '<html>busy"),
        ("halfjson", "expected a JSON object"),
        ("400", "error: HTTP 400: status 400"),
    ],
)
def test_a_failure_is_named_may_be_tried_again_and_costs_nothing_else(
    server: FakeImagesServer, step: str, reason: str
) -> None:
    answers = draw(server, "a red cat", f"<{step}> a dog", "a blue cat", attempts=2, timeout=0.3)

    assert [answer.image is not None for answer in answers] == [True, False, True]
    assert answers[1].retry
    assert reason in str(answers[1].unscored)
    assert "sig=hidden" not in str(answers[1].unscored)


def test_a_refusal_is_unscored_for_good_with_its_reason(server: FakeImagesServer) -> None:
    answers = draw(server, "a cat", "<refuse> a bad cat")

    assert answers[1].unscored == "refused: Your request was rejected by the safety system."
    assert answers[1].metadata == {"code": "moderation_blocked"}
    assert not answers[1].retry
    assert answers[0].image is not None


@pytest.mark.parametrize(
    ("step", "message"),
    [("403", "HTTP 403, the key may not use this model"), ("404", "no such model or address"),
     ("quota", "the quota at http.* is used up")],
)  # fmt: skip
def test_what_is_wrong_for_all_ends_the_step(server: FakeImagesServer, step: str, message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        draw(server, *[f"<{step}> a cat"] * 8, concurrency=1)
    assert len(server.asked) <= 3


def test_no_server_at_the_address_ends_the_step() -> None:
    generator = openai_images(checkpoint="m", base_url="http://127.0.0.1:9/v1", attempts=2)
    with pytest.raises(GenerationError, match=r"failed 3 times in a row, last: http://127\.0\.0\.1:9/v1 cannot"):
        answers_of(generator, requests(*["a cat"] * 20))


def test_requests_are_under_way_together_and_answers_kept_as_they_arrive() -> None:
    with FakeImagesServer(seconds=0.05) as server:
        generator = opened(server, concurrency=3)
        begun = time.monotonic()
        answers = generator.generate(requests("<slow> cat", *["a cat"] * 7))
        next(answers)
        first = time.monotonic() - begun
        assert len(list(answers)) == 7
        generator.close()

    assert first < 0.8  # the slow one takes a second
    assert server.most_under_way == 3


# Options


def test_every_wrong_option_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        openai_images(concurrency=0, fields={"prompt": "x"}, prices={"picture": 1.0})

    for fault in ("concurrency: expected", "checkpoint: expected", "fields.prompt", "prices.picture: unknown"):
        assert fault in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://me:pw@host/v1", "http://h/?k=1"])
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as refused:
        openai_images(checkpoint="m", base_url=url)
    assert "pw" not in str(refused.value)


def test_what_changes_no_picture_stays_out_of_the_identity() -> None:
    recipe = {"concurrency": 16, "base_url": "http://localhost/v1", "prices": {"image": 0.02}}
    check_options(openai_images, recipe, where="test")

    assert effective_options(openai_images, recipe) == {
        "base_url": "http://localhost/v1", "size": "1024x1024", "quality": None, "fields": None, "send_seed": False,
    }  # fmt: skip


# The key


def test_without_a_key_it_says_which_variable_is_missing() -> None:
    with pytest.raises(UnavailableError, match=r"environment variable OPENAI_API_KEY.*next: export OPENAI_API_KEY"):
        openai_images(checkpoint="gpt-image-1")


def test_the_key_goes_to_no_server_that_it_was_not_meant_for(
    server: FakeImagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    draw(server, "a cat")
    draw(server, "a cat", key_variable="OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    answers_of(openai_images(checkpoint="m"), requests("a cat"))

    assert server.keys == ["Bearer none", f"Bearer {CANARY}", f"Bearer {CANARY}"]


def small_suite(*prompts: str) -> Suite:
    pairs = [PromptPair(0, "p", "color", prompts)]
    return Suite("asked", pairs, suite_digest(pairs), samples=1)


def every_file(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.mark.parametrize("wrong", [False, True], ids=["accepted", "rejected"])
def test_no_file_ever_holds_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, wrong: bool
) -> None:
    """A server may say the key aloud; neither the run folder nor the terminal repeats it."""
    monkeypatch.setenv("FAKE_KEY", CANARY)
    suite = tmp_path / "suite.jsonl"
    pairs = [["a cat", "<echo> a dog"], ["<refuse> a cat", "<500> a dog"]]
    suite.write_text("\n".join(json.dumps({"subtask": "color", "prompts": pair}) for pair in pairs))
    with FakeImagesServer(key="sk-another" if wrong else CANARY) as server:
        words = ["generate", "--adapter", "openai-images", "--checkpoint", "fake-1", "--suite", str(suite), "-v"]
        options = [f"base_url={server.url}", "key_variable=FAKE_KEY", "attempts=2"]
        code = paircomp([*words, *[word for o in options for word in ("-o", o)], "--out", str(tmp_path / "run")])
    said = capsys.readouterr()

    assert code == (1 if wrong else 0), said.err
    assert CANARY.encode() not in every_file(tmp_path)
    assert CANARY not in said.out + said.err
    if wrong:
        assert "the key is wrong or missing" in said.err
    else:
        assert b"[key]" in every_file(tmp_path / "run")
        assert len(list((tmp_path / "run" / "images").iterdir())) == 2


@pytest.mark.parametrize("step", ["echo-code", "echo-escaped"])
def test_no_record_holds_the_key_however_a_server_says_it(
    step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its variable has a name that no net knows, and its slash may be written with a backslash before it."""
    canary = "canary/of-the-images/0123456789"
    monkeypatch.setenv("FAKE_AUTH", canary)
    suite = tmp_path / "suite.jsonl"
    suite.write_text(json.dumps({"subtask": "color", "prompts": [f"<{step}> a cat", f"<{step}> a dog"]}))
    with FakeImagesServer(key=canary) as server:
        words = ["generate", "--adapter", "openai-images", "--checkpoint", "fake-1", "--suite", str(suite)]
        options = [f"base_url={server.url}", "key_variable=FAKE_AUTH", "attempts=1"]
        assert paircomp([*words, *[word for o in options for word in ("-o", o)], "--out", str(tmp_path / "run")]) == 0

    kept = every_file(tmp_path / "run")
    assert b"[key]" in kept
    assert canary.encode() not in kept
    assert canary.encode() not in kept.replace(b"\\/", b"/")


# In a run


def test_the_cost_of_a_run_is_told(
    server: FakeImagesServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--adapter", "openai-images", "--checkpoint", "fake-1", "--suite", "shapes", "--limit", "6"]
    options = ["-o", f"base_url={server.url}", "-o", 'prices={"image": 0.25}']

    assert paircomp([*words, *options, "--out", str(tmp_path / "run")]) == 0
    assert "0 cached, 24 new, 6.00 USD, " in capsys.readouterr().err


def test_a_run_keeps_refusals_and_asks_again_for_failures(server: FakeImagesServer, tmp_path: Path) -> None:
    suite = small_suite("a cat", "<refuse> a dog", "<500 500 ok> a bird")
    run = Run.create(tmp_path, suite=suite, identity=IDENTITY)

    def again() -> list[ImageState]:
        generate_images(run, suite, lambda: opened(server, attempts=2), Selection(), who="openai-images")
        return [ImageState(state) for state in run.read_images(suite).state[0, :, 0]]

    assert again() == [ImageState.DRAWN, ImageState.REFUSED, ImageState.FAILED]
    assert again() == [ImageState.DRAWN, ImageState.REFUSED, ImageState.DRAWN]
    assert len(server.asked) == 1 + 1 + 3
    assert run.generator["seeded"] is False
