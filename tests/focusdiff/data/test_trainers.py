"""The trainers take a built folder as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from focusdiff.commands import run
from focusdiff.data.pairs import read_pairs
from tests.focusdiff.data.parts import build

JANUS_TINY = "package:focusdiff/checkpoints/janus-tiny"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "pairs"
    build(out, "--guard", "shapes", records=30)
    return out


def lines(file: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_supervised_fine_tuning_starts_from_what_its_base_knows(built: Path, tmp_path: Path) -> None:
    settings = (f"examples.source={built}", "training.steps=2", "training.examples=4", "training.rate=1e-5",
                "training.prompt_dropout=0")  # fmt: skip
    command = ["sft", "--checkpoint", JANUS_TINY, "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert run([*command, *(word for each in settings for word in ("--set", each))]) == 0

    (said,) = lines(tmp_path / "run" / "metrics.jsonl")
    assert said["step"] == 2
    assert 0 < said["loss"] < 0.3  # a base that knew nothing would stand at several units
    assert (tmp_path / "run" / "model" / "config.json").is_file()


@pytest.mark.parametrize("given", ["", "trainer/pairs.json"], ids=["folder", "published"])
def test_reinforcement_learning_is_rewarded_by_prompts_and_shown_the_true_images(
    built: Path, tmp_path: Path, given: str
) -> None:
    settings = (f"prompts.source={built / given}", "prompts.pairs=2", "groups.samples=2", "loop.steps=1",
                "loop.checkpoint_every=1", "groups.probability=[[0, 1.0]]")  # fmt: skip
    command = ["rl", "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert run([*command, *(word for each in settings for word in ("--set", each))]) == 0

    said = next(line for line in lines(tmp_path / "run" / "metrics.jsonl") if "reward" in line)
    assert said["reward/positive"] > 0.9
    assert said["reward/negative"] < 0.3
    assert said["unscored"] == 0
    assert {name.removeprefix("reward/") for name in said if name.startswith("reward/")} <= {
        "positive", "negative", *(pair.subtask or "" for pair in read_pairs(built)),
    }  # fmt: skip
