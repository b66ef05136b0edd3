"""Janus image tokens per second: this project's sampler beside transformers' own and a plain loop.

    python benchmarks/generate.py            # 4 layers of width 512, 576 tokens, batches of 1, 2 and 8; minutes
    python benchmarks/generate.py --quick    # the same at 64 tokens, under a minute
    python benchmarks/generate.py --device cuda --shape janus-pro-1b --batches 1,8,32,64 --step graphed

All draw from the same random weights and the same prompts with guidance 5 and temperature 1:

- ``ours``: `paircomp_adapters.janus_sampler`.
- ``transformers``: ``generate(generation_mode="image")`` with its default static cache, and with the dynamic one.
- ``plain_loop``: the way of the published scripts: a cache that grows by concatenation, conditional and unconditional
  rows interleaved, a softmax and a draw per token; written anew here.

The floor is the time that memory needs to deliver what every step must read (the weights of the language model and of
the head, and the keys and values in use), at the bandwidth measured in the same run. Beside it stands the time that the
products alone need at the rate of one large product, measured likewise; nobody can be faster than either.

Contestants take turns, and the fastest round of each counts. On a machine that other work shares,
``--clock processor --threads 1`` is the fair way: it counts the seconds that each had the processor.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    DynamicCache,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
)

from paircomp.runtime.machine import package_versions, this_machine
from paircomp_adapters.janus_products import PackedLinear, has_onednn, pack_weights
from paircomp_adapters.janus_prompts import JanusPrompts, PromptTokens
from paircomp_adapters.janus_sampler import JanusSampler
from paircomp_adapters.janus_sampling import Sampling

GUIDANCE = 5.0
PROMPTS = (
    "a photo of two red apples left of a green pear on a wooden table",
    "a photo of three red apples left of a green pear on a wooden table",
    "an old lighthouse at dawn, painted in watercolour",
    "an old lighthouse at dusk, painted in watercolour",
    "a shop sign that says OPEN above a blue door",
    "a shop sign that says EVEN above a blue door",
    "a cat asleep on a red sofa",
    "a cat asleep under a red sofa",
)


class Shape(NamedTuple):
    """Sizes of the language model; the codebook is that of the published models."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int


SHAPES = {
    "small": Shape(512, 4, 8, 1408, 2048),
    "janus-pro-1b": Shape(2048, 24, 16, 5632, 102400),
    "janus-pro-7b": Shape(4096, 30, 32, 11008, 102400),
}
CODES = 16384


#: The image tokenizer as small as it may be; without these sizes it is that of the published models.
SMALL_TOKENIZER = {"latent_channels": 32, "base_channels": 32, "channel_multiplier": [1, 1, 1], "num_res_blocks": 1}


def build(
    shape: Shape, tokens: int, device: str, dtype: torch.dtype, tokenizer: Mapping[str, Any] = SMALL_TOKENIZER
) -> Any:
    """Random weights of one shape; the vision tower is as small as it may be."""
    side, patch = round(tokens**0.5), 2 ** (len(tokenizer.get("channel_multiplier", "11224")) - 1)
    config = JanusConfig(
        text_config=LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.inner,
            num_hidden_layers=shape.layers, num_attention_heads=shape.heads, max_position_embeddings=16384,
        ),
        vision_config=JanusVisionConfig(
            hidden_size=64, num_hidden_layers=1, num_attention_heads=1, image_size=side * patch, patch_size=patch,
            num_image_tokens=tokens, projection_dim=shape.width,
        ),
        vq_config=JanusVQVAEConfig(
            num_embeddings=CODES, projection_dim=shape.width, image_token_embed_dim=shape.width, **tokenizer,
        ),
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = JanusForConditionalGeneration(config)
    return model.to(dtype).eval()


def build_prompts(folder: Path) -> JanusPrompts:
    """A tokenizer of single letters, so that prompts have the lengths of real ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<begin>", "<｜▁pad▁｜>", "<begin_of_image>", "<|User|>", "<|Assistant|>"]  # noqa: RUF001
    tokenizer = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate([*letters, *special])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<begin>"}))
    return JanusPrompts(folder)


def interleaved(batch: PromptTokens) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of twice as many rows: even ones conditional, odd ones their unconditional twins."""
    return torch.stack([batch.ids, batch.unconditional], 1).flatten(0, 1), batch.mask.repeat_interleave(2, 0)


@torch.no_grad()
def plain_loop(model: Any, batch: PromptTokens, guidance: float = GUIDANCE, *, twins: bool = True) -> torch.Tensor:
    """The published way: even rows conditional, odd rows not, a cache concatenated anew at every token.

    Without `twins` there are conditional rows only, and no guidance.
    """
    rows, mask = interleaved(batch) if twins else (batch.ids, batch.mask)
    inputs, past, drawn = model.model.language_model.embed_tokens(rows), DynamicCache(), []
    for _ in range(model.config.vision_config.num_image_tokens):
        positions = (mask.cumsum(-1) - 1)[:, -inputs.shape[1] :].clamp(0)
        said = model.model.language_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True
        )
        logits = model.model.generation_head(said.last_hidden_state[:, -1])
        if twins:
            conditional, unconditional = logits[0::2], logits[1::2]
            logits = unconditional + guidance * (conditional - unconditional)
        token = torch.multinomial(torch.softmax(logits, -1), 1)
        drawn.append(token)
        fed = torch.cat([token, token], 1).view(-1) if twins else token[:, 0]
        inputs = model.prepare_embeddings_for_image_generation(fed)[:, None]
        mask = torch.cat([mask, mask.new_ones(mask.shape[0], 1)], 1)
    return torch.cat(drawn, 1)


class Contest:
    """One model and the three ways to draw from it."""

    def __init__(self, model: Any, prompts: JanusPrompts, *, step: str, top_k: int) -> None:
        self.model = model
        self.prompts = prompts
        kind: Any = step
        drawing = copy.deepcopy(model)  # the others keep their weights as transformers lays them out
        pack_weights(drawing)
        self.sampler = JanusSampler(drawing, prompts, Sampling(guidance=GUIDANCE, top_k=top_k), step=kind)
        config = model.generation_config
        config.bos_token_id, config.pad_token_id = prompts.begin, prompts.pad
        config.generation_kwargs = {"boi_token_id": prompts.begin_of_image}

    def ways(self, batch: int) -> dict[str, Callable[[], Any]]:
        """What each contestant does to draw one batch."""
        texts = [PROMPTS[at % len(PROMPTS)] for at in range(batch)]
        tokens = PromptTokens(*(each.to(self.model.device) for each in self.prompts.batch(texts)))

        def ours() -> None:
            self.sampler.sample(texts, range(batch))

        def theirs(**more: Any) -> None:
            self.model.generate(
                tokens.ids, attention_mask=tokens.mask, generation_mode="image", do_sample=True,
                guidance_scale=GUIDANCE, top_k=0, **more,
            )  # fmt: skip

        def dynamic() -> None:
            theirs(past_key_values=DynamicCache())

        return {"ours": ours, "transformers_static": theirs, "transformers_dynamic": dynamic,
                "plain_loop": lambda: plain_loop(self.model, tokens)}  # fmt: skip


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


class Stopwatch(NamedTuple):
    """Seconds of a task by one clock."""

    device: str
    clock: str

    def __call__(self, task: Callable[[], Any]) -> float:
        """Do the task once; a GPU is waited for."""
        now = CLOCKS[self.clock]
        start = now()
        task()
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return now() - start


def measure(ways: dict[str, Callable[[], Any]], rounds: int, timed: Stopwatch) -> dict[str, float]:
    """Seconds of the fastest round of each; they take turns, so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, task in ways.items():
            seconds[name].append(timed(task))
    return {name: min(each) for name, each in seconds.items()}


def bandwidth(timed: Stopwatch) -> float:
    """Bytes per second of reading weights: a product of a matrix far larger than any cache with one vector."""
    rows = 1 << (14 if timed.device == "cpu" else 16)
    matrix, vector = torch.ones(rows, 8192, device=timed.device), torch.ones(8192, device=timed.device)
    torch.mv(matrix, vector)
    taken = [timed(lambda: torch.mv(matrix, vector)) for _ in range(7)]
    return matrix.numel() * matrix.element_size() / min(taken)


def product_rate(timed: Stopwatch, dtype: torch.dtype) -> float:
    """Multiplications with their additions per second, in a product large enough to reach the machine's own rate.

    On a CPU in float32 two libraries multiply, and the faster one counts.
    """
    side = 2048 if timed.device == "cpu" else 8192
    matrix = torch.ones(side, side, device=timed.device, dtype=dtype)
    ways: list[Callable[[], Any]] = [lambda: torch.mm(matrix, matrix)]
    if timed.device == "cpu" and dtype == torch.float32 and has_onednn():
        packed = PackedLinear(torch.nn.Linear(side, side, bias=False))
        ways.append(lambda: packed(matrix))
    for way in ways:
        way()
    return side**3 / min(timed(way) for _ in range(5) for way in ways)


class Bounds(NamedTuple):
    """What the machine can do.

    Attributes:
        bytes_per_second: of reading weights.
        products_per_second: multiplications with their additions.
    """

    bytes_per_second: float
    products_per_second: float


class Work(NamedTuple):
    """What drawing one batch cannot do without.

    Attributes:
        bytes_read: per token all weights in use, and keys and values of the live slots.
        products: multiplications of weights with states, and of queries with keys, and of shares with values.
    """

    bytes_read: float
    products: float


def least_work(model: Any, batch: int, text: int) -> Work:
    """The work of one batch, two rows an image; texts are left out."""
    parts = (model.model.language_model.layers, model.model.generation_head)
    weights = sum(weight.numel() for part in parts for weight in part.parameters())
    config, tokens = model.config.text_config, model.config.vision_config.num_image_tokens
    live = tokens * text + tokens * (tokens - 1) / 2
    cached = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * live
    attended = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * live
    return Work(
        bytes_read=(tokens * weights + 2 * batch * cached) * model.dtype.itemsize,
        products=2 * batch * (tokens * weights + attended),
    )


def figures(model: Any, seconds: dict[str, float], batch: int, text: int, bounds: Bounds) -> dict[str, Any]:
    tokens, ours = model.config.vision_config.num_image_tokens, seconds["ours"]
    work = least_work(model, batch, text)
    floor, products = work.bytes_read / bounds.bytes_per_second, work.products / bounds.products_per_second
    return {
        "batch": batch,
        "seconds": {name: round(each, 4) for name, each in seconds.items()},
        "images_per_second": batch / ours,
        "tokens_per_second": batch * tokens / ours,
        "vs_transformers": seconds["transformers_static"] / ours,
        "vs_transformers_dynamic": seconds["transformers_dynamic"] / ours,
        "vs_plain_loop": seconds["plain_loop"] / ours,
        "floor_seconds": floor,
        "share_of_floor": floor / ours,
        "products_seconds": products,
        "share_of_products": products / ours,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    opponents = ("transformers, static", "transformers, dynamic", "plain loop")
    titles = ("batch", "ours", *opponents, "ours: images/s, tokens/s", "memory floor (share)", "products (share)")
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for row in rows:
        ours, *others = row["seconds"].values()
        cells = [
            str(row["batch"]),
            f"{ours:.2f} s",
            *(f"{each:.2f} s ({each / ours:.2f}x)" for each in others),
            f"{row['images_per_second']:.2f}, {row['tokens_per_second']:.0f}",
            *(f"{row[f'{name}_seconds']:.2f} s ({row[f'share_of_{name}']:.0%})" for name in ("floor", "products")),
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 tokens, one round")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="float32 on a CPU, else bfloat16")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--batches", default="1,2,8")
    parser.add_argument("--step", choices=("eager", "compiled", "graphed"), default="eager")
    parser.add_argument("--top-k", type=int, default=0, help="of ours; the others take none")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 leaves torch its own number")
    return parser.parse_args()


def main() -> None:
    said = arguments()
    if said.threads:
        torch.set_num_threads(said.threads)
    dtype = getattr(torch, said.dtype or ("float32" if said.device == "cpu" else "bfloat16"))
    tokens, rounds = (64, 1) if said.quick else (576, 3)
    model = build(SHAPES[said.shape], tokens, said.device, dtype)
    with tempfile.TemporaryDirectory() as folder:
        prompts = build_prompts(Path(folder))
    contest = Contest(model, prompts, step=said.step, top_k=said.top_k)
    timed = Stopwatch(said.device, said.clock)
    contest.ways(1)["ours"]()  # the first call pays for what is set up once
    bounds = Bounds(bandwidth(timed), product_rate(timed, dtype))
    text = statistics.fmean(len(prompts.tokens(prompt)) for prompt in PROMPTS)
    rows = []
    for batch in map(int, said.batches.split(",")):
        seconds = measure(contest.ways(batch), said.rounds or rounds, timed)
        rows.append(figures(model, seconds, batch, int(text), bounds))
    if not said.json:
        print_table(rows)
    last = rows[-1]
    print(
        json.dumps(
            {
                "benchmark": "generate",
                "shape": {"name": said.shape, **SHAPES[said.shape]._asdict(), "codes": CODES, "tokens": tokens},
                "device": said.device,
                "dtype": str(dtype).removeprefix("torch."),
                "threads": torch.get_num_threads(),
                "clock": said.clock,
                "step": contest.sampler.step_kind,
                "top_k": said.top_k,
                "bandwidth_bytes_per_second": bounds.bytes_per_second,
                "products_per_second": bounds.products_per_second,
                **{name: last[name] for name in ("vs_transformers", "vs_transformers_dynamic", "vs_plain_loop")},
                "batches": rows,
                "versions": package_versions(),
                "machine": this_machine().to_json(),
            }
        )
    )


if __name__ == "__main__":
    main()
