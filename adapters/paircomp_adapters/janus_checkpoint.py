"""Loading and saving Janus models in either layout, into the classes of transformers, without remote code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paircomp.errors import ConfigError
from paircomp.runtime.checkpoints import (
    CheckpointError,
    WeightFiles,
    fill_model,
    read_json,
    settings_fingerprint,
    torch_dtype,
)
from paircomp.runtime.files import write_json
from paircomp_adapters.janus_layout import ORIGINAL, config_from_original, original_config
from paircomp_adapters.janus_prompts import JanusPrompts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["JanusCheckpoint", "Layout", "load_janus", "save_janus"]

Layout = Literal["transformers", "original"]

_LAYOUTS: dict[str, Layout] = {"janus": "transformers", "multi_modality": "original"}
_DEFAULT_IMAGE_TOKEN = 100581


@dataclass(frozen=True)
class JanusCheckpoint:
    """A loaded Janus.

    Attributes:
        model: a ``JanusForConditionalGeneration`` in evaluation mode, on its device.
        prompts: its tokenizer.
        layout: what it was read from.
        fingerprint: stands for its weights, see :meth:`WeightFiles.fingerprint`.
        settings: stands for its configuration and tokenizer, see `settings_fingerprint`.
        unused: tensors of the original layout that the classes of transformers have no place for.
    """

    model: Any
    prompts: JanusPrompts
    layout: Layout
    fingerprint: str
    settings: str
    unused: Mapping[str, Tensor] = field(default_factory=dict)


def load_janus(folder: Path, *, device: str, dtype: torch.dtype) -> JanusCheckpoint:
    """Read a Janus from a folder.

    Args:
        folder: of transformers' layout (``model_type: janus``) or the original (``multi_modality``), with weights in
            safetensors or ``.bin``, whole or in shards.
        device: where it goes.
        dtype: of its weights.

    Raises:
        CheckpointError: not a Janus, or tensors missing, unexpected or misshapen; nothing is left at random.
    """
    config = read_json(folder / "config.json")
    layout = _LAYOUTS.get(str(config.get("model_type")))
    if layout is None:
        said = f"model_type: expected janus or multi_modality, got {config.get('model_type')!r}"
        raise CheckpointError(folder, [f"{said}; next: another adapter (paircomp models)"])
    prompts = JanusPrompts(folder)
    weights = WeightFiles.of(folder)
    if layout == "transformers":
        model, unused = _from_transformers(folder, device=device, dtype=dtype), dict[str, "Tensor"]()
    else:
        model, unused = _from_original(weights, config, prompts, device=device, dtype=dtype)
    _check_sizes(folder, model.config)
    return JanusCheckpoint(model.eval(), prompts, layout, weights.fingerprint(), settings_fingerprint(folder), unused)


def _from_transformers(folder: Path, *, device: str, dtype: torch.dtype) -> Any:
    from transformers import JanusForConditionalGeneration

    load: Any = JanusForConditionalGeneration.from_pretrained
    try:
        # Other shapes would be refused there without their names; they are reported instead and refused below.
        model, said = load(
            folder, dtype=dtype, output_loading_info=True, local_files_only=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # damaged files speak through the exceptions of several libraries
        raise CheckpointError(folder, [f"not loadable ({' '.join(str(error).split())[:300]})"]) from error
    faults = [f"{key}: missing" for key in sorted(said["missing_keys"])]
    faults += [f"{key}: unexpected" for key in sorted(said["unexpected_keys"])]
    faults += [f"{fault[0]}: another shape than config.json says" for fault in sorted(said["mismatched_keys"])]
    if faults:
        raise CheckpointError(folder, faults)
    return model.to(device)


def _from_original(
    weights: WeightFiles, config: Mapping[str, Any], prompts: JanusPrompts, *, device: str, dtype: torch.dtype
) -> tuple[Any, dict[str, Tensor]]:
    import torch
    from transformers import JanusForConditionalGeneration

    image = prompts.image if prompts.image is not None else _DEFAULT_IMAGE_TOKEN
    try:
        ours = config_from_original(config, weights.shapes(), image_token_id=image)
    except KeyError as error:
        raise CheckpointError(weights.folder, [f"{error.args[0]}: missing"]) from error
    with torch.device("meta"):
        model: Any = JanusForConditionalGeneration(ours)
    unused = fill_model(model, weights, ORIGINAL, device=device, dtype=dtype)
    _settle_generation(model, prompts)
    return model, unused


def _settle_generation(model: Any, prompts: JanusPrompts) -> None:
    """What transformers' own ``generate`` wants to know, so that a checkpoint saved from here works there."""
    config = model.generation_config
    config.bos_token_id, config.pad_token_id = prompts.begin, prompts.pad
    config.guidance_scale = 5.0
    config.generation_kwargs = {"boi_token_id": prompts.begin_of_image}
    config._from_model_config = False  # otherwise the line above is dropped when it is saved and read again


def _check_sizes(folder: Path, config: Any) -> None:
    side = config.vision_config.image_size // config.vision_config.patch_size
    patch = 2 ** (len(config.vq_config.channel_multiplier) - 1)
    faults = []
    if side**2 != config.vision_config.num_image_tokens:
        faults.append(
            f"num_image_tokens: expected {side**2} for a grid of {side}, got {config.vision_config.num_image_tokens}"
        )
    if patch != config.vision_config.patch_size:
        faults.append(
            f"patch_size: the image tokenizer's is {patch}, the config says {config.vision_config.patch_size}"
        )
    if faults:
        raise CheckpointError(folder, faults)


def save_janus(
    checkpoint: JanusCheckpoint, folder: Path, *, layout: Layout = "transformers",
    weights: Mapping[str, Tensor] | None = None,
) -> None:  # fmt: skip
    """Write a Janus with its tokenizer, so that :func:`load_janus` and the layout's own code read it.

    The original layout gets the tensors back that were dropped when it was read. A model that never was in that layout
    lacks the attention pooling of its vision tower, which no code path of Janus uses.

    Args:
        checkpoint: what to write.
        folder: made when absent; files of the same names are replaced.
        layout: which names and config.
        weights: in place of the model's own, by the names of its state dict.

    Raises:
        ConfigError: no such layout.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "transformers":
        _settle_generation(checkpoint.model, checkpoint.prompts)
        checkpoint.model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))
        if weights is not None:  # the model's own number format was written
            write_json(folder / "config.json", {**read_json(folder / "config.json"), "dtype": _format(weights)})
    elif layout == "original":
        _save_original(checkpoint, folder, weights or checkpoint.model.state_dict())
    else:
        raise ConfigError([f"layout: expected transformers or original, got {layout!r}"], where="save")
    for name, content in checkpoint.prompts.files.items():
        (folder / name).write_bytes(content)


def _save_original(checkpoint: JanusCheckpoint, folder: Path, weights: Mapping[str, Tensor]) -> None:
    from huggingface_hub import save_torch_state_dict

    config = checkpoint.model.config
    tensors = {key: tensor.detach().contiguous() for key, tensor in ORIGINAL.invert(_untied(weights, config))}
    written = _format(weights)
    tensors |= {key: tensor.to(torch_dtype(written)) for key, tensor in checkpoint.unused.items()}
    save_torch_state_dict(tensors, folder, max_shard_size="5GB")
    write_json(folder / "config.json", {**original_config(config), "torch_dtype": written})


def _format(weights: Mapping[str, Tensor]) -> str:
    """The number format of weights: ``float32`` for instance."""
    return next(str(tensor.dtype)[6:] for tensor in weights.values() if tensor.is_floating_point())


def _untied(weights: Mapping[str, Tensor], config: Any) -> dict[str, Tensor]:
    """The state dict with every tensor in memory of its own: files hold no aliases."""
    state = dict(weights)
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"].clone()
    return state
