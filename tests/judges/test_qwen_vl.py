"""Qwen-VL judges and the judge for any model with a chat template, on tiny random models of the real classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLImageProcessorPil

from paircomp.errors import AdapterError
from paircomp.judges import qwen_vl_variants
from paircomp.judges.token_ids import read_tokenizer
from paircomp.judges.yes_no import NO, YES
from paircomp.runtime.capabilities import identity_of
from paircomp.testing import check_judge
from paircomp.types import Judgement, JudgeRequest
from tests.judges import tiny_internvl as tiny
from tests.judges import tiny_vision_language as small

FAMILIES = ["qwen2_5_vl", "qwen3_vl"]
SIZES = ((64, 64), (120, 64), (64, 65), (20, 20), (64, 64))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on models this small
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tmp_path_factory.mktemp(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    return {family: small.write_qwen(folder, family) for family, folder in folders.items()}


def judge(folder: Path, name: str = "qwen_vl", **options: object) -> Any:
    return getattr(qwen_vl_variants, name)(checkpoint=str(folder), **{"dtype": "float32", **options})


def requests() -> list[JudgeRequest]:
    return [tiny.request(tiny.picture(*size, seed=n), *tiny.PROMPTS, pair=n) for n, size in enumerate(SIZES)]


def scores(answers: Iterator[Judgement]) -> dict[tuple[int, int], float]:
    return {(answer.key.pair, answer.judged_prompt): float(answer.score or -1) for answer in answers}


def separately(opened: Any, asked: Sequence[JudgeRequest]) -> dict[tuple[int, int], float]:
    return scores(
        answer for request in asked for question in request.questions
        for answer in opened.judge([JudgeRequest(request.key, request.images, (question,))])
    )  # fmt: skip


def largest_difference(one: dict[tuple[int, int], float], other: dict[tuple[int, int], float]) -> float:
    assert one.keys() == other.keys()
    return max(abs(one[key] - other[key]) for key in one)


@torch.no_grad()
def reference_score(model: Any, folder: Path, asked: JudgeRequest, place: int) -> float:
    """transformers' own forward on one whole conversation, places left to the model with all it needs for them."""
    tokens = read_tokenizer(folder)
    seen = Qwen2VLImageProcessorPil.from_pretrained(folder)(images=list(asked.images), return_tensors="pt")
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    pads = "<|image_pad|>" * (int(seen["image_grid_thw"].prod()) // 4)
    text = (
        f"{system if model.config.model_type == 'qwen2_5_vl' else ''}<|im_start|>user\n"
        f"<|vision_start|>{pads}<|vision_end|>Does this image match the description "
        f'"{asked.questions[place].prompt}"? Please directly respond with yes or no.<|im_end|>\n<|im_start|>assistant\n'
    )
    ids = torch.tensor([tokens.encode(text)])
    kinds = (ids == model.config.image_token_id).int()
    model.model.rope_deltas = None
    made = model(input_ids=ids, mm_token_type_ids=kinds, attention_mask=torch.ones_like(ids), **seen)
    likely = made.logits[0, -1].softmax(-1)
    yes, no = (sum(likely[tokens.id_of(word)] for word in words) for words in (YES, NO))
    return float(yes / (yes + no))


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_those_of_the_model_itself(family: str, models: dict[str, Any], folders: dict[str, Path]) -> None:
    opened = judge(folders[family])

    got = scores(opened.judge(requests()))

    expected = {
        (asked.key.pair, place): reference_score(models[family], folders[family], asked, place)
        for asked in requests() for place in (0, 1)
    }  # fmt: skip
    assert largest_difference(got, expected) <= 1e-5
    assert len(set(got.values())) == len(got)


@pytest.mark.parametrize("family", FAMILIES)
def test_together_equals_alone(family: str, models: dict[str, Any], folders: dict[str, Path]) -> None:
    opened = judge(folders[family])

    assert largest_difference(scores(opened.judge(requests())), separately(opened, requests())) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_contract_of_judges_is_kept(family: str, models: dict[str, Any], folders: dict[str, Path]) -> None:
    checks = list(check_judge(lambda: judge(folders[family])))

    assert [str(check) for check in checks if check.passed is False] == []


def test_its_identity_says_what_scores_depend_on(models: dict[str, Any], folders: dict[str, Path]) -> None:
    said = identity_of(judge(folders["qwen3_vl"]))

    assert said["template"]["name"] == "paper"
    assert said["pixels"] == {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16}
    assert set(said) == {"weights", "dtype", "attention", "template", "tokens", "pixels", "arithmetic"}


def test_the_question_can_be_turned_round(models: dict[str, Any], folders: dict[str, Path]) -> None:
    usual = judge(folders["qwen3_vl"])

    turned = scores(usual.asking_no_first().judge(requests()))

    assert largest_difference(scores(usual.judge(requests())), turned) > 1e-4


def test_a_picture_too_narrow_is_unscored_and_named(models: dict[str, Any], folders: dict[str, Path]) -> None:
    asked = [tiny.request(tiny.picture(1, 900), tiny.PROMPTS[0]), tiny.request(tiny.picture(1, 1), "a", pair=1)]

    narrow, dot = sorted(judge(folders["qwen3_vl"]).judge(asked), key=lambda each: each.key)

    assert narrow.score is None
    assert "aspect ratio" in str(narrow.unscored)
    assert dot.score is not None


def test_missing_and_unexpected_tensors_are_named(
    models: dict[str, Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    for file in folders["qwen2_5_vl"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    held = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in held if name.endswith("layers.1.mlp.up_proj.weight"))
    held["more.weight"] = held.pop(gone)
    save_file(held, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(AdapterError, match=r"up_proj\.weight: missing") as caught:
        judge(tmp_path)

    assert "more.weight: unexpected" in str(caught.value)


def test_another_family_is_refused(tmp_path: Path) -> None:
    small.write_llava(tmp_path)
    tokens = tmp_path / "tokenizer.json"

    with pytest.raises(AdapterError, match="expected model_type qwen2_5_vl or qwen3_vl, got 'llava'"):
        judge(tmp_path)
    assert tokens.is_file()


# Any model with a chat template


def test_any_model_with_a_chat_template_is_a_judge(tmp_path: Path) -> None:
    model = small.write_llava(tmp_path)
    opened = judge(tmp_path, "image_text_to_text")
    asked = tiny.request(tiny.picture(28, 28), *tiny.PROMPTS)

    answers = list(opened.judge([asked]))

    checks = check_judge(lambda: judge(tmp_path, "image_text_to_text"))
    assert [str(check) for check in checks if check.passed is False] == []
    processor = opened._processor
    question = f'Does this image match the description "{tiny.PROMPTS[1]}"? Please directly respond with yes or no.'
    text = f"<image>\n{question}ANSWER:"
    inputs = processor(images=[asked.images[0]], text=[text], return_tensors="pt")
    likely = model(**inputs).logits[0, -1].softmax(-1)
    vocabulary = processor.tokenizer.get_vocab()
    yes, no = (sum(likely[vocabulary[word]] for word in words) for words in (YES, NO))
    assert answers[1].score == pytest.approx(float(yes / (yes + no)), abs=1e-5)


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    small.write_llava(tmp_path, chat_template=False)

    with pytest.raises(AdapterError, match="has no chat template"):
        judge(tmp_path, "image_text_to_text")


def test_a_damaged_config_is_named(models: dict[str, Any], folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["qwen3_vl"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "model_type": "unheard-of"}))

    with pytest.raises(AdapterError):
        judge(tmp_path)
