"""What the catalogue says of this package's models. Kept light: ``paircomp models`` imports it."""

from __future__ import annotations

from paircomp.types import ModelSpec

__all__ = ["MODELS"]

MODELS = (
    ModelSpec(
        name="example-colour",
        adapter="example-colour",  # the generator's entry point
        recipe={"spread": 0.2},  # options of the generator's factory; part of every run's identity
        suite="shapes",
        family="example",
        licence="Apache-2.0",
        resolution=(32, 32),
        packages=("PIL",),
        description="fills the image with the colour of the prompt's hash",
        source="tests/extension_package",
    ),
)
