"""The two fixed suites of the shapes world: ``shapes`` and ``shapes-dev``, 240 pairs each, 40 per subtask.

``shapes`` is read once per finished model; ``shapes-dev`` is for loops and choices. No picture occurs in both, nor
twice in one of them, in any wording. Their files lie beside this module; `paircomp.suites.shapes_drawing` made them.
"""

from __future__ import annotations

import dataclasses
import functools
from importlib import resources

from paircomp.shapes import Scene, canonical, parse_prompt
from paircomp.suites.files import load_suite_file
from paircomp.types import Suite

__all__ = ["held_out_scenes", "is_held_out", "shapes_dev_suite", "shapes_suite"]


def shapes_suite() -> Suite:
    """240 pairs of the shapes world, to be read once per finished model."""
    return _load("shapes")


def shapes_dev_suite() -> Suite:
    """240 pairs of the shapes world, with other scenes than ``shapes``, for loops and choices."""
    return _load("shapes-dev")


@functools.cache
def _load(name: str) -> Suite:
    with resources.as_file(resources.files("paircomp.suites") / f"{name}.jsonl") as path:
        suite = load_suite_file(path, name=name)
    return dataclasses.replace(
        suite, default_judge="pixels", held_out_judge="internvl-tiny", source="embedded: paircomp/shapes"
    )


@functools.cache
def held_out_scenes() -> frozenset[Scene]:
    """The scenes of both suites, both sides of every pair, in canonical form; training may use none of them."""
    return frozenset(
        canonical(parse_prompt(prompt))
        for suite in (shapes_suite(), shapes_dev_suite())
        for pair in suite.pairs
        for prompt in pair.prompts
    )


def is_held_out(scene: Scene) -> bool:
    """Whether a fixed suite shows this picture, in whatever wording or order of its parts."""
    return canonical(scene) in held_out_scenes()
