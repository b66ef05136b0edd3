"""The original layout of Janus checkpoints (``model_type: multi_modality``) beside the one of transformers.

Both hold the same tensors. The original names them otherwise, fuses query, key and value of the vision tower, and
carries two things that generation never uses: the tower's attention pooling and a counter of used codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paircomp.runtime.key_maps import KeyMap, Rule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ORIGINAL", "config_from_original", "original_config"]

#: Attention heads of the vision towers that Janus names; their tensors do not tell.
_TOWER_HEADS = {"siglip_large_patch16_384": 16, "siglip_so400m_patch14_384": 16}
_HEAD_SIZE = 64


def _three(fused: Tensor) -> Sequence[Tensor]:
    return fused.chunk(3, 0)


def _fused(parts: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(parts), 0)


def _without_batch(positions: Tensor) -> Sequence[Tensor]:
    return (positions.squeeze(0),)


def _with_batch(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0)


def _quantizer_rules() -> tuple[Rule, ...]:
    """Of the image tokenizer: same modules, other names for blocks."""
    theirs, ours = "gen_vision_model", "model.vqmodel"
    middle = {"0": "block_1", "1": "attn_1", "2": "block_2"}
    rules = [Rule(f"{theirs}.quantize.codebook_used")]
    for side, blocks in (("encoder", "down"), ("decoder", "up")):
        rules += [Rule(f"{theirs}.{side}.mid.{n}.{{rest}}", (f"{ours}.{side}.mid.{name}.{{rest}}",))
                  for n, name in middle.items()]  # fmt: skip
        rules += [
            Rule(f"{theirs}.{side}.conv_blocks.{{level}}.res.{{rest}}",
                 (f"{ours}.{side}.{blocks}.{{level}}.block.{{rest}}",)),
            Rule(f"{theirs}.{side}.conv_blocks.{{rest}}", (f"{ours}.{side}.{blocks}.{{rest}}",)),
        ]  # fmt: skip
    return (*rules, Rule(f"{theirs}.{{rest}}", (f"{ours}.{{rest}}",)))


def _tower_rules() -> tuple[Rule, ...]:
    """Of the vision tower, which reads images for understanding; generation leaves it alone."""
    theirs, ours = "vision_model.vision_tower", "model.vision_model"
    block, layer = f"{theirs}.blocks.{{n}}", f"{ours}.encoder.layers.{{n}}"
    attention = tuple(f"{layer}.self_attn.{name}_proj.{{leaf}}" for name in "qkv")
    return (
        Rule(f"{theirs}.attn_pool.{{rest}}"),
        Rule(f"{theirs}.pos_embed", (f"{ours}.embeddings.position_embedding.weight",), _without_batch, _with_batch),
        Rule(f"{theirs}.patch_embed.proj.{{leaf}}", (f"{ours}.embeddings.patch_embedding.{{leaf}}",)),
        Rule(f"{theirs}.norm.{{leaf}}", (f"{ours}.post_layernorm.{{leaf}}",)),
        Rule(f"{block}.norm1.{{leaf}}", (f"{layer}.layer_norm1.{{leaf}}",)),
        Rule(f"{block}.norm2.{{leaf}}", (f"{layer}.layer_norm2.{{leaf}}",)),
        Rule(f"{block}.mlp.{{rest}}", (f"{layer}.mlp.{{rest}}",)),
        Rule(f"{block}.attn.qkv.{{leaf}}", attention, _three, _fused),
        Rule(f"{block}.attn.proj.{{leaf}}", (f"{layer}.self_attn.projection_layer.{{leaf}}",)),
    )


def _projector_rules() -> tuple[Rule, ...]:
    rules = []
    for theirs, ours in (("aligner", "model.aligner"), ("gen_aligner", "model.generation_aligner")):
        rules += [
            Rule(f"{theirs}.layers.0.{{leaf}}", (f"{ours}.fc1.{{leaf}}",)),
            # Activations sit between the layers of the original list: layer n is its entry 2n.
            *(Rule(f"{theirs}.layers.{2 * n + 2}.{{leaf}}", (f"{ours}.hidden_layers.{n}.{{leaf}}",)) for n in range(8)),
        ]
    return tuple(rules)


#: From the original layout to that of transformers.
ORIGINAL = KeyMap(
    "multi_modality",
    (
        Rule("language_model.model.{rest}", ("model.language_model.{rest}",)),
        Rule("language_model.lm_head.weight", ("lm_head.weight",)),
        *_tower_rules(),
        *_projector_rules(),
        Rule("gen_embed.weight", ("model.generation_embeddings.weight",)),
        Rule("gen_head.output_mlp_projector.{leaf}", ("model.generation_head.proj_out.{leaf}",)),
        Rule("gen_head.vision_head.{leaf}", ("model.generation_head.vision_head.{leaf}",)),
        *_quantizer_rules(),
    ),
)


def config_from_original(config: Mapping[str, Any], shapes: Mapping[str, Tensor], *, image_token_id: int) -> Any:
    """The transformers config of an original checkpoint; what its ``config.json`` leaves out is read from the tensors.

    Args:
        config: the parsed ``config.json``.
        shapes: its tensors, on the meta device.
        image_token_id: of the placeholder for images that are read.

    Raises:
        KeyError: a tensor that every Janus has is absent; names it.
    """
    from transformers import JanusConfig, JanusVisionConfig, JanusVQVAEConfig

    embedding = shapes["gen_embed.weight"]  # [V, code size]
    hidden = shapes["gen_head.output_mlp_projector.weight"].shape[1]
    codes: dict[str, Any] = {
        "embed_dim": embedding.shape[1],
        "num_embeddings": embedding.shape[0],
        "projection_dim": shapes["gen_aligner.layers.0.weight"].shape[0],
        "num_hidden_layers": _count(shapes, "gen_aligner.layers."),
        "image_token_embed_dim": hidden,
        **_quantizer_sizes(shapes),
    }
    return JanusConfig(
        text_config=_text_config(config.get("language_config", {}), shapes),
        vision_config=JanusVisionConfig(**_tower_sizes(config, shapes)),
        vq_config=JanusVQVAEConfig(**codes),
        image_token_id=image_token_id,
        tie_word_embeddings=False,  # both are stored; transformers' default would join them
    )


def _count(shapes: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})


def _text_config(said: Mapping[str, Any], shapes: Mapping[str, Tensor]) -> Any:
    """Fine-tunes that were saved again leave out whatever equals LlamaConfig's defaults; the tensors know better."""
    from transformers import LlamaConfig

    vocabulary, hidden = shapes["language_model.model.embed_tokens.weight"].shape
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": shapes["language_model.model.layers.0.mlp.gate_proj.weight"].shape[0],
        "num_hidden_layers": _count(shapes, "language_model.model.layers."),
    }
    known = {key: value for key, value in said.items() if key not in ("model_type", "torch_dtype", "dtype", *sizes)}
    config = LlamaConfig(**{**known, **sizes, "tie_word_embeddings": False})
    keys = shapes["language_model.model.layers.0.self_attn.k_proj.weight"].shape[0]
    config.num_key_value_heads = keys // (config.head_dim or hidden // config.num_attention_heads)
    return config


def _tower_sizes(config: Mapping[str, Any], shapes: Mapping[str, Tensor]) -> dict[str, Any]:
    theirs = "vision_model.vision_tower"
    width = shapes[f"{theirs}.pos_embed"].shape[2]
    tokens = shapes[f"{theirs}.pos_embed"].shape[1]
    name = config.get("vision_config", {}).get("params", {}).get("model_name", "")
    side = shapes[f"{theirs}.patch_embed.proj.weight"].shape[2]
    return {
        "hidden_size": width,
        "num_hidden_layers": _count(shapes, f"{theirs}.blocks."),
        "num_attention_heads": _TOWER_HEADS.get(name, max(1, width // _HEAD_SIZE)),
        "mlp_ratio": shapes[f"{theirs}.blocks.0.mlp.fc1.weight"].shape[0] / width,
        "image_size": side * round(tokens**0.5),
        "patch_size": side,
        "num_image_tokens": tokens,
        "projection_dim": shapes["aligner.layers.0.weight"].shape[0],
        "depth": _count(shapes, "aligner.layers."),
    }


def _quantizer_sizes(shapes: Mapping[str, Tensor]) -> dict[str, Any]:
    encoder = "gen_vision_model.encoder"
    base = shapes[f"{encoder}.conv_in.weight"].shape[0]
    levels = _count(shapes, f"{encoder}.conv_blocks.")
    widths = [shapes[f"{encoder}.conv_blocks.{level}.res.0.conv2.weight"].shape[0] for level in range(levels)]
    return {
        "base_channels": base,
        "channel_multiplier": [width // base for width in widths],
        "num_res_blocks": _count(shapes, f"{encoder}.conv_blocks.0.res."),
        "latent_channels": shapes[f"{encoder}.conv_out.weight"].shape[0],
    }


def original_config(config: Any) -> dict[str, Any]:
    """The ``config.json`` of the original layout for a model of ours; the way back of :func:`config_from_original`."""
    text, vision, codes = config.text_config, config.vision_config, config.vq_config
    hidden = codes.image_token_embed_dim

    def part(kind: str, name: str, **params: Any) -> dict[str, Any]:
        return {"cls": name, "model_type": kind, "params": params}

    def projector(kind: str, depth: int, inputs: int, width: int) -> dict[str, Any]:
        return part(kind, "MlpProjector", depth=depth, input_dim=inputs, n_embed=width, projector_type="mlp_gelu")

    names = {(1024, 16): "siglip_large_patch16_384"}
    return {
        "architectures": ["MultiModalityCausalLM"],
        "model_type": "multi_modality",
        "aligner_config": projector("aligner", vision.depth, vision.hidden_size, vision.projection_dim),
        "gen_aligner_config": projector("gen_aligner", codes.num_hidden_layers, codes.embed_dim, codes.projection_dim),
        "gen_head_config": part("gen_head", "vision_head", n_embed=hidden, image_token_embed=codes.projection_dim,
                                image_token_size=codes.num_embeddings),
        "gen_vision_config": part("gen_vision", f"VQ-{2 ** (len(codes.channel_multiplier) - 1)}",
                                  image_token_size=codes.num_embeddings, n_embed=codes.embed_dim),
        "vision_config": part("vision", "CLIPVisionTower", image_size=vision.image_size, select_layer=-1,
                              model_name=names.get((vision.hidden_size, vision.patch_size), "siglip"),
                              select_feature="same"),
        "language_config": {
            "model_type": "llama",
            **{name: getattr(text, name) for name in (
                "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "max_position_embeddings", "rms_norm_eps")},
            "rope_theta": text.rope_parameters["rope_theta"],
        },
    }  # fmt: skip
