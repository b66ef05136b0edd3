"""Low-rank adapters: they alone train, the reference costs no second model, and the result is one plain checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from focusdiff.policies import load_policy
from focusdiff.run_folder import RunFolder
from paircomp.errors import ConfigError, UnavailableError
from tests.adapters.tiny_janus import save_tiny_janus
from tests.focusdiff.training_parts import Brightness, metrics, small_recipe, trained, weights

#: With dropout, so that its draws are part of what must continue to the bit.
LORA: dict[str, Any] = {"lora__rank": 2, "lora__alpha": 4, "lora__dropout": 0.1, "loop__steps": 4}
PROMPTS = ("two red circles", "a blue square left of a green circle")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny_janus(folder)
    return folder


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lora")
    trained(small_recipe(base, **LORA), out)
    return out


def test_the_finished_model_is_the_base_with_the_adapters_merged(base: Path, run: Path) -> None:
    before, after = load_file(base / "model.safetensors"), load_file(run / "model" / "model.safetensors")

    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[-2] for name in changed} == set(TARGETS)
    assert all(name.startswith("model.language_model.layers.") for name in changed)


@pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning"
)  # peft asks transformers by its old name
def test_peft_reads_the_adapter_of_a_checkpoint(base: Path, run: Path) -> None:
    from peft import PeftModel
    from transformers import JanusForConditionalGeneration

    place = RunFolder(run).checkpoints()[-1]
    assert {file.name for file in (place / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    model = JanusForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(place / "adapter")).merge_and_unload().state_dict()

    for name, weight in load_file(run / "model" / "model.safetensors").items():
        torch.testing.assert_close(merged[name], weight, rtol=1e-5, atol=1e-6, msg=name)


def test_the_reference_is_the_base(run: Path) -> None:
    lines = metrics(run)

    assert lines[0]["k3/sampled"] == pytest.approx(0, abs=1e-2)  # dropout alone tells them apart
    assert lines[-1]["k3/sampled"] > 0
    assert all(line["gradient_norm"] > 0 for line in lines)


def test_without_dropout_the_first_step_is_at_the_reference(base: Path, tmp_path: Path) -> None:
    trained(small_recipe(base, **{**LORA, "lora__dropout": 0.0, "loop__steps": 1}), tmp_path)

    (line,) = metrics(tmp_path)
    assert line["k3/sampled"] < 1e-8
    assert line["rollout_difference"] < 1e-4


def test_a_run_that_broke_off_continues_to_the_bit(base: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        trained(small_recipe(base, **LORA), tmp_path, reward=Brightness(stop_after=5))

    trained(small_recipe(base, **LORA), tmp_path)

    assert weights(tmp_path / "model") == weights(run / "model")
    assert metrics(tmp_path) == metrics(run)


def test_the_reference_moves_by_itself(base: Path, tmp_path: Path) -> None:
    moving = {**LORA, "steadiness__ref_update": "every_n", "steadiness__ref_every": 1, "loop__steps": 3}
    trained(small_recipe(base, **moving), tmp_path)

    assert "reference" in torch.load(RunFolder(tmp_path).checkpoints()[-1] / "trainer.pt", weights_only=True)


@pytest.mark.parametrize("layout", ["transformers", "original"])
@pytest.mark.parametrize("lora", [{}, LORA])
def test_checkpoints_have_the_layout_that_the_recipe_says(
    base: Path, tmp_path: Path, layout: str, lora: dict[str, Any]
) -> None:
    changes = {**lora, "lora__dropout": 0.0, "loop__steps": 2, "loop__layout": layout, "loop__weights": "bfloat16"}
    trained(small_recipe(base, **changes), tmp_path)

    told = (tmp_path / "model" / "config.json").read_text()
    assert ("multi_modality" in told) == (layout == "original")
    assert '"bfloat16"' in told
    rows = []
    for place in (tmp_path / "checkpoints" / "000002" / "model", tmp_path / "model"):
        policy = load_policy("janus", str(place), options={}, dtype="float32")
        rows.append(policy.plain_log_probs(PROMPTS, torch.arange(32).view(2, 16)).detach())
    torch.testing.assert_close(*rows, rtol=0.05, atol=0.1)


def test_what_does_not_fit_is_told(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no layer of this policy is called query; there is: .*down_proj.*q_proj"):
        trained(small_recipe(base, **{**LORA, "lora__targets": ["query"]}), tmp_path / "targets")
    with pytest.raises(ConfigError, match=r"'ema' does not go with lora"):
        small_recipe(base, **LORA, steadiness__ref_update="ema")
    with pytest.raises(ConfigError, match=r"lora\.rank: expected a count.*lora\.dropout: expected a share"):
        small_recipe(base, lora__rank=-1, lora__dropout=1.0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UnavailableError, match=r"needs peft.*pip install 'paircomp\[train\]'"):
        trained(small_recipe(base, **LORA), tmp_path / "peft")
