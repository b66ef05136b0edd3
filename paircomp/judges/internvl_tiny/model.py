"""The small InternVL itself: transformers' native class with small numbers, and how it is written to a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from paircomp.judges.internvl_tiny.tokens import build_tokenizer
from paircomp.shapes.layout import PATCH, SIDE

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import InternVLConfig, InternVLForConditionalGeneration

__all__ = ["IMAGE_TOKENS", "build_config", "build_model", "write_checkpoint"]

_DOWNSAMPLED = 2  # patches each way that become one token of the language model
#: Tokens that a picture takes in the language model.
IMAGE_TOKENS = (SIDE // PATCH // _DOWNSAMPLED) ** 2
_WIDTH, _LAYERS, _HEADS = 128, 4, 4
_PLACED = 0.7  # standard deviation of what is added to positions; patches bring about as much
_START = 0.05  # standard deviation of the first weights; 0.02 suits models ten times as wide


def build_config() -> InternVLConfig:
    """Vision tower, projector and language model, all of one width.

    A patch of the vision tower is a patch of the world, 4 x 4 pixels. Layer scales start at 1, not at 0.1: so shallow
    a tower needs no help to begin, and learns sooner.
    """
    from transformers import InternVLConfig, InternVLVisionConfig, Qwen2Config

    tokenizer = build_tokenizer()
    vision = InternVLVisionConfig(
        image_size=SIDE, patch_size=PATCH, hidden_size=_WIDTH, intermediate_size=4 * _WIDTH, num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS, attention_bias=True, layer_scale_init_value=1.0, use_mean_pooling=True,
        initializer_range=_START,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=_WIDTH, intermediate_size=3 * _WIDTH,
        num_hidden_layers=_LAYERS, num_attention_heads=_HEADS, num_key_value_heads=_HEADS, max_position_embeddings=1024,
        tie_word_embeddings=False, initializer_range=_START, bos_token_id=None,
        eos_token_id=tokenizer.token_to_id("<|im_end|>"), pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
    )  # fmt: skip
    return InternVLConfig(
        vision_config=vision, text_config=text, image_token_id=tokenizer.get_vocab()["<IMG_CONTEXT>"],
        image_seq_length=IMAGE_TOKENS, downsample_ratio=1 / _DOWNSAMPLED, tie_word_embeddings=False,
        architectures=["InternVLForConditionalGeneration"],
    )  # fmt: skip


def build_model(seed: int) -> InternVLForConditionalGeneration:
    """The untrained model; positions start as large as what patches bring, where the class would start them at zero.

    Drawn with the size of the other weights they are a twentieth of that, and what stands where is lost on the way to
    the language model.
    """
    import torch
    from transformers import InternVLForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = InternVLForConditionalGeneration(build_config())
        with torch.no_grad():
            embeddings = model.model.vision_tower.embeddings
            for parameter in (embeddings.position_embeddings, embeddings.cls_token):
                parameter.normal_(std=_START)
            embeddings.position_embeddings[:, 1:] += _places()
    return model


def _places() -> Tensor:
    """``[64, H]``: a row's and a column's code added, each a random mix of three smooth functions of the place."""
    import torch

    along = torch.linspace(-1, 1, SIDE // PATCH)
    smooth = torch.stack([along, (math.pi * along).sin(), (math.pi * along).cos()], dim=-1)  # [8, 3]
    smooth = _PLACED * smooth / smooth.std(dim=0) / math.sqrt(2 * smooth.shape[1])
    rows, columns = (smooth @ torch.randn(2, smooth.shape[1], _WIDTH)).unbind()  # [8, H] each
    return (rows[:, None] + columns).flatten(0, 1)


def write_checkpoint(model: InternVLForConditionalGeneration, folder: Path) -> None:
    """Write config, tokenizer and weights (bfloat16) in transformers' layout.

    Args:
        model: its weights are read, not changed.
        folder: made when absent; files of the same names are replaced.
    """
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model.config.to_json_file(folder / "config.json")
    build_tokenizer().save(str(folder / "tokenizer.json"))
    weights = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
