"""Two real processes, connected by gloo: the steps of one, whatever share each of them has."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.adapters.tiny_janus import save_tiny_janus
from tests.focusdiff.training_parts import Brightness, metrics, small_recipe, trained, weights

ROOT = Path(__file__).resolve().parents[2]
#: Three pairs on two processes: one has two groups, the other one; and micro-batches of four make it 4 against 2.
SHARED = {"prompts__pairs": 3, "loop__micro_batch": 4, "loop__steps": 4, "loop__checkpoint_every": 2}
SHARES = {**SHARED, "loop__sharding": "full", "steadiness__ref_update": "every_n", "steadiness__ref_every": 2}
ADAPTERS = {**SHARED, "lora__rank": 2, "loop__steps": 2}
EXACT = {**SHARED, "objective__kl": "exact", "groups__grouping": "prompt", "loop__steps": 2}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def together(base: Path, trainings: list[dict[str, Any]], *, seconds: float = 240) -> None:
    """Run trainings one after another in two processes."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
              "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, "-m", "tests.focusdiff.two_processes", str(base), json.dumps(trainings)]
    started = [subprocess.Popen(command, cwd=ROOT, env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank})
               for rank in "01"]  # fmt: skip
    try:
        for process in started:
            process.wait(seconds)
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_tiny_janus(folder)
    return folder


@pytest.fixture(scope="module")
def pair(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes trained, all in one start of them."""
    place = tmp_path_factory.mktemp("pair")
    together(base, [
        {"out": str(place / "shared"), "values": SHARED},
        {"out": str(place / "exact"), "values": EXACT},
        {"out": str(place / "adapters"), "values": ADAPTERS},
        {"out": str(place / "shares"), "values": SHARES},
        {"out": str(place / "shares of both"), "values": {**EXACT, "loop__sharding": "full"}},
        {"out": str(place / "shares resumed"), "values": SHARES, "breaks": {"1": 7}},
        {"out": str(place / "shares resumed"), "values": SHARES},
        {"out": str(place / "resumed"), "values": SHARED, "breaks": {"1": 7}},
        {"out": str(place / "resumed"), "values": SHARED},
        {"out": str(place / "few"), "values": {**SHARED, "prompts__pairs": 1}},
        {"out": str(place / "broken"), "values": SHARED, "breaks": {"1": 0}},
    ])  # fmt: skip
    return place


def said(place: Path, name: str) -> list[str]:
    return [(place / f"{name}.{rank}").read_text() for rank in "01"]


def results(line: dict[str, Any]) -> dict[str, Any]:
    """Without the work it took: a picture that groups of two processes share is decoded by both."""
    return {name: value for name, value in line.items() if not name.startswith("flops")}


def assert_alike(one: Path, other: Path) -> None:
    for mine, theirs in zip(metrics(one), metrics(other), strict=True):
        assert results(mine) == pytest.approx(results(theirs), rel=2e-3, abs=2e-5)
    first, second = (load_file(place / "model" / "model.safetensors") for place in (one, other))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=1e-3, atol=2e-4, msg=name)


@pytest.mark.parametrize(("name", "values"), [("shared", SHARED), ("exact", EXACT), ("adapters", ADAPTERS)])
def test_two_processes_take_the_steps_of_one(
    base: Path, pair: Path, tmp_path: Path, name: str, values: dict[str, Any]
) -> None:
    trained(small_recipe(base, **values), tmp_path, reward=Brightness())

    assert said(pair, name) == ["done", "done"]
    assert_alike(tmp_path, pair / name)


def test_two_processes_continue_to_the_bit(pair: Path) -> None:
    """The first try of it broke off behind its first checkpoint."""
    assert said(pair, "resumed") == ["done", "done"]
    events = (pair / "resumed" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in events] == ["resumed"]
    assert metrics(pair / "resumed") == metrics(pair / "shared")
    assert weights(pair / "resumed" / "model") == weights(pair / "shared" / "model")


@pytest.mark.parametrize(("name", "values"), [("shares", SHARES), ("shares of both", EXACT)])
def test_shares_of_the_weights_take_the_steps_of_whole_ones(
    base: Path, pair: Path, tmp_path: Path, name: str, values: dict[str, Any]
) -> None:
    trained(small_recipe(base, **{**values, "loop__sharding": "none"}), tmp_path, reward=Brightness())

    assert said(pair, name) == ["done", "done"]
    assert_alike(tmp_path, pair / name)
    told = [json.loads(line) for line in (pair / name / "events.jsonl").read_text().splitlines()]
    assert "each of 2 processes holds 50% of the weights" in [each["message"] for each in told]


def test_shares_continue_to_the_bit(pair: Path) -> None:
    assert said(pair, "shares resumed") == ["done", "done"]
    assert metrics(pair / "shares resumed") == metrics(pair / "shares")
    assert weights(pair / "shares resumed" / "model") == weights(pair / "shares" / "model")


def test_a_checkpoint_of_shares_is_whole_and_continues_in_one_process(base: Path, pair: Path, tmp_path: Path) -> None:
    shutil.copytree(pair / "shares", tmp_path / "one")
    for name in ("checkpoints/000004", "model"):
        shutil.rmtree(tmp_path / "one" / name)

    trained(small_recipe(base, **{**SHARES, "loop__sharding": "none"}), tmp_path / "one", reward=Brightness())

    tensors = torch.load(tmp_path / "one" / "checkpoints" / "000002" / "trainer.pt", weights_only=True)
    assert all(
        type(value) is torch.Tensor for held in tensors["optimiser"]["state"].values() for value in held.values()
    )
    assert tensors["reference"]
    assert_alike(tmp_path / "one", pair / "shares")


def test_where_one_process_fails_both_end_and_say_why(pair: Path) -> None:
    main, broken = said(pair, "broken")

    assert broken == "ConnectionError: the server is gone"
    assert "process 1 of 2 stopped, so this one does too: ConnectionError: the server is gone" in main
    assert not (pair / "broken" / "model").exists()


def test_a_process_without_a_pair_is_refused(pair: Path) -> None:
    for each in said(pair, "few"):
        assert "pairs: expected at least 2, one for each process, got 1" in each


@pytest.mark.slow
def test_the_command_works_under_torchrun(base: Path, tmp_path: Path) -> None:
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port()), "--no-python"]
    command = ["focusdiff", "rl", "--checkpoint", str(base), "--out", str(tmp_path / "out"), "--device", "cpu", "--set",
               "loop.steps=1", "--set", "groups.samples=2", "--set", "prompts.pairs=2"]  # fmt: skip
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": here}
    ended = subprocess.run([sys.executable, "-m", *launcher, *command], cwd=ROOT, text=True, check=False, timeout=200,
                           capture_output=True, env=environment)  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(str(tmp_path / "out" / "model")) == 1
    assert len(metrics(tmp_path / "out")) == 1
