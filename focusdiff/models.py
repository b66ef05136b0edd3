"""The catalogue's models that ship with the package, trained by the recipes beside this module.

Both are drawn by one recipe: guidance 2 over codes that the prompt alone finds at least a twentieth as likely as the
likeliest. Guidance without that bound promotes codes that the prompt finds unlikely (docs/janus.md, "Why min-p").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from paircomp.types import ModelSpec

__all__ = ["MODELS"]

_RECIPE: Mapping[str, Any] = MappingProxyType({"guidance": 2.0, "temperature": 1.0, "top_k": 0, "min_p": 0.05})


def _tiny(name: str, description: str, *, trained_with_judge: str | None = None) -> ModelSpec:
    return ModelSpec(
        name=name,
        adapter="janus",
        checkpoint=f"package:focusdiff/checkpoints/{name}",
        recipe=_RECIPE,
        suite="shapes",
        trained_with_judge=trained_with_judge,
        family="embedded",
        licence="Apache-2.0",
        resolution=(32, 32),
        parameters=1_160_000,
        packages=("torch", "transformers", "safetensors"),
        dtype="float32",
        description=description,
        source="embedded: focusdiff/recipes",
    )


MODELS: tuple[ModelSpec, ...] = (
    _tiny("janus-tiny", "a Janus for the shapes world, trained on skewed and noisy pictures; ships with the package"),
    _tiny(
        "janus-tiny-focusdiff",
        "janus-tiny after Pair-GRPO on pairs of prompts; ships with the package",
        trained_with_judge="pixels",
    ),
)
