"""Rendering, patches, blemishes and seeing."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from paircomp.shapes import Background, Dice, Group, Groups, Relation, Sign, Thing, canonical, sample_pair, sample_scene
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.components import connected_components
from paircomp.shapes.contact_sheet import draw_contact_sheet
from paircomp.shapes.layout import PATCH, placements
from paircomp.shapes.palette import COLORS
from paircomp.shapes.patches import every_patch, join_patches, split_patches
from paircomp.shapes.perception import look, to_pixels
from paircomp.shapes.renderer import draw_background, render, render_pixels
from paircomp.types import Subtask

SEEDS = st.integers(0, 2**53 - 1)
SCENES = SEEDS.map(lambda seed: sample_scene(Dice(seed)))


@given(SCENES, SEEDS)
def test_the_same_scene_and_seed_give_the_same_bytes(scene, seed):
    assert render(scene, seed).tobytes() == render(scene, seed).tobytes()
    assert (render(scene, seed).mode, render(scene, seed).size) == ("RGB", (32, 32))


def test_pictures_never_change():
    digest = hashlib.sha256()
    dice = Dice("pictures")
    for seed in range(200):
        digest.update(render_pixels(sample_scene(dice), seed).tobytes())
    assert digest.hexdigest() == "101ea48c53022fc404b75f7996aadba93976ff7c9cfb727b313b6d404f597329"


@given(SCENES, SEEDS)
def test_things_stand_on_the_patch_grid_with_room_between(scene, seed):
    if isinstance(scene, Sign):
        return
    placed = placements(scene, seed)
    assert all(left % PATCH == top % PATCH == 0 and 0 <= left <= 20 and 0 <= top <= 20 for _, left, top in placed)
    for position, one in enumerate(placed):
        for other in placed[:position]:
            assert max(abs(one.left - other.left), abs(one.top - other.top)) >= 12 + PATCH


@given(SEEDS, SEEDS)
def test_a_count_edit_moves_nothing(seed, layout_seed):
    scene, other = sample_pair(Dice(seed), Subtask.COUNTING, "two groups")
    here, there = (set(placements(each, layout_seed)) for each in (scene, other))
    assert here <= there or there <= here or scene.groups[0] == other.groups[0]


def test_all_pictures_are_made_of_few_patches():
    known = {patch.tobytes() for patch in every_patch()}
    assert len(known) == len(every_patch()) == 450  # 1,024 at most: a small codebook holds them
    dice = Dice("patches")
    for seed in range(3000):
        for patch in split_patches(render_pixels(sample_scene(dice), seed)):
            assert patch.tobytes() in known


@given(SCENES, SEEDS)
def test_patches_join_back(scene, seed):
    pixels = render_pixels(scene, seed)
    assert np.array_equal(join_patches(split_patches(pixels)), pixels)
    assert np.array_equal(split_patches(pixels)[1], pixels[:4, 4:8].ravel())


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_components_are_those_of_scipy(seed, density):
    mask = np.random.default_rng(seed).random((32, 32)) < density
    labels, count = ndimage.label(mask)
    expected = sorted((labels == label + 1).tobytes() for label in range(count))
    found = connected_components(mask, smallest=1)
    assert sorted(part.tobytes() for part in found) == expected
    sizes = [int(part.sum()) for part in found]
    assert sizes == sorted(sizes, reverse=True)
    assert len(connected_components(mask, smallest=10)) == sum(size >= 10 for size in sizes)


def seen_scene(sight):
    """The scene that a sight amounts to, as groups or a sign, in canonical form."""
    if sight.sign is not None:
        return Sign(sight.sign.color, sight.sign.text, sight.background)
    things = [one.thing for one in sight.things]
    groups = tuple(Group(things.count(thing), thing) for thing in dict.fromkeys(things))
    return canonical(Groups(groups, sight.background))


@settings(max_examples=300)
@given(SCENES, SEEDS)
def test_what_is_drawn_is_seen(scene, seed):
    sight = look(render_pixels(scene, seed))
    if isinstance(scene, Relation):
        scene = Groups((Group(1, scene.first), Group(1, scene.second)), scene.background)
    assert seen_scene(sight) == canonical(scene)
    assert sight.wrong_pixels == 0


@given(SCENES, SEEDS)
def test_things_are_seen_where_they_stand(scene, seed):
    if isinstance(scene, Sign):
        return
    seen = {(one.thing, one.left, one.top) for one in look(render_pixels(scene, seed)).things}
    assert seen == {tuple(placed) for placed in placements(scene, seed)}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_looking_at_anything_raises_nothing(seed):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for pixels in (rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), np.kron(blocks, np.ones((4, 4, 1), np.uint8))):
        sight = look(pixels)
        assert 0 <= sight.wrong_pixels <= 32 * 32
        assert all(math.isclose(sum(one.colors.values()), 1) for one in sight.things)


@pytest.mark.parametrize("color", [*COLORS.values(), (0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_a_picture_of_one_color_shows_no_scene(color):
    sight = look(np.full((32, 32, 3), color, dtype=np.uint8))
    assert sight.wrong_pixels > 200 or not sight.things


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (512, 512), (100, 70), (16, 16)])
def test_pictures_of_other_sizes_are_averaged(size):
    picture = render(Sign("red", "A", Background("light", "plain")), 0)
    assert to_pixels(picture.resize(size, Image.Resampling.NEAREST)).shape == (32, 32, 3)
    if size[0] == size[1] and size[0] % 32 == 0:
        assert np.array_equal(to_pixels(picture.resize(size, Image.Resampling.NEAREST)), np.asarray(picture))


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "1"])
def test_pictures_of_other_modes_become_rgb(mode):
    assert to_pixels(Image.new(mode, (32, 32))).shape == (32, 32, 3)


@given(SCENES, SEEDS, st.sampled_from(tuple(BLEMISHES)), st.floats(0.02, 1))
def test_a_blemish_touches_as_many_pixels_as_its_severity_says(scene, seed, kind, severity):
    pixels, ground = render_pixels(scene, seed), draw_background(scene.background)
    before = pixels.copy()
    spoilt = blemish(pixels, ground, kind, severity, Dice(seed))
    assert np.array_equal(pixels, before)
    assert np.array_equal(spoilt, blemish(pixels, ground, kind, severity, Dice(seed)))
    changed = int((spoilt != pixels).any(axis=2).sum())
    if kind != "fade":
        assert 1 <= changed <= max(1, round(severity * 48))


def test_blemishes_fit_an_empty_picture():
    ground = draw_background(Background("dark", "plain"))
    for kind in BLEMISHES:
        assert blemish(ground, ground, kind, 1.0, Dice(0)).shape == (32, 32, 3)


def test_a_thing_of_two_colors_is_seen_as_such():
    pixels = render_pixels(Groups((Group(1, Thing("red", "square")),), Background("light", "plain")), 3)
    rows, columns = (pixels == COLORS["red"]).all(axis=2).nonzero()
    pixels[rows[:72], columns[:72]] = COLORS["blue"]
    (seen,) = look(pixels).things
    assert seen.colors["red"] == seen.colors["blue"] == 0.5
    assert look(pixels).wrong_pixels == 72


def test_the_committed_contact_sheet_is_the_one_drawn():
    with Image.open(Path(__file__).parents[2] / "docs" / "images" / "shapes.png") as committed:
        size = committed.size
    sheet = draw_contact_sheet()
    assert sheet.tobytes() == draw_contact_sheet().tobytes()
    assert sheet.size == size  # letters may differ by a pixel with the version of the font renderer
