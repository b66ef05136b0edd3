"""The other models of the paper's Table 1, and services: those that no class of transformers or diffusers draws.

Each is drawn by the authors' own code in its own environment, through the ``command`` generator: the user brings a
program of a few lines that reads one JSON line per image (`docs/adapters.md`). Images that were drawn elsewhere are
judged with ``paircomp eval --images DIR``. What was never published is marked so.
"""

from __future__ import annotations

from paircomp.types import ModelSpec

__all__ = ["MODELS"]


def _own_program(
    name: str, repository: str, *, checkpoint: str | None, side: int, licence: str, family: str, description: str
) -> ModelSpec:
    return ModelSpec(
        name=name,
        adapter="command",
        checkpoint=checkpoint,
        family=family,
        licence=licence,
        resolution=(side, side),
        setup=f"a program of yours that draws with the authors' code ({repository}), given with -o program=...",
        description=description,
        source=repository,
    )


def _service(name: str, *, quality: str, retired: str, description: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        adapter="openai-images",
        checkpoint=name,
        recipe={"size": "1024x1024", "quality": quality},
        family="OpenAI",
        licence="terms of the service",
        resolution=(1024, 1024),
        retired=retired,
        packages=("openai",),
        environment=("OPENAI_API_KEY",),
        description=description,
        source="https://platform.openai.com/docs/guides/image-generation",
    )


MODELS: tuple[ModelSpec, ...] = (
    _own_program(
        "janus-flow-1.3b", "https://github.com/deepseek-ai/Janus", checkpoint="deepseek-ai/JanusFlow-1.3B", side=384,
        licence="DeepSeek Model License", family="Janus", description="Janus with a rectified flow head; Janus-Flow",
    ),
    _own_program(
        "llamagen", "https://github.com/FoundationVision/LlamaGen", checkpoint="peizesun/llamagen_t2i", side=512,
        licence="MIT", family="LlamaGen", description="autoregressive model of 0.8B with Flan-T5-XL; LLamaGen",
    ),
    _own_program(
        "vila-u", "https://github.com/mit-han-lab/vila-u", checkpoint="mit-han-lab/vila-u-7b-256", side=256,
        licence="see its page", family="VILA-U", description="unified autoregressive model of 7B",
    ),
    _own_program(
        "show-o", "https://github.com/showlab/Show-o", checkpoint="showlab/show-o-512x512", side=512,
        licence="Apache-2.0", family="Show-o", description="discrete diffusion and text in one transformer of 1.3B",
    ),
    _own_program(
        "seed-x", "https://github.com/AILab-CVC/SEED-X", checkpoint="AILab-CVC/SEED-X-17B", side=1024,
        licence="see its page", family="SEED-X", description="unified model of 17B with an SDXL decoder",
    ),
    _own_program(
        "vargpt-1.1", "https://github.com/VARGPT-family/VARGPT-v1.1", checkpoint="VARGPT-family/VARGPT-v1.1", side=512,
        licence="Apache-2.0", family="VARGPT", description="autoregression over scales; VARGPTv1.1",
    ),
    _own_program(
        "infinity", "https://github.com/FoundationVision/Infinity", checkpoint="FoundationVision/Infinity", side=1024,
        licence="MIT", family="Infinity", description="bitwise autoregression over scales, 2B",
    ),
    _own_program(
        "blip3-o", "https://github.com/JiuhaiChen/BLIP3o", checkpoint="BLIP3o/BLIP3o-Model-8B", side=1024,
        licence="Apache-2.0", family="BLIP3-o", description="Qwen2.5-VL with a diffusion transformer, 8B",
    ),
    _own_program(
        "t2i-r1", "https://github.com/CaraJ7/T2I-R1", checkpoint="CaraJ/T2I-R1", side=384,
        licence="see its page", family="Janus",
        description="writes a chain of thought before the image, so that plain sampling of its weights is not T2I-R1",
    ),
    ModelSpec(
        name="janus-focusdiff-1b",
        adapter="janus",
        recipe={"guidance": 5.0, "temperature": 1.0, "top_k": 4096},
        trained_with_judge="internvl2.5-26b",
        family="Janus",
        licence="never published",
        resolution=(384, 384),
        parameters=2_080_000_000,
        packages=("torch", "transformers", "safetensors"),
        published=False,
        description="Janus-Pro-1B after FocusDiff; in the paper, but its weights were never published",
        source="https://arxiv.org/abs/2506.05501",
    ),
    # The days stand in the openai package (3.54), beside the names of the models.
    _service(
        "gpt-image-1", quality="high", retired="2026-10-23",
        description="GPT-4o's images, by OpenAI's service, which no longer serves it; takes no seed",
    ),
    _service(
        "dall-e-3", quality="standard", retired="2026-05-12",
        description="DALL-E 3, by OpenAI's service, which rewrote prompts and no longer serves it",
    ),
)  # fmt: skip
