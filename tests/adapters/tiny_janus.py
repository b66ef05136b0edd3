"""Tiny random Janus models of the real classes of transformers, saved with a tokenizer that tells every byte apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

BEGIN = "<｜begin▁of▁sentence｜>"  # noqa: RUF001 - the token's own characters
END = "<｜end▁of▁sentence｜>"  # noqa: RUF001
PAD = "<｜▁pad▁｜>"  # noqa: RUF001
SPECIAL = [BEGIN, END, PAD, "<|User|>", "<|Assistant|>", "<begin_of_image>", "<end_of_image>", "<image_placeholder>"]
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<|User|>: {{ message['content'] }}\n\n"
    "{% endif %}{% endfor %}<|Assistant|>:"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate([*letters, *SPECIAL])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, words[BEGIN])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD,
        extra_special_tokens={"image_token": SPECIAL[7], "boi_token": SPECIAL[5], "eoi_token": SPECIAL[6]},
        additional_special_tokens=["<|User|>", "<|Assistant|>"], padding_side="left",
    )  # fmt: skip


def janus_config(
    *, width: int = 32, layers: int = 2, heads: int = 4, key_value_heads: int = 2, codes: int = 64, grid: int = 4,
    vocabulary: int = 264,
) -> JanusConfig:  # fmt: skip
    patch = 4
    return JanusConfig(
        text_config=LlamaConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=2 * width + 8, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=key_value_heads, max_position_embeddings=2048,
            tie_word_embeddings=False,
        ),
        vision_config=JanusVisionConfig(
            hidden_size=64, num_hidden_layers=1, num_attention_heads=1, image_size=grid * patch, patch_size=patch,
            num_image_tokens=grid * grid, projection_dim=width, depth=2, mlp_ratio=2.0,
        ),
        vq_config=JanusVQVAEConfig(
            embed_dim=8, num_embeddings=codes, latent_channels=32, base_channels=32, channel_multiplier=[1, 1, 2],
            num_res_blocks=1, projection_dim=width, image_token_embed_dim=width,
        ),
        image_token_id=263, tie_word_embeddings=False,
    )  # fmt: skip


def build_janus(*, seed: int = 0, sharpness: float = 0.6, **sizes: Any) -> JanusForConditionalGeneration:
    """Random weights, large enough that prompts and tokens matter and that the codes are not all alike."""
    torch.manual_seed(seed)
    model = JanusForConditionalGeneration(janus_config(**sizes))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "vqmodel" not in name:
                weight.normal_(0, sharpness / weight.shape[-1] ** 0.5 * 2)
            elif weight.dim() == 1 and "norm" not in name:
                weight.normal_(0, 0.1)
        model.model.vqmodel.quantize.embedding.weight.normal_(0, 1)
    model.generation_config._from_model_config = False
    return model.eval()


def save_tiny_janus(folder: Path, *, seed: int = 0, **sizes: Any) -> JanusForConditionalGeneration:
    """A folder in transformers' layout; returns the model that was saved."""
    model, tokenizer = build_janus(seed=seed, **sizes), byte_tokenizer()
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.guidance_scale = 5.0
    model.generation_config.generation_kwargs = {"boi_token_id": tokenizer.convert_tokens_to_ids("<begin_of_image>")}
    model.save_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return model
