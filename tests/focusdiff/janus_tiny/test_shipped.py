"""The checkpoints that ship: whole, small, read by transformers itself, good on average and unsteady on pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from focusdiff.models import MODELS
from paircomp.runtime.packaged import packaged_folder
from paircomp.shapes import Dice, sample_pair, write_prompt
from paircomp.shapes.renderer import render, render_pixels
from paircomp.types import ImageKey, JudgeRequest, Question, Subtask

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

BASE = MODELS[0]


@pytest.fixture(scope="module")
def policy():
    from focusdiff.policies import load_policy

    return load_policy("janus", BASE.checkpoint, options={"guidance": 1.0}, dtype="float32")


def scores(pictures, prompts):
    from paircomp.judges.pixels import pixels

    judge = pixels()
    requests = [JudgeRequest(ImageKey(place, 0, 0), (picture,), (Question(0, prompt, ""),))
                for place, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True))]  # fmt: skip
    return np.array([answer.score for answer in judge.judge(requests)])


@pytest.mark.parametrize(
    "spec", [spec for spec in MODELS if packaged_folder(spec.checkpoint)], ids=lambda spec: spec.name
)
def test_it_ships_whole_small_and_with_a_card(spec):
    folder = packaged_folder(spec.checkpoint)
    assert (folder / "model.safetensors").stat().st_size < 8e6
    assert json.loads((folder / "training.json").read_text())["trained_with_judge"] == spec.trained_with_judge
    card = (folder / "README.md").read_text()
    assert spec.name in card
    assert "Licence" in card


def test_transformers_itself_reads_model_tokenizer_and_processor():
    folder = packaged_folder(BASE.checkpoint)
    model, said = transformers.JanusForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    processor = transformers.JanusProcessor.from_pretrained(folder)
    inputs = processor(text="<|User|>: two red circles on a dark plain background\n\n<|Assistant|>:",
                       generation_mode="image", return_tensors="pt")  # fmt: skip
    assert inputs["input_ids"][0, 0] == processor.tokenizer.bos_token_id
    tokens = model.generate(**inputs, generation_mode="image", do_sample=False, guidance_scale=2.0)
    assert tokens.shape[-1] == 64


def test_its_image_tokenizer_loses_nothing_that_the_judge_sees(policy):
    dice = Dice("image tokenizer")
    pairs = [sample_pair(dice, subtask) for subtask in Subtask for _ in range(16)]
    seeds = [dice.number(2**31) for _ in pairs]
    pictures = [render(scene, seed) for (scene, _), seed in zip(pairs, seeds, strict=True)]
    tokens = policy.encode(pictures)
    from focusdiff.janus_tiny.image_tokens import PatchCodes

    codes = [PatchCodes().of(render_pixels(scene, seed)) for (scene, _), seed in zip(pairs, seeds, strict=True)]
    assert tokens.tolist() == codes
    decoded = policy.decode(tokens)
    own = scores(decoded, [write_prompt(scene) for scene, _ in pairs])
    other = scores(decoded, [write_prompt(scene) for _, scene in pairs])
    assert own.mean() > 0.97
    assert (own >= 0.5).mean() > 0.99
    assert other.mean() < 0.05


def test_it_is_decent_on_average_and_unsteady_on_pairs(tmp_path):
    import paircomp

    sampled = {
        "shipped": paircomp.evaluate("janus-tiny", suite="shapes-dev", limit=60, out=tmp_path / "shipped"),
        "plain": paircomp.evaluate("janus-tiny", suite="shapes-dev", limit=60, out=tmp_path / "plain",
                                   options={"guidance": 1.0, "min_p": 0.0}),
    }  # fmt: skip
    averages = {name: evaluation.report()["average"] for name, evaluation in sampled.items()}
    assert averages["shipped"]["s_a"] > 0.6
    assert averages["shipped"]["gap"] > 0.08
    assert averages["plain"]["gap"] > 0.18
