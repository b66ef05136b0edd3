"""Tiny random InternVL models of the real classes, written to disk in every layout that judges read."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    LlamaConfig,
    Qwen2Config,
)

from paircomp.judges.internvl_layout import original_layout
from paircomp.types import ImageKey, JudgeRequest, Question

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
TEXTS = [
    'Does this image match the description "two red circles on a light plain background", please directly respond',
    "three blue squares left of a green triangle on a dark striped background with yes or no",
    *["yes", "Yes", "YES", "no", "No", "NO"] * 40,
]
SIDE = 28


@functools.cache
def byte_pairs() -> Tokenizer:
    """Byte-level pairs, as Qwen has them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


@functools.cache
def sentence_pieces() -> bytes:
    """A SentencePiece model, as InternLM2 has one: byte fallback, <s> and </s>, no space put first."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_writer=stream, model_type="bpe", vocab_size=400, byte_fallback=True,
        add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return stream.getvalue()


def vision(*, big: bool) -> InternVLVisionConfig:
    """Of InternViT-6B (norms of queries and keys, no biases) or of InternViT-300M."""
    return InternVLVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE, patch_size=7,
        use_qk_norm=big, attention_bias=not big, norm_type="rms_norm" if big else "layer_norm",
    )  # fmt: skip


def special_ids(language: str) -> dict[str, int]:
    """Special tokens come after the vocabulary, as in the released tokenizers."""
    if language == "qwen2":
        first = byte_pairs().get_vocab_size()
    else:
        first = sentencepiece.SentencePieceProcessor(model_proto=sentence_pieces()).get_piece_size()
    return {token: first + number for number, token in enumerate(SPECIAL)}


def build(language: str, *, seed: int = 0) -> InternVLForConditionalGeneration:
    """A random model on Qwen2 (with the small vision tower) or on Llama, which is InternLM2 (with the large one)."""
    torch.manual_seed(seed)
    common: dict[str, Any] = {
        "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "rope_theta": 10000.0,
    }  # fmt: skip
    if language == "qwen2":
        text: Any = Qwen2Config(vocab_size=448, tie_word_embeddings=False, **common)
    else:
        text = LlamaConfig(vocab_size=448, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False, **common)
    config = InternVLConfig(
        text_config=text, vision_config=vision(big=language == "llama"), image_seq_length=4,
        image_token_id=special_ids(language)["<IMG_CONTEXT>"], tie_word_embeddings=False,
    )  # fmt: skip
    model = InternVLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # as they come, half of them are 0 or 1
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model.requires_grad_(False)


def write_native(model: InternVLForConditionalGeneration, folder: Path, *, older: bool = False) -> Path:
    """transformers' own layout, with ``tokenizer.json``; of a model on Qwen2."""
    folder.mkdir()
    model.config.save_pretrained(folder)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if older:
        weights = {old_name(name): tensor for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = Tokenizer.from_str(byte_pairs().to_str())
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def old_name(name: str) -> str:
    if name == "lm_head.weight":
        return "language_model.lm_head.weight"
    bare = name.removeprefix("model.")
    return bare.replace("language_model.", "language_model.model.", 1) if bare.startswith("language_model") else bare


def write_original(model: InternVLForConditionalGeneration, folder: Path, *, shards: int = 1) -> Path:
    """The layout of the remote-code repositories, tokenizer included."""
    folder.mkdir()
    architecture = {"qwen2": "Qwen2ForCausalLM", "llama": "InternLM2ForCausalLM"}[model.config.text_config.model_type]
    (folder / "config.json").write_text(json.dumps(original_config(model.config, architecture)), encoding="utf-8")
    weights = {name: tensor.clone().contiguous() for name, tensor in
               original_layout(model.config, architecture).invert(model.state_dict())}  # fmt: skip
    write_shards(weights, folder, shards)
    write_original_tokenizer(folder, architecture)
    # Whoever executes what a checkpoint brings along finds this.
    (folder / "modeling_internvl_chat.py").write_text("raise SystemExit('remote code was executed')\n")
    return folder


def write_shards(weights: dict[str, torch.Tensor], folder: Path, shards: int) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
        return
    names = sorted(weights)
    places = {name: f"model-{number % shards + 1:05}-of-{shards:05}.safetensors" for number, name in enumerate(names)}
    for file in sorted(set(places.values())):
        save_file({name: weights[name] for name in names if places[name] == file}, folder / file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def original_config(config: InternVLConfig, architecture: str) -> dict[str, Any]:
    text, vision_config = config.text_config, config.vision_config
    language = {name: getattr(text, name) for name in (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act", "bos_token_id", "eos_token_id",
    )}  # fmt: skip
    language |= {"architectures": [architecture], "bias": False, "tie_word_embeddings": False, "rope_theta": 10000.0,
                 "rope_scaling": {"type": "dynamic", "factor": 2.0}, "auto_map": {"AutoConfig": "no.code"}}  # fmt: skip
    seen = {name: getattr(vision_config, name) for name in (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels", "hidden_act",
        "layer_norm_eps", "norm_type",
    )}  # fmt: skip
    seen |= {"patch_size": 7, "image_size": SIDE, "qk_normalization": vision_config.use_qk_norm,
             "qkv_bias": vision_config.attention_bias, "architectures": ["InternVisionModel"]}  # fmt: skip
    return {
        "model_type": "internvl_chat", "architectures": ["InternVLChatModel"], "auto_map": {"AutoModel": "no.code"},
        "llm_config": language, "vision_config": seen, "downsample_ratio": 0.5, "select_layer": -1, "ps_version": "v2",
        "template": "internvl2_5", "force_image_size": SIDE, "max_dynamic_patch": 12, "use_thumbnail": True,
    }  # fmt: skip


def write_original_tokenizer(folder: Path, architecture: str) -> None:
    special = special_ids("qwen2" if architecture.startswith("Qwen") else "llama")
    if architecture.startswith("Qwen"):
        byte_pairs().model.save(str(folder))
        (folder / "added_tokens.json").write_text(json.dumps(special))
        said: dict[str, Any] = {"tokenizer_class": "Qwen2Tokenizer"}
    else:
        (folder / "tokenizer.model").write_bytes(sentence_pieces())
        (folder / "added_tokens.json").write_text(json.dumps(special))
        said = {"tokenizer_class": "InternLM2Tokenizer", "auto_map": {"AutoTokenizer": ["no.code", None]},
                "added_tokens_decoder": {"1": {"content": "<s>"}, "2": {"content": "</s>"}}}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def picture(width: int = 20, height: int = 20, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


PROMPTS = ("two red circles on a light plain background", "three blue squares left of a green triangle")


def request(image: Image.Image, *prompts: str, pair: int = 0) -> JudgeRequest:
    asked = tuple(Question(place, prompt, "color") for place, prompt in enumerate(prompts))
    return JudgeRequest(ImageKey(pair, 0, 0), (image,), asked)
