"""Questions about two images, an original and its edit: each family against its own way of writing them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from paircomp.judges import internvl_variants, qwen_vl_variants
from paircomp.judges.internvl_prompt import SYSTEM
from paircomp.judges.internvl_tiles import TilePolicy, to_pixel_values
from paircomp.judges.question_templates import EDIT, PAPER
from paircomp.judges.token_ids import TokenIds, read_tokenizer, unfolded
from paircomp.judges.vlm_server import vlm_server
from paircomp.judges.yes_no import NO, YES
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question
from tests.judges import tiny_internvl as tiny
from tests.judges import tiny_vision_language as small
from tests.judges.fake_vlm_server import FakeVLMServer, by_redness

QUESTIONS = ("Does the edited image follow the instruction: make it blue?", "Is the rest as it was?")
ASK = " Please directly respond with yes or no."
OPENING = "Please evaluate the following image edit based on the provided instructions:\n\n"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on models this small
    yield
    torch.set_num_threads(before)


def edit(number: int, *sizes: tuple[int, int]) -> JudgeRequest:
    images = tuple(tiny.picture(*size, seed=10 * number + place) for place, size in enumerate(sizes))
    asked = tuple(Question(place, question, "") for place, question in enumerate(QUESTIONS))
    return JudgeRequest(ImageKey(number, 0, 0), images, asked)


#: Of one view and several, in either order, and two that are alike.
EDITS = (
    edit(0, (20, 20), (20, 20)),
    edit(1, (60, 30), (30, 30)),
    edit(2, (30, 30), (60, 30)),
    edit(3, (20, 20), (20, 20)),
)


def scores(answers: Iterator[Judgement]) -> dict[tuple[int, int], float]:
    return {(answer.key.pair, answer.judged_prompt): float(answer.score or -1) for answer in answers}


def share_of_yes(logits: torch.Tensor, tokens: TokenIds) -> float:
    likely = logits.softmax(-1)
    yes, no = (sum(likely[tokens.id_of(word)] for word in words) for words in (YES, NO))
    return float(yes / (yes + no))


@torch.no_grad()
def internvl_reference(model: Any, folder: Path, asked: JudgeRequest, question: str) -> float:
    """The whole conversation as one text, each image as its own line of the published template."""
    tokens, policy = read_tokenizer(folder), TilePolicy(tiny.SIDE)
    tiles = [policy.cut(image) for image in asked.images]
    first, second = (f"<img>{'<IMG_CONTEXT>' * (4 * len(each))}</img>" for each in tiles)
    ids = torch.tensor([tokens.encode(
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{OPENING}Image-1: {first}\nImage-2: {second}\n"
        f"{question}{ASK}<|im_end|>\n<|im_start|>assistant\n"
    )])  # fmt: skip
    pixels = torch.cat([to_pixel_values(each, device=torch.device("cpu"), dtype=torch.float32) for each in tiles])
    made = model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids))
    return share_of_yes(made.logits[0, -1], tokens)


def test_internvl_sees_both_images_as_the_published_template_shows_them(tmp_path: Path) -> None:
    model = tiny.build("qwen2")
    folder = tiny.write_original(model, tmp_path / "internvl")
    opened = internvl_variants.internvl_edit(checkpoint=str(folder), dtype="float32")

    got = scores(opened.judge(EDITS))
    turned = scores(opened.judge([JudgeRequest(each.key, each.images[::-1], each.questions) for each in EDITS]))

    expected = {
        (asked.key.pair, place): internvl_reference(model, folder, asked, question)
        for asked in EDITS for place, question in enumerate(QUESTIONS)
    }  # fmt: skip
    assert got == pytest.approx(expected, abs=1e-5)
    assert min(abs(got[key] - turned[key]) for key in got) > 1e-6  # which image comes first matters
    assert opened.identity["template"]["look"] == EDIT.look


@torch.no_grad()
def qwen_reference(model: Any, folder: Path, asked: JudgeRequest, question: str) -> float:
    """transformers' own forward on one whole conversation, places left to the model."""
    tokens = read_tokenizer(folder)
    seen = Qwen2VLImageProcessorPil.from_pretrained(folder)(images=list(asked.images), return_tensors="pt")
    first, second = (
        f"<|vision_start|>{'<|image_pad|>' * (int(grid.prod()) // 4)}<|vision_end|>" for grid in seen["image_grid_thw"]
    )
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    ids = torch.tensor([tokens.encode(
        f"{system if model.config.model_type == 'qwen2_5_vl' else ''}<|im_start|>user\n{OPENING}Image-1: {first}\n"
        f"Image-2: {second}\n{question}{ASK}<|im_end|>\n<|im_start|>assistant\n"
    )])  # fmt: skip
    kinds = (ids == model.config.image_token_id).int()
    model.model.rope_deltas = None
    made = model(input_ids=ids, mm_token_type_ids=kinds, attention_mask=torch.ones_like(ids), **seen)
    return share_of_yes(made.logits[0, -1], tokens)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_qwen_sees_both_images_where_the_model_itself_places_them(family: str, tmp_path: Path) -> None:
    model = small.write_qwen(tmp_path, family)
    opened = qwen_vl_variants.qwen_vl_edit(checkpoint=str(tmp_path), dtype="float32")
    asked = [edit(0, (64, 64), (64, 64)), edit(1, (120, 64), (64, 64)), edit(2, (64, 64), (120, 64))]

    got = scores(opened.judge(asked))

    expected = {
        (each.key.pair, place): qwen_reference(model, tmp_path, each, question)
        for each in asked for place, question in enumerate(QUESTIONS)
    }  # fmt: skip
    assert got == pytest.approx(expected, abs=1e-5)


def test_any_model_with_a_chat_template_is_shown_both_images_in_their_places(tmp_path: Path) -> None:
    small.write_llava(tmp_path)
    opened = qwen_vl_variants.image_text_to_text_edit(checkpoint=str(tmp_path), dtype="float32")

    one, other = edit(0, (28, 28), (28, 28)), edit(1, (28, 28), (28, 28))
    got = scores(opened.judge([one, other, JudgeRequest(ImageKey(2, 0, 0), one.images[::-1], one.questions)]))

    assert len(set(got.values())) == 6
    assert min(got.values()) > 0


def test_a_server_is_sent_both_images_in_their_places() -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    with FakeVLMServer() as server:
        judge = vlm_server(base_url=server.url, question="edit")
        requests = [
            JudgeRequest(ImageKey(place, 0, 0), images, (Question(0, QUESTIONS[0], ""),))
            for place, images in enumerate([(blue, red), (red, blue)])
        ]
        redder, bluer = sorted(judge.judge(requests), key=lambda answer: answer.key)
        (alone,) = judge.judge([JudgeRequest(ImageKey(2, 0, 0), (red,), requests[0].questions)])
        judge.close()
        content = server.asked[-1]["messages"][-1]["content"]

    assert [part.get("text", part["type"]) for part in content] == [
        f"{OPENING}Image-1: ", "image_url", "\nImage-2: ", "image_url", f"\n{QUESTIONS[0]}{ASK}",
    ]  # fmt: skip
    assert content[1] != content[3]
    assert redder.score is not None
    assert bluer.score is not None
    assert redder.score > 0.5 > bluer.score
    assert by_redness("", red)["yes"] > 0
    assert alone.unscored == "the judge looks at 2 images, an original and its edit, got 1"


def test_one_image_alone_is_refused_by_a_judge_of_edits(tmp_path: Path) -> None:
    folder = tiny.write_native(tiny.build("qwen2"), tmp_path / "native")

    (answer,) = internvl_variants.internvl_edit(checkpoint=str(folder)).judge([tiny.request(tiny.picture(), "a")])

    assert answer.unscored == "the judge looks at 2 images, an original and its edit, got 1"


def test_templates_say_how_many_images_they_take_and_keep_their_look_when_turned() -> None:
    assert (PAPER.images, EDIT.images) == (1, 2)
    assert "look" not in PAPER.to_json()
    assert EDIT.no_first().look == EDIT.look
    assert EDIT.no_first().ask("Is it so?").endswith("no or yes.")


def test_a_prompt_without_a_place_for_each_image_is_refused() -> None:
    assert unfolded([1, 9, 2, 9], 9, [2, 1]) == [1, 9, 9, 2, 9]
    with pytest.raises(ValueError, match="expected 1 images in the prompt, found places for 2"):
        unfolded([1, 9, 2, 9], 9, [2])
