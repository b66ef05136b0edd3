"""A run that was broken off continues to the bit."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from focusdiff.run_folder import RunFolder
from paircomp.errors import RunError, RunMismatchError
from paircomp_adapters.janus_checkpoint import load_janus
from tests.adapters.tiny_janus import save_tiny_janus
from tests.focusdiff.training_parts import Brightness, metrics, small_recipe, trained, weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny_janus(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    trained(small_recipe(base), out)
    return out


def test_every_policy_on_disk_says_whose_score_trained_it(undisturbed: Path) -> None:
    from paircomp.runtime.training_manifest import trained_with_judge

    places = [undisturbed / "model", *(found / "model" for found in RunFolder(undisturbed).checkpoints())]
    assert len(places) > 1
    assert [trained_with_judge(str(place)) for place in places] == ["pixels"] * len(places)
    assert all("judge `pixels` was its reward" in (place / "README.md").read_text() for place in places)


def test_a_run_says_what_happened_at_every_step(undisturbed: Path) -> None:
    lines = metrics(undisturbed)

    assert [line["step"] for line in lines] == list(range(6))
    told = {"reward", "loss", "gradient_norm", "learning_rate", "groups/without_spread", "log_prob/sampled"}
    told |= {"k3/sampled", "log_prob/negative", "k3/positive", "rollout_difference", "flops/update", "members/sampled"}
    assert told <= {*lines[0]}
    assert [line["step"] for line in lines if "probe/right_log_prob" in line] == [0, 2, 4]
    assert all(line["rollout_difference"] < 1e-4 for line in lines)
    assert lines[0]["k3/sampled"] == 0 < 1e-4 < lines[-1]["k3/sampled"]


def test_two_runs_of_one_recipe_are_equal_to_the_bit(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    trained(small_recipe(base), tmp_path)

    assert weights(tmp_path / "model") == weights(undisturbed / "model")
    assert metrics(tmp_path) == metrics(undisturbed)


@pytest.mark.parametrize("calls", [1, 5, 9])
def test_a_run_that_broke_off_continues_to_the_bit(base: Path, undisturbed: Path, tmp_path: Path, calls: int) -> None:
    with pytest.raises(ConnectionError):
        trained(small_recipe(base), tmp_path, reward=Brightness(stop_after=calls))
    assert not (tmp_path / "model").exists()

    trained(small_recipe(base), tmp_path)

    assert weights(tmp_path / "model") == weights(undisturbed / "model")
    assert metrics(tmp_path) == metrics(undisturbed)


def test_a_continued_run_outlives_the_checkpoint_it_began_from(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    """With one checkpoint kept, that one is gone when the next is written: the tokenizer must not have gone with it."""
    recipe = small_recipe(base)
    recipe = dataclasses.replace(recipe, loop=dataclasses.replace(recipe.loop, keep=1, checkpoint_every=2))
    with pytest.raises(ConnectionError):
        trained(recipe, tmp_path, reward=Brightness(stop_after=5))
    begun = [found.name for found in RunFolder(tmp_path).checkpoints()]

    trained(recipe, tmp_path)

    [kept] = RunFolder(tmp_path).checkpoints()
    assert begun
    assert kept.name not in begun
    expected = {path.name: path.read_bytes() for path in (undisturbed / "model").iterdir()}
    for model in (tmp_path / "model", kept / "model"):
        assert {path.name for path in model.iterdir()} == set(expected)
        assert (model / "tokenizer.json").read_bytes() == expected["tokenizer.json"]
        load_janus(model, device="cpu", dtype=torch.float32)


def test_a_run_continues_with_the_threads_that_it_began_with(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        trained(small_recipe(base), tmp_path, reward=Brightness(stop_after=5))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        trained(small_recipe(base), tmp_path)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)

    assert json.loads((tmp_path / "run.json").read_text())["threads"] == before
    assert weights(tmp_path / "model") == weights(undisturbed / "model")
    assert metrics(tmp_path) == metrics(undisturbed)


SCRIPT = """
import sys
from pathlib import Path
from tests.focusdiff.training_parts import small_recipe, trained
trained(small_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_a_killed_run_continues_to_the_bit(base: Path, undisturbed: Path, tmp_path: Path) -> None:
    lines = random.randint(1, 5)  # before the first checkpoint, or behind one
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(base), str(tmp_path)], cwd=ROOT)
    try:
        file, deadline = tmp_path / "metrics.jsonl", time.monotonic() + 200
        while not file.exists() or file.read_text().count("\n") < lines:
            assert process.poll() is None or file.read_text().count("\n") >= lines
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    trained(small_recipe(base), tmp_path)

    assert weights(tmp_path / "model") == weights(undisturbed / "model"), lines
    assert metrics(tmp_path) == metrics(undisturbed), lines
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_finished_run_is_left_as_it_is(base: Path, undisturbed: Path) -> None:
    before = weights(undisturbed / "model")

    trained(small_recipe(base), undisturbed, reward=Brightness(stop_after=0))

    assert weights(undisturbed / "model") == before


def test_only_the_newest_checkpoints_are_kept_whole(undisturbed: Path) -> None:
    found = RunFolder(undisturbed).checkpoints()

    assert [path.name for path in found] == ["000004", "000006"]
    for path in found:
        assert {each.name for each in path.iterdir()} == {"model", "state.json", "trainer.pt"}


def test_another_recipe_in_the_same_folder_is_refused_with_every_difference(base: Path, undisturbed: Path) -> None:
    other = small_recipe(base, objective__beta=0.5, groups__samples=4, loop__checkpoint_every=3)

    with pytest.raises(RunMismatchError) as caught:
        trained(other, undisturbed)

    assert {name for name, _, _ in caught.value.differences} == {"recipe.objective.beta", "recipe.groups.samples"}


def test_two_trainers_on_one_folder_are_refused(base: Path, tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock(), pytest.raises(RunError, match="training step of this run is already being done"):
        trained(small_recipe(base), tmp_path)
