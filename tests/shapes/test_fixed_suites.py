"""The two committed suites."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources

import pytest

from paircomp.shapes import canonical, edits, parse_prompt, scenes
from paircomp.suites.shapes_drawing import PAIRS_PER_SUBTASK, SUITE_NAMES, draw_suites, write_suites
from paircomp.suites.shapes_suites import held_out_scenes, is_held_out, shapes_dev_suite, shapes_suite
from paircomp.types import Subtask, suite_digest

SUITES = {"shapes": shapes_suite, "shapes-dev": shapes_dev_suite}


def test_the_committed_files_are_those_drawn(tmp_path):
    write_suites(tmp_path)
    for name in SUITE_NAMES:
        committed = (resources.files("paircomp.suites") / f"{name}.jsonl").read_bytes()
        assert (tmp_path / f"{name}.jsonl").read_bytes() == committed
        assert draw_suites()[name].encode() == committed


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_a_suite_has_forty_pairs_of_each_subtask(name):
    suite = SUITES[name]()
    assert suite.name == name
    assert Counter(pair.subtask for pair in suite.pairs) == dict.fromkeys(map(str, Subtask), PAIRS_PER_SUBTASK)
    assert [pair.pair for pair in suite.pairs] == list(range(240))
    assert suite.digest == suite_digest(suite.pairs)
    assert (suite.samples, suite.default_judge, suite.held_out_judge) == (2, "pixels", "internvl-tiny")
    assert suite.prompts_public


def test_the_digests_never_change():
    assert {name: make().digest for name, make in SUITES.items()} == {
        "shapes": "8c260a7dbedebe1a95ac844ddd5aa5af9de4cab2aca6c663452709c072710d98",
        "shapes-dev": "afabe312a9d7a8035928c7a7057adf2b0c5c81c1a013afe1fba79b2b8bf0263f",
    }


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_prompts_of_a_pair_are_one_edit_apart(name):
    for pair in SUITES[name]().pairs:
        scene, other = map(parse_prompt, pair.prompts)
        assert other in edits(scene, Subtask(pair.subtask))
        words = zip(*(prompt.split() for prompt in pair.prompts), strict=True)
        assert sum(one != two for one, two in words) == 1


def test_no_picture_is_in_two_pairs_of_either_suite():
    shown = [
        canonical(parse_prompt(prompt)) for make in SUITES.values() for pair in make().pairs for prompt in pair.prompts
    ]
    assert len(shown) == len(set(shown)) == 4 * 240
    assert held_out_scenes() == set(shown)


def test_both_wordings_and_both_tones_are_common():
    prompts = [prompt for make in SUITES.values() for pair in make().pairs for prompt in pair.prompts]
    assert 0.4 < sum(prompt.endswith("background") for prompt in prompts) / len(prompts) < 0.6
    assert 0.4 < sum(" dark " in prompt for prompt in prompts) / len(prompts) < 0.6


def test_scenes_are_held_out_in_any_order_and_wording():
    assert is_held_out(parse_prompt(shapes_suite().pairs[0].prompts[0]))
    relation = next(pair for pair in shapes_suite().pairs if pair.subtask == "position").prompts[0]
    scene = parse_prompt(relation)
    turned = canonical(scene)
    assert is_held_out(scene)
    assert is_held_out(turned)
    left = [scene for scene in scenes(Subtask.TEXT) if not is_held_out(scene)]
    assert len(left) > 2000  # enough remains to train on


def test_the_files_are_plain_json_lines():
    for name in SUITE_NAMES:
        for line in (resources.files("paircomp.suites") / f"{name}.jsonl").read_text().splitlines():
            assert set(json.loads(line)) == {"pair_id", "subtask", "prompts"}
