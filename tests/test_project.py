"""The project as a whole: what the wheel ships, what start-up costs, what the documentation promises."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import paircomp

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    "paircomp": ROOT / "paircomp",
    "paircomp_adapters": ROOT / "adapters" / "paircomp_adapters",
    "focusdiff": ROOT / "focusdiff",
    "paircomp_leaderboard": ROOT / "leaderboard" / "paircomp_leaderboard",
}
HEAVY = {"torch", "transformers", "diffusers", "numpy", "scipy", "pandas", "PIL"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def shipped() -> Iterator[tuple[str, Path]]:
    """``(path in the wheel, path here)`` of every file of the four packages."""
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(folder).as_posix()}", path


def modules() -> list[Path]:
    return [path for _, path in shipped() if path.suffix == ".py"]


def documents() -> list[Path]:
    folders = [ROOT, *(ROOT / name for name in ("docs", "adapters", "leaderboard", "examples", "benchmarks", "tests"))]
    found = [path for folder in folders for path in folder.glob("*.md" if folder == ROOT else "**/*.md")]
    return sorted(set(found))


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_has_our_four_names_and_no_other(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert len(top) == len(PACKAGES) + 1


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert {name for name, _ in shipped()} == held
    assert {f"{name}/py.typed" for name in PACKAGES} <= held
    assert {"paircomp/suites/shapes.jsonl", "paircomp/suites/shapes-dev.jsonl", "paircomp/report/schema.json"} <= held


def test_the_published_benchmark_is_never_shipped(wheel: zipfile.ZipFile) -> None:
    """Its file carries no licence; one of its prompts would show it in any layout."""
    prompt = b"The firefighter's helmet appears new and unscratched"

    assert not [name for name in wheel.namelist() if prompt in wheel.read(name)]


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = wheel.read(metadata).decode()

    assert f"\nVersion: {paircomp.__version__}\n" in said
    assert "\nLicense-Expression: Apache-2.0\n" in said
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_every_entry_point_leads_somewhere() -> None:
    project = PROJECT["project"]
    groups = {"scripts": project["scripts"], **project["entry-points"]}

    for group, points in groups.items():
        for name, target in points.items():
            module, _, attribute = target.partition(":")
            found = importlib.import_module(module)
            assert not attribute or callable(getattr(found, attribute)), f"{group}: {name} = {target}"


def test_tested_versions_name_all_that_is_required() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    required = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    everywhere = [requirement for requirement in required if ";" not in requirement]

    assert {re.split(r"[<>=\[]", requirement)[0] for requirement in everywhere} <= set(pinned)
    assert len(pinned) == len(set(pinned))


def test_no_extra_brings_torchvision() -> None:
    """A build that does not match torch breaks every processor of transformers, and diffusers, at import."""
    extras = PROJECT["project"]["optional-dependencies"].values()

    assert not [requirement for extra in extras for requirement in extra if "torchvision" in requirement]


# What start-up costs


@pytest.mark.parametrize(
    "program",
    [
        "import paircomp",
        "import paircomp.suites; paircomp.suites.load_suite_file",
        "import sys; sys.argv = ['paircomp', '--help']; from paircomp.cli import main; main()",
        "import sys; sys.argv = ['paircomp', 'models']; from paircomp.cli import main; main()",
    ],
    ids=["import", "suites", "help", "models"],
)
def test_start_up_loads_nothing_heavy(program: str) -> None:
    command = [sys.executable, "-X", "importtime", "-c", program]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)

    loaded = {line.rsplit("|", maxsplit=1)[1].strip() for line in ended.stderr.splitlines() if "|" in line}
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert any(name.startswith("paircomp") for name in loaded)
    assert not {name.split(".")[0] for name in loaded} & HEAVY


def test_the_public_names() -> None:
    assert set(paircomp.__all__) == {
        "Comparison",
        "EvaluatedRun",
        "Generated",
        "GenerationRequest",
        "ImageGenerator",
        "ImageKey",
        "Judge",
        "JudgeRequest",
        "Judgement",
        "ModelSpec",
        "PairCompError",
        "PromptPair",
        "Question",
        "Subtask",
        "Suite",
        "__version__",
        "evaluate",
        "load_run",
    }
    assert all(getattr(paircomp, name) is not None for name in paircomp.__all__)


# The code


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shipped_code_neither_asserts_nor_prints(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert) or is_print(node)]

    assert found == []


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


# The documentation


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    here = [target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]

    assert [target for target in here if not leads_somewhere(path, target)] == []


def leads_somewhere(path: Path, target: str) -> bool:
    file, _, anchor = target.partition("#")
    found = (path.parent / file).resolve() if file else path
    if not found.exists() or not found.is_relative_to(ROOT):
        return False
    return not anchor or found.suffix != ".md" or anchor in anchors(found)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_changelog_begins_with_what_is_new() -> None:
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert first is not None
    assert first[1] in ("Unreleased", paircomp.__version__)


def test_the_readme_marks_the_command_that_continuous_integration_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    (block,) = re.findall(r"^<!-- test-command -->\n+```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    install = 'python -m pip install -c constraints.txt -e ".[dev,diffusion,api,train,data,ray]"'
    assert block.strip() == f"{install} && python -m pytest -n 2 --dist loadfile"
