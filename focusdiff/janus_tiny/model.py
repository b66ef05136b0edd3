"""The small Janus itself: transformers' native class with small numbers, and how its weights begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from focusdiff.janus_tiny.tokens import BEGIN, END, IMAGE, PAD, build_tokenizer
from paircomp.shapes.layout import PATCH, SIDE
from paircomp.shapes.patches import every_patch

if TYPE_CHECKING:
    from transformers import JanusConfig

__all__ = ["LENGTH", "build_config", "build_model"]

#: L, image tokens of one picture: one for each patch of the world.
LENGTH = (SIDE // PATCH) ** 2
_WIDTH, _LAYERS, _HEADS, _INNER = 128, 5, 4, 352
_CODE_WIDTH = 32  # numbers of a code; the released image tokenizer has 8 for codes of 16 x 16 pixels


def build_config() -> JanusConfig:
    """The config: a language model of five layers, and an image tokenizer with a code for each patch of the world.

    The vision tower, which reads pictures and has no part in drawing, is as small as its class allows, and untrained.
    """
    from transformers import JanusConfig, JanusVisionConfig, JanusVQVAEConfig, LlamaConfig

    tokenizer = build_tokenizer()
    return JanusConfig(
        text_config=LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=_WIDTH, intermediate_size=_INNER,
            num_hidden_layers=_LAYERS, num_attention_heads=_HEADS, num_key_value_heads=_HEADS,
            max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=tokenizer.token_to_id(BEGIN),
            eos_token_id=tokenizer.token_to_id(END), pad_token_id=tokenizer.token_to_id(PAD),
        ),
        vision_config=JanusVisionConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=1, image_size=SIDE, patch_size=PATCH,
            num_image_tokens=LENGTH, projection_dim=_WIDTH, depth=2, mlp_ratio=2.0,
        ),
        vq_config=JanusVQVAEConfig(
            embed_dim=_CODE_WIDTH, num_embeddings=len(every_patch()), latent_channels=96, base_channels=32,
            channel_multiplier=[1, 2, 3], num_res_blocks=1, num_patches=SIDE // PATCH, projection_dim=_WIDTH,
            image_token_embed_dim=_WIDTH,
        ),
        image_token_id=tokenizer.get_vocab()[IMAGE], tie_word_embeddings=False,
    )  # fmt: skip


def build_model(seed: int) -> Any:
    """The untrained model in float32, the same for the same seed.

    Embeddings of image tokens start at length one: the class would start them so small that the first layers could not
    tell them apart for a long time.
    """
    import torch
    from transformers import JanusForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = JanusForConditionalGeneration(build_config())
        with torch.no_grad():
            model.model.generation_embeddings.weight.normal_()
    return model.train()
