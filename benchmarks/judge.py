"""What it costs to judge a picture with InternVL: ours, ours with the other prompt too, and the published way.

    python benchmarks/judge.py [--quick] [--json] [--rounds N]

One random model, one set of pictures, one process. The published way is written anew from its description: pictures are
prepared one after the other in the loop, two questions are padded at the left and go through the whole model, and
logits of the full sequence are made in float32 before the truncated softmax of the last position is read. Attention is
the plain one there, which the published code takes wherever flash attention does not run, so on every CPU. Two further
references take away one handicap each: the same with fused attention, and transformers' own `generate`, which besides
makes last-position logits only. With a GPU, the shapes of InternVL2.5-26B with random bfloat16 weights are timed
against the matrix peak that is measured in the same run.

Ratios are of processor seconds on one thread, which other work on the machine hardly changes; on a GPU of wall time.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, LlamaConfig

from paircomp.judges.internvl import InternVLJudge
from paircomp.judges.internvl_prompt import SYSTEM, InternVLPrompt
from paircomp.judges.internvl_tiles import MEAN, STD, TilePolicy
from paircomp.judges.internvl_variants import VARIANTS
from paircomp.judges.question_templates import OFFICIAL
from paircomp.judges.token_ids import read_tokenizer
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.types import ImageKey, JudgeRequest, Question

PROMPTS = (
    "A firefighter in a bright red helmet stands to the left of two yellow trucks on a wet street at dusk",
    "A firefighter in a bright red helmet stands to the right of two yellow trucks on a wet street at dusk",
)
SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
VOCABULARY = 92553  # of InternLM2
SIDES = {1: 448, 10: 1024}  # of a square picture, by the number of tiles it becomes
SHAPES: dict[str, dict[str, dict[str, int]]] = {
    "quick": {
        "vision": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1},
        "text": {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 2,
                 "num_key_value_heads": 1},
    },
    "mid": {
        "vision": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4},
        "text": {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8,
                 "num_key_value_heads": 2},
    },
    "26b": {
        "vision": {"hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 45, "num_attention_heads": 25},
        "text": {"hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 48, "num_attention_heads": 48,
                 "num_key_value_heads": 8},
    },
}  # fmt: skip


def tokenizer_file(folder: Path) -> Path:
    """Byte pairs whose questions are about as long as with the released tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    words = ["yes", "Yes", "YES", "no", "No", "NO"] * 90
    tokenizer.train_from_iterator([SYSTEM, OFFICIAL.text, *PROMPTS, *words], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def config_of(shape: str, image_token: int) -> InternVLConfig:
    sizes = SHAPES[shape]
    large = shape == "26b"
    return InternVLConfig(
        text_config=LlamaConfig(vocab_size=VOCABULARY, bos_token_id=None, max_position_embeddings=32768,
                                rope_theta=1e6, tie_word_embeddings=False, **sizes["text"]),
        vision_config=InternVLVisionConfig(use_qk_norm=large, attention_bias=not large,
                                           norm_type="rms_norm" if large else "layer_norm", **sizes["vision"]),
        image_token_id=image_token, tie_word_embeddings=False,
    )  # fmt: skip


def build(shape: str, folder: Path, *, device: str, dtype: torch.dtype) -> InternVLJudge:
    """The judge ``internvl-exact`` on a random model."""
    tokens = read_tokenizer(tokenizer_file(folder))
    image_token, begin = tokens.id_of("<IMG_CONTEXT>"), tokens.id_of("<s>")
    config = config_of(shape, int(image_token or 0))
    text: Any = config.text_config
    text.bos_token_id = begin
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = InternVLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    # The published ids of InternLM2 are checked by vocabulary size; this tokenizer has others.
    text.vocab_size = VOCABULARY + 1
    prompt = InternVLPrompt(tokens, OFFICIAL, text, image_token_id=image_token, where=folder)
    text.vocab_size = VOCABULARY
    model.requires_grad_(requires_grad=False)
    at_once = 10 if device == "cpu" else 64
    return InternVLJudge(model.eval(), prompt, VARIANTS["internvl-exact"], identity={}, tiles_at_once=at_once)


def pictures(tiles: int, count: int) -> list[Image.Image]:
    side = SIDES[tiles]
    made = [np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8) for seed in range(count)]
    return [Image.fromarray(noise) for noise in made]


def ours(judge: InternVLJudge, shown: Sequence[Image.Image], *prompts: str) -> list[float]:
    asked = tuple(Question(place, prompt, "position") for place, prompt in enumerate(prompts))
    requests = [JudgeRequest(ImageKey(number, 0, 0), (image,), asked) for number, image in enumerate(shown)]
    answers = sorted(judge.judge(requests), key=lambda each: (each.key, each.judged_prompt))
    return [float(answer.score) for answer in answers if answer.score is not None]


# The published way


def prepared(image: Image.Image) -> torch.Tensor:
    """Tiles, each scaled and normalised by itself."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    tiles = TilePolicy().cut(image)
    return torch.stack(
        [(torch.from_numpy(tile).permute(2, 0, 1).contiguous().float() / 255 - mean) / std for tile in tiles]
    )


def two_by_two(
    judge: InternVLJudge, shown: Sequence[Image.Image], read: Callable[..., torch.Tensor], *, top_k: int = 50
) -> list[float]:
    """The loop of the published evaluator: batches of two, padded at the left."""
    model: Any = judge._model
    prompt = judge._prompt
    home = model.lm_head.weight
    said: list[float] = []
    for start in range(0, len(shown), 2):
        views = [prepared(image) for image in shown[start : start + 2]]
        rows = [prompt.ids(PROMPTS[0], 256 * len(view)) for view in views]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=home.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=home.device)
        seen = torch.cat(views).to(home.device, home.dtype)
        last = read(model, ids, mask, seen)
        least = last.topk(top_k).values[:, -1:]
        likely = last.masked_fill(last < least, -torch.inf).softmax(-1)
        yes, no = (likely[:, list(side)].sum(-1) for side in (prompt.answers.yes, prompt.answers.no))
        said += (yes / (yes + no)).tolist()
    return said


@torch.inference_mode()
def full_logits(model: Any, ids: torch.Tensor, mask: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    made = model(input_ids=ids, attention_mask=mask, position_ids=positions, pixel_values=seen, use_cache=True)
    last: torch.Tensor = made.logits.float()[:, -1]
    return last


@torch.inference_mode()
def generated(model: Any, ids: torch.Tensor, mask: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    made = model.generate(
        input_ids=ids, attention_mask=mask, pixel_values=seen, do_sample=True, top_k=50, max_new_tokens=1,
        output_logits=True, return_dict_in_generate=True, pad_token_id=0,
    )  # fmt: skip
    last: torch.Tensor = made.logits[0].float()
    return last


def plainly(judge: InternVLJudge, shown: Sequence[Image.Image]) -> list[float]:
    """The published way with plain attention."""
    judge._model.set_attn_implementation("eager")
    try:
        return two_by_two(judge, shown, full_logits)
    finally:
        judge._model.set_attn_implementation("sdpa")


# Measuring


def ways(judge: InternVLJudge, shown: Sequence[Image.Image]) -> dict[str, Callable[[], list[float]]]:
    return {
        "own": lambda: ours(judge, shown, PROMPTS[0]),
        "own_and_cross": lambda: ours(judge, shown, *PROMPTS),
        "published": lambda: plainly(judge, shown),
        "published_fused": lambda: two_by_two(judge, shown, full_logits),
        "generate": lambda: two_by_two(judge, shown, generated),
    }


def clock() -> float:
    """Seconds of the processor, or of the clock once a GPU has done what it was told."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(judge: InternVLJudge, tiles: int, *, count: int, rounds: int) -> dict[str, Any]:
    """Seconds an image, and ratios to ours within the same round; medians over rounds."""
    every = ways(judge, pictures(tiles, count))
    peaks = {name: peak_memory(way) / min(count, 2) for name, way in every.items()}  # and the first time, unmeasured
    seconds: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(rounds):
        for name, way in every.items():
            start = clock()
            way()
            seconds[name].append((clock() - start) / count)
    ratio = {name: [other / own for own, other in zip(seconds["own"], seconds[name], strict=True)] for name in seconds}
    return {
        "seconds_per_image": {name: round(statistics.median(each), 4) for name, each in seconds.items()},
        "own_vs_published": statistics.median(ratio["published"]),
        "own_vs_published_fused": statistics.median(ratio["published_fused"]),
        "own_vs_generate": statistics.median(ratio["generate"]),
        "cross_over_own": statistics.median(ratio["own_and_cross"]),
        "rounds": {name: [round(each, 3) for each in ratio[name]] for name in ratio if name != "own"},
        "peak_mb_per_image": {name: round(peak / 1e6, 1) for name, peak in peaks.items()},
    }


def peak_memory(way: Callable[[], object]) -> float:
    """Bytes above what was held before, of the device or of the process."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        way()
        return float(torch.cuda.max_memory_allocated() - before)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the kernel then counts its high-water mark anew
    before = resident("VmRSS")
    way()
    return float(resident("VmHWM") - before)


def resident(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def operations(config: InternVLConfig, tiles: int, tokens: int) -> float:
    """Floating-point operations of one picture and one question; the output matrix for one token."""
    seen: Any = config.vision_config
    text: Any = config.text_config
    patches = 1025
    tower = 4 * seen.hidden_size**2 + 2 * seen.hidden_size * seen.intermediate_size
    attention = 4 * patches**2 * seen.hidden_size
    vision = tiles * seen.num_hidden_layers * (2 * tower * patches + attention)
    narrow = text.num_key_value_heads / text.num_attention_heads
    layer = (2 + 2 * narrow) * text.hidden_size**2 + 3 * text.hidden_size * text.intermediate_size
    causal = 2 * tokens**2 * text.hidden_size
    return float(vision + text.num_hidden_layers * (2 * layer * tokens + causal) + 2 * text.hidden_size * VOCABULARY)


def measure_gpu(folder: Path, *, rounds: int) -> dict[str, Any]:
    """Images a second of the 26B shapes, and the share of the bfloat16 matrix peak measured here."""
    judge = build("26b", folder, device="cuda", dtype=torch.bfloat16)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "peak_tflops": matrix_peak() / 1e12}
    config: Any = judge._model.config
    for tiles in SIDES:
        count = 64 // tiles
        own = ways(judge, pictures(tiles, count))["own"]
        own()
        spent = []
        for _ in range(rounds):
            start = clock()
            own()
            spent.append((clock() - start) / count)
        tokens = len(judge._prompt.ids(PROMPTS[0], 256 * tiles))
        rate = operations(config, tiles, tokens) / statistics.median(spent)
        found[f"{tiles}_tiles"] = {"images_per_second": 1 / statistics.median(spent), "tflops": rate / 1e12,
                                   "share_of_peak": rate / 1e12 / found["peak_tflops"]}  # fmt: skip
    return found


def matrix_peak(size: int = 8192) -> float:
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(10):
        start = clock()
        for _ in range(10):
            left @ right
        best = max(best, 10 * 2 * size**3 / (clock() - start))
    return best


def largest_differences(judge: InternVLJudge) -> dict[str, float]:
    """Sharing and batching against questions and pictures one by one."""
    shown = pictures(1, 3)
    together = ours(judge, shown, *PROMPTS)
    alone = [ours(judge, [image], prompt)[0] for image in shown for prompt in PROMPTS]
    published = two_by_two(judge, shown, full_logits, top_k=VOCABULARY)
    return {
        "together_vs_alone": max(abs(one - other) for one, other in zip(together, alone, strict=True)),
        "own_vs_published_scores": max(abs(one - other) for one, other in zip(together[::2], published, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smaller model and fewer rounds, under a minute")
    parser.add_argument("--json", action="store_true", help="print the last line only")
    parser.add_argument("--rounds", type=int, help="how often each way is timed")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        judge = build("quick" if given.quick else "mid", Path(folder), device="cpu", dtype=torch.float32)
        found: dict[str, Any] = {"model": SHAPES["quick" if given.quick else "mid"], "vocabulary": VOCABULARY}
        found["parameters"] = sum(each.numel() for each in judge._model.parameters())
        for tiles in (1, 10):
            found[f"{tiles}_tiles"] = timed(judge, tiles, count=2, rounds=rounds)
            if not given.json:
                print(f"{tiles} tiles: {json.dumps(found[f'{tiles}_tiles'])}", file=sys.stderr)
        found |= largest_differences(judge)
        del judge
        if torch.cuda.is_available():
            found["gpu"] = measure_gpu(Path(folder), rounds=rounds)
    found["own_vs_published"] = found["10_tiles"]["own_vs_published"]
    found |= {
        f"cross_over_own_{tiles}_tile{'s' * (tiles > 1)}": found[f"{tiles}_tiles"]["cross_over_own"]
        for tiles in (1, 10)
    }
    found["threads"] = torch.get_num_threads()
    print(json.dumps({**found, "versions": package_versions(), "machine": this_machine().to_json()}))


if __name__ == "__main__":
    main()
