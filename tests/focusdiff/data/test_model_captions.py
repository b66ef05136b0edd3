"""Captioners with models: a server (fake, on loopback) and a tiny local model of a real class; and language models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from focusdiff.data.captions import Captioner, CaptionRequest
from focusdiff.data.model_captions import caption_server, image_text_captions, read_captions
from focusdiff.data.structure import language_model, token_edit
from paircomp.errors import AdapterError, ConfigError
from tests.focusdiff.data.fake_caption_server import FakeCaptionServer

RED, BLUE = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
GOOD = 'Here: {"caption1": "a red wall", "caption2": "a blue wall"}'


def request(position: int = 0, **said: Any) -> CaptionRequest:
    return CaptionRequest(position, (RED, BLUE), "make it {blue}", **said)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_a_server_sees_both_pictures_and_the_instruction() -> None:
    with FakeCaptionServer(lambda body, number: GOOD) as server:
        captioner = caption_server(checkpoint="vlm", base_url=server.url)
        (said,) = captioner.caption([request()])
        captioner.close()

    assert isinstance(captioner, Captioner)
    assert said.captions == ("a red wall", "a blue wall")
    (body,) = server.asked
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert "make it {blue}" in body["messages"][0]["content"][2]["text"]
    assert (body["model"], body["temperature"]) == ("vlm", 0.0)


def test_the_second_attempt_says_what_was_wrong() -> None:
    failed = (("a {reason} wall", "a wall"), "caption 2 is true of the other picture too")
    with FakeCaptionServer(lambda body, number: GOOD) as server:
        captioner = caption_server(checkpoint="vlm", base_url=server.url)
        list(captioner.caption([request(attempt=1, failed=failed)]))
        captioner.close()

    text = server.asked[0]["messages"][0]["content"][2]["text"]
    assert "1. a {reason} wall 2. a wall Reason: caption 2 is true of the other picture too." in text
    assert server.asked[0]["temperature"] > 0


def test_answers_without_captions_are_reasons_and_passing_faults_are_tried_again() -> None:
    plans = {"0": ["I cannot."], "1": [503, GOOD], "2": [400]}

    def say(body: dict[str, Any], number: int) -> str | int:
        plan = plans[str(body["seed"])]
        return plan.pop(0) if len(plan) > 1 else plan[0]  # type: ignore[return-value]

    with FakeCaptionServer(say) as server:
        captioner = caption_server(checkpoint="vlm", base_url=server.url)
        said = {each.position: each for each in captioner.caption([request(number) for number in range(3)])}
        captioner.close()

    assert said[0].unscored == "the captioner's answer holds no two captions"
    assert said[1].captions == ("a red wall", "a blue wall")
    assert said[2].unscored == "not captioned: HTTP 400: no luck"
    assert not said[2].retry


def test_a_wrong_key_ends_the_stage() -> None:
    with FakeCaptionServer(lambda body, number: 401) as server:
        captioner = caption_server(checkpoint="vlm", base_url=server.url)
        with pytest.raises(AdapterError, match="HTTP 401, the key is wrong or missing"):
            list(captioner.caption([request()]))
        captioner.close()


@pytest.mark.parametrize(
    ("said", "captions"),
    [
        ('{"caption1": "a", "caption2": "b"} or {"caption1": "c", "caption2": "d"}', ("c", "d")),
        ('```json\n{\n "caption1": " a ",\n "caption2": "b"\n}\n```', ("a", "b")),
        ('{"caption1": "a", "caption2": ""}', None),
        ('{"caption1": "a"}', None),
        ("no", None),
    ],
)
def test_captions_are_read_from_what_models_say(said: str, captions: tuple[str, str] | None) -> None:
    assert read_captions(said) == captions


def test_a_local_model_of_a_real_class_looks_at_both_pictures(tmp_path: Path) -> None:
    """Random weights say nothing of use; that both pictures reach the model shows in what its vision tower sees."""
    tiny = pytest.importorskip("tests.judges.tiny_vision_language")
    tiny.write_llava(tmp_path)
    captioner = image_text_captions(checkpoint=str(tmp_path), longest=12)
    captioner._model.generation_config.max_length = None
    seen = []
    tower = captioner._model.model.vision_tower
    tower.register_forward_pre_hook(
        lambda _, inputs, named: seen.append([*inputs, *named.values()][0]), with_kwargs=True
    )

    (answer,) = captioner.caption([request()])
    captioner.close()

    assert [len(pixels) for pixels in seen] == [2]
    assert not seen[0][0].equal(seen[0][1])
    assert answer.unscored == "the captioner's answer holds no two captions"


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match="which model"):
        caption_server()
    with pytest.raises(ConfigError, match="which model"):
        image_text_captions()


def test_word_edits_say_whether_captions_are_alike() -> None:
    pairs = [("a red cat on a mat", "a blue cat on a mat"), ("a cat", "a cat"), ("a red cat", "two dogs run fast")]

    assert [said.alike for said in token_edit().compare(pairs)] == [True, False, False]
    assert [said.share for said in token_edit().compare(pairs)] == [0.1667, 0.0, 1.0]
    with pytest.raises(ConfigError, match="most: expected a share"):
        token_edit(most=0)


def test_a_language_model_says_whether_captions_are_alike() -> None:
    def say(body: dict[str, Any], number: int) -> str | int:
        text = body["messages"][0]["content"]
        return {"cat": "Yes.", "dog": "**no**", "fox": "Perhaps"}[text.split("Sentence 1: a ")[1][:3]]

    with FakeCaptionServer(say) as server:
        structure = language_model(model="llm", base_url=server.url)
        said = list(structure.compare([("a cat", "a dog"), ("a dog", "a cat"), ("a fox", "an ox"), ("a", "A.")]))
        structure.close()

    assert [each.alike for each in said] == [True, False, None, False]
    assert said[2].reason == "not judged: the language model said neither yes nor no"
    assert len(server.asked) == 3
    assert json.dumps(dict(structure.identity)) == '{"model": "llm"}'
