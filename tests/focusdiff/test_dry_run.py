"""A dry run finds what is missing, does one small step, and estimates what can be held against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from focusdiff.commands import focusdiff  # noqa: E402
from focusdiff.dry_run import showing  # noqa: E402
from focusdiff.dry_run.estimates import MachineRates, StepMembers, least_seconds, memory_needed, saved_for_backward  # noqa: E402
from focusdiff.dry_run.rehearsal import rehearse  # noqa: E402
from focusdiff.dry_run.sizes import sizes_of  # noqa: E402
from focusdiff.groups import groups_of  # noqa: E402
from focusdiff.member_passes import checkpoint_gradients  # noqa: E402
from focusdiff.policies import load_policy  # noqa: E402
from focusdiff.recipe import RLRecipe  # noqa: E402
from focusdiff.recipe_reading import read_recipe  # noqa: E402
from focusdiff.shapes_pairs import ShapesPairs  # noqa: E402
from paircomp.plugins import Registry  # noqa: E402
from tests.adapters.tiny_janus import save_tiny_janus  # noqa: E402
from tests.focusdiff.training_parts import small_recipe  # noqa: E402

#: This process has begun with the plain format, and accelerate keeps to it.
_PLAIN = ("--set", "loop.precision=float32")


def shipped(name: str, **values: Any) -> RLRecipe:
    changes = {key.replace("__", "."): value for key, value in values.items()}
    recipe: RLRecipe = read_recipe(RLRecipe, name, folder="rl", values=changes)
    return recipe


@pytest.mark.parametrize("layout", ["transformers", "original"])
def test_sizes_are_those_of_the_loaded_policy(layout: str, tmp_path: Path) -> None:
    save_tiny_janus(tmp_path / "begun")
    policy = load_policy("janus", str(tmp_path / "begun"), options={})
    policy.save(tmp_path / "saved", layout=layout)

    sizes = sizes_of(str(tmp_path / "saved"))

    assert sizes is not None
    model: Any = policy.module.model
    config = model.config.text_config
    assert (sizes.layers, sizes.width, sizes.inner) == (
        config.num_hidden_layers, config.hidden_size, config.intermediate_size,
    )  # fmt: skip
    assert sizes.key_width == config.num_key_value_heads * config.head_dim
    assert (sizes.codes, sizes.tokens) == (policy.codes, policy.length)
    weights = list(policy.module.parameters())
    assert sizes.trained == sum(weight.numel() for weight in weights if weight.requires_grad)
    assert sizes.frozen == pytest.approx(
        sum(weight.numel() for weight in weights if not weight.requires_grad), rel=0.01
    )


def test_a_released_model_is_known_without_its_weights() -> None:
    spec = Registry().models()["janus-pro-7b"]
    sizes = sizes_of(spec.checkpoint or "")
    assert sizes is not None
    assert sizes.trained + sizes.frozen == spec.parameters
    assert sizes_of("nobody/nothing") is None


@pytest.mark.parametrize("again", [False, True])
def test_what_a_backward_pass_keeps_is_estimated(again: bool, tmp_path: Path) -> None:
    save_tiny_janus(tmp_path, width=128, layers=4, heads=4, key_value_heads=4, grid=8, vocabulary=264)
    recipe = small_recipe(tmp_path, groups__samples=4, loop__micro_batch=8, loop__gradient_checkpointing=again)
    policy, sizes = load_policy("janus", str(tmp_path), options=recipe.policy.options), sizes_of(str(tmp_path))
    assert sizes is not None
    policy.module.train()
    if again:
        checkpoint_gradients(policy.module)
    weights = {weight.untyped_storage().data_ptr() for weight in policy.module.parameters()}
    held = []  # as long as they are held, no two lie in the same place

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        held.append(tensor)
        return tensor

    prompts = ["x" * 24] * 8  # forty tokens with the frame around it
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.log_probs(prompts, torch.zeros(8, 64, dtype=torch.long))

    members = StepMembers.of(recipe)
    estimated = saved_for_backward(recipe, sizes, members) - 8 * 64 * sizes.codes * 8
    if again:  # one layer's own share comes when it is computed again
        estimated -= 8 * 104 * 4 * (8 * sizes.width + 2 * sizes.key_width + 4 * sizes.inner)
    kept = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in held}
    found = sum(size for place, size in kept.items() if place not in weights)
    assert found == pytest.approx(estimated, rel=0.3)


def test_members_are_those_of_a_step() -> None:
    recipe = shipped("shapes")
    drawn = groups_of(ShapesPairs(0).draw(0, recipe.prompts.pairs), recipe.groups, seed=0, step=0, probability=1.0)
    assert StepMembers.of(recipe).all == sum(map(len, drawn))
    assert StepMembers.of(recipe).sampled == sum(member.kind == "sampled" for group in drawn for member in group)


@pytest.mark.parametrize("name", ["janus-pro-7b", "janus-pro-7b-official"])
def test_the_shipped_recipes_fit_eight_devices_of_80_gb(name: str) -> None:
    recipe = shipped(name)
    sizes = sizes_of(recipe.policy.checkpoint)
    assert sizes is not None
    assert sum(memory_needed(recipe, sizes, device="cuda", processes=8).values()) < 75e9
    assert sum(memory_needed(recipe, sizes, device="cuda", processes=1).values()) > 80e9


def test_the_small_recipe_fits_one_device_of_80_gb_and_adapters_take_less() -> None:
    recipe, thin = shipped("janus-pro-1b"), shipped("janus-pro-1b", lora__rank=16)
    sizes = sizes_of(recipe.policy.checkpoint)
    assert sizes is not None
    whole, less = (memory_needed(each, sizes, device="cuda") for each in (recipe, thin))
    assert sum(whole.values()) < 75e9
    assert "reference model" not in less
    assert less["gradients"] < whole["gradients"] / 20
    assert less["optimiser's state"] == 2 * less["gradients"]


def test_seconds_are_bounded_by_products_and_by_reading_the_weights() -> None:
    recipe = shipped("janus-pro-7b")
    sizes = sizes_of(recipe.policy.checkpoint)
    assert sizes is not None
    endless = least_seconds(recipe, sizes, MachineRates(1e30, 1e12), device="cuda")
    drawn = StepMembers.of(recipe).sampled
    batches = -(-drawn // recipe.loop.rollout_batch)
    assert endless["rollout"] == pytest.approx(batches * 576 * (sizes.passed + sizes.head) * 4 / 1e12)
    rates = MachineRates(1e14, 1e30)
    one, eight = (least_seconds(recipe, sizes, rates, device="cuda", processes=count) for count in (1, 8))
    assert one["update"] == pytest.approx(4 * one["reference"])  # forwards again, and backwards twice
    assert eight["update"] == pytest.approx(one["update"] / 8)


def test_nothing_is_missing_for_the_embedded_recipe() -> None:
    done = rehearse(shipped("shapes"), device="cpu")
    assert (done.missing, done.stood_in) == ([], {})
    assert done.numbers["members/sampled"] == 6
    assert done.numbers["gradient_norm"] > 0
    assert done.reward_seconds is not None


def test_what_is_missing_is_named_at_once_and_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(focusdiff, ["rl", "--recipe", "janus-pro-7b", "--dry-run", "--processes", "8", *_PLAIN])
    fault = str(said.exception)
    assert said.exit_code != 0
    for part in ("deepseek-community/Janus-Pro-7B", "focusdiff-pairs", "InternVL2_5-26B"):
        assert part in fault
    assert "prompts: shapes stood in" in said.output
    assert "reward: pixels stood in" in said.output
    assert "policy: janus-tiny stood in" in said.output
    assert "Memory of each of 8" in said.output
    assert not list(tmp_path.iterdir())


def test_a_run_that_does_not_fit_says_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "device_memory", lambda device: 2**20)
    said = CliRunner().invoke(focusdiff, ["rl", "--dry-run"])
    assert "micro_batch" in str(said.exception)
    assert "1 MiB" in str(said.exception)


def test_a_real_run_needs_its_folder() -> None:
    said = CliRunner().invoke(focusdiff, ["rl", "--recipe", "shapes"])
    assert said.exit_code == 2
    assert "--out" in said.output
