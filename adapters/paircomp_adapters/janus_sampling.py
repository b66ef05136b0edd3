"""From the logits of an image token to the token: guidance, truncation and the draw, for sampler and training alike.

Pure functions of tensors; B images, V codes. All of them work in float32 whatever the model computes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from paircomp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Convention", "Draw", "Sampling", "draw", "guided_logits", "kept_codes", "pack_codes", "unpack_codes"]

#: Which logits a log-probability is taken of, for images sampled with guidance g from conditional logits c and
#: unconditional logits u. ``sampler``: u + g (c - u), the distribution that was sampled (AR-GRPO, UniRL).
#: ``sampler_detached``: the same without gradient through u (ReasonGen-R1). ``official``: c - u (g - 1) / g, which is
#: the former divided by g, hence g times hotter (the published FocusDiff and Janus-Pro-R1). ``conditional``: c alone
#: (T2I-R1).
Convention = Literal["sampler", "sampler_detached", "official", "conditional"]


@dataclass(frozen=True)
class Sampling:
    """How image tokens are drawn.

    Attributes:
        guidance: g in u + g (c - u); 1 is none, and then the unconditional rows are not computed at all.
        temperature: divides the guided logits; 0 takes the most likely token.
        top_k: how many of the most likely codes are kept; 0 keeps all.
        top_p: smallest set of most likely codes with this much probability is kept; 1 keeps all.
        min_p: codes below this share of the likeliest one's probability are dropped, both taken from the *conditional*
            distribution at temperature 1, before guidance: guidance alone promotes codes that the prompt finds unlikely
            and its absence even more so.

    Raises:
        ConfigError: names every value out of range.
    """

    guidance: float = 5.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected {expected}, got {getattr(self, name)!r}"
            for name, expected, fits in (
                ("guidance", "a number from 1", self.guidance >= 1),
                ("temperature", "a number from 0", self.temperature >= 0),
                ("top_k", "a count from 0", self.top_k >= 0),
                ("top_p", "a number above 0, at most 1", 0 < self.top_p <= 1),
                ("min_p", "a number from 0, below 1", 0 <= self.min_p < 1),
            )
            if not fits
        ]
        if faults:
            raise ConfigError(faults, where="janus")

    @property
    def guided(self) -> bool:
        """Whether unconditional rows are needed."""
        return self.guidance != 1

    def truncates(self, codes: int) -> bool:
        """Whether some of `codes` codes can have no chance at all."""
        return 0 < self.top_k < codes or self.top_p < 1 or self.min_p > 0 or self.temperature == 0


def guided_logits(
    conditional: Tensor, unconditional: Tensor | None, guidance: float, *, convention: Convention = "sampler"
) -> Tensor:
    """The logits that are sampled from, or that log-probabilities are taken of, by one of the published conventions.

    Args:
        conditional: ``[..., V]``.
        unconditional: ``[..., V]``; ``None`` where guidance is 1.
        guidance: g.
        convention: see :data:`Convention`; the sampler always takes the first.

    Returns:
        ``[..., V]`` in float32.
    """
    given = conditional.float()
    if unconditional is None or convention == "conditional":
        return given
    free = unconditional.float()
    if convention == "official":
        return given - free * ((guidance - 1) / guidance)
    if convention == "sampler_detached":
        free = free.detach()
    return free + guidance * (given - free)


def kept_codes(guided: Tensor, conditional: Tensor, sampling: Sampling) -> Tensor | None:
    """Which codes may be drawn: min-p, then top-k, then top-p among those left.

    Ties at the threshold of min-p or top-k are all kept; top-p takes as many of them as its probability needs.

    Args:
        guided: ``[B, V]`` guided logits, not yet divided by the temperature.
        conditional: ``[B, V]``.
        sampling: the thresholds.

    Returns:
        ``[B, V]`` of booleans; ``None`` where all codes are kept.
    """
    keep: Tensor | None = None
    if sampling.min_p > 0:
        chance = conditional.float().softmax(-1)
        keep = chance >= sampling.min_p * chance.amax(-1, keepdim=True)
    if 0 < sampling.top_k < guided.shape[-1]:
        left = _masked(guided, keep)
        inside = left >= left.topk(sampling.top_k, dim=-1).values[..., -1:]
        keep = inside if keep is None else keep & inside
    if sampling.top_p < 1:
        inside = _nucleus(_masked(guided, keep) / (sampling.temperature or 1.0), sampling.top_p)
        keep = inside if keep is None else keep & inside
    return keep


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    ordered, order = logits.softmax(-1).sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered  # probability of all likelier codes
    return (before < top_p).scatter(-1, order, before < top_p)


def _masked(logits: Tensor, keep: Tensor | None) -> Tensor:
    return logits if keep is None else logits.masked_fill(~keep, float("-inf"))


class Draw(NamedTuple):
    """One token per image.

    Attributes:
        tokens: ``[B]``.
        log_probs: ``[B]``, of the tokens under the distribution that was sampled; ``None`` unless asked for.
        keep: ``[B, V]``, the codes that had a chance; ``None`` where all had, or unless asked for.
    """

    tokens: Tensor
    log_probs: Tensor | None = None
    keep: Tensor | None = None


def draw(
    conditional: Tensor, unconditional: Tensor | None, uniforms: Tensor, sampling: Sampling, *, explained: bool = False
) -> Draw:
    """Draw a token per image.

    An image's token depends on its own logits and its own two random numbers alone. The first is spent on the whole
    distribution; only when its token is not among the kept codes is the second spent on those, which gives each kept
    code its renormalised probability. So the costly search for a top-k threshold is rarely made.

    Args:
        conditional: ``[B, V]``.
        unconditional: ``[B, V]`` or ``None``.
        uniforms: ``[B, 2]`` in [0, 1).
        sampling: how.
        explained: also return log-probabilities and the kept codes, as training needs them.
    """
    guided = guided_logits(conditional, unconditional, sampling.guidance)
    if sampling.min_p > 0:
        # Cheap to find, and guidance may have put most of its probability outside.
        chosen = Sampling(min_p=sampling.min_p)
        guided = _masked(guided, kept_codes(guided, conditional, chosen))
    if sampling.temperature == 0:
        return _greedy(guided, explained=explained)
    logits = guided / sampling.temperature
    chances = logits.softmax(-1)
    tokens = _inverse(chances, uniforms[:, :1])
    keep = kept_codes(guided, conditional, sampling) if explained or not _simple(sampling) else None
    outside = ~(_among_top_k(guided, tokens, sampling.top_k) if keep is None else keep.gather(-1, tokens))
    if bool(outside.any()):
        keep = kept_codes(guided, conditional, sampling) if keep is None else keep
        again = _inverse(_masked(logits, keep).softmax(-1), uniforms[:, 1:])
        tokens = tokens.where(~outside, again)
    if not explained:
        return Draw(tokens[:, 0])
    log_probs = _masked(logits, keep).log_softmax(-1).gather(-1, tokens)
    return Draw(tokens[:, 0], log_probs[:, 0], keep)


def _greedy(guided: Tensor, *, explained: bool) -> Draw:
    import torch

    tokens = guided.argmax(-1)
    if not explained:
        return Draw(tokens)
    keep = torch.zeros_like(guided, dtype=torch.bool).scatter(-1, tokens[:, None], value=True)
    return Draw(tokens, torch.zeros_like(guided[:, 0]), keep)


def _simple(sampling: Sampling) -> bool:
    """Whether one token's membership can be told without the set."""
    return sampling.top_p == 1


def _among_top_k(guided: Tensor, tokens: Tensor, top_k: int) -> Tensor:
    if top_k == 0 or top_k >= guided.shape[-1]:
        return tokens >= 0
    return (guided > guided.gather(-1, tokens)).sum(-1, keepdim=True) < top_k


def _inverse(chances: Tensor, uniforms: Tensor) -> Tensor:
    """The code at which the cumulated probability passes the random number: ``[B, 1]``."""
    import torch

    cumulated = chances.cumsum(-1)
    total = cumulated[:, -1:]
    # Rounding may bring the product up to the total itself, behind which there is no code.
    below = torch.nextafter(total, torch.zeros_like(total))
    found = torch.searchsorted(cumulated, torch.minimum(uniforms * total, below), right=True)
    return found.clamp(max=chances.shape[-1] - 1)  # logits that are not numbers: training then says that it diverged


def pack_codes(keep: Tensor) -> Tensor:
    """``[..., V]`` booleans as ``[..., ceil(V / 8)]`` bytes: masks of a rollout in an eighth of the memory."""
    import torch
    from torch.nn import functional

    spare = -keep.shape[-1] % 8
    bits = functional.pad(keep, (0, spare)).view(*keep.shape[:-1], -1, 8).to(torch.uint8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=keep.device)
    packed: Tensor = (bits * weights).sum(-1, dtype=torch.uint8)
    return packed


def unpack_codes(packed: Tensor, codes: int) -> Tensor:
    """The booleans that :func:`pack_codes` packed, ``[..., codes]``."""
    import torch

    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = (packed.unsqueeze(-1) >> shifts) & 1
    keep: Tensor = bits.flatten(-2)[..., :codes].bool()
    return keep
