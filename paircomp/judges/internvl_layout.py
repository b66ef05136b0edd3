"""The two layouts of InternVL checkpoints, and the native model filled from either; no remote code is ever executed.

The original repositories (``model_type: internvl_chat``) hold InternViT, a projector ``mlp1`` and a language model:
InternLM2 with fused ``wqkv``, or Qwen and Llama as they are. transformers' layout (``-hf``) holds the same tensors
under other names, in a newer and an older form. Whatever is missing, left over or of another shape is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.runtime.checkpoints import CheckpointError, WeightFiles, fill_model, read_json
from paircomp.runtime.key_maps import KeyMap, Rule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import InternVLConfig, InternVLForConditionalGeneration

__all__ = ["config_of", "load_internvl", "original_layout"]

_LANGUAGE = {"InternLM2ForCausalLM": "llama", "LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2",
             "Qwen3ForCausalLM": "qwen3"}  # fmt: skip
_LANGUAGE_FIELDS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "bos_token_id", "eos_token_id",
    "pad_token_id", "use_sliding_window", "sliding_window", "max_window_layers", "tie_word_embeddings",
)  # fmt: skip
_VISION_FIELDS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels", "patch_size",
    "hidden_act", "layer_norm_eps", "norm_type",
)  # fmt: skip


# Configs


def config_of(folder: Path, tokens_image_id: int | None = None) -> InternVLConfig:
    """The native config of a checkpoint of either layout.

    Args:
        folder: the checkpoint.
        tokens_image_id: id of ``<IMG_CONTEXT>`` in its tokenizer, which the original layout does not state.

    Raises:
        CheckpointError: another family, a language model that has no native class here, or fields that are missing.
    """
    from transformers import InternVLConfig

    said = read_json(folder / "config.json")
    kind = said.get("model_type")
    if kind == "internvl":
        return InternVLConfig.from_pretrained(folder)
    if kind != "internvl_chat":
        raise CheckpointError(folder, [f"config.json: expected model_type internvl or internvl_chat, got {kind!r}"])
    try:
        return _config_from_original(said, tokens_image_id)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(folder, [f"config.json: not a config of InternVL ({error!r:.200})"]) from error


def _config_from_original(said: Mapping[str, Any], image_token_id: int | None) -> InternVLConfig:
    from transformers import AutoConfig, InternVLConfig, InternVLVisionConfig

    language, vision = said["llm_config"], said["vision_config"]
    if said.get("ps_version", "v2") != "v2" or said.get("select_layer", -1) != -1:
        raise ValueError("only ps_version v2 with select_layer -1 is native")
    side = said.get("force_image_size") or vision["image_size"]
    text = {name: language[name] for name in _LANGUAGE_FIELDS if language.get(name) is not None}
    if image_token_id is None:
        raise ValueError("its tokenizer has no <IMG_CONTEXT>")
    return InternVLConfig(
        text_config=AutoConfig.for_model(_language_kind(language), **text, **_language_biases(language)),
        vision_config=InternVLVisionConfig(
            **{name: vision[name] for name in _VISION_FIELDS if name in vision},
            image_size=side,
            use_qk_norm=vision.get("qk_normalization", False),
            attention_bias=vision.get("qkv_bias", True),
            use_mean_pooling=True,  # InternViT has no final norm
        ),
        image_token_id=image_token_id,
        image_seq_length=int((side // vision["patch_size"]) ** 2 * said["downsample_ratio"] ** 2),
        downsample_ratio=said["downsample_ratio"],
        tie_word_embeddings=bool(language.get("tie_word_embeddings", False)),
    )


def _language_kind(language: Mapping[str, Any]) -> str:
    architecture = language["architectures"][0]
    if architecture not in _LANGUAGE:
        raise ValueError(f"no native class for {architecture}; there is one for {', '.join(_LANGUAGE)}")
    return _LANGUAGE[architecture]


def _language_biases(language: Mapping[str, Any]) -> dict[str, Any]:
    # Qwen2's biases are fixed; its class takes no such field.
    return {"attention_bias": language.get("bias", False)} if _language_kind(language) == "llama" else {}


# Key maps


def _three(fused: Tensor) -> Sequence[Tensor]:
    return fused.chunk(3, 0)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(parts), 0)


def _twice(tensor: Tensor) -> Sequence[Tensor]:
    return (tensor, tensor)


def _vision_rules() -> tuple[Rule, ...]:
    theirs, ours = "vision_model", "model.vision_tower"
    block, layer = f"{theirs}.encoder.layers.{{n}}", f"{ours}.encoder.layer.{{n}}"
    attention, projection = f"{layer}.attention", "embeddings.patch_embeddings.projection"
    fused = tuple(f"{attention}.{part}_proj.{{leaf}}" for part in "qkv")
    return (
        Rule(f"{theirs}.embeddings.class_embedding", (f"{ours}.embeddings.cls_token",)),
        Rule(f"{theirs}.embeddings.position_embedding", (f"{ours}.embeddings.position_embeddings",)),
        Rule(f"{theirs}.embeddings.patch_embedding.{{leaf}}", (f"{ours}.{projection}.{{leaf}}",)),
        Rule(f"{block}.attn.qkv.{{leaf}}", fused, _three, _stacked),
        Rule(f"{block}.attn.proj.{{leaf}}", (f"{attention}.projection_layer.{{leaf}}",)),
        Rule(f"{block}.attn.q_norm.{{leaf}}", (f"{attention}.q_norm.{{leaf}}",)),
        Rule(f"{block}.attn.k_norm.{{leaf}}", (f"{attention}.k_norm.{{leaf}}",)),
        Rule(f"{block}.norm1.{{leaf}}", (f"{layer}.layernorm_before.{{leaf}}",)),
        Rule(f"{block}.norm2.{{leaf}}", (f"{layer}.layernorm_after.{{leaf}}",)),
        Rule(f"{block}.ls1", (f"{layer}.lambda_1",)),
        Rule(f"{block}.ls2", (f"{layer}.lambda_2",)),
        Rule(f"{block}.mlp.{{rest}}", (f"{layer}.mlp.{{rest}}",)),
    )  # fmt: skip


def _projector_rules() -> tuple[Rule, ...]:
    names = {"0": "layer_norm", "1": "linear_1", "3": "linear_2"}
    return tuple(
        Rule(f"mlp1.{n}.{{leaf}}", (f"model.multi_modal_projector.{name}.{{leaf}}",)) for n, name in names.items()
    )


def _internlm2_rules(config: InternVLConfig) -> tuple[Rule, ...]:
    """InternLM2 is Llama with other names and one matrix for query, key and value, grouped by key-value head."""
    theirs, ours = "language_model.model", "model.language_model"
    block, layer = f"{theirs}.layers.{{n}}", f"{ours}.layers.{{n}}"
    text: Any = config.text_config
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    group = text.num_attention_heads // text.num_key_value_heads

    def split(fused: Tensor) -> Sequence[Tensor]:
        rows = fused.view(-1, group + 2, size, *fused.shape[1:])  # [key-value heads, queries + key + value, size, in]
        parts = (rows[:, :group], rows[:, -2], rows[:, -1])
        return tuple(part.reshape(-1, *fused.shape[1:]) for part in parts)

    def join(parts: Sequence[Tensor]) -> Tensor:
        heads = [part.reshape(text.num_key_value_heads, -1, size, *part.shape[1:]) for part in parts]
        return _grouped(heads)

    names = {
        "attention.wo": "self_attn.o_proj",
        "attention_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "feed_forward.w1": "mlp.gate_proj",
        "feed_forward.w2": "mlp.down_proj",
        "feed_forward.w3": "mlp.up_proj",
    }
    fused = tuple(f"{layer}.self_attn.{part}_proj.{{leaf}}" for part in "qkv")
    return (
        Rule(f"{theirs}.tok_embeddings.{{leaf}}", (f"{ours}.embed_tokens.{{leaf}}",)),
        Rule(f"{block}.attention.wqkv.{{leaf}}", fused, split, join),
        *(Rule(f"{block}.{old}.{{leaf}}", (f"{layer}.{new}.{{leaf}}",)) for old, new in names.items()),
        Rule(f"{theirs}.norm.{{leaf}}", (f"{ours}.norm.{{leaf}}",)),
        Rule("language_model.output.{leaf}", ("lm_head.{leaf}",)),
    )


def _grouped(heads: Sequence[Tensor]) -> Tensor:
    """Parts ``[key-value heads, queries of it or 1, head size, in]`` as one matrix."""
    import torch

    return torch.cat(list(heads), 1).flatten(0, 2)


def original_layout(config: InternVLConfig, architecture: str) -> KeyMap:
    """The key map of an original repository.

    Args:
        config: native config of the checkpoint.
        architecture: of its language model, as its config names it.
    """
    if architecture == "InternLM2ForCausalLM":
        language = _internlm2_rules(config)
    else:
        language = (
            Rule("language_model.lm_head.{leaf}", ("lm_head.{leaf}",)),
            Rule("language_model.model.{rest}", ("model.language_model.{rest}",)),
        )
    return KeyMap("internvl_chat", (*_vision_rules(), *_projector_rules(), *language))


_NATIVE = KeyMap("internvl", (Rule("model.{rest}", ("model.{rest}",)), Rule("lm_head.{rest}", ("lm_head.{rest}",))))
_NATIVE_OLDER = KeyMap(
    "internvl, older names",
    (
        Rule("language_model.lm_head.{leaf}", ("lm_head.{leaf}",)),
        Rule("language_model.model.{rest}", ("model.language_model.{rest}",)),
        Rule("vision_tower.{rest}", ("model.vision_tower.{rest}",)),
        Rule("multi_modal_projector.{rest}", ("model.multi_modal_projector.{rest}",)),
    ),
)


def _with_tied_output(layout: KeyMap, keys: Mapping[str, object]) -> KeyMap:
    """`layout` for a checkpoint that leaves out its output matrix, because it is the embedding's."""
    shared = ("model.language_model.embed_tokens.weight", "lm_head.weight")
    source = next((key for key in keys if key.endswith("embed_tokens.weight")), "")
    return KeyMap(layout.name, (Rule(source, shared, _twice), *layout.rules))


def _layout(folder: Path, config: InternVLConfig, keys: Mapping[str, object]) -> KeyMap:
    said = read_json(folder / "config.json")
    if said["model_type"] == "internvl_chat":
        layout = original_layout(config, said["llm_config"]["architectures"][0])
    else:
        layout = _NATIVE if any(key.startswith("model.") for key in keys) else _NATIVE_OLDER
    has_output = any(key.endswith(("lm_head.weight", "output.weight")) for key in keys)
    return layout if has_output or not config.tie_word_embeddings else _with_tied_output(layout, keys)


# Loading


def load_internvl(
    folder: Path, config: InternVLConfig, *, device: str, dtype: torch.dtype
) -> tuple[InternVLForConditionalGeneration, WeightFiles]:
    """The model, filled exactly from the checkpoint and in evaluation mode, and the files it came from.

    Raises:
        CheckpointError: a missing, unexpected or misshapen tensor; every one is named.
    """
    import torch
    from transformers import InternVLForConditionalGeneration

    weights = WeightFiles.of(folder)
    layout = _layout(folder, config, weights.shapes())
    with torch.device("meta"):
        model: Any = InternVLForConditionalGeneration(config)
    fill_model(model, weights, layout, device=device, dtype=dtype)
    model.requires_grad_(requires_grad=False)
    return model.eval(), weights
