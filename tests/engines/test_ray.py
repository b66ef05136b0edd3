"""The Ray engine on a real cluster of two nodes on this machine, with an actor and a node killed while it works."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import ConfigError
from paircomp.run_store import Run
from paircomp.runtime.stores import open_store
from tests.fake_s3 import fake_s3_server

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'paircomp[ray]')")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.timeout(600),
]
ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).with_name("slow_parts.py")
COMMAND = ["eval", "--adapter", "slow", "--model", "slow", "--judge", "slow", "--suite", "shapes", "--limit", "12",
           "--plugin", str(PLUGIN), "--cross"]  # fmt: skip
REPORTS = ("report.json", "report.md", "report.csv", "pairs.csv", "report.html")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def cluster(workers: Path) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # Ray's default leaves a busy machine nothing for them
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PAIRCOMP_TEST_WORKERS", str(workers))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "include_dashboard": False})
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "run"
    assert paircomp([*COMMAND, "--out", str(folder)]) == 0
    return folder


def same(folder: Path, other: Path) -> None:
    for name in REPORTS:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    images = {path.name: path.read_bytes() for path in (folder / "images").iterdir()}
    assert images == {path.name: path.read_bytes() for path in (other / "images").iterdir()}


def records(folder: Path) -> int:
    return sum(1 for _ in Run.open(folder).image_records.read()) if (folder / "run.json").is_file() else 0


def test_an_actor_and_a_node_that_die_change_nothing(
    cluster: Any, workers: Path, plain: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = cluster.add_node(num_cpus=3)
    folder, killed = tmp_path / "run", []

    def kill() -> None:
        while records(folder) < 6:
            time.sleep(0.02)
        drawing = {int(word.name.rsplit("-", maxsplit=1)[1]) for word in workers.glob("generator-*")}
        os.kill(min(drawing - {os.getpid()}), signal.SIGKILL)
        while records(folder) < 16:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        killed.append(records(folder))

    assassin = threading.Thread(target=kill)
    assassin.start()
    engine = ["--engine", "ray", "--generators", "2", "--judges", "2"]
    assert paircomp([*COMMAND, "--out", str(folder), *engine]) == 0
    assassin.join()
    assert 16 <= killed[0] < 48, "the node was to die in the middle"
    assert capfd.readouterr().err.count("another one takes its place") >= 2
    same(folder, plain)
    answers = list(Run.open(folder).judge("slow").records.read())
    assert len(answers) == 96
    assert all("score" in answer for answer in answers)


def test_a_run_that_was_begun_without_ray_is_finished_with_it(cluster: Any, plain: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "run")]
    begun = [*COMMAND, *out]
    begun[begun.index("--limit") + 1] = "6"
    assert paircomp(begun) == 0
    assert paircomp([*COMMAND, *out, "--engine", "ray"]) == 0
    same(tmp_path / "run", plain)
    engines = [said.get("engine") for said in json.loads((tmp_path / "run" / "run.json").read_text())["invocations"]]
    assert engines == [None, None, "ray", "ray"]


def test_an_image_that_kills_what_draws_it_is_one_recorded_error(cluster: Any, tmp_path: Path) -> None:
    command = [*COMMAND, "--out", str(tmp_path / "run"), "--engine", "ray", "--generators", "2"]
    command[command.index("--adapter") + 1] = "lethal"
    assert paircomp(command) == 0
    found = {
        (said["pair"], said["prompt"], said["sample"]): said for said in Run.open(tmp_path / "run").image_records.read()
    }
    assert len(found) == 48
    assert [place for place, said in found.items() if "sha256" not in said] == [(9, 0, 0)]
    assert found[9, 0, 0]["unscored"] == "error: the actors that were drawing this image died"
    coverage = json.loads((tmp_path / "run" / "report.json").read_text())["coverage"]
    assert (coverage["scored"], coverage["unscored"]) == (47, 1)


def test_images_that_always_fail_do_not_keep_a_run_from_its_end(cluster: Any, tmp_path: Path) -> None:
    command = [*COMMAND, "--out", str(tmp_path / "run"), "--engine", "ray", "--generators", "1"]
    command[command.index("--adapter") + 1] = "fragile"
    for _ in range(2):
        assert paircomp(command) == 0

    found = {
        (said["pair"], said["prompt"], said["sample"]): said for said in Run.open(tmp_path / "run").image_records.read()
    }
    assert len([said for said in found.values() if "sha256" in said]) == 24
    reasons = [said["unscored"] for said in found.values() if "sha256" not in said]
    assert len(reasons) == 24
    assert set(reasons) == {"error: ValueError: token limit exceeded"}


def test_images_that_a_judge_always_fails_at_keep_no_run_from_its_end(cluster: Any, tmp_path: Path) -> None:
    command = [*COMMAND, "--out", str(tmp_path / "run"), "--engine", "ray", "--judges", "1"]
    command[command.index("--judge") + 1] = "fragile"
    for _ in range(2):
        assert paircomp(command) == 0

    coverage = json.loads((tmp_path / "run" / "report.json").read_text())["coverage"]
    assert (coverage["scored"], coverage["unscored"]) == (24, 24)
    assert [each["reason"] for each in coverage["reasons"]] == ["error: ValueError: too large"]


def test_workers_share_a_bucket(cluster: Any, plain: Path, tmp_path: Path) -> None:
    with fake_s3_server() as bucket:
        # Workers have the surroundings of the cluster, which was there before the fake.
        surroundings = {"env_vars": {name: value for name, value in os.environ.items() if name.startswith("AWS_")}}
        ray.shutdown()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=surroundings)
        node = cluster.add_node(num_cpus=3)  # with the head's three, room for all four actors only on both
        out, store = str(tmp_path / "run"), f"{bucket}/run"
        engine = ["--engine", "ray", "--generators", "2", "--judges", "2"]
        assert paircomp([*COMMAND, "--out", out, "--store", store, *engine]) == 0
        cluster.remove_node(node)
        images = {name: open_store(store).read(name) for name, _ in open_store(store).sizes()}
    assert images == {path.name: path.read_bytes() for path in (plain / "images").iterdir()}
    for name in REPORTS:
        assert (tmp_path / "run" / name).read_bytes() == (plain / name).read_bytes(), name
    assert {path.name for path in (tmp_path / "run" / "generate").glob("*.jsonl")} == {"part-000001-0of1.jsonl"}


def test_what_the_engine_cannot_do_is_said(tmp_path: Path) -> None:
    from paircomp.engines.ray_engine import RayResources, _look_at_resources
    from paircomp.pipeline import Silent

    with pytest.raises(ConfigError, match="the actors ask for 8 CPU, the cluster has 2"):
        _look_at_resources(RayResources(generators=6, judges=2), {"CPU": 2.0}, Silent(), local=True)
