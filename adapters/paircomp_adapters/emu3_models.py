"""The catalogue's models that the ``emu3`` generator draws."""

from __future__ import annotations

from paircomp.types import ModelSpec

__all__ = ["MODELS"]

#: What the published demo appends to every prompt, and steers away from.
QUALITY = " masterpiece, film grained, best quality."
BLEMISHES = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, worst quality, "
    "low quality, normal quality, jpeg artifacts, signature, watermark, username, blurry."
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="emu3",
        adapter="emu3",
        checkpoint="BAAI/Emu3-Gen-hf",
        recipe={
            "guidance": 3.0,
            "temperature": 1.0,
            "top_k": 2048,
            "width": 720,
            "height": 720,
            "suffix": QUALITY,
            "negative_prompt": BLEMISHES,
        },
        family="Emu3",
        licence="Apache-2.0",
        resolution=(720, 720),
        parameters=8_490_000_000,
        packages=("torch", "transformers", "safetensors"),
        dtype="bfloat16",
        download=17_500_000_000,
        memory=17_500_000_000,
        description="autoregressive model of 8B, 8190 tokens an image; the recipe is the published demo's, with its "
        "quality words after the prompt",
        source="https://arxiv.org/abs/2409.18869",
    ),
)
