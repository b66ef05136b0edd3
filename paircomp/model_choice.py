"""Which model an evaluation draws with, and where its run lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paircomp.errors import ConfigError
from paircomp.plugins import Registry
from paircomp.runtime.training_manifest import trained_with_judge
from paircomp.types import ModelSpec

__all__ = ["default_run_path", "resolve_model", "training_judge"]


def resolve_model(
    registry: Registry,
    *,
    model: str | None,
    adapter: str | None = None,
    checkpoint: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """The model to draw with: one of the catalogue, or any checkpoint through a named adapter.

    Args:
        registry: where names are looked up.
        model: a name of the catalogue, or, with `adapter`, what tables shall call it.
        adapter: a generator by name.
        checkpoint: hub id or path.
        options: override the recipe's.

    Raises:
        ConfigError: neither a model nor an adapter was named.
        UnknownNameError: no such model or adapter.
    """
    if adapter is not None:
        factory = registry.generator(adapter)  # an unknown adapter is named before anything else
        name = model or _named_by(checkpoint) or adapter
        spec = ModelSpec(name=name, adapter=adapter, checkpoint=checkpoint,
                         packages=tuple(getattr(factory, "requires", ())))  # fmt: skip
    elif model is not None:
        spec = registry.model(model)
    else:
        raise ConfigError(["name a model (--model NAME) or an adapter (--adapter NAME)"], where="paircomp eval")
    return spec.overridden(checkpoint=checkpoint, options=options)


def _named_by(checkpoint: str | None) -> str:
    """The last part of a hub id or path; that of the folder itself where the path is ``.`` or ends in ``..``."""
    if checkpoint is None:
        return ""
    path = Path(checkpoint)
    return (path.resolve() if path.is_dir() else path).name


def training_judge(registry: Registry, *, model: str, checkpoint: str | None = None) -> str | None:
    """The judge whose score rewarded a model in training; ``None`` where nobody says.

    Asked are the manifest beside the weights, then the catalogue, where a model may be named by its name or its
    checkpoint: pictures of it and a checkpoint drawn through another adapter were rewarded alike.

    Args:
        registry: the catalogue.
        model: what tables call the model.
        checkpoint: hub id or path; ``None`` where only pictures exist.

    Raises:
        ConfigError: the manifest cannot be read.
    """
    if (named := trained_with_judge(checkpoint)) is not None:
        return named
    found = (
        spec.trained_with_judge or trained_with_judge(spec.checkpoint) for spec in registry.models().values()
        if spec.name == model or (spec.checkpoint is not None and spec.checkpoint in (model, checkpoint))
    )  # fmt: skip
    return next((judge for judge in found if judge is not None), None)


def default_run_path(model: str, suite: str, seed: int) -> Path:
    """``runs/<model>--<suite>--seed<seed>``, with characters that folders cannot have replaced."""
    return Path("runs") / f"{_folder_name(model)}--{_folder_name(suite)}--seed{seed}"


def _folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "model"
