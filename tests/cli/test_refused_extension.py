"""A command that is refused once its generator is loaded leaves a finished run as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paircomp.cli import run

PLUGIN = """
from PIL import Image
from paircomp import Generated, ModelSpec
class Plain:
    identity = {{"weights": {weights!r}}}
    def generate(self, requests):
        for request in requests:
            yield Generated(request.key, Image.new("RGB", (32, 32)))
    def close(self): ...
def plain(*, checkpoint=None, device="cpu", dtype=None):
    return Plain()
GENERATORS = {{"plain": plain}}
MODELS = (ModelSpec("plain", "plain", suite="shapes"),)
"""


@pytest.mark.parametrize("overlap", ["--overlap", "--no-overlap"])
def test_a_refused_extension_leaves_the_run_whole(
    overlap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--plugin", "mine.py", "--model", "plain", "--out", "run", overlap]
    Path("mine.py").write_text(PLUGIN.format(weights="a"))
    assert run([*command, "--limit", "2"]) == 0
    before = json.loads(Path("run/run.json").read_text())["invocations"]

    Path("mine.py").write_text(PLUGIN.format(weights="b"))
    assert run([*command, "--limit", "4"]) == 1

    assert "says.weights: stored 'a', given 'b'" in capfd.readouterr().err
    after = json.loads(Path("run/run.json").read_text())["invocations"]
    assert [each["step"] for each in after if each["step"] == "generate"] == ["generate"]
    assert after[: len(before)] == before
    assert run(["report", "run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["coverage"]["unscored"] == 0
