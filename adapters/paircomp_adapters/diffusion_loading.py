"""Bringing a diffusers pipeline from a folder or the hub to the device, in the number format asked for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paircomp.errors import AdapterError, ConfigError, UnavailableError
from paircomp.runtime.checkpoints import resolve_dtype, torch_dtype
from paircomp.runtime.weights import explained_load, is_hub_id, weights_within_reach

__all__ = ["DeviceMap", "Offload", "Placement", "load_pipeline", "pipeline_folder"]

Offload = Literal["none", "model", "sequential", "group"]
DeviceMap = Literal["balanced"]
_WHO = "generator 'diffusers'"


@dataclass(frozen=True)
class Placement:
    """Where the weights go. Changes speed and memory, never the recipe.

    Attributes:
        device: ``cpu``, ``cuda``, ``mps``.
        dtype: name of a number format; ``None`` takes bfloat16 on an accelerator and float32 on the CPU.
        offload: what waits in main memory until its turn: nothing, whole models, or single layers.
        device_map: ``balanced`` spreads the models over all accelerators.
        vae_tiling: decode in tiles; less memory, and seams may differ by a shade.
        vae_slicing: decode one image at a time.
    """

    device: str = "cpu"
    dtype: str | None = None
    offload: Offload = "none"
    device_map: DeviceMap | None = None
    vae_tiling: bool = False
    vae_slicing: bool = False


def load_pipeline(
    checkpoint: str, placement: Placement, *, revision: str | None, variant: str | None, without: Sequence[str],
    remote_code: bool = False,
) -> Any:  # fmt: skip
    """Load a text-to-image pipeline of any class that its ``model_index.json`` names.

    Args:
        checkpoint: a folder in diffusers' layout, or a hub id.
        placement: device, number format, offload.
        revision: of a hub id.
        variant: which files of a checkpoint that holds several, for instance ``fp16``.
        without: parts to leave out, for instance ``text_encoder_3`` and ``tokenizer_3`` of SD3.
        remote_code: run code that the checkpoint brings; a checkpoint that brings some is refused otherwise.

    Raises:
        ConfigError: options that exclude each other.
        UnavailableError: a licence to accept, weights out of reach, a package or an accelerator that is missing.
        AdapterError: a folder that is no pipeline.
    """
    _check(checkpoint, placement)
    checkpoint = weights_within_reach(_WHO, checkpoint, revision)
    import diffusers

    _hide_bars_from_logs()

    loader: Any = diffusers.DiffusionPipeline  # typed in part only
    further: dict[str, Any] = dict.fromkeys(without)
    if placement.device_map is not None:
        further["device_map"] = placement.device_map
    with explained_load(_WHO, checkpoint, extra="diffusion"):
        pipeline = loader.from_pretrained(
            checkpoint, dtype=torch_dtype(resolve_dtype(placement.dtype, placement.device)), revision=revision,
            variant=_variant_there(checkpoint, variant), trust_remote_code=remote_code, **further,
        )  # fmt: skip
        _place(pipeline, placement)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _variant_there(checkpoint: str, variant: str | None) -> str | None:
    """A folder of one's own, saved without the variant that the catalogue's checkpoint has, is taken as it is."""
    here = Path(checkpoint)
    if variant is None or not here.is_dir() or any(here.rglob(f"*.{variant}.*")):
        return variant
    return None


def _hide_bars_from_logs() -> None:
    """Progress bars are for terminals; in a log each step of theirs would be a line."""
    if sys.stderr.isatty():
        return
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()


def _check(checkpoint: str, placement: Placement) -> None:
    here = Path(checkpoint)
    if here.is_dir() and not (here / "model_index.json").is_file():
        raise AdapterError(f"{_WHO}: {checkpoint} has no model_index.json; expected a folder that a diffusers pipeline "
                           "was saved to; next: check the path, or convert a single-file checkpoint with diffusers"
                           )  # fmt: skip
    if not here.is_dir() and not is_hub_id(checkpoint):
        raise AdapterError(f"{_WHO}: {checkpoint}: no such folder and no hub id (owner/name); next: check --checkpoint")
    if placement.device_map is not None and placement.offload != "none":
        raise ConfigError(["offload and device_map exclude each other"], where=f"option -o of {_WHO}")
    needs = [name for name, given in (("offload", placement.offload != "none"), ("device_map", placement.device_map))
             if given]  # fmt: skip
    if needs and placement.device == "cpu":
        raise UnavailableError(f"{needs[0]} of {_WHO}", package="an accelerator", remedy=f"leave -o {needs[0]} out")
    if needs and importlib.util.find_spec("accelerate") is None:
        raise UnavailableError(f"{needs[0]} of {_WHO}", package="accelerate",
                               remedy="python -m pip install 'paircomp[diffusion]'")  # fmt: skip


def _place(pipeline: Any, placement: Placement) -> None:
    if placement.offload == "model":
        pipeline.enable_model_cpu_offload(device=placement.device)
    elif placement.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=placement.device)
    elif placement.offload == "group":
        import torch

        pipeline.enable_group_offload(onload_device=torch.device(placement.device))
    elif placement.device_map is None:
        pipeline.to(placement.device)
    for wanted, method in ((placement.vae_tiling, "enable_tiling"), (placement.vae_slicing, "enable_slicing")):
        if wanted:
            _switch_on(pipeline, method)


def _switch_on(pipeline: Any, method: str) -> None:
    decoder = getattr(pipeline, "vae", None)
    if not hasattr(decoder, method):
        raise ConfigError([f"vae_{method.removeprefix('enable_')}: the decoder of {type(pipeline).__name__} has none"],
                          where=f"option -o of {_WHO}")  # fmt: skip
    getattr(decoder, method)()


def pipeline_folder(pipeline: Any, checkpoint: str) -> Path:
    """The folder that a pipeline was read from: the one named, or the hub's snapshot."""
    return Path(pipeline.config.get("_name_or_path") or checkpoint)
