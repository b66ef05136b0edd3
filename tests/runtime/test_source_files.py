"""Code of the user's own that changed since images were drawn."""

import importlib
from pathlib import Path

import pytest

from paircomp.cli import run
from paircomp.runtime.source_files import changed_code, code_digests
from paircomp_adapters.sketch import sketch

PLUGIN = """
from PIL import Image
from paircomp import Generated, ModelSpec
class Plain:
    def generate(self, requests):
        for request in requests:
            yield Generated(request.key, Image.new("RGB", (32, 32), {colour!r}))
    def close(self):
        pass
def plain(*, checkpoint=None, device="cpu", dtype=None):
    return Plain()
GENERATORS = {{"plain": plain}}
MODELS = (ModelSpec("plain", "plain", suite="shapes"),)
"""


def test_code_of_the_project_itself_is_left_to_its_version() -> None:
    assert code_digests(sketch, {"mistakes": 0.5, "program": "no such 'file"}) == {}


def test_every_file_of_a_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_drawer"
    (package / "nets").mkdir(parents=True)
    for name in ("__init__.py", "nets/__init__.py", "nets/unet.py"):
        (package / name).write_text("")
    (package / "generator.py").write_text("def drawer(*, checkpoint=None, device='cpu', dtype=None): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    factory = importlib.import_module("my_drawer.generator").drawer
    first = code_digests(factory, {})
    (package / "nets" / "unet.py").write_text("width = 3")

    assert set(first) == {f"my_drawer/{name}" for name in
                          ("__init__.py", "generator.py", "nets/__init__.py", "nets/unet.py")}  # fmt: skip
    said = [{"step": "generate", "code": first}]
    assert changed_code(said, code_digests(factory, {})) == ["my_drawer/nets/unet.py"]


def test_files_that_options_name_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("draw it.py").write_text("one")
    first = code_digests(sketch, {"program": "python 'draw it.py' --size 8"})
    assert list(first) == ["draw it.py"]
    assert code_digests(sketch, {"program": ["python", "draw it.py"]}) == first
    Path("draw it.py").write_text("two")
    second = code_digests(sketch, {"program": "python 'draw it.py'"})
    said = [{"step": "generate", "code": first}, {"step": "generate"}, {"step": "judge", "code": {"x": "y"}}]
    assert changed_code(said, first) == []
    assert changed_code(said, second) == ["draw it.py"]
    assert changed_code([], second) == []


def test_an_edited_plugin_is_told_and_its_older_images_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--plugin", "mine.py", "--model", "plain", "--limit", "2", "--out", "run"]
    Path("mine.py").write_text(PLUGIN.format(colour="red"))
    assert run(command) == 0
    assert run(command) == 0
    assert "changed since" not in capfd.readouterr().err
    drawn = sorted(Path("run/images").glob("*.png"))[0].read_bytes()
    Path("mine.py").write_text(PLUGIN.format(colour="blue"))
    assert run(command) == 0
    assert "mine.py changed since images of this run were drawn; those are kept" in capfd.readouterr().err
    assert sorted(Path("run/images").glob("*.png"))[0].read_bytes() == drawn
