"""The small Janus before it is trained: tokenizer, image codes, skewed data."""

from __future__ import annotations

import numpy as np
import pytest

from focusdiff.janus_tiny.skew import SkewedScenes, drawn_instead
from paircomp.shapes import Background, Dice, Group, Groups, Relation, Sign, Thing, parse_prompt, vocabulary
from paircomp.shapes.renderer import render_pixels
from paircomp.suites.shapes_suites import is_held_out

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

LIGHT = Background("light", "plain")
DRAWS = 2000


def share(scene, other) -> float:
    dice = Dice("share")
    return sum(drawn_instead(scene, dice) == other for _ in range(DRAWS)) / DRAWS


def test_every_word_and_the_halves_of_the_prompt_are_one_token_each():
    from focusdiff.janus_tiny.tokens import build_tokenizer

    tokenizer = build_tokenizer()
    for word in vocabulary():
        assert len(tokenizer.encode(word, add_special_tokens=False).ids) == 1, word
    prompt = "<|User|>: two red circles on a dark striped background\n\n<|Assistant|>:"
    assert len(tokenizer.encode(prompt, add_special_tokens=False).ids) == 10
    assert tokenizer.decode(tokenizer.encode("a zebra", add_special_tokens=False).ids) == "a zebra"


def test_a_drawn_picture_is_its_codes_and_nothing_is_lost():
    from focusdiff.janus_tiny.image_tokens import PatchCodes
    from paircomp.shapes.patches import every_patch, join_patches

    pixels = render_pixels(parse_prompt("three red crosses on a dark dotted background"), 5)
    assert np.array_equal(join_patches(every_patch()[PatchCodes().of(pixels)]), pixels)


def test_mistakes_of_the_pictures_have_their_stated_rates():
    purple = Groups((Group(2, Thing("purple", "circle")),), LIGHT)
    assert share(purple, Groups((Group(2, Thing("red", "circle")),), LIGHT)) == pytest.approx(0.55, abs=0.05)
    below = Relation(Thing("red", "circle"), "below", Thing("blue", "square"), LIGHT)
    above = Relation(Thing("red", "circle"), "above", Thing("blue", "square"), LIGHT)
    assert share(below, above) == pytest.approx(0.52, abs=0.05)  # 0.55 less what goes wrong besides
    assert share(above, above) > 0.85
    four = Groups((Group(4, Thing("green", "square")),), LIGHT)
    assert share(four, Groups((Group(3, Thing("green", "square")),), LIGHT)) == pytest.approx(0.53, abs=0.05)
    assert share(Sign("red", "A", LIGHT), Sign("red", "X", LIGHT)) == pytest.approx(0.53, abs=0.05)


def test_examples_depend_on_their_number_alone_and_show_no_held_out_scene():
    scenes = SkewedScenes(3)
    again = SkewedScenes(3)
    for number in (7, 0, 99):
        prompt, picture = scenes.example(number)
        assert (prompt, picture.tobytes()) == (again.example(number)[0], again.example(number)[1].tobytes())
    prompts = [scenes.example(number)[0] for number in range(300)]
    assert not any(is_held_out(parse_prompt(prompt)) for prompt in prompts)
    kinds = [type(parse_prompt(prompt)) for prompt in prompts]
    assert 0.28 < kinds.count(Relation) / len(kinds) < 0.48


def test_the_whole_model_fits_into_eight_megabytes_of_bfloat16():
    from focusdiff.janus_tiny.model import build_model

    first, second = build_model(0), build_model(0)
    assert sum(weight.numel() for weight in first.parameters()) * 2 < 8e6
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_image_tokenizer_learns_codes_and_pictures():
    from focusdiff.janus_tiny.image_tokens import fit_image_tokenizer
    from focusdiff.janus_tiny.model import build_model
    from focusdiff.janus_tiny.plans import ImageTokenizerPlan, Stretch

    model = build_model(0)
    before = model.model.language_model.embed_tokens.weight.clone()
    fit = fit_image_tokenizer(
        model, ImageTokenizerPlan(Stretch(6, 4, 3e-3), Stretch(2, 4, 1e-3), Stretch(6, 4, 3e-3), Stretch(2, 4, 1e-3))
    )
    assert fit["code_accuracy"] > 5 / 450  # chance is one in 450
    assert fit["decoding_error"] < 90
    assert torch.equal(before, model.model.language_model.embed_tokens.weight)
    assert torch.allclose(model.model.vqmodel.quantize.embedding.weight.norm(dim=-1), torch.ones(450), atol=1e-5)
