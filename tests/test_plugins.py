"""Names lead to parts; broken plugins are named and left out, claims on one name are refused."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from paircomp.cli import run
from paircomp.errors import AdapterError, ConfigError, UnavailableError, UnknownNameError
from paircomp.plugins import Registry

GOOD = """
from paircomp import ModelSpec
def quick(*, checkpoint=None, device="cpu", dtype=None): "Quick."
GENERATORS = {"quick": quick}
MODELS = [ModelSpec(name="quick-model", adapter="quick")]
"""


def plugin(path: Path, text: str, name: str = "mine.py") -> Path:
    file = path / name
    file.write_text(text)
    return file


def test_every_builtin_entry_point_loads() -> None:
    registry = Registry()
    for kind in ("model", "generator", "policy", "judge", "suite"):
        assert registry.names(kind), kind  # type: ignore[arg-type]
    assert {name for name, _ in registry.load_all("generator")} == set(registry.names("generator"))
    assert {name for name, _ in registry.load_all("policy")} == set(registry.names("policy"))
    assert {name for name, _ in registry.load_all("judge")} == set(registry.names("judge"))
    assert registry.models().keys() == set(registry.names("model"))
    assert registry.broken == []


def test_every_model_names_a_known_adapter_and_suite() -> None:
    registry = Registry()
    for spec in registry.models().values():
        assert spec.adapter in registry.names("generator"), spec.name
        assert spec.suite in registry.names("suite"), spec.name


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'sketsh': did you mean sketch"):
        Registry().model("sketsh")
    with pytest.raises(UnknownNameError, match=r"unknown judge 'zzzz': known: .*pixels"):
        Registry().judge("zzzz")


def test_a_file_adds_models_and_generators(tmp_path: Path) -> None:
    registry = Registry([plugin(tmp_path, GOOD)])
    assert registry.model("quick-model").adapter == "quick"
    assert registry.generator("quick").__doc__ == "Quick."


def test_a_name_claimed_twice_is_refused_when_asked_for_and_others_go_on(tmp_path: Path) -> None:
    text = "def other(**options): ...\nGENERATORS = {'sketch': other}"
    registry = Registry([plugin(tmp_path, text)])
    with pytest.raises(AdapterError, match=r"generator 'sketch' is claimed by paircomp .* and by .*mine.py"):
        registry.generator("sketch")
    assert registry.judge("pixels")
    again = Registry([plugin(tmp_path, GOOD.replace("quick-model", "sketch"), "again.py")])
    assert "sketch" not in again.models()
    assert "claimed more than once" in str(again.broken[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("syntax error", "SyntaxError"),
        ("1/0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import surely_not_installed", "surely_not_installed"),
    ],
)
def test_a_named_file_that_cannot_be_loaded_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=said):
        Registry([plugin(tmp_path, text)])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no such file"):
        Registry([tmp_path / "absent.py"])


@pytest.mark.parametrize("text", ["GENERATORS = ['x']", "MODELS = ['x']", "MODELS = 3", "MODELS = {'x': 1}"])
def test_a_file_with_something_else_in_its_lists_is_an_error(text: str, tmp_path: Path) -> None:
    registry = Registry([plugin(tmp_path, text)])
    with pytest.raises(ConfigError, match="expected"):
        registry.names("generator") and registry.models()


def test_a_model_with_something_else_in_its_fields_is_an_error_that_names_all(tmp_path: Path) -> None:
    text = "from paircomp import ModelSpec\nMODELS = [ModelSpec('a', 'sketch', recipe=3), ModelSpec('b', 7)]"
    with pytest.raises(ConfigError, match=r"mine.py: model 'a': recipe: .* got int; model 'b': adapter: .* got 7"):
        Registry([plugin(tmp_path, text)]).models()


@pytest.mark.parametrize("failing", ["1/0", "raise SystemExit('stop')"])
def test_a_suite_that_cannot_be_made_is_one_line(failing: str, tmp_path: Path) -> None:
    registry = Registry([plugin(tmp_path, f"def bad():\n    {failing}\nSUITES = {{'bad': bad}}")])
    with pytest.raises(AdapterError, match=r"suite 'bad' cannot be made: (ZeroDivisionError|SystemExit: stop)"):
        registry.suite("bad")


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "..", ".hidden", ""])
def test_a_judge_whose_name_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    registry = Registry([plugin(tmp_path, f"def one(): ...\nJUDGES = {{{name!r}: one}}")])
    with pytest.raises(AdapterError, match="holds no slash and begins with no dot; next: rename it"):
        registry.judge(name)
    assert name not in dict(registry.load_all("judge"))


def broken_distribution(path: Path, *, module: str, text: str, group: str, name: str) -> None:
    """What pip leaves behind when it installs a plugin: a module and the metadata of its distribution."""
    (path / f"{module}.py").write_text(text)
    about = path / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:part\n")


def test_an_installed_plugin_that_breaks_is_a_named_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_distribution(tmp_path, module="exploding", text="raise RuntimeError('boom')",
                        group="paircomp.judges", name="exploding")  # fmt: skip
    broken_distribution(tmp_path, module="bad_models", text="raise RuntimeError('boom')",
                        group="paircomp.models", name="bad")  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    assert any(point.name == "exploding" for point in entry_points(group="paircomp.judges"))
    registry = Registry()
    assert "exploding" not in {name for name, _ in registry.load_all("judge")}
    assert "sketch" in registry.models()
    said = "\n".join(map(str, registry.broken))
    assert "plugin 'exploding' from exploding 1.0 is left out: " in said
    assert "RuntimeError: boom" in said
    assert "plugin 'bad' from bad_models 1.0" in said
    with pytest.raises(AdapterError, match=r"judge 'exploding' from exploding 1.0 cannot be loaded"):
        registry.judge("exploding")


def listed(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert run(["--help"]) == 0
    said = capsys.readouterr()
    return said.out, said.err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("exploding", "raise RuntimeError('boom')", "RuntimeError: boom"),
        ("leaving", "raise SystemExit(4)", "SystemExit: 4"),
        ("number", "part = 3", "expected a click command, got int"),
        ("report", "import click\npart = click.Command('report')", "command 'report' is built in"),
    ],
)
def test_a_command_that_cannot_be_used_is_left_out_of_the_list(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _ = listed(capsys)
    broken_distribution(tmp_path, module=f"gives_{name}", text=text, group="paircomp.commands", name=name)
    monkeypatch.syspath_prepend(str(tmp_path))
    after, warned = listed(capsys)
    assert after == before
    assert warned.startswith(f"Warning: plugin {name!r} from gives_{name} 1.0 is left out: ")
    assert said in warned
    if name != "report":
        assert run([name]) == 1
        assert said in capsys.readouterr().err


def test_a_missing_package_comes_with_its_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = "raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')"
    broken_distribution(tmp_path, module="needs_ray", text=error, group="paircomp.judges", name="rayed")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnavailableError, match=r"needs ray.*pip install 'paircomp\[ray\]'"):
        Registry().judge("rayed")
