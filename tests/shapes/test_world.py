"""Scenes, the grammar, edits and sampling."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paircomp.shapes import (
    Background,
    Dice,
    Group,
    Groups,
    OutsideGrammarError,
    Relation,
    Sign,
    Thing,
    Wording,
    canonical,
    edits,
    parse_prompt,
    sample_pair,
    sample_scene,
    scenes,
    vocabulary,
    write_prompt,
)
from paircomp.shapes.glyphs import GLYPHS, STRINGS
from paircomp.shapes.palette import BASES, COLORS, MARKS
from paircomp.shapes.sampling import KINDS
from paircomp.types import Subtask

SCENES = st.integers(0, 2**53).map(lambda seed: sample_scene(Dice(seed)))
SUBTASKS = st.sampled_from(Subtask)
PLAIN = Background("light", "plain")
RED_CIRCLE, BLUE_SQUARE = Thing("red", "circle"), Thing("blue", "square")


@given(SCENES, st.sampled_from(Wording))
def test_a_prompt_reads_back_as_its_scene(scene, wording):
    assert parse_prompt(write_prompt(scene, wording)) == scene


@given(SCENES)
def test_the_wordings_differ(scene):
    assert len({write_prompt(scene, wording) for wording in Wording}) == 2


@given(SCENES, st.sampled_from(Wording))
def test_prompts_are_made_of_the_vocabulary(scene, wording):
    words = set(write_prompt(scene, wording).split())
    if isinstance(scene, Sign):
        words = (words - {scene.text}) | set(scene.text)
    assert words <= set(vocabulary())


def test_every_word_of_the_vocabulary_is_used():
    dice = Dice(5)
    prompts = [write_prompt(sample_scene(dice), dice.pick(tuple(Wording))) for _ in range(1500)]
    used = {word for prompt in prompts for word in prompt.split()}
    assert set(vocabulary()) <= used


@pytest.mark.parametrize(
    ("scene", "prompt"),
    [
        (
            Groups((Group(2, RED_CIRCLE),), Background("dark", "striped")),
            "two red circles on a dark striped background",
        ),
        (
            Groups((Group(3, Thing("cyan", "cross")), Group(1, BLUE_SQUARE)), PLAIN),
            "three cyan crosses and one blue square on a light plain background",
        ),
        (
            Relation(RED_CIRCLE, "left", BLUE_SQUARE, PLAIN),
            "a red circle left of a blue square on a light plain background",
        ),
        (
            Sign("green", "7A", Background("dark", "dotted")),
            "a green sign that reads 7A on a dark dotted background",
        ),
    ],
)
def test_what_prompts_look_like(scene, prompt):
    assert write_prompt(scene) == prompt
    content, ground = prompt.split(" on ")
    assert write_prompt(scene, Wording.BACKGROUND_FIRST) == f"{ground} with {content}"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a photo of a cat",
        "two red circles",
        "two red circle on a dark plain background",
        "one red circles on a dark plain background",
        "five red circles on a dark plain background",
        "three red circles and two blue squares on a dark plain background",
        "two red circles and one red circle on a dark plain background",
        "a red circle left of a red circle on a dark plain background",
        "a red circle left a blue square on a dark plain background",
        "a red sign that reads B on a dark plain background",
        "a red sign that reads AAA on a dark plain background",
        "a red sign that reads A on a dark wavy background",
        "a red sign that reads A on a dark plain background on a dark plain background",
        "Two red circles on a dark plain background",
        "two red circles on a dark plain background.",
        "two red circles on a dark plain background\n",
    ],
)
def test_other_prompts_are_outside_the_grammar(prompt):
    with pytest.raises(OutsideGrammarError, match="outside the shapes grammar"):
        parse_prompt(prompt)


def test_the_error_says_what_is_wrong_in_one_line():
    with pytest.raises(OutsideGrammarError) as caught:
        parse_prompt("three red circles and two blue\nsquares on a dark plain background")
    assert "\n" not in str(caught.value)
    assert "expected such as 'two red circles on a dark striped background'" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Thing("pink", "circle"), "color: expected one of red"),
        (lambda: Thing("red", "star"), "shape: expected one of circle"),
        (lambda: Background("grey", "plain"), "tone: expected one of light, dark"),
        (lambda: Group(0, RED_CIRCLE), "count: expected 1 to 4, got 0"),
        (lambda: Groups((), PLAIN), "one or two"),
        (lambda: Groups((Group(3, RED_CIRCLE), Group(2, BLUE_SQUARE)), PLAIN), "4 things at most"),
        (lambda: Groups((Group(1, RED_CIRCLE), Group(2, RED_CIRCLE)), PLAIN), "twice"),
        (lambda: Relation(RED_CIRCLE, "near", BLUE_SQUARE, PLAIN), "relation: expected one of left"),
        (lambda: Relation(RED_CIRCLE, "left", RED_CIRCLE, PLAIN), "twice"),
        (lambda: Sign("red", "AB", PLAIN), "text: expected one of A"),
    ],
)
def test_impossible_scenes_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_the_order_of_parts_makes_no_other_picture():
    one, other = Group(1, RED_CIRCLE), Group(2, BLUE_SQUARE)
    assert canonical(Groups((one, other), PLAIN)) == canonical(Groups((other, one), PLAIN))
    left = Relation(RED_CIRCLE, "left", BLUE_SQUARE, PLAIN)
    assert canonical(Relation(BLUE_SQUARE, "right", RED_CIRCLE, PLAIN)) == left
    assert canonical(Relation(BLUE_SQUARE, "left", RED_CIRCLE, PLAIN)) != left
    above = Relation(RED_CIRCLE, "above", BLUE_SQUARE, PLAIN)
    assert canonical(Relation(BLUE_SQUARE, "below", RED_CIRCLE, PLAIN)) == above


@given(SCENES)
def test_canonical_form_is_stable(scene):
    assert canonical(canonical(scene)) == canonical(scene)


@given(SCENES, SUBTASKS, st.sampled_from(Wording))
def test_an_edit_changes_one_word_and_the_picture(scene, subtask, wording):
    words = write_prompt(scene, wording).split()
    for other in edits(scene, subtask):
        changed = write_prompt(other, wording).split()
        assert len(changed) == len(words)
        assert sum(one != two for one, two in zip(words, changed, strict=True)) == 1
        assert canonical(other) != canonical(scene)
        assert scene in edits(other, subtask)


@given(SCENES)
def test_no_edit_belongs_to_two_subtasks(scene):
    found = [other for subtask in Subtask for other in edits(scene, subtask)]
    assert len(found) == len(set(found))


def test_edits_of_a_known_scene():
    scene = Groups((Group(2, RED_CIRCLE), Group(1, BLUE_SQUARE)), PLAIN)
    assert len(edits(scene, Subtask.OVERALL_APPEARANCE)) == 6
    assert len(edits(scene, Subtask.COLOR)) == 10
    assert edits(scene, Subtask.COUNTING) == (Groups((Group(3, RED_CIRCLE), Group(1, BLUE_SQUARE)), PLAIN),)
    assert edits(scene, Subtask.POSITION) == ()
    assert len(edits(scene, Subtask.STYLE_TONE)) == 3
    assert edits(scene, Subtask.TEXT) == ()
    assert len(edits(Sign("red", "AT", PLAIN), Subtask.TEXT)) == 14


@pytest.fixture(scope="module")
def every_scene():
    return {subtask: list(scenes(subtask)) for subtask in Subtask}


def test_each_subtask_has_at_least_2000_scenes(every_scene):
    counts = {str(subtask): len(set(found)) for subtask, found in every_scene.items()}
    assert counts == {
        "overall_appearance": 17136,
        "color": 19728,
        "counting": 7056,
        "position": 6624,
        "style_tone": 19728,
        "text": 2592,
    }
    assert all(len(found) == counts[subtask] for subtask, found in every_scene.items())


@given(SUBTASKS, st.integers(0, 2**53))
def test_drawn_pairs_are_edits_among_the_scenes(every_scene_sets, subtask, seed):
    scene, other = sample_pair(Dice(seed), subtask)
    assert other in edits(scene, subtask)
    assert canonical(scene) in every_scene_sets[subtask]


@pytest.fixture(scope="module")
def every_scene_sets(every_scene):
    return {subtask: set(found) for subtask, found in every_scene.items()}


@pytest.mark.parametrize("subtask", Subtask)
def test_each_kind_of_a_subtask_can_be_drawn(subtask):
    for kind in KINDS[subtask]:
        scene, other = sample_pair(Dice(kind), subtask, kind)
        assert type(scene) is type(other)


def test_colors_are_far_apart():
    every = [*COLORS.values(), *BASES.values(), *MARKS.values()]
    distances = [
        sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        for position, one in enumerate(every)
        for other in every[:position]
    ]
    assert min(distances) >= 80


def test_glyphs_differ_in_five_cells_at_least():
    cells = {glyph: "".join(rows) for glyph, rows in GLYPHS.items()}
    for one in cells:
        for other in cells:
            if one != other:
                assert sum(a != b for a, b in zip(cells[one], cells[other], strict=True)) >= 5
    assert len(STRINGS) == len(set(STRINGS)) == 8 + 64


@given(st.integers(0, 2**53), st.integers(1, 20))
def test_dice_shuffle_and_pick_from_the_seed(seed, count):
    items = list(range(count))
    assert sorted(Dice(seed).shuffled(items)) == items
    assert Dice(seed).shuffled(items) == Dice(seed).shuffled(items)
    assert Dice(seed).pick(items) in items
    assert Dice(seed).fraction() == random.Random(seed).random()


def test_dice_are_fair():
    dice = Dice(0)
    counts = [0, 0, 0]
    for _ in range(6000):
        counts[dice.shuffled([0, 1, 2])[0]] += 1
    assert all(1850 < count < 2150 for count in counts)


def test_the_words_of_the_world_load_no_numpy():
    code = "import sys, paircomp.suites.shapes_suites as s; s.held_out_scenes(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
