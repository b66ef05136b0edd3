"""The pixels judge: right on what is drawn, fair in its use, and hard to fool."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from paircomp.errors import ConfigError
from paircomp.judges.pixels import SCORE_CEILING, SCORE_FLOOR, pixels
from paircomp.protocols import Judge
from paircomp.shapes import (
    Background,
    Dice,
    Group,
    Groups,
    Relation,
    Sign,
    Thing,
    Wording,
    edits,
    sample_pair,
    sample_scene,
    write_prompt,
)
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.palette import COLORS
from paircomp.shapes.renderer import draw_background, render, render_pixels
from paircomp.suites.shapes_suites import shapes_dev_suite
from paircomp.types import ImageKey, JudgeRequest, Question, Subtask

KEY = ImageKey(3, 1, 0)
SEEDS = st.integers(0, 2**53 - 1)
JUDGE = pixels()
LIGHT = Background("light", "plain")


def ask(image, *prompts):
    """Judgements in the order of the prompts."""
    questions = tuple(Question(position, prompt, "any") for position, prompt in enumerate(prompts))
    return list(JUDGE.judge([JudgeRequest(KEY, (image,), questions)]))


def score(image, prompt):
    (answer,) = ask(image, prompt)
    return answer.score


def noisy(image, seed):
    noise = np.random.default_rng(seed).normal(0, 8, (32, 32, 3))
    return Image.fromarray(np.clip(np.rint(np.asarray(image) + noise), 0, 255).astype(np.uint8))


def blurred(image, seed):
    return image.filter(ImageFilter.GaussianBlur(0.5))


@pytest.mark.parametrize("view", [lambda image, seed: image, noisy, blurred], ids=["clean", "noise", "blur"])
@pytest.mark.parametrize("subtask", Subtask)
def test_own_prompt_passes_and_the_word_away_fails(subtask, view):
    dice = Dice(f"test/{subtask}")
    for seed in range(60):
        scene, other = dice.shuffled(sample_pair(dice, subtask))
        wording = dice.pick(tuple(Wording))
        own, cross = ask(view(render(scene, seed), seed), write_prompt(scene, wording), write_prompt(other, wording))
        assert own.score > 0.9
        assert cross.score < 0.2


@settings(deadline=None, max_examples=60)
@given(SEEDS, SEEDS)
def test_every_one_word_edit_fails(seed, layout_seed):
    scene = sample_scene(Dice(seed))
    others = [write_prompt(other) for subtask in Subtask for other in edits(scene, subtask)]
    assert all(answer.score < 0.5 for answer in ask(render(scene, layout_seed), *others))


@settings(deadline=None)
@given(SEEDS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_questions_changes_no_answer(seed, layout_seed, random):
    scene, other = sample_pair(Dice(seed), Dice(seed).pick(tuple(Subtask)))
    image = render(scene, layout_seed)
    questions = [Question(at, write_prompt(each), "") for at, each in enumerate((scene, other, scene))]
    straight = {answer.judged_prompt: answer for answer in JUDGE.judge([JudgeRequest(KEY, (image,), tuple(questions))])}
    random.shuffle(questions)
    shuffled = {answer.judged_prompt: answer for answer in JUDGE.judge([JudgeRequest(KEY, (image,), tuple(questions))])}
    alone = {q.judged_prompt: next(JUDGE.judge([JudgeRequest(KEY, (image,), (q,))])) for q in questions}
    assert straight == shuffled == alone


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_the_wording_changes_no_score(seed, layout_seed):
    scene = sample_scene(Dice(seed))
    first, second = ask(render(scene, layout_seed), *(write_prompt(scene, wording) for wording in Wording))
    assert first.score == second.score


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_scores_are_the_product_of_factors_and_logs_agree(seed, image_seed):
    scene, shown = sample_scene(Dice(seed)), sample_scene(Dice(image_seed))
    (answer,) = ask(render(shown, image_seed), write_prompt(scene))
    product = math.prod(answer.evidence["factors"].values())
    assert answer.score == pytest.approx(min(SCORE_CEILING, max(SCORE_FLOOR, product)), abs=1e-3)
    assert math.exp(answer.log_yes) == pytest.approx(answer.score)
    assert math.exp(answer.log_no) == pytest.approx(1 - answer.score)
    assert all(0 <= factor <= 1 for factor in answer.evidence["factors"].values())
    json.dumps(dict(answer.evidence), allow_nan=False)


def test_evidence_says_what_was_seen():
    scene = Relation(Thing("red", "circle"), "left", Thing("blue", "square"), Background("dark", "striped"))
    (answer,) = ask(render(scene, 5), write_prompt(scene))
    assert answer.evidence["background"] == "dark striped"
    assert {(thing["color"], thing["shape"]) for thing in answer.evidence["things"]} == {
        ("red", "circle"),
        ("blue", "square"),
    }
    assert list(answer.evidence["factors"]) == ["tone", "pattern", "clean", "count", "color", "shape", "relation"]
    (answer,) = ask(render(Sign("green", "7A", LIGHT), 5), write_prompt(scene))
    assert answer.evidence["sign"]["text"] == "7A"
    assert answer.score == SCORE_FLOOR


@pytest.mark.parametrize("kind", BLEMISHES)
def test_worse_blemishes_score_lower(kind):
    means = []
    for severity in (0.05, 0.4, 1.0):
        dice, scores = Dice(f"{kind}/{severity}"), []
        for seed in range(25):
            scene = sample_scene(dice)
            spoilt = blemish(render_pixels(scene, seed), draw_background(scene.background), kind, severity, dice)
            scores.append(score(Image.fromarray(spoilt), write_prompt(scene)))
        means.append(np.mean(scores))
    assert means[0] > 0.5 > 0.2 > means[2]
    assert means[0] > means[1] - 0.01 > means[2]


def test_coloured_junk_on_a_sign_does_not_pass():
    for seed in range(40):
        scene = sample_scene(Dice(seed), "sign")
        image = np.asarray(render(scene, seed)).copy()
        rows, columns = (image != draw_background(scene.background)).any(axis=2).nonzero()
        other = next(rgb for name, rgb in COLORS.items() if name != scene.color)
        top, left = rows[0] + 6 + seed % 5, columns[0] + 6 + seed % 7
        image[top : top + 4, left : left + 4] = other
        assert score(Image.fromarray(image), write_prompt(scene)) < 0.5


def test_one_stray_pixel_costs_little_but_something():
    scene = Groups((Group(1, Thing("red", "square")),), LIGHT)
    image = render(scene, 0)
    before = score(image, write_prompt(scene))
    image.putpixel((31, 31) if image.getpixel((31, 31)) != COLORS["red"] else (0, 0), COLORS["blue"])
    assert before - 0.1 < score(image, write_prompt(scene)) < before - 0.03


@pytest.mark.parametrize("missing", [0.5, 0.75])
def test_a_half_drawn_thing_fails(missing):
    scene = Groups((Group(1, Thing("red", "square")),), LIGHT)
    image = np.asarray(render(scene, 0)).copy()
    rows, columns = (image == COLORS["red"]).all(axis=2).nonzero()
    gone = slice(0, int(len(rows) * missing))
    image[rows[gone], columns[gone]] = image[31, 31] if tuple(image[31, 31]) != COLORS["red"] else image[0, 0]
    assert score(Image.fromarray(image), write_prompt(scene)) < 0.2


def test_one_wrong_thing_among_four_fails():
    four = Groups((Group(4, Thing("red", "circle")),), LIGHT)
    three = Groups((Group(3, Thing("red", "circle")), Group(1, Thing("red", "square"))), LIGHT)
    assert score(render(three, 1), write_prompt(four)) < 0.01
    assert score(render(four, 1), write_prompt(three)) < 0.01


def test_groups_with_swapped_numbers_fail():
    one, other = Thing("red", "circle"), Thing("blue", "circle")
    scene = Groups((Group(3, one), Group(1, other)), LIGHT)
    swapped = Groups((Group(1, one), Group(3, other)), LIGHT)
    assert score(render(scene, 2), write_prompt(swapped)) < 0.01


@pytest.mark.parametrize("image", [Image.new("RGB", (32, 32), color) for color in ("black", "white", "red", "gray")])
def test_empty_pictures_fail_every_prompt(image):
    dice = Dice(0)
    assert all(answer.score < 0.2 for answer in ask(image, *(write_prompt(sample_scene(dice)) for _ in range(30))))


def test_noise_fails_every_prompt():
    dice = Dice(0)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    prompts = [write_prompt(sample_scene(dice)) for _ in range(30)]
    assert all(answer.score == SCORE_FLOOR for answer in ask(image, *prompts))


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (1024, 1024)])
def test_enlarged_pictures_are_judged_at_their_own_size(size):
    scene = Sign("red", "XT", Background("dark", "dotted"))
    image = render(scene, 7).resize(size, Image.Resampling.NEAREST)
    (answer,) = ask(image, write_prompt(scene))
    assert answer.score > 0.9
    assert answer.evidence["resized_from"] == list(size)
    (small,) = ask(render(scene, 7), write_prompt(scene))
    assert "resized_from" not in small.evidence
    assert small.score == answer.score


def test_smoothly_enlarged_pictures_still_pass():
    dice = Dice(9)
    for seed in range(20):
        scene = sample_scene(dice)
        image = render(scene, seed).resize((256, 256), Image.Resampling.BILINEAR)
        assert score(image, write_prompt(scene)) > 0.5


def test_prompts_outside_the_grammar_are_unscored_and_the_others_answered():
    scene = Sign("red", "XT", LIGHT)
    good, bad = ask(render(scene, 0), write_prompt(scene), "a photo of a cat")
    assert good.score > 0.9
    assert (bad.score, bad.log_yes, bad.log_no) == (None, None, None)
    assert "outside the shapes grammar: 'a photo of a cat'" in bad.unscored
    assert bad.judged_prompt == 1


def test_two_images_are_unscored():
    image = render(Sign("red", "XT", LIGHT), 0)
    request = JudgeRequest(KEY, (image, image), (Question(0, "any", "any"),))
    (answer,) = JUDGE.judge([request])
    assert "one image at a time, got 2" in answer.unscored


def test_it_keeps_the_protocol():
    assert isinstance(JUDGE, Judge)
    assert pixels.cross_by_default
    assert json.loads(json.dumps(dict(JUDGE.identity)))["rules"] == "pixels/1"
    JUDGE.close()
    with pytest.raises(ConfigError, match="no weights"):
        pixels(checkpoint="some/where")


def test_it_judges_a_whole_suite():
    suite = shapes_dev_suite()
    requests = [
        JudgeRequest(
            ImageKey(pair.pair, prompt, 0),
            (render(_scene(pair.prompts[prompt]), pair.pair),),
            tuple(Question(at, text, pair.subtask) for at, text in enumerate(pair.prompts)),
        )
        for pair in suite.pairs
        for prompt in range(2)
    ]
    answers = list(JUDGE.judge(requests))
    assert len(answers) == 240 * 4
    assert all((answer.score > 0.9) == (answer.judged_prompt == answer.key.prompt) for answer in answers)


def _scene(prompt):
    from paircomp.shapes import parse_prompt

    return parse_prompt(prompt)
