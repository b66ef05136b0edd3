"""What is done when the reward falls or stands still, and that a run that continues does the same."""

from __future__ import annotations

import json
import random

import pytest

from focusdiff.steadiness import SteadinessController, SteadinessRecipe
from focusdiff.training_protocols import Adjustment

CUT = SteadinessRecipe(cut=0.5, window=20, short=4, drop=0.1)


def run(recipe: SteadinessRecipe, rewards: list[float], controller: SteadinessController | None = None,
        start: int = 0) -> list[tuple[int, Adjustment]]:  # fmt: skip
    controller = controller or SteadinessController(recipe)
    heard = [(step, controller.observe(step, {"reward": reward})) for step, reward in enumerate(rewards, start)]
    return [(step, asked) for step, asked in heard if asked.reason]


def noisy(level: float, count: int, seed: int = 0) -> list[float]:
    dice = random.Random(seed)
    return [level + dice.uniform(-0.03, 0.03) for _ in range(count)]


def test_a_sharp_drop_cuts_the_rate_once_and_noise_never() -> None:
    ((step, asked),) = run(CUT, noisy(0.6, 40) + noisy(0.3, 20, seed=1))
    assert 40 < step < 45
    assert asked.learning_rate_scale == 0.5
    assert not asked.move_reference
    assert asked.reason
    assert "learning rate" in asked.reason
    assert run(CUT, noisy(0.6, 300)) == []
    assert run(CUT, [0.6 + 0.002 * step for step in range(100)]) == []


def test_the_rate_stays_cut_and_is_cut_again_but_never_below_the_lowest_share() -> None:
    falls = [level for start in (0.9, 0.7, 0.5, 0.3) for level in noisy(start, 40, seed=int(10 * start))]
    recipe = SteadinessRecipe(cut=0.5, window=20, short=4, drop=0.1, lowest_scale=0.3)
    controller = SteadinessController(recipe)
    scales = [asked.learning_rate_scale for _, asked in run(recipe, falls, controller)]
    assert scales == [0.5, 0.3]
    assert controller.observe(999, {"reward": 0.3}).learning_rate_scale == 0.3


def test_a_plateau_moves_the_reference_and_a_rise_does_not() -> None:
    recipe = SteadinessRecipe(ref_update="on_plateau", window=20, plateau=0.005)
    assert run(recipe, [0.01 * step for step in range(60)]) == []
    moved = run(recipe, [0.5] * 60)
    assert [step for step, _ in moved] == [19, 39, 59]  # the window fills anew in between
    assert all(asked.move_reference and asked.reference_share == 1 for _, asked in moved)


def test_a_slow_fall_moves_the_reference_and_a_collapse_does_not() -> None:
    recipe = SteadinessRecipe(ref_update="on_plateau", window=20, drop=0.1)
    slow = run(recipe, [0.8 - 0.002 * step for step in range(40)])
    assert [step for step, _ in slow] == [19, 39]
    assert slow[0][1].reason == "reward fell by 0.020 within 20 steps: the reference is the current model"

    collapsed = run(recipe, [0.8] * 40 + [0.2] * 80)

    assert [step for step, _ in collapsed] == [19, 39]  # a plateau of the collapsed model is none
    assert run(recipe, [0.8 - 0.02 * step for step in range(40)]) == []
    recovered = run(recipe, [0.8] * 20 + [0.2] * 30 + [0.8] * 30)
    assert [step for step, _ in recovered] == [19, 69]


@pytest.mark.parametrize(("kind", "share"), [("every_n", 1.0), ("ema", 0.25)])
def test_the_reference_moves_by_the_clock(kind: str, share: float) -> None:
    recipe = SteadinessRecipe(ref_update=kind, ref_every=7, ref_mix=0.25)  # type: ignore[arg-type]
    moved = run(recipe, [0.5] * 21)
    assert [(step, asked.reference_share) for step, asked in moved] == [(6, share), (13, share), (20, share)]


def test_a_continued_run_does_what_the_undisturbed_one_does() -> None:
    recipe = SteadinessRecipe(cut=0.6, ref_update="on_plateau", window=12, short=3, drop=0.05)
    rewards = noisy(0.6, 30) + noisy(0.4, 30, seed=1) + noisy(0.2, 40, seed=2) + noisy(0.6, 30, seed=3)
    whole = run(recipe, rewards)
    assert len(whole) > 3
    for killed in (5, 31, 34, 61):
        first = SteadinessController(recipe)
        before = run(recipe, rewards[:killed], first)
        after = SteadinessController(recipe)
        after.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert before + run(recipe, rewards[killed:], after, start=killed) == whole


def test_steps_without_a_reward_change_nothing() -> None:
    controller = SteadinessController(CUT)
    before = controller.state_dict()
    assert controller.observe(0, {}) == Adjustment()
    assert controller.observe(1, {"reward": float("nan")}) == Adjustment()
    assert controller.state_dict() == before


def test_a_recipe_names_all_faults() -> None:
    said = "; ".join(SteadinessRecipe(cut=2.0, window=1, short=0, ref_every=0, ref_mix=-1.0).faults())
    assert all(name in said for name in ("cut", "window", "short", "ref_every", "ref_mix"))
    assert SteadinessRecipe().idle
