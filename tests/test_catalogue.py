"""The catalogue: every model of the paper's table with its route, recipes that fit their adapters, and their page.

docs/models.md holds the catalogue as a table; PAIRCOMP_UPDATE_GOLDEN=1 writes it anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from paircomp.plugins import Registry
from paircomp.runtime.capabilities import check_options
from paircomp.types import ModelSpec

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- catalogue: written by tests/test_catalogue.py -->", "<!-- end of the catalogue -->"

#: Table 1 of the paper (arXiv 2506.05501), and what the catalogue calls each row.
TABLE_1 = {
    "PixArt-alpha": "pixart-alpha", "SD3": "sd3-medium", "FLUX.1-dev": "flux.1-dev", "Sana-1.5": "sana-1.5-4.8b",
    "Janus-Flow": "janus-flow-1.3b", "LLamaGen": "llamagen", "VILA-U": "vila-u", "Show-o": "show-o",
    "SEED-X": "seed-x", "Emu3": "emu3", "VARGPTv1.1": "vargpt-1.1", "Infinity": "infinity", "BLIP3-o": "blip3-o",
    "Janus-Pro-1B": "janus-pro-1b", "Janus-Pro-7B": "janus-pro-7b", "T2I-R1": "t2i-r1",
    "Janus-Pro-R1": "janus-pro-r1-7b", "Janus-FocusDiff-1B": "janus-focusdiff-1b",
    "Janus-FocusDiff-7B": "janus-focusdiff-7b",
}  # fmt: skip


def built_in() -> list[ModelSpec]:
    """Our own models, whatever else is installed beside them."""
    return [spec for name, spec in Registry().models().items() if not name.startswith("example")]


@pytest.mark.parametrize("name", sorted(TABLE_1.values()))
def test_every_model_of_the_papers_table_has_a_route(name: str) -> None:
    spec = Registry().model(name)

    assert spec.adapter in Registry().names("generator")
    assert spec.licence
    assert spec.resolution
    assert spec.description
    assert spec.source.startswith("https://")
    assert spec.checkpoint or not spec.published


@pytest.mark.parametrize("spec", built_in(), ids=lambda spec: spec.name)
def test_recipes_fit_their_adapters(spec: ModelSpec) -> None:
    options = {**spec.recipe, **({"program": "draw"} if spec.adapter == "command" else {})}

    check_options(Registry().generator(spec.adapter), options, where=spec.name)


def test_diffusion_models_state_all_that_a_recipe_needs() -> None:
    specs = [spec for spec in built_in() if spec.adapter == "diffusers"]

    assert len(specs) == 9
    for spec in specs:
        assert {"steps", "guidance", "width", "height"} <= set(spec.recipe), spec.name
        assert spec.dtype in ("float16", "bfloat16"), spec.name
        assert re.fullmatch("[0-9a-f]{40}", spec.revision or ""), spec.name
        assert (spec.recipe["width"], spec.recipe["height"]) == spec.resolution, spec.name
        assert spec.download is not None, spec.name
        assert spec.memory is not None, spec.name
        # Two bytes for each weight of the drawing network are the least that fits.
        assert spec.memory >= 2 * (spec.parameters or 0), spec.name


def test_names_are_claimed_once() -> None:
    registry = Registry()
    registry.models()

    assert [broken for broken in registry.broken if "claimed more than once" in broken.reason] == []


def test_models_answers_at_once_and_tells_machines_everything() -> None:
    command = [sys.executable, "-c", "from paircomp.cli import main; main(['models', '--json'])"]
    times = []
    for _ in range(3):
        started = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        times.append(time.perf_counter() - started)

    rows = {row["name"]: row for row in json.loads(ended.stdout)["models"]}
    assert set(TABLE_1.values()) <= set(rows)
    assert rows["janus-focusdiff-1b"]["published"] is False
    assert rows["sketch"]["missing"] == []
    assert rows["sketch"]["weights"] == "none"
    assert rows["flux.1-dev"]["recipe"]["steps"] == 50
    assert min(times) < 1.5  # 0.2 s on an idle machine; a loaded one is given room


# What a machine lacks, through the command line


@pytest.mark.parametrize("name", sorted({*TABLE_1.values()}))
def test_a_model_that_cannot_run_says_why_within_two_seconds_and_writes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No weights in an empty cache and no network: none of them can run, whatever this machine is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    started = time.perf_counter()

    assert paircomp(["eval", "--model", name]) == 1

    said = capsys.readouterr().err.strip()
    assert time.perf_counter() - started < 2
    assert said.count("\n") == 0
    assert f"model {name!r} cannot run here" in said
    assert "what runs here: sketch" in said
    assert list(tmp_path.iterdir()) == []


def test_a_bare_machine_is_told_packages_weights_sizes_and_device(tmp_path: Path) -> None:
    """An interpreter in which the extras cannot be found."""
    blocker = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name.split('.')[0] in "
        "('torch', 'transformers', 'safetensors', 'diffusers') else find(name, package)\n"
    )
    program = blocker + "from paircomp.cli import main; main(['eval', '--model', 'janus-focusdiff-7b'])"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path), "PATH": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60,
        check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "torch, transformers, safetensors (python -m pip install 'paircomp[models]')" in ended.stderr
    assert "14.8 GB" in ended.stderr
    assert "an accelerator with more than 13.8 GiB" in ended.stderr or sys.platform == "darwin"
    assert "https://huggingface.co/wendell0218/Janus-FocusDiff-7B" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_program_of_ones_own_makes_a_command_model_runnable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--model", "show-o", "-o", "program=no-such-program", "--suite", "shapes", "--limit", "1"]

    assert paircomp(command) == 1

    assert "'no-such-program' is not on the PATH" in capsys.readouterr().err


# The page


def test_the_page_holds_the_catalogue() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"
    if os.environ.get("PAIRCOMP_UPDATE_GOLDEN"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted


def tables() -> str:
    lines = ["| model | adapter | checkpoint | pixels | weights | fetched | licence |", "|---|---|---|---|---|---|---|"]
    lines += [table_row(spec) for spec in built_in()]
    lines += ["", "| model | number format | recipe | revision |", "|---|---|---|---|"]
    lines += [recipe_row(spec) for spec in built_in() if spec.recipe]
    return "\n".join(lines) + "\n"


def table_row(spec: ModelSpec) -> str:
    width, height = spec.resolution or ("?", "?")
    notes = f"{' (gated)' if spec.gated else ''}{f' (retired {spec.retired})' if spec.retired else ''}"
    checkpoint = f"`{spec.checkpoint}`{notes}" if spec.checkpoint else "none"
    weights = _weights(spec.parameters) if spec.parameters else ""
    fetched = f"{spec.download / 1e9:.1f} GB" if spec.download else ""
    cells = [f"`{spec.name}`", f"`{spec.adapter}`", checkpoint if spec.published else "never published",
             f"{width} x {height}", weights, fetched, spec.licence]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _weights(count: int) -> str:
    return f"{count / 1e9:.2f}B" if count >= 1e7 else f"{count / 1e6:.1f}M"


def recipe_row(spec: ModelSpec) -> str:
    recipe = ", ".join(f"{name} {json.dumps(value)}" for name, value in spec.recipe.items())
    return f"| `{spec.name}` | {spec.dtype or ''} | {recipe} | {(spec.revision or '')[:12]} |"
