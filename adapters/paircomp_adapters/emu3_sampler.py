"""Drawing image tokens with an Emu3: rows of visual tokens, each ended by a line token, one random stream per image.

The sampler of transformers takes its random numbers from one global stream, so that a picture would depend on its
neighbours in the batch. Here every image spends numbers of its own, drawn on the CPU before the loop starts. The
grammar of the published model (visual tokens, a line token after each row) is followed by construction: line tokens
are set, not sampled, and no other token has a chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paircomp_adapters.janus_sampling import Sampling, draw

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Grid", "sample_tokens", "uniforms_of"]


@dataclass(frozen=True)
class Grid:
    """The layout of an image in tokens.

    Attributes:
        height: rows.
        width: visual tokens in a row; a line token follows each row.
        visual: ``[V]`` ids of the visual tokens.
        line: id of the line token.
    """

    height: int
    width: int
    visual: Tensor
    line: int

    @property
    def length(self) -> int:
        """Tokens of an image, line tokens included."""
        return self.height * (self.width + 1)


def uniforms_of(seeds: Sequence[int], length: int) -> Tensor:
    """Random numbers in [0, 1), ``[B, length, 2]``: those of an image depend on its seed alone."""
    import torch

    streams = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    return torch.stack([torch.rand(length, 2, generator=stream) for stream in streams])


def sample_tokens(model: Any, ids: Tensor, mask: Tensor, grid: Grid, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """Draw the tokens of B images.

    Guidance mixes conditional and unconditional logits as u + g (c - u), over the visual tokens alone; transformers
    mixes log-probabilities over all tokens before it forbids the others, which is the same distribution.

    Args:
        model: ``Emu3ForConditionalGeneration``.
        ids: ``[R, L]`` left-padded prompts; R is 2B with guidance (all conditional rows, then all unconditional ones),
            else B.
        mask: ``[R, L]``, 1 where `ids` holds a token.
        grid: the image's layout.
        uniforms: ``[B, grid.length, 2]``, see :func:`uniforms_of`.
        sampling: guidance, temperature, truncation.

    Returns:
        ``[B, grid.length]`` token ids.
    """
    import torch
    from transformers import DynamicCache

    images = uniforms.shape[0]
    uniforms = uniforms.to(ids.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config.text_config)
    drawn: list[Tensor] = []
    fed = ids
    for place in range(grid.length):
        logits = model(
            input_ids=fed, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip
        if (place + 1) % (grid.width + 1) == 0:
            token = torch.full((images,), grid.line, device=ids.device, dtype=ids.dtype)
        else:
            visual = logits[:, grid.visual]  # [R, V]
            free = visual[images:] if sampling.guided else None
            token = grid.visual[draw(visual[:images], free, uniforms[:, place], sampling).tokens]
        drawn.append(token)
        fed = token.repeat(ids.shape[0] // images)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return torch.stack(drawn, dim=1)
