"""Whole builds whose questions go to models: tiny ones of the real classes, and servers (fake, on loopback)."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from focusdiff.data.captions import CaptionRequest
from focusdiff.data.inspecting import record_verdicts
from focusdiff.data.pairs import read_pairs
from focusdiff.data.questions import SCREENING, ask
from focusdiff.data.records import EditRecord
from focusdiff.data.shapes.captions import grammar
from paircomp.errors import ConfigError, DataError, UnavailableError
from paircomp.judges.internvl_variants import internvl_edit
from paircomp.judges.pixels import pixels
from paircomp.types import ImageKey, JudgeRequest, Question
from tests.focusdiff.data.fake_caption_server import FakeCaptionServer
from tests.focusdiff.data.parts import build
from tests.focusdiff.data.test_sources import EDITS, ultraedit
from tests.judges import tiny_internvl, tiny_vision_language
from tests.judges.fake_vlm_server import FakeVLMServer

REPAINTED = "make the background"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def internvl(folder: Path) -> Path:
    return tiny_internvl.write_native(tiny_internvl.build("qwen2"), folder / "internvl")


def test_a_source_of_photographs_is_screened_and_verified_by_internvl_without_being_told(tmp_path: Path) -> None:
    """The parts are the defaults; only their weights are tiny ones."""
    weights = internvl(tmp_path)
    source = f"ultraedit:{ultraedit(tmp_path / 'in', EDITS[:6])}"
    options = ("-o", f"screener.checkpoint={weights}", "-o", f"verifier.checkpoint={weights}", "--device", "cpu")
    everything = ("--threshold", 0, "--aligned", 0, "--unaligned", 1, "--json")
    funnel = json.loads(build(tmp_path / "out", *options, *everything, source=source))

    assert funnel["pairs"] + sum(sum(stage["reasons"].values()) for stage in funnel["stages"]) == 6
    assert funnel["stages"][2]["left"] == 6
    names = {part: funnel["identity"]["recipe"][part]["name"] for part in ("screener", "captioner", "verifier")}
    assert names == {"screener": "internvl2.5-26b-edit", "captioner": "source-captions", "verifier": "internvl2.5-8b"}
    assert funnel["identity"]["screener opened"]["says"]["template"]["name"] == "edit"
    said = [record_verdicts(tmp_path / "out", f"ultraedit-{number}")["verdicts"][0]["answers"] for number in range(6)]
    for edit, told in zip(EDITS, asked_directly(weights), strict=False):
        assert {name: said[edit.position][name] for name in SCREENING} == pytest.approx(told, abs=1e-5)

    worst = sorted(min(answers[name] for name in SCREENING) for answers in said)
    build(tmp_path / "half", *options, "--threshold", worst[3], "--until", "screen", source=source)
    passed = [record_verdicts(tmp_path / "half", str(number))["verdicts"][0]["passed"] for number in range(6)]
    assert passed == [min(answers[name] for name in SCREENING) >= worst[3] for answers in said]
    assert 0 < sum(passed) < 6


def asked_directly(weights: Path) -> list[dict[str, float]]:
    """The three answers for each edit, by the judge itself."""
    judge = internvl_edit(checkpoint=str(weights))
    asked = [
        JudgeRequest(
            ImageKey(edit.position, 0, 0), edit.images(),
            tuple(Question(place, ask("screen", name, instruction=edit.instruction), "")
                  for place, name in enumerate(SCREENING)),
        )
        for edit in EDITS[:6]
    ]  # fmt: skip
    said: list[dict[str, float]] = [{} for _ in asked]
    for answer in judge.judge(asked):
        assert answer.score is not None
        said[answer.key.pair][SCREENING[answer.judged_prompt]] = answer.score
    judge.close()
    return said


def test_a_judge_of_another_number_of_pictures_is_refused_and_can_be_replaced(tmp_path: Path) -> None:
    weights = internvl(tmp_path)
    source = f"ultraedit:{ultraedit(tmp_path / 'in', EDITS[:3])}"
    seen = ("--device", "cpu", "--threshold", 0, "--aligned", 0, "--unaligned", 1)
    screener = ("-o", f"screener.checkpoint={weights}", "--verifier", "pixels")
    with pytest.raises(ConfigError, match=r"screener 'internvl-exact': it looks at one image; next: .*-edit"):
        build(tmp_path / "out", *seen, "--screener", "internvl-exact", *screener, source=source)
    build(tmp_path / "out", *seen, "--screener", "internvl-edit", *screener, "--until", "caption", source=source)

    verifier = ("--screener", "internvl-edit", *screener[:2], "-o", f"verifier.checkpoint={weights}", "--verifier")
    with pytest.raises(ConfigError, match="verifier 'internvl-edit': it looks at an original and its edit"):
        build(tmp_path / "out", *seen, *verifier, "internvl-edit", source=source)
    funnel = json.loads(build(tmp_path / "out", *seen, *verifier, "internvl-exact", "--json", source=source))
    assert funnel["stages"][2]["left"] == 3


def test_weights_that_are_not_here_are_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))

    with pytest.raises(UnavailableError, match="needs the checkpoint OpenGVLab/InternVL2_5-26B, which"):
        build(tmp_path / "out", source=f"ultraedit:{ultraedit(tmp_path / 'in')}")


def sees(prompt: str, image: Image.Image) -> dict[str, float]:
    """A model that looks truly at one picture of the shapes world, and of two dislikes other backgrounds."""
    if "Image" in prompt or "image" in prompt:
        yes = REPAINTED not in prompt or "follow the editing" not in prompt
    else:
        (answer,) = pixels().judge([JudgeRequest(ImageKey(0, 0, 0), (image,), (Question(0, prompt, ""),))])
        yes = (answer.score or 0) > 0.5
    return {"yes": 3.0 if yes else -3.0, "no": -3.0 if yes else 3.0}


def captions_of(body: dict[str, Any], number: int) -> str:
    """A model that looks at both pictures and says what is there."""
    *pictures, _ = body["messages"][0]["content"]
    first, second = (
        Image.open(io.BytesIO(base64.b64decode(each["image_url"]["url"].partition(",")[2]))).convert("RGB")
        for each in pictures
    )
    (said,) = grammar().caption([CaptionRequest(0, (first, second), "")])
    return json.dumps(dict(zip(("caption1", "caption2"), said.captions or ("", ""), strict=True)))


def test_every_model_of_a_build_may_stand_behind_a_server(tmp_path: Path) -> None:
    source = f"ultraedit:{ultraedit(tmp_path / 'in')}"
    with (
        FakeVLMServer(logits=sees) as judge,
        FakeCaptionServer(captions_of) as captioner,
        FakeCaptionServer(lambda body, number: "Yes.") as language,
    ):
        options = (
            "--screener", "vlm-server", "-o", f"screener.base_url={judge.url}", "-o", "screener.question=edit",
            "--captioner", "caption-server", "-o", f"captioner.base_url={captioner.url}",
            "-o", "captioner.checkpoint=vlm",
            "--structure", "language-model", "-o", f"structure.base_url={language.url}", "-o", "structure.model=llm",
            "--verifier", "vlm-server", "-o", f"verifier.base_url={judge.url}", "--json",
        )  # fmt: skip
        funnel = json.loads(build(tmp_path / "out", *options, source=source))
        asked = [len(server.asked) for server in (judge, captioner, language)]
        again = json.loads(build(tmp_path / "out", *options, source=source))
        asked_again = [len(server.asked) for server in (judge, captioner, language)]
        questions = Counter(len(body["messages"][-1]["content"]) for body in judge.asked)

    repainted = sum(REPAINTED in edit.instruction for edit in EDITS)
    sound = len(EDITS) - repainted
    assert 0 < repainted < len(EDITS)
    assert funnel["stages"][0]["reasons"] == {"does not follow the instruction": repainted}
    assert funnel["stages"][2]["left"] == sound == asked[1] == asked[2]
    assert questions[5] >= 3 * len(EDITS)  # two pictures with the texts around them: three questions an edit
    assert questions[2] >= 4 * sound  # one picture: each caption on each picture
    for part, model in (("screener", "fake-vlm"), ("captioner", "vlm"), ("structure", "llm"), ("verifier", "fake-vlm")):
        assert model in json.dumps(funnel["identity"][f"{part} opened"])
    own = {edit.position: edit for edit in EDITS}
    for pair in read_pairs(tmp_path / "out", repeated=False):
        assert REPAINTED not in own[int(pair.pair_id.rpartition("-")[2])].instruction
    assert (again, asked_again) == (funnel, asked)


def test_a_local_model_captions_what_a_judge_then_verifies(tmp_path: Path) -> None:
    """A tiny LLaVA that has learnt the captions of four edits by heart; of the fifth it says nothing of use."""
    told = [edit for edit in EDITS if len(edit.captions[0] or "") < 60][:5]
    by_heart(tmp_path / "llava", told[:4])
    options = ("--screener", "none", "--captioner", "image-text-captions", "--verifier", "pixels", "--device", "cpu",
               "-o", f"captioner.checkpoint={tmp_path / 'llava'}", "-o", "captioner.longest=90", "--json")  # fmt: skip
    funnel = json.loads(build(tmp_path / "out", *options, source=f"ultraedit:{ultraedit(tmp_path / 'in', told)}"))

    assert funnel["stages"][2]["left"] >= 4
    assert funnel["identity"]["captioner opened"]["says"]["temperature"] == [0.0, 0.7]
    captions = {pair.prompts for pair in read_pairs(tmp_path / "out", repeated=False)}
    assert captions <= {edit.captions for edit in told}
    assert captions


def by_heart(folder: Path, edits: list[EditRecord]) -> None:
    """Train a tiny LLaVA to answer the captioning question about each edit with its captions."""
    model = tiny_vision_language.write_llava(folder)
    processor = tiny_vision_language.LlavaProcessor.from_pretrained(folder)
    batches = []
    for edit in edits:
        question = ask("caption", "first", instruction=edit.instruction)
        content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": question}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        asked = processor(images=list(edit.images()), text=[text], return_tensors="pt", add_special_tokens=False)
        answer = json.dumps(dict(zip(("caption1", "caption2"), edit.captions, strict=True)))
        ids = [*processor.tokenizer.encode(answer, add_special_tokens=False), model.generation_config.eos_token_id]
        batches.append((asked["input_ids"], torch.tensor([ids]), asked["pixel_values"]))
    learning = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    for parameter in learning:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(learning, lr=1e-2)
    for _ in range(200):
        losses = [loss_of(model, *batch) for batch in batches]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
        if max(losses) < 0.01:
            break
    model.save_pretrained(folder)


def loss_of(model: Any, asked: torch.Tensor, answer: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    ids = torch.cat([asked, answer], dim=1)
    made = model(input_ids=ids, pixel_values=pictures, attention_mask=torch.ones_like(ids),
                 logits_to_keep=answer.shape[1] + 1)  # fmt: skip
    return torch.nn.functional.cross_entropy(made.logits[0, :-1], answer[0])


def test_an_answer_that_is_never_one_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    tiny_vision_language.write_llava(tmp_path / "llava")
    options = ("--screener", "none", "--captioner", "image-text-captions", "--verifier", "pixels", "--device", "cpu",
               "-o", f"captioner.checkpoint={tmp_path / 'llava'}", "-o", "captioner.longest=8")  # fmt: skip

    with pytest.raises(DataError, match="caption: 2 in, 0 out, mostly \"the captioner's answer holds no"):
        build(tmp_path / "out", *options, source=f"ultraedit:{ultraedit(tmp_path / 'in', EDITS[:2])}")
    said = record_verdicts(tmp_path / "out", "1")
    assert [each["stage"] for each in said["verdicts"]] == ["screen", "caption", "caption"]
    assert said["reason"] == "the captioner's answer holds no two captions"
