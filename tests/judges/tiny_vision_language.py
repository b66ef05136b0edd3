"""Tiny random Qwen2.5-VL, Qwen3-VL and LLaVA models of the real classes, written to disk as released ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from tests.judges.tiny_internvl import byte_pairs

QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
        "<|video_pad|>"]  # fmt: skip


def ids_of(special: list[str]) -> dict[str, int]:
    return {token: byte_pairs().get_vocab_size() + number for number, token in enumerate(special)}


def tokenizer(special: list[str]) -> Tokenizer:
    made = Tokenizer.from_str(byte_pairs().to_str())
    made.add_special_tokens([AddedToken(token, special=True) for token in special])
    return made


def shaken(model: Any, seed: int) -> Any:
    """Weights that all matter: as they come, many are 0 or 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.requires_grad_(False).eval()


def write_qwen(folder: Path, family: str, *, seed: int = 0) -> Any:
    """The model, after it was written to `folder`."""
    ids = ids_of(QWEN)
    text: dict[str, Any] = {
        "vocab_size": 448, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "tie_word_embeddings": False,
    }  # fmt: skip
    common = {"image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
              "vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"],
              "tie_word_embeddings": False}  # fmt: skip
    torch.manual_seed(seed)
    if family == "qwen2_5_vl":
        text["rope_parameters"] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
        seen = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64,
                "fullatt_block_indexes": [1], "window_size": 56, "patch_size": 14}  # fmt: skip
        model: Any = Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=seen, **common)
        )
    else:
        text |= {"head_dim": 16}
        text["rope_parameters"] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
        seen = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64,
                "patch_size": 14, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64}  # fmt: skip
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=seen, **common))
    model = shaken(model, seed)
    model.save_pretrained(folder)
    tokenizer(QWEN).save(str(folder / "tokenizer.json"))
    Qwen2VLImageProcessorPil(
        patch_size=14,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16},
    ).save_pretrained(folder)
    return model


def write_llava(folder: Path, *, chat_template: bool = True) -> Any:
    special = ["<pad>", "<image>"]
    ids = ids_of(special)
    text = LlamaConfig(vocab_size=448, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                       num_key_value_heads=2, tie_word_embeddings=False)  # fmt: skip
    seen = CLIPVisionConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                            image_size=28, patch_size=14, projection_dim=32)  # fmt: skip
    config = LlavaConfig(text_config=text, vision_config=seen, image_token_id=ids["<image>"], image_seq_length=4,
                         tie_word_embeddings=False)  # fmt: skip
    model = shaken(LlavaForConditionalGeneration(config), 0)
    model.save_pretrained(folder)
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer(special), pad_token="<pad>")
    words.image_token = "<image>"
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
        "ANSWER:"
    )
    LlavaProcessor(
        image_processor=pictures, tokenizer=words, patch_size=14, vision_feature_select_strategy="default",
        image_token="<image>", num_additional_image_tokens=1, chat_template=template if chat_template else None,
    ).save_pretrained(folder)  # fmt: skip
    return model
