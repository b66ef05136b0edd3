"""A tiny random Emu3 of the real classes, saved to a folder as the released checkpoints are."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    Emu3Config,
    Emu3ForConditionalGeneration,
    Emu3Processor,
    Emu3TextConfig,
    Emu3VQVAEConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.emu3.image_processing_emu3 import Emu3ImageProcessor

CODES = 64
WORDS = ("two", "three", "red", "blue", "circles", "circle", "light", "plain", "background", "blurry", "sharp", "cat")
SPECIAL = {
    "pad_token": "<|endoftext|>",
    "bos_token": "<|extra_203|>",
    "eos_token": "<|extra_204|>",
    "unk_token": "<|unknown|>",
}
IMAGE = {
    "image_token": "<image>",
    "boi_token": "<|image start|>",
    "eoi_token": "<|image end|>",
    "image_wrapper_token": "<|image token|>",
    "eof_token": "<|extra_201|>",
    "eol_token": "<|extra_200|>",
}


def vocabulary() -> dict[str, int]:
    visual = [f"<|visual token {number:06d}|>" for number in range(CODES)]
    words = [*SPECIAL.values(), *IMAGE.values(), *string.printable, *WORDS, *visual]
    return {word: number for number, word in enumerate(words)}


def tokenizer() -> Any:
    inner = Tokenizer(models.WordLevel(vocabulary(), unk_token=SPECIAL["unk_token"]))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("[a-z]+|."), behavior="isolated")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, **SPECIAL, extra_special_tokens=IMAGE, padding_side="left", model_max_length=512
    )


def save(folder: Path) -> Path:
    """Build the model and its processor with seeded weights and save both."""
    torch.manual_seed(0)
    words = vocabulary()
    config = Emu3Config(
        text_config=Emu3TextConfig(
            vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, pad_token_id=words[SPECIAL["pad_token"]],
            bos_token_id=words[SPECIAL["bos_token"]], eos_token_id=words[SPECIAL["eos_token"]],
            initializer_range=0.2,
        ),
        vq_config=Emu3VQVAEConfig(
            codebook_size=CODES, embed_dim=4, latent_channels=4, base_channels=32, channel_multiplier=[1, 1, 1, 1],
            num_res_blocks=1, attn_resolutions=[3], hidden_size=32, temporal_downsample_factor=1,
        ),
        vocabulary_map=words,
    )  # fmt: skip
    model = Emu3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.model.vqmodel.quantize.embedding.weight.normal_()
    model.save_pretrained(folder)
    Emu3Processor(Emu3ImageProcessor(), tokenizer()).save_pretrained(folder)
    return folder
