"""Shipped code runs nothing that comes from a file: no pickles, no code of a hub, no eval; all of it is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("paircomp", "adapters/paircomp_adapters", "focusdiff", "leaderboard/paircomp_leaderboard")

#: Modules that run what a file says, or read text as code.
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load",
                   "torch.jit.load", "numpy.fromregex"}  # fmt: skip
#: Where code is run on purpose, and why that is no door for strangers.
ALLOWED = {
    ("paircomp/plugins.py", "exec_module"): "--plugin FILE: the user's own file, named on the command line",
    ("adapters/paircomp_adapters/diffusion_loading.py", "remote_code"): "-o remote_code=true, which boards show",
}


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def faults_of(code: str) -> Iterator[str]:
    """What in `code` could run what it was given to read."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"line {node.lineno}: import of {name}" for name in names
                        if name.partition(".")[0] in FORBIDDEN_MODULES)  # fmt: skip
        elif isinstance(node, ast.Call):
            yield from (f"line {node.lineno}: {fault}" for fault in call_faults(node))


def call_faults(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {word.arg: word.value for word in call.keywords}
    if name in FORBIDDEN_BUILTINS | FORBIDDEN_CALLS:
        yield f"{name}()"
    if name == "torch.load" and not is_constant(given.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if "trust_remote_code" in given and not is_constant(given["trust_remote_code"], False):
        yield f"trust_remote_code: expected False, got {ast.unparse(given['trust_remote_code'])}"
    if "allow_pickle" in given and not is_constant(given["allow_pickle"], False):
        yield "allow_pickle other than False"
    if is_constant(given.get("shell"), True):
        yield "shell=True"
    if is_constant(given.get("safe_serialization"), False):
        yield "weights written as pickles"
    if name.endswith(".from_pretrained") and "trust_remote_code" not in given and is_any_class(name):
        yield f"{name} without trust_remote_code=False"
    if name.endswith((".exec_module", ".load_module", "runpy.run_path", "runpy.run_module")):
        yield name.rpartition(".")[2]


def is_constant(value: ast.expr | None, wanted: object) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


def is_any_class(name: str) -> bool:
    """Whether a loader picks its class from what the checkpoint says, rather than being one class of a library."""
    owner = name.removesuffix(".from_pretrained").rpartition(".")[2]
    return owner.startswith("Auto") or owner.islower() or owner in ("any_processor", "DiffusionPipeline")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_read_is_run(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    found = [fault for fault in faults_of(path.read_text(encoding="utf-8"))
             if (place, fault.rpartition(" ")[2]) not in ALLOWED]  # fmt: skip
    assert found == []


def test_each_exception_is_still_needed() -> None:
    for place, what in ALLOWED:
        assert any(fault.endswith(what) for fault in faults_of((ROOT / place).read_text(encoding="utf-8"))), place


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from dill import load", "import torch\ntorch.load(f)", "torch.load(f, weights_only=False)",
     "x.from_pretrained(f, trust_remote_code=True)", "AutoModel.from_pretrained(f)", "loader.from_pretrained(f)",
     "eval(text)", "exec(text)", "numpy.load(f, allow_pickle=True)", "subprocess.run(c, shell=True)",
     "model.save_pretrained(f, safe_serialization=False)", "yaml.load(text)", "flag = x(trust_remote_code=flag)"],
)  # fmt: skip
def test_the_scan_finds_what_it_looks_for(code: str) -> None:
    assert list(faults_of(code))


@pytest.mark.parametrize("code", ["model.eval()", "torch.load(f, weights_only=True)", "CLIPModel.from_pretrained(f)"])
def test_the_scan_lets_pass_what_is_safe(code: str) -> None:
    assert list(faults_of(code)) == []
