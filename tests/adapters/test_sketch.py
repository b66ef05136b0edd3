"""The sketch generator: its mistakes come at the stated rate, from the seed alone."""

from __future__ import annotations

import json
import sys
from collections import Counter
from subprocess import run

import pytest

from paircomp.errors import ConfigError
from paircomp.judges.pixels import pixels
from paircomp.protocols import ImageGenerator
from paircomp.runtime.capabilities import check_options
from paircomp.shapes import Dice, Groups, canonical, edits, parse_prompt, sample_scene, write_prompt
from paircomp.suites.shapes_suites import shapes_suite
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, Question, Subtask, image_seed
from paircomp_adapters.sketch import sketch
from paircomp_adapters.sketch_models import MODELS


def suite_requests(samples=2):
    suite = shapes_suite()
    keys = [ImageKey(pair.pair, prompt, k) for pair in suite.pairs for prompt in (0, 1) for k in range(samples)]
    return [
        GenerationRequest(key, suite.pairs[key.pair].prompts[key.prompt], image_seed(0, "shapes", key)) for key in keys
    ]


def mean_scores(**options):
    """Mean score, and geometric mean within pairs, of a sketch model on the fixed suite."""
    requests = suite_requests()
    judge, scores = pixels(), []
    for request, drawn in zip(requests, sketch(**options).generate(requests), strict=True):
        question = Question(drawn.key.prompt, request.prompt, "")
        scores.append(next(judge.judge([JudgeRequest(drawn.key, (drawn.image,), (question,))])).score)
    return sum(scores) / len(scores)


def test_without_mistakes_every_image_shows_its_prompt():
    assert mean_scores(mistakes=0, blemishes=0) > 0.98


def test_with_mistakes_only_none_does():
    assert mean_scores(mistakes=1, blemishes=0) < 0.1


@pytest.mark.parametrize(("mistakes", "low", "high"), [(0.1, 0.82, 0.95), (0.45, 0.45, 0.62), (0.8, 0.12, 0.28)])
def test_mean_scores_reach_from_a_fifth_to_nine_tenths(mistakes, low, high):
    assert low < mean_scores(mistakes=mistakes, blemishes=0.1) < high


def test_blemishes_spread_scores_over_the_range():
    requests = suite_requests(samples=1)
    judge, bins = pixels(), Counter()
    for request, drawn in zip(requests, sketch(mistakes=0, blemishes=1).generate(requests), strict=True):
        question = Question(0, request.prompt, "")
        bins[int(10 * next(judge.judge([JudgeRequest(drawn.key, (drawn.image,), (question,))])).score)] += 1
    assert set(bins) == set(range(10))


@pytest.mark.parametrize("steadiness", [0.0, 0.5, 1.0])
def test_mistakes_come_at_the_stated_rate(steadiness):
    dice, wrong, images = Dice("rate"), 0, 3000
    generator = sketch(mistakes=0.3, blemishes=0, steadiness=steadiness)
    for seed in range(images):
        prompt = write_prompt(sample_scene(dice))
        (drawn,) = generator.generate([GenerationRequest(ImageKey(0, 0, 0), prompt, seed)])
        wrong += drawn.metadata["drawn"] != prompt
    assert 0.27 < wrong / images < 0.33


def test_steadiness_is_agreement_between_samples():
    def agreement(steadiness):
        dice, same = Dice("steady"), 0
        generator = sketch(mistakes=0.5, blemishes=0, steadiness=steadiness)
        for seed in range(400):
            prompt = write_prompt(sample_scene(dice))
            requests = [GenerationRequest(ImageKey(0, 0, k), prompt, 1000 * seed + k) for k in range(2)]
            first, second = (drawn.metadata["drawn"] == prompt for drawn in generator.generate(requests))
            same += first == second
        return same / 400

    assert agreement(1.0) == 1.0
    assert 0.42 < agreement(0.0) < 0.58
    assert 0.55 < agreement(0.5) < 0.72


def test_each_mistake_is_one_kind_of_word():
    generator, kinds = sketch(mistakes=1, blemishes=0), Counter()
    dice = Dice("kinds")
    for seed in range(400):
        scene = sample_scene(dice)
        request = GenerationRequest(ImageKey(0, 0, 0), write_prompt(scene), seed)
        (drawn,) = generator.generate([request])
        shown = parse_prompt(drawn.metadata["drawn"])
        assert canonical(shown) != canonical(scene)
        kind = next((subtask for subtask in Subtask if shown in edits(scene, subtask)), None)
        if kind is None or kind is Subtask.COUNTING:
            assert isinstance(scene, Groups)
            steps = [b.count - a.count for a, b in zip(scene.groups, shown.groups, strict=True)]
            assert sorted(map(abs, steps))[-1] == sum(map(abs, steps)) == 1
            kind = Subtask.COUNTING
        kinds[kind] += 1
    assert set(kinds) == set(Subtask)
    assert min(kinds.values()) > 15


def test_an_image_depends_on_its_prompt_and_seed_alone():
    requests = suite_requests()[:80]
    generator = sketch(mistakes=0.5, blemishes=0.5)
    together = {drawn.key: drawn.image.tobytes() for drawn in generator.generate(requests)}
    backwards = {
        drawn.key: drawn.image.tobytes() for drawn in sketch(mistakes=0.5, blemishes=0.5).generate(requests[::-1])
    }
    alone = {request.key: next(generator.generate([request])).image.tobytes() for request in requests}
    moved = [GenerationRequest(ImageKey(9, 9, 9), request.prompt, request.seed) for request in requests]
    assert together == backwards == alone
    assert [drawn.image.tobytes() for drawn in generator.generate(moved)] == list(together.values())


def test_images_are_rgb_and_small():
    drawn = next(sketch().generate(suite_requests()[:1]))
    assert (drawn.image.mode, drawn.image.size, drawn.unscored) == ("RGB", (32, 32), None)
    json.dumps(dict(drawn.metadata), allow_nan=False)


def test_a_foreign_prompt_is_refused_and_the_others_are_drawn():
    good = suite_requests()[0]
    bad = GenerationRequest(ImageKey(1, 0, 0), "a photo of a cat", 1)
    first, second = sketch().generate([bad, good])
    assert first.image is None
    assert first.unscored.startswith("refused: prompt is outside the shapes grammar")
    assert second.image is not None


def test_every_bad_option_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        sketch(checkpoint="x", mistakes=1.5, blemishes=-0.1, steadiness=float("nan"))
    assert len(caught.value.faults) == 4
    assert "mistakes: expected a number in [0, 1], got 1.5" in str(caught.value)


def test_it_keeps_the_protocol_and_its_models_fit_its_options():
    generator = sketch()
    assert isinstance(generator, ImageGenerator)
    assert json.loads(json.dumps(dict(generator.identity)))["mistakes"] == 0.25
    generator.close()
    assert [model.name for model in MODELS] == ["sketch", "sketch-careful"]
    for model in MODELS:
        check_options(sketch, model.recipe, where=model.name)
        assert (model.adapter, model.suite) == ("sketch", "shapes")


def test_the_catalogue_loads_nothing_heavy():
    code = "import sys, paircomp_adapters.sketch_models; print({'numpy', 'PIL', 'torch'} & set(sys.modules))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
