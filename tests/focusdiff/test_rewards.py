"""Rewards: judges and functions by name, sums of them, long prompts, and that nothing unscored becomes a number."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from PIL import Image

from focusdiff.recipe import RewardRecipe
from focusdiff.rewards.building import build_reward
from focusdiff.rewards.scores import Scores
from focusdiff.rewards.weighted import WeightedReward
from paircomp.errors import AdapterError, ConfigError, JudgeError, UnknownNameError
from paircomp.plugins import Registry
from paircomp.shapes import parse_prompt, write_prompt
from paircomp.shapes.renderer import render
from paircomp.suites import load_suite

SUITE = load_suite(Registry(), "shapes-dev")
RIGHT = [pair.prompts[0] for pair in SUITE.pairs[::40]]
PICTURES = [render(parse_prompt(prompt), 3) for prompt in RIGHT]
SUBTASKS = [pair.subtask for pair in SUITE.pairs[::40]]

OWN = '''
import math

def constant(*, value: float = 0.5):
    return lambda prompts, pictures, subtasks: [value] * len(pictures)

def some():
    return lambda prompts, pictures, subtasks: [0.25, None, math.nan] + [1.0] * (len(pictures) - 3)

def broken(*, how: str):
    def reward(prompts, pictures, subtasks):
        if how == "raises":
            raise OSError("no server at all")
        return {"short": [0.5], "infinite": [math.inf] * len(pictures), "text": ["good"] * len(pictures)}[how]
    return reward

class Silent:
    """A judge that has no opinion of the first picture, and breaks its contract when told to."""

    def __init__(self, score):
        self.score = score

    def judge(self, requests):
        from paircomp.types import Judgement
        for request in requests:
            place = request.key.pair
            if place == 0:
                yield Judgement(request.key, 0, unscored="never seen such a thing")
            else:
                yield Judgement(request.key, 0, score=self.score)

    def close(self):
        pass

def silent(*, checkpoint=None, device="cpu", dtype=None, score: float = 0.5):
    return Silent(score)
'''


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else, as an installer leaves it."""
    (tmp_path / "own_rewards.py").write_text(OWN)
    metadata = tmp_path / "own_rewards-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-rewards\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[focusdiff.rewards]\nconstant = own_rewards:constant\nsome = own_rewards:some\nbroken = own_rewards:broken\n"
        "gone = own_rewards:gone\nrecorded = own_rewards:constant\n[paircomp.judges]\nsilent = own_rewards:silent\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_rewards", None)


def asked(reward: WeightedReward, prompts: Sequence[str] = RIGHT, pictures: Sequence[Image.Image] = PICTURES) -> Scores:
    try:
        found = reward.score(prompts, pictures, SUBTASKS).result()
    finally:
        reward.close()
    assert isinstance(found, Scores)
    return found


def test_a_judge_by_name_scores_each_picture_under_its_own_prompt() -> None:
    right = asked(build_reward(RewardRecipe("pixels")))
    wrong = asked(build_reward(RewardRecipe("pixels")), prompts=[*RIGHT[1:], RIGHT[0]])
    assert min(right) > 0.9
    assert max(wrong) < 0.2
    assert right.reasons == {}
    assert set(right.seconds) == {"pixels"}
    assert right.seconds["pixels"] > 0


def test_what_a_judge_cannot_tell_is_nan_with_its_reason_and_never_zero() -> None:
    found = asked(build_reward(RewardRecipe("pixels")), prompts=["a watercolour of a fox", *RIGHT[1:]])
    assert math.isnan(found[0])
    assert not any(map(math.isnan, found[1:]))
    assert list(found.reasons) == [0]
    assert found.reasons[0]


def test_calls_that_are_not_waited_for_give_what_waiting_gives() -> None:
    recipe = RewardRecipe("pixels", weights={"faithful": 0.5})
    eager = build_reward(recipe)
    futures = [eager.score([prompt], [picture], [subtask]) for prompt, picture, subtask in
               zip(RIGHT, reversed(PICTURES), SUBTASKS, strict=True)]  # fmt: skip
    together = [future.result()[0] for future in reversed(futures)][::-1]
    eager.close()
    built = build_reward(recipe)
    waiting = WeightedReward(built._scorers, [1.0, 0.5], wait=True)
    future = waiting.score(RIGHT, PICTURES[::-1], SUBTASKS)
    assert future.done()
    assert list(future.result()) == together
    waiting.close()


@pytest.mark.usefixtures("own_package")
def test_sums_are_weighted_and_unscored_where_any_part_is() -> None:
    recipe = RewardRecipe("faithful", weights={"faithful": 2.0, "some": -1.0, "constant": 1.0},
                          options_of={"constant": {"value": 0.125}})  # fmt: skip
    found = asked(build_reward(recipe))
    assert found[0] == pytest.approx(2 * 1 - 0.25 + 0.125)
    assert math.isnan(found[1])
    assert math.isnan(found[2])
    assert set(found.reasons) == {1, 2}
    assert "some" in found.reasons[1]
    assert set(found.parts) == set(found.seconds) == {"faithful", "some", "constant"}


@pytest.mark.usefixtures("own_package")
def test_long_prompts_go_to_the_judge_for_long_prompts() -> None:
    short = write_prompt(parse_prompt(RIGHT[0]))
    long = [short, " ".join(["word"] * 30), *RIGHT[2:]]
    recipe = RewardRecipe("pixels", long_prompt_judge="silent", long_prompt_words=30,
                          options_of={"silent": {"score": 0.75}})  # fmt: skip
    found = asked(build_reward(recipe), prompts=long)
    assert found[0] > 0.9
    assert math.isnan(found[1])  # the judge's first picture
    assert found.reasons == {1: "never seen such a thing"}
    again = asked(build_reward(recipe), prompts=[long[1], long[1], *RIGHT[2:]])
    assert again[1] == 0.75


@pytest.mark.usefixtures("own_package")
@pytest.mark.parametrize(
    ("how", "said"),
    [("raises", "OSError: no server at all"), ("short", "expected 6 numbers, got 1"), ("infinite", "finite"),
     ("text", "'good'")],
)  # fmt: skip
def test_a_broken_function_stops_the_step_in_one_line(how: str, said: str) -> None:
    with pytest.raises(AdapterError, match=said):
        asked(build_reward(RewardRecipe("broken", {"how": how})))


@pytest.mark.usefixtures("own_package")
def test_a_judge_that_breaks_its_contract_stops_the_step() -> None:
    with pytest.raises(JudgeError, match=r"'silent'.*\[0, 1\].*1.5"):
        asked(build_reward(RewardRecipe("silent", {"score": 1.5})))


@pytest.mark.usefixtures("own_package")
def test_names_and_options_are_checked_before_anything_runs() -> None:
    with pytest.raises(UnknownNameError, match="faithful"):
        build_reward(RewardRecipe("faithfull"))
    with pytest.raises(ConfigError, match="both a judge and a function"):
        build_reward(RewardRecipe("recorded"))
    with pytest.raises(ConfigError, match="valu"):
        build_reward(RewardRecipe("constant", {"valu": 1.0}))
    with pytest.raises(ConfigError, match=r"options_of\.some: not among the rewards"):
        build_reward(RewardRecipe("constant", options_of={"some": {}}))
    with pytest.raises(AdapterError, match=r"own-rewards 1\.0 cannot be loaded"):
        build_reward(RewardRecipe("gone"))


def test_a_recipe_names_all_faults_of_its_reward_section() -> None:
    recipe = RewardRecipe("pixels", weights={"a": "much"}, options_of={"b": 1}, long_prompt_words=0, most_unscored=2.0)  # type: ignore[dict-item]
    said = "; ".join(recipe.faults())
    assert all(name in said for name in ("weights.a", "options_of.b", "long_prompt_words", "most_unscored"))


def test_closing_waits_for_what_is_under_way() -> None:
    reward = build_reward(RewardRecipe("pixels"))
    future: Future[Sequence[float]] = reward.score(RIGHT, PICTURES, SUBTASKS)
    reward.close()
    assert future.done()
    assert len(future.result()) == len(RIGHT)
