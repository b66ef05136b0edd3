"""The catalogue's models that the ``janus`` generator draws.

All four are sampled by one recipe, so that a table compares weights and nothing else: guidance 5, temperature 1 and
the 4096 most likely codes, as the FocusDiff paper states for inference (appendix C). The published scripts of Janus
and FocusDiff sample without a top-k; ``-o top_k=0`` does as they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from paircomp.types import ModelSpec

__all__ = ["MODELS"]

_PACKAGES = ("torch", "transformers", "safetensors")
_RECIPE: Mapping[str, Any] = MappingProxyType({"guidance": 5.0, "temperature": 1.0, "top_k": 4096})

#: The benchmark's judge, whose yes and no were the reward of the two that were trained further.
_REWARD = "internvl2.5-26b"

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="janus-pro-1b",
        adapter="janus",
        checkpoint="deepseek-community/Janus-Pro-1B",
        recipe=_RECIPE,
        family="Janus",
        licence="DeepSeek Model License",
        resolution=(384, 384),
        parameters=2_075_000_000,
        dtype="bfloat16",
        download=4_180_000_000,
        memory=4_180_000_000,
        packages=_PACKAGES,
        description="unified autoregressive model, 576 image tokens; in the layout of transformers",
        source="https://arxiv.org/abs/2501.17811",
    ),
    ModelSpec(
        name="janus-pro-7b",
        adapter="janus",
        checkpoint="deepseek-community/Janus-Pro-7B",
        recipe=_RECIPE,
        family="Janus",
        licence="DeepSeek Model License",
        resolution=(384, 384),
        parameters=7_406_000_000,
        dtype="bfloat16",
        download=14_840_000_000,
        memory=14_840_000_000,
        packages=_PACKAGES,
        description="unified autoregressive model, 576 image tokens; in the layout of transformers",
        source="https://arxiv.org/abs/2501.17811",
    ),
    ModelSpec(
        name="janus-focusdiff-7b",
        adapter="janus",
        checkpoint="wendell0218/Janus-FocusDiff-7B",
        recipe=_RECIPE,
        trained_with_judge=_REWARD,
        family="Janus",
        licence="DeepSeek Model License",
        resolution=(384, 384),
        parameters=7_406_000_000,
        dtype="bfloat16",
        download=14_840_000_000,
        memory=14_840_000_000,
        packages=_PACKAGES,
        description="Janus-Pro-7B after SFT and Pair-GRPO on paired prompts; in the original layout",
        source="https://arxiv.org/abs/2506.05501",
    ),
    ModelSpec(
        name="janus-pro-r1-7b",
        adapter="janus",
        checkpoint="midbee/Janus-Pro-R1-7B",
        recipe=_RECIPE,
        trained_with_judge=_REWARD,
        family="Janus",
        licence="Apache-2.0",
        resolution=(384, 384),
        parameters=7_406_000_000,
        dtype="bfloat16",
        download=14_840_000_000,
        memory=14_840_000_000,
        packages=_PACKAGES,
        description="Janus-Pro-7B after reinforcement learning; its first image, without its rounds of self-correction",
        source="https://arxiv.org/abs/2506.01480",
    ),
)
