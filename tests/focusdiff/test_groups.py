"""Groups: who is compared with whom."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from focusdiff.groups import GroupRecipe, Member, groups_of, pad_rewards, unpadded
from focusdiff.objective import group_advantages
from focusdiff.shapes_pairs import SHAPES_SOURCES, ShapesPairs, shapes_pairs, without_partners
from focusdiff.training_protocols import StepPair
from paircomp.errors import UnknownNameError
from paircomp.shapes import Groups, Relation, parse_prompt
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import Subtask

PAIR = ShapesPairs(0).draw(0, 1)[0]
SINGLE = StepPair("alone", "color", ("one red circle",))
PAPER = GroupRecipe()
OFFICIAL = GroupRecipe(ground_truth="replace")


def told(group: tuple[Member, ...]) -> list[str]:
    """``1s``: a sample of the first prompt; ``1+``, ``1-``: its positive and negative."""
    sign = {"sampled": "s", "positive": "+", "negative": "-"}
    return [f"{PAIR.prompts.index(member.prompt) + 1}{sign[member.kind]}" for member in group]


def made(recipe: GroupRecipe, *, probability: float, pair: StepPair = PAIR, step: int = 0) -> list[tuple[Member, ...]]:
    return groups_of([pair], recipe, seed=3, step=step, probability=probability)


def test_the_papers_group_grows_from_14_to_18() -> None:
    (without,), (with_truth,) = made(PAPER, probability=0), made(PAPER, probability=1)

    assert told(without) == ["1s"] * 7 + ["2s"] * 7
    assert told(with_truth) == [*["1s"] * 7, "1+", "1-", *["2s"] * 7, "2+", "2-"]


def test_the_published_group_always_has_14_in_the_published_order() -> None:
    (group,) = made(OFFICIAL, probability=1)

    assert told(group) == [*["1s"] * 5, "1+", "1-", *["2s"] * 5, "2+", "2-"]
    assert PAIR.pictures is not None
    pictures = [member.picture for member in group if member.kind != "sampled"]
    assert pictures == [PAIR.pictures[0], PAIR.pictures[1], PAIR.pictures[1], PAIR.pictures[0]]
    assert told(made(OFFICIAL, probability=0)[0]) == ["1s"] * 7 + ["2s"] * 7


def test_one_group_per_prompt_keeps_its_ground_truth() -> None:
    recipe = dataclasses.replace(PAPER, grouping="prompt")

    first, second = made(recipe, probability=1)

    assert told(first) == [*["1s"] * 7, "1+", "1-"]
    assert told(second) == [*["2s"] * 7, "2+", "2-"]


def test_without_ground_truth_and_with_groups_split_it_is_vanilla_grpo() -> None:
    """The same pictures with the same seeds; advantages equal to those of each prompt alone."""
    vanilla = made(dataclasses.replace(PAPER, grouping="prompt"), probability=0)
    (joint,) = made(PAPER, probability=0)
    assert [member for group in vanilla for member in group] == list(joint)

    rewards = torch.rand(14)
    sizes = [len(group) for group in vanilla]
    split = unpadded(group_advantages(pad_rewards(rewards.tolist(), sizes)), sizes)
    for half in (slice(0, 7), slice(7, 14)):
        own = (rewards[half] - rewards[half].mean()) / (rewards[half].std() + 1e-4)
        assert torch.allclose(split[half], own, atol=1e-6)


def test_prompts_without_partner_make_groups_of_their_own() -> None:
    for recipe in (PAPER, OFFICIAL):
        (group,) = made(recipe, probability=1, pair=SINGLE)
        assert [member.kind for member in group] == ["sampled"] * 7


def test_ground_truth_is_one_draw_per_pair_that_other_recipes_share() -> None:
    joins = [
        [len(made(recipe, probability=0.5, step=step)[0]) > 14 for step in range(200)]
        for recipe in (PAPER, dataclasses.replace(PAPER, negatives="statistics"))
    ]

    assert joins[0] == joins[1]
    assert 70 < sum(joins[0]) < 130


def test_every_sample_of_a_run_has_a_seed_of_its_own() -> None:
    pairs = ShapesPairs(0).draw(0, 6)
    members = [member for step in range(3) for group in groups_of(pairs, PAPER, seed=0, step=step, probability=1)
               for member in group]  # fmt: skip

    seeds = [member.seed for member in members if member.kind == "sampled"]
    assert len(set(seeds)) == len(seeds) == 3 * 6 * 14
    assert all(seed is not None and 0 <= seed < 2**53 for seed in seeds)


def test_rewards_come_back_from_their_groups_in_order() -> None:
    padded = pad_rewards([1, 2, 3, 4, 5], [2, 3])

    assert padded[0, 2].isnan()
    assert unpadded(padded, [2, 3]).tolist() == [1, 2, 3, 4, 5]


def test_training_pairs_of_shapes_take_turns_and_show_nothing_that_is_held_out() -> None:
    pairs = [pair for step in range(4) for pair in ShapesPairs(1).draw(step, 6)]

    assert [pair.subtask for pair in pairs] == list(Subtask) * 4
    assert not any(is_held_out(parse_prompt(prompt)) for pair in pairs for prompt in pair.prompts)
    assert ShapesPairs(1).draw(2, 6) == pairs[12:18]
    assert ShapesPairs(2).draw(2, 6) != pairs[12:18]


def test_crowded_pairs_show_two_kinds_of_thing_and_nothing_that_is_held_out() -> None:
    pairs = ShapesPairs(1, crowded=True).draw(0, 60)
    scenes = [parse_prompt(prompt) for pair in pairs for prompt in pair.prompts]

    assert {type(scene) for scene in scenes} == {Groups, Relation}
    assert all(len(scene.groups) == 2 for scene in scenes if isinstance(scene, Groups))
    assert not any(map(is_held_out, scenes))
    assert [pair.subtask for pair in pairs[:5]] == [subtask for subtask in Subtask if subtask is not Subtask.TEXT]
    assert pairs == ShapesPairs(1, crowded=True).draw(0, 60)


def test_sources_of_shapes_go_by_name() -> None:
    drawn = {source: shapes_pairs(source, 3).draw(0, 6) for source in SHAPES_SOURCES}

    assert [len(pairs[0].prompts) for pairs in drawn.values()] == [2, 1, 2, 1]
    assert drawn["shapes-crowded"] == ShapesPairs(3, crowded=True).draw(0, 6) != drawn["shapes"]
    assert without_partners("shapes-crowded") == without_partners("shapes-crowded-unpaired")
    with pytest.raises(UnknownNameError, match=r"unknown source of shapes 'shapes-crowd': did you mean shapes-crowded"):
        shapes_pairs("shapes-crowd", 3)


def test_unpaired_prompts_are_as_many_as_those_of_the_pairs() -> None:
    singles = ShapesPairs(1, partners=False).draw(0, 6)

    assert [len(pair.prompts) for pair in singles] == [1] * 12
    assert all(pair.pictures is None for pair in singles)
