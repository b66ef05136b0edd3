"""Functions as models: equal code and values give an equal name, in every process; anything else a name of its own."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paircomp.runtime.callables import callable_spec

COLOURS = {"sky": (0, 0, 255)}


def painted(prompt: str, seed: int, *, colour: str = "red", sizes: tuple[int, ...] = (8, 8)) -> Image.Image:
    return Image.new("RGB", sizes[:2], colour)


def of_global(prompt: str) -> Image.Image:
    return Image.new("RGB", (8, 8), COLOURS["sky"])


def closed_over(value: Any) -> Callable[[str], Image.Image]:
    return lambda prompt: Image.new("RGB", (8, 8), value)


class Painter:
    def __init__(self, colour: object) -> None:
        self.colour = colour

    def __call__(self, prompt: str) -> Image.Image:
        return self.draw(prompt)

    def draw(self, prompt: str) -> Image.Image:
        return Image.new("RGB", (8, 8), str(self.colour))


class Named(Painter):
    def __init__(self, colour: object, step: int) -> None:
        super().__init__(colour)
        self.identity = {"checkpoint": "mine", "step": step}


def name(model: Callable[..., Any]) -> str:
    return callable_spec(model).name


DISTINCT = [
    lambda: painted,
    lambda: functools.partial(painted, colour="blue"),
    lambda: functools.partial(painted, colour="green"),
    lambda: functools.partial(functools.partial(painted, colour="green"), sizes=(9, 9)),
    lambda: functools.partial(painted, sizes=(8, 9)),
    lambda: closed_over("red"),
    lambda: closed_over("blue"),
    lambda: closed_over({"red", "blue"}),
    lambda: closed_over(closed_over("red")),
    lambda: Painter("red"),
    lambda: Painter("blue"),
    lambda: Painter(Painter("blue")),
    lambda: Painter("red").draw,
    lambda: Painter("blue").draw,
    lambda: Named(open, 1),
    lambda: Named(object(), 2),
]


def test_other_values_are_other_models() -> None:
    names = [name(make()) for make in DISTINCT]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("make", DISTINCT)
def test_equal_values_are_the_same_model(make: Callable[[], Callable[..., Any]]) -> None:
    assert name(make()) == name(make())


def test_defaults_and_globals_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = name(painted), name(of_global)
    monkeypatch.setattr(painted, "__kwdefaults__", {"colour": "blue", "sizes": (8, 8)})
    monkeypatch.setitem(COLOURS, "sky", (0, 0, 1))
    assert name(painted) != before[0]
    assert name(of_global) != before[1]


@pytest.mark.parametrize("hidden", [object(), itertools.count(), bytearray(b"weights")])
def test_what_cannot_be_read_never_equals_anything(hidden: object) -> None:
    for model in (Painter(hidden), closed_over(hidden), functools.partial(painted, colour=hidden)):
        assert name(model) != name(model)


def test_a_model_that_refers_to_itself_is_read() -> None:
    def made() -> Painter:
        painter = Painter("red")
        painter.colour = [painter]
        return painter

    assert name(made()) == name(made())


PROGRAM = """
import functools
from PIL import Image
from paircomp.runtime.callables import callable_spec

WORDS = frozenset({"red", "blue", "green", "teal"})

def draw(prompt, tags=frozenset({"a", "b", "c", "d"}), **options):
    inner = lambda text: text in {"one", "two", "three", "four"} or text in WORDS
    return Image.new("RGB", (8, 8), "red" if inner(prompt) else "blue")

class Painter:
    def __init__(self): self.words = {"x", "y", "z", "w"}
    def __call__(self, prompt): return draw(prompt, self.words)

print(*(callable_spec(model).name for model in (draw, functools.partial(draw, tags={"p", "q", "r"}), Painter())))
"""


def test_the_name_is_the_same_in_another_process(tmp_path: Path) -> None:
    """Also where sets come in another order."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[2])
    said = {
        subprocess.run([sys.executable, str(program)], check=True, capture_output=True, text=True,
                       env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
    assert len(set(said.pop().split())) == 3
