"""The training loop on a small Janus of the real class: what changes nothing, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from focusdiff.launch import training_pairs
from paircomp.errors import ConfigError, OutOfMemory, RunError
from tests.adapters.tiny_janus import save_tiny_janus
from tests.focusdiff.training_parts import Brightness, metrics, small_recipe, trained

ONE = {"loop__steps": 1, "loop__checkpoint_every": 1, "loop__probe_every": 0}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny_janus(folder)
    return folder


def moved(base: Path, model: Path) -> dict[str, torch.Tensor]:
    before, after = load_file(base / "model.safetensors"), load_file(model / "model.safetensors")
    return {name: after[name] - before[name] for name in after if not torch.equal(after[name], before[name])}


def test_micro_batches_and_parts_of_a_rollout_change_memory_and_not_results(base: Path, tmp_path: Path) -> None:
    trained(small_recipe(base, **ONE), tmp_path / "small")
    trained(small_recipe(base, **ONE, loop__micro_batch=100, loop__rollout_batch=4), tmp_path / "large")

    small, large = (moved(base, tmp_path / name / "model") for name in ("small", "large"))
    assert small.keys() == large.keys() != set()
    assert [name for name in small if "vqmodel" in name or "vision_model" in name] == []
    for one, other in zip(metrics(tmp_path / "small"), metrics(tmp_path / "large"), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_members_in_the_statistics_only_leave_the_weights_to_the_others(base: Path, tmp_path: Path) -> None:
    """Without its negatives in the loss a step moves otherwise; its rewards and advantages are the same."""
    lines = {}
    for negatives in ("statistics", "loss"):
        out = tmp_path / negatives
        trained(small_recipe(base, **ONE, groups__negatives=negatives), out)
        (lines[negatives],) = metrics(out)

    assert lines["statistics"]["reward"] == lines["loss"]["reward"]
    assert lines["statistics"]["log_prob/negative"] == pytest.approx(lines["loss"]["log_prob/negative"], abs=1e-5)
    assert lines["statistics"]["gradient_norm"] != pytest.approx(lines["loss"]["gradient_norm"], rel=1e-3)
    assert lines["statistics"]["flops/update"] < lines["loss"]["flops/update"]


@pytest.mark.parametrize(
    "values",
    [{"objective__kl": "exact"}, {"groups__ground_truth": "replace"}, {"prompts__source": "shapes-unpaired"},
     {"objective__beta": 0.0}, {"policy__options": {"guidance": 2.0, "convention": "official"}},
     {"policy__options": {"guidance": 1.0, "top_k": 5}}, {"loop__gradient_checkpointing": True},
     {"groups__grouping": "prompt", "objective__normalisation": "sequence", "objective__kl_members": "all"}],
    ids=lambda values: " ".join(map(str, values.values())),
)  # fmt: skip
def test_every_kind_of_run_goes(base: Path, tmp_path: Path, values: dict[str, object]) -> None:
    trained(small_recipe(base, **{**ONE, **values}), tmp_path)

    (line,) = metrics(tmp_path)
    assert moved(base, tmp_path / "model")
    assert line["gradient_norm"] > 0
    if values.get("policy__options", {}).get("convention") != "official":  # type: ignore[attr-defined]
        assert line["rollout_difference"] < 1e-4


def test_the_exact_kl_is_near_the_estimate(base: Path, tmp_path: Path) -> None:
    trained(small_recipe(base, objective__kl="exact", objective__beta=0.5, loop__steps=3), tmp_path)

    last = metrics(tmp_path)[-1]
    assert 0.2 < last["kl/sampled"] / last["k3/sampled"] < 5


def test_pictures_that_cannot_be_scored_give_no_advantage_and_are_counted(base: Path, tmp_path: Path) -> None:
    trained(small_recipe(base, **ONE), tmp_path, reward=Brightness(unscored=3))

    (line,) = metrics(tmp_path)
    assert 0.2 < line["unscored"] < 0.5
    assert line["reward"] > 0.1


def test_a_reward_of_nothing_but_nan_stops_the_run(base: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"step 0: 20 of 20 pictures could not be scored by 'brightness'.*next: see that"
    ):
        trained(small_recipe(base, **ONE, groups__probability=[[0, 1.0]]), tmp_path, reward=Brightness(unscored=1))

    assert not (tmp_path / "model").exists()


def test_a_run_that_diverges_stops_and_says_what_to_lower(base: Path, tmp_path: Path) -> None:
    recipe = small_recipe(base, optimiser__rate=1e30, optimiser__convert_rate=1e30, loop__checkpoint_every=1)

    with pytest.raises(RunError, match=r"step \d diverged.*optimiser\.rate=5e\+29 \(now 1e\+30\)"):
        trained(recipe, tmp_path)

    assert not (tmp_path / "model").exists()


def test_running_out_of_memory_says_what_to_change_and_by_how_much(base: Path, tmp_path: Path) -> None:
    class Full(Brightness):
        def score(self, *given: object) -> object:  # type: ignore[override]
            raise MemoryError

    with pytest.raises(OutOfMemory, match=r"loop\.rollout_batch=8; next: loop\.rollout_batch=4"):
        trained(small_recipe(base, **ONE, loop__rollout_batch=8), tmp_path, reward=Full())


def test_a_truncated_checkpoint_is_told_in_a_line(base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    save_tiny_janus(broken)
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])

    with pytest.raises(Exception, match=r"broken.*") as caught:
        trained(small_recipe(broken), tmp_path / "out")

    assert type(caught.value).__module__.startswith("paircomp")
    with pytest.raises(ConfigError, match=r"no checkpoint; next: --checkpoint"):
        trained(small_recipe(Path(), policy__checkpoint=""), tmp_path / "none")


def test_shapes_prompts_are_the_recipes(base: Path) -> None:
    seven, eight = (training_pairs(small_recipe(base, loop__seed=seed)).draw(0, 3) for seed in (7, 8))

    assert seven != eight
    assert json.dumps([pair.prompts for pair in seven])
