"""What the ``diffusers`` generator costs over a bare call of the same pipeline.

    python benchmarks/diffusion.py [--quick] [--json]

Both draw the same batches with the same weights, prompts and seeds. A tiny random SD3 makes the overhead visible in
milliseconds an image; a wider one, still far smaller than any real one, shows the share it is. The bare call ends in
Pillow images, as the pipeline makes them by itself. One thread's processor time is measured, not the clock on the wall,
rounds alternate, and the median of the paired differences is taken: the machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import string
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from paircomp.runtime.machine import package_versions
from paircomp.types import GenerationRequest, ImageKey
from paircomp_adapters.diffusion import diffusers_pipeline

PROMPTS = ("two red circles", "three red circles", "a blue square left of a green circle", "the word cat")
WITHOUT = ("text_encoder_3", "tokenizer_3")
TARGET = 0.02


def build(folder: Path, *, width: int, layers: int) -> None:
    """Save a random SD3 without T5 whose transformer is `width` wide and `layers` deep."""
    torch.manual_seed(0)
    words = ["<|startoftext|>", "<|endoftext|>", *string.printable, *(f"{letter}</w>" for letter in string.printable)]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=32, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=1, in_channels=4, out_channels=4, num_layers=layers, attention_head_dim=32,
        num_attention_heads=width // 32, joint_attention_dim=64, caption_projection_dim=width,
        pooled_projection_dim=64,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(32, 64), latent_channels=4, use_quant_conv=False, use_post_quant_conv=False,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, shift_factor=0.06,
    )  # fmt: skip
    StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=vae,
        text_encoder=CLIPTextModelWithProjection(text), tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text), tokenizer_2=tokenizer,
        **dict.fromkeys(WITHOUT),
    ).save_pretrained(folder)  # fmt: skip


def compare(folder: Path, *, side: int, steps: int, rounds: int) -> dict[str, float]:
    """Processor time per image of the bare call, and what the generator adds."""
    options: dict[str, Any] = {"width": side, "height": side, "steps": steps, "max_sequence_length": 77}
    generator = diffusers_pipeline(checkpoint=str(folder), without=list(WITHOUT), **options)
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, **dict.fromkeys(WITHOUT))
    pipeline.set_progress_bar_config(disable=True)
    requests = [GenerationRequest(ImageKey(n, 0, 0), prompt, n) for n, prompt in enumerate(PROMPTS)]
    arguments = {"width": side, "height": side, "num_inference_steps": steps, "max_sequence_length": 77}

    def bare() -> None:
        seeds = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        pipeline(prompt=[request.prompt for request in requests], generator=seeds, **arguments)

    def ours() -> None:
        list(generator.generate(requests))

    bare_times, our_times = alternate((bare, ours), rounds)
    added = statistics.median(own - other for own, other in zip(our_times, bare_times, strict=True))
    bare_seconds = statistics.median(bare_times)
    return {
        "bare_ms_per_image": round(1000 * bare_seconds / len(requests), 3),
        "overhead_ms_per_image": round(1000 * added / len(requests), 3),
        "overhead_share": round(added / bare_seconds, 5),
    }


def alternate(calls: Sequence[Callable[[], None]], rounds: int) -> list[list[float]]:
    """Times of each call, in turn and in alternating order, after one round to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        order = range(len(calls)) if turn % 2 else range(len(calls) - 1, -1, -1)
        for number in order:
            started = time.process_time()
            calls[number]()
            if turn:
                times[number].append(time.process_time() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="print nothing but one object")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    results = {}
    for name, shape, call, rounds in (
        ("tiny", {"width": 64, "layers": 1}, {"side": 32, "steps": 2}, 10 if given.quick else 60),
        ("wide", {"width": 256, "layers": 4}, {"side": 32, "steps": 8}, 5 if given.quick else 20),
    ):
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder), **shape)
            results[name] = compare(Path(folder), rounds=rounds, **call)
        if not given.json:
            print(f"{name:>5}: {results[name]}")
    said = {
        **results, "overhead_ms_per_image": results["wide"]["overhead_ms_per_image"],
        "overhead_over_bare_call": results["wide"]["overhead_share"], "target": TARGET, "quick": given.quick,
        "versions": package_versions(), "machine": f"{platform.system()} {platform.machine()}, 1 thread",
    }  # fmt: skip
    print(json.dumps(said))


if __name__ == "__main__":
    main()
