"""Recipes: those that ship, and what is said of those that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from focusdiff.recipe import RLRecipe
from focusdiff.recipe_reading import read_recipe, shipped_recipes
from focusdiff.rl_command import rl_command
from focusdiff.schedules import OFFICIAL_PROBABILITY
from paircomp.errors import ConfigError, UnknownNameError
from paircomp.plugins import Registry
from paircomp.runtime.capabilities import check_options


@pytest.mark.parametrize("name", shipped_recipes("rl"))
def test_every_shipped_recipe_is_whole_and_names_parts_that_there_are(name: str) -> None:
    recipe = read_recipe(RLRecipe, name, folder="rl")

    check_options(Registry().policy(recipe.policy.name), recipe.policy.options, where=name)
    assert Registry().judge(recipe.reward.judge)


def test_the_papers_numbers() -> None:
    recipe = read_recipe(RLRecipe, "janus-pro-7b", folder="rl")

    assert (recipe.groups.samples, 2 * recipe.prompts.pairs, recipe.loop.steps) == (7, 128, 2200)
    assert (recipe.groups.ground_truth, recipe.groups.negatives, recipe.optimiser.fall) == ("add", "loss", "cosine")


def test_the_published_codes_numbers() -> None:
    recipe = read_recipe(RLRecipe, "janus-pro-7b-official", folder="rl")

    assert recipe.groups.probability == OFFICIAL_PROBABILITY
    assert recipe.policy.options["convention"] == "official"
    assert [recipe.optimiser.schedule.at(step, 2200) for step in (100, 300, 2200)] == pytest.approx([1e-5, 2e-6, 2e-7])


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[prompts]\nsource = 3\npairs = 0\n[reward]\njudges = 'pixels'\n[optimiser]\nrate = true\nwarm_up = 1\n"
        "convert_rate = 1\nconvert_at = 'half'\nfinal_rate = 1\nfall = 'steep'\n"
        "[groups]\nprobability = [[0, 1, 2]]\n[lop]\nsteps = 3\n"
    )

    with pytest.raises(ConfigError) as caught:
        read_recipe(RLRecipe, str(file), folder="rl")

    assert caught.value.faults == (
        "lop: unknown, did you mean loop?",
        "prompts.source: expected a text, got 3",
        "reward.judges: unknown, did you mean judge?",
        "reward.judge: required",
        "optimiser.rate: expected a number, got True",
        "optimiser.fall: expected 'cosine', 'linear', got 'steep'",
        "loop: required",
        "groups.probability: expected [[a whole number or a text, a number] ...], got [[0, 1, 2]]",
    )


def test_values_that_do_not_fit_are_told_at_once_too() -> None:
    values = {"prompts.pairs": 0, "groups.samples": 1, "loop.steps": 0, "optimiser.convert_at": "half",
              "groups.probability": [["120%", 1.0]]}  # fmt: skip

    with pytest.raises(ConfigError) as caught:
        read_recipe(RLRecipe, "shapes", folder="rl", values=values)

    assert len(caught.value.faults) == 5
    assert "optimiser.convert_at: expected a step or a share of the run such as '80%', got 'half'" in str(caught.value)


def test_a_fixed_value_goes_before_the_files() -> None:
    recipe = read_recipe(RLRecipe, "shapes", folder="rl", values={"loop.seed": 7, "optimiser.rate": 1})

    assert (recipe.loop.seed, recipe.optimiser.rate) == (7, 1.0)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'shapez': did you mean shapes"):
        read_recipe(RLRecipe, "shapez", folder="rl")
    with pytest.raises(ConfigError, match=r"cannot be read"):
        read_recipe(RLRecipe, str(tmp_path / "gone.toml"), folder="rl")


def test_without_a_kl_term_no_reference_can_move() -> None:
    values = {"objective.beta": 0.0, "steadiness.ref_update": "every_n"}
    with pytest.raises(ConfigError, match=r"steadiness\.ref_update: with objective\.beta 0 there is no reference"):
        read_recipe(RLRecipe, "shapes", folder="rl", values=values)


def test_the_command_names_every_recipe_that_ships() -> None:
    (option,) = (each for each in rl_command.params if each.name == "recipe")
    named = option.help.partition("(")[2].partition(")")[0].split(", ")  # type: ignore[attr-defined]
    assert sorted(named) == sorted(shipped_recipes("rl"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("objective.beta", -0.04, "beta: expected a number from 0, got -0.04"),
        ("objective.epsilon", -0.2, "epsilon: expected a number from 0"),
        ("optimiser.rate", -1e-4, "rate: expected a number from 0"),
        ("optimiser.warm_up", -5, "warm_up: expected a count from 0, got -5"),
        ("optimiser.betas", [0.9, 1.0], "betas: expected two shares"),
        ("optimiser.max_gradient_norm", -1.0, "max_gradient_norm: expected a number above 0"),
        ("loop.rollout_batch", -1, "rollout_batch: expected a count from 0"),
        ("loop.probe_every", -1, "probe_every: expected a count from 0"),
        ("groups.probability", [["80%", 1.0], [10, 0.0]], "expected knots at ascending positions"),
        ("groups.probability", [], "expected knots at ascending positions"),
        ("groups.probability", [[0, 7.0]], "expected chances from 0 to 1"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_recipe(RLRecipe, "shapes", folder="rl", values={key: value})
    assert said in str(raised.value)
