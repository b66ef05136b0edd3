"""docs/adapters.md and docs/plugins.md do what they say: every block of code in them is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from paircomp.suites.shapes_suites import shapes_suite
from tests.adapters.fake_images_server import FakeImagesServer

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\n+)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


class Block(NamedTuple):
    file: str | None
    language: str
    text: str


def blocks(page: str, section: str | None = None) -> list[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if section is not None:
        text = re.split(rf"^## {re.escape(section)}$", text, flags=re.MULTILINE)[1]
        text = SECTION.split(text)[0]
    return [Block(file or None, language, body) for file, language, body in BLOCK.findall(text)]


class Desk:
    """A folder in which a reader follows the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        # Not links: an interpreter finds its virtual environment by the path it is called by.
        for name, words in (("paircomp", "-c 'from paircomp.cli import main; main()' "), ("python", "")):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
            script.chmod(0o755)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        found = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(found), "COLUMNS": "100"}
        self.environment.pop("OPENAI_API_KEY", None)

    def follow(self, block: Block, replaced: dict[str, str] | None = None) -> str:
        """Do what a block says; what it printed."""
        if block.file is not None:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
            return ""
        if block.language == "python":
            return self.run([sys.executable, "-c", block.text])
        lines = block.text.replace("\\\n", " ").splitlines()
        for old, new in (replaced or {}).items():
            lines = [line.replace(old, new) for line in lines]
        return "".join(self.run(self.command(shlex.split(line))) for line in lines)

    def command(self, words: list[str]) -> list[str]:
        """A package is installed beside, not into the environment that runs the tests."""
        if words[:4] == ["python", "-m", "pip", "install"]:
            how = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(self.folder / "site")]
            return [sys.executable, "-m", "pip", "install", *how, f"./{words[-1]}"]
        return words

    def run(self, words: list[str]) -> str:
        ended = subprocess.run(words, check=False, capture_output=True, text=True, cwd=self.folder, timeout=120,
                               env=self.environment)  # fmt: skip
        assert ended.returncode == 0, f"{shlex.join(words)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    if sys.platform == "win32":
        pytest.skip("the page's commands are a POSIX shell's")
    return Desk(tmp_path)


def paint(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), "white").save(file)


def test_a_function(desk: Desk) -> None:
    (block,) = blocks("adapters.md", "A function")

    assert 0 <= float(desk.follow(block)) < 0.5  # noise shows no scene


def test_images_that_exist_already(desk: Desk) -> None:
    for pair in shapes_suite().pairs:
        for prompt in (0, 1):
            for sample in (0, 1):
                paint(desk.folder / "my_images" / f"{pair.pair}_{prompt}_{sample}.png")
                paint(desk.folder / "my_pictures" / f"{2 * pair.pair + prompt:05d}" / f"{sample}.jpg")
    official, other = blocks("adapters.md", "Images that exist already")

    assert "PARTIAL: 6 of 240 pairs" in desk.follow(official)
    assert "PARTIAL: 6 of 240 pairs" in desk.follow(other, {"--model my-model": "--model my-model --out other"})


def test_a_program_of_your_own(desk: Desk) -> None:
    program, commands = blocks("adapters.md", "A program of your own")
    assert (ROOT / "examples" / "own_program.py").read_text(encoding="utf-8").endswith(program.text)

    desk.follow(program)
    printed = desk.follow(commands)

    assert "FAILED" not in printed
    assert "PARTIAL: 12 of 240 pairs" in printed
    assert (desk.folder / "runs/my-model--shapes--seed0/logs/command.log").read_text() == "loading weights\n"


def test_a_server(desk: Desk) -> None:
    pytest.importorskip("openai", reason="needs the extra paircomp[api]")
    (block,) = blocks("adapters.md", "A server")
    with FakeImagesServer() as server:
        printed = desk.follow(block, {"http://localhost:8000/v1": server.url})

    assert "PARTIAL: 6 of 240 pairs" in printed
    assert len(server.asked) == 24
    assert set(server.keys) == {"Bearer none"}


def test_a_package_and_a_file(desk: Desk) -> None:
    package, file = blocks("adapters.md", "A package")
    printed = desk.follow(package)
    (desk.folder / "own_adapter.py").write_text((ROOT / "examples" / "own_adapter.py").read_text(encoding="utf-8"))
    printed += desk.follow(file)

    assert "FAILED" not in printed
    assert printed.count("PARTIAL: 12 of 240 pairs") == 2


def test_the_contract_and_the_plugins(desk: Desk) -> None:
    python = [*blocks("adapters.md", "The contract"), *blocks("plugins.md")]

    assert len(python) == 3
    for block in python:
        desk.follow(block)


def test_no_block_of_the_page_is_left_out() -> None:
    followed = [
        "A function",
        "Images that exist already",
        "A program of your own",
        "A server",
        "A package",
        "The contract",
    ]
    assert [block for section in followed for block in blocks("adapters.md", section)] == blocks("adapters.md")


def test_the_page_names_every_check_and_every_option() -> None:
    from inspect import signature

    from paircomp_adapters.command import command
    from paircomp_adapters.folder import folder
    from paircomp_adapters.openai_images import openai_images

    text = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
    options = {name for factory in (command, folder, openai_images) for name in signature(factory).parameters}

    assert [name for name in sorted(options - {"dtype", "device", "seeded"}) if name not in text] == []


def test_the_examples_are_listed() -> None:
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")

    assert [
        path.name for path in (ROOT / "examples").iterdir() if path.suffix == ".py" and path.name not in listed
    ] == []
