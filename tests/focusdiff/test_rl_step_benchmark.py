"""The benchmark of a training step holds this project's trainer against a plain loop that computes the same."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from tests.adapters.tiny_janus import save_tiny_janus  # noqa: E402

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def rl_step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("rl_step", "generate"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("rl_step")


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_both_ways_train_on_the_same_numbers(rl_step: ModuleType, guidance: float, tmp_path: Path) -> None:
    save_tiny_janus(tmp_path)
    values = [f'policy.checkpoint="{tmp_path}"', f'policy.options={{"guidance": {guidance}}}']
    said = argparse.Namespace(model=rl_step.TINY, quick=True, set=values, device="cpu", step="eager", clock="wall",
                              rounds=None)  # fmt: skip
    recipe = rl_step.recipe_of(said)
    loaded = rl_step.checkpoint_of(said, recipe, torch.float32)
    policy = rl_step.JanusPolicy(loaded, rl_step.Sampling(**recipe.policy.options))
    setting = rl_step.Setting(recipe, loaded, policy, policy.frozen_copy(), rl_step.Timer("cpu", "wall"))

    assert rl_step.furthest(setting) < 0.02  # as far as bfloat16 goes

    found = rl_step.figures(rl_step.measured(said, setting), 4, 1e9)
    spared = ["plain_loop_spared"] if guidance == 1 else []
    assert list(found["contestants"]) == ["ours", "plain_loop", *spared]
    for row in found["contestants"].values():
        assert row["parts"]["rollout"] > 0 < row["parts"]["update"]
        assert sum(row["parts"].values()) == pytest.approx(row["seconds_per_image"])
