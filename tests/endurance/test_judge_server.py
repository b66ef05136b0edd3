"""A judge's server that restarts, slows down, errs or stays away: the same report, or a clear error and a resume.

Times are those of a real server scaled down by the judge's own options: with `timeout` at half a second a slow answer
takes a second and a half, where the default of two minutes would see one of several.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.endurance.disturbances import ended, equal_runs, started
from tests.judges.fake_vlm_server import FakeVLMServer

pytest.importorskip("openai", reason="needs the extra paircomp[api]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, which starts a server at once")

IMAGES = 48
COMMAND = ["eval", "--model", "sketch", "--judge", "vlm-server", "--limit", "12", "--device", "cpu"]
PATIENT = ["-j", "timeout=0.5", "-j", "attempts=6", "-j", "concurrency=4"]

Faults = Callable[[int], str | None]


def none(number: int) -> str | None:
    return None


class ServerProcess:
    """The fake server in a process of its own, which can be killed with all its connections and started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self._child: int | None = None

    @property
    def options(self) -> list[str]:
        return ["-j", f"base_url=http://127.0.0.1:{self.port}/v1"]

    def start(self, faults: Faults = none, *, seconds: float = 0.0) -> None:
        self._child = os.fork()
        if self._child == 0:
            with FakeVLMServer(port=self.port, faults=faults, seconds=seconds):
                signal.pause()
        for _ in range(500):
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("the fake server did not start")

    def kill(self) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = None


@contextmanager
def served() -> Iterator[ServerProcess]:
    server = ServerProcess()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("server") / "undisturbed"
    with served() as server:
        server.start()
        assert ended(started([*COMMAND, *PATIENT, *server.options, "--out", str(run)])) == 0
    return run


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def every(number: int, step: str) -> Faults:
    return lambda asked: step if asked % number == 0 else None


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(every(20, "500"), id="5% errors"),
        pytest.param(every(40, "slow"), id="some far too slow"),
        pytest.param(every(20, "503"), id="5% overloaded", marks=pytest.mark.slow),
        pytest.param(every(20, "hangup"), id="5% hung up", marks=pytest.mark.slow),
        pytest.param(every(20, "halfjson"), id="5% torn answers", marks=pytest.mark.slow),
    ],
)
def test_faults_that_pass_change_nothing(tmp_path: Path, undisturbed: Path, faults: Faults) -> None:
    run, said = tmp_path / "run", tmp_path / "said.txt"
    with served() as server:
        server.start(faults)
        assert ended(started([*COMMAND, *PATIENT, *server.options, "--out", str(run)], said=said)) == 0, (
            said.read_text()
        )
    equal_runs(run, undisturbed, images=IMAGES)


def test_a_server_that_restarts_changes_nothing(tmp_path: Path, undisturbed: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said.txt"
    with served() as server:
        server.start(seconds=0.1)
        child = started([*COMMAND, *PATIENT, *server.options, "--out", str(run)], said=said)
        judgements = run / "judges" / "vlm-server" / "part-000001-0of1.jsonl"
        while not judgements.is_file() or judgements.read_bytes().count(b"\n") < 20:
            time.sleep(0.02)
        server.kill()
        time.sleep(0.7)
        server.start()
        assert ended(child) == 0, said.read_text()
    equal_runs(run, undisturbed, images=IMAGES)


def test_a_server_that_stays_away_is_told_and_the_run_goes_on_later(tmp_path: Path, undisturbed: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said.txt"
    command = [*COMMAND, "-j", "timeout=0.5", "-j", "attempts=2", "-j", "concurrency=8", "--out", str(run)]
    with served() as server:
        server.start(seconds=0.1)
        child = started([*command, *server.options], said=said)
        judgements = run / "judges" / "vlm-server" / "part-000001-0of1.jsonl"
        while not judgements.is_file() or judgements.read_bytes().count(b"\n") < 20:
            time.sleep(0.02)
        server.kill()
        assert ended(child) == 1
        error = said.read_text().splitlines()[-1]
        assert error.startswith("Error: judge 'vlm-server' failed 10 times in a row")
        assert "what was finished is kept" in error
        assert ended(started([*command, *server.options], said=said)) == 1  # not there from the start
        assert "cannot be reached" in said.read_text().splitlines()[-1]
        server.start()
        assert ended(started([*command, *server.options], said=said)) == 0, said.read_text()
    equal_runs(run, undisturbed, images=IMAGES)
