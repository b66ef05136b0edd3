"""The catalogue's models that the ``sketch`` generator draws."""

from __future__ import annotations

from paircomp.types import ModelSpec

__all__ = ["MODELS"]

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="sketch",
        adapter="sketch",
        recipe={"mistakes": 0.25, "blemishes": 0.1, "steadiness": 0.5},
        suite="shapes",
        family="embedded",
        licence="Apache-2.0",
        resolution=(32, 32),
        packages=("numpy", "PIL"),
        description="draws the shapes world without weights, every fourth image with a mistake",
        source="embedded: adapters/paircomp_adapters/sketch.py",
    ),
    ModelSpec(
        name="sketch-careful",
        adapter="sketch",
        recipe={"mistakes": 0.08, "blemishes": 0.05, "steadiness": 0.5},
        suite="shapes",
        family="embedded",
        licence="Apache-2.0",
        resolution=(32, 32),
        packages=("numpy", "PIL"),
        description="draws the shapes world without weights, with fewer mistakes than sketch",
        source="embedded: adapters/paircomp_adapters/sketch.py",
    ),
)
