"""Arms as they are trained, on a tiny model of the real classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from focusdiff.ablation.arms import ARMS
from focusdiff.ablation.results import read_results
from focusdiff.ablation.worker import Job, do_job
from paircomp.errors import UnknownNameError

torch = pytest.importorskip("torch")

from focusdiff.ablation.computing import picture_flops, run_flops  # noqa: E402
from focusdiff.ablation.curve_taking import Curve  # noqa: E402
from focusdiff.ablation.training import arm_values, read_arm, train_arm  # noqa: E402
from tests.adapters.tiny_janus import save_tiny_janus  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    save_tiny_janus(folder)
    return str(folder)


def small(out: Path, base: str) -> Job:
    quick = {"prompts.pairs": 2, "groups.samples": 2, "groups.probability": [[0, 1.0]]}
    return Job(out, base=base, limit=6, steps=2, samplers=("plain",), settings=quick)


def test_arms_differ_from_the_recipe_in_what_they_are_named_for(base: str, tmp_path: Path) -> None:
    job = Job(tmp_path, base=base)
    asked = {name: read_arm(arm, 4, job) for name, arm in ARMS.items()}
    pair, vanilla = asked["pair"], asked["vanilla"]
    assert (pair.groups.grouping, pair.groups.negatives, pair.loop.seed) == ("pair", "statistics", 4)
    assert (vanilla.groups.grouping, vanilla.groups.probability) == ("prompt", ((0, 0.0),))
    assert asked["wo_gt"].groups.grouping == "pair"
    assert asked["wo_gt"].groups.probability == vanilla.groups.probability
    assert asked["wo_group"].groups.probability == pair.groups.probability
    assert asked["pair_literal"].groups.negatives == "loss"
    assert asked["pair_literal"].objective.kl_members == "all"
    assert asked["vanilla_other_prompts"].prompts.source == "shapes-unpaired"
    crowded = Job(tmp_path, base=base, settings={"prompts.source": "shapes-crowded"})
    assert read_arm(ARMS["vanilla_other_prompts"], 4, crowded).prompts.source == "shapes-crowded-unpaired"
    with pytest.raises(UnknownNameError, match=r"unknown source of shapes 'pairs.jsonl'"):
        read_arm(ARMS["vanilla_other_prompts"], 4, Job(tmp_path, base=base, settings={"prompts.source": "pairs.jsonl"}))
    assert asked["sft_pairs"] == pair  # whose FLOPs it is given
    assert all(each.optimiser == pair.optimiser and each.loop == pair.loop for each in asked.values())
    assert "loop.seed" not in arm_values(ARMS["pair"])


def test_a_curve_goes_on_where_it_broke_off(base: str, tmp_path: Path) -> None:
    job = small(tmp_path, base)
    first = Curve(job.base_spec(), job, 0, tmp_path / "work")
    first.take(0, None)
    again = Curve(job.base_spec(), job, 0, tmp_path / "work")
    again.take(0, None)  # measured already: nothing is drawn, nothing is added
    assert again.seconds == 0
    assert again.rows == first.rows != []
    again.take(1, Path(base))
    assert [row["step"] for row in Curve(job.base_spec(), job, 0, tmp_path / "work").rows] == [0, 1]


@pytest.mark.parametrize("arm", ["pair", "sft_pairs"])
def test_an_arm_leaves_a_result_and_nothing_else(arm: str, base: str, tmp_path: Path) -> None:
    job = small(tmp_path, base)
    do_job(arm, 0, job, train=train_arm)
    (result,) = read_results(tmp_path)
    said = result.training
    assert next(row["step"] for row in result.curve) == 0
    assert len(result.curve) >= 2
    assert said["flops"]["total"] > 0
    assert said["diagnostics"]["log p right"] < 0
    assert result.measured["plain"]["pixels"].values.pairs.size == 6
    assert not list((tmp_path / "work").glob("*/"))
    if arm == "pair":
        assert said["images"] == 2 * 2 * 2 * 2  # steps, pairs, prompts, samples
        assert {"k3/sampled", "k3/positive", "k3/negative"} <= set(said["log"])
        recipe = read_arm(ARMS[arm], 0, job)
        assert said["flops"]["total"] == pytest.approx(run_flops(recipe, picture_flops(recipe)))
    else:
        assert said["flops"]["total"] == pytest.approx(said["flops"]["matched_to"], rel=0.5)  # whole steps of 24
