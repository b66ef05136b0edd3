"""Teacher forcing: log-probabilities of given image tokens under a Janus, by one ``forward`` of one module."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from paircomp_adapters.janus_prompts import PromptTokens
from paircomp_adapters.janus_sampling import Convention, Sampling, guided_logits, unpack_codes

__all__ = ["TeacherForcing"]

#: Most logits held at once while log-probabilities are taken; the rest are computed again in the backward pass.
_LOGITS_AT_ONCE = 1 << 24


class _States(NamedTuple):
    """What log-probabilities are taken of, B images.

    Attributes:
        conditional: ``[B, L, H]``.
        unconditional: ``[B, L, H]``; ``None`` without guidance.
        tokens: ``[B, L]``.
        keep: ``[B, L, ceil(V / 8)]``; ``None`` where every code had a chance.
    """

    conditional: Tensor
    unconditional: Tensor | None
    tokens: Tensor
    keep: Tensor | None

    def parts(self, length: int) -> Iterator[_States]:
        """The same, `length` tokens at a time."""
        for start in range(0, self.tokens.shape[1], length):
            stop = start + length
            yield _States(*(None if each is None else each[:, start:stop] for each in self))  # type: ignore[arg-type]


class TeacherForcing(nn.Module):
    """Log-probabilities of given image tokens, all positions in one pass.

    Args:
        model: transformers' Janus; its parameters are this module's.
        sampling: guidance and temperature.
        convention: which logits the log-probabilities are taken of.
    """

    def __init__(self, model: Any, sampling: Sampling, convention: Convention) -> None:
        super().__init__()
        self.model = model
        self.sampling = sampling
        self.convention: Convention = convention

    def forward(
        self,
        prompts: PromptTokens,
        tokens: Tensor,
        keep: Tensor | None = None,
        unconditional: Tensor | None = None,
        *,
        guided: bool = True,
        every_code: bool = False,
    ) -> Tensor:
        """Log-probabilities in float32.

        Args:
            prompts: of B images, on the model's device.
            tokens: ``[B, L]``.
            keep: ``[B, L, ceil(V / 8)]``, the packed codes that had a chance when the tokens were sampled.
            unconditional: ``[B]`` of booleans: these rows are given the unconditional twin as their prompt.
            guided: False takes the model's own distribution, without guidance and at temperature 1.
            every_code: return those of all codes, ``[B, L, V]``, instead of the tokens'.
        """
        ids = prompts.ids
        if unconditional is not None:
            ids = torch.where(unconditional[:, None], prompts.unconditional, ids)
        both = guided and self.sampling.guided and self.convention != "conditional"
        given, free = self._both(ids, prompts, tokens) if both else (self._hidden(ids, prompts.mask, tokens), None)
        return self._in_parts(_States(given, free, tokens, keep), guided=guided, every_code=every_code)

    def _both(self, ids: Tensor, prompts: PromptTokens, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """States of the conditional and the unconditional rows, in one pass unless one of them takes no gradient."""
        if self.convention == "sampler_detached":
            with torch.no_grad():
                free = self._hidden(prompts.unconditional, prompts.mask, tokens)
            return self._hidden(ids, prompts.mask, tokens), free
        rows = torch.cat([ids, prompts.unconditional])
        given, free = self._hidden(rows, prompts.mask.repeat(2, 1), tokens.repeat(2, 1)).chunk(2)
        return given, free

    def _hidden(self, ids: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """``[rows, L, H]``: the states that predict each image token."""
        language_model = self.model.model.language_model
        text = language_model.embed_tokens(ids)
        image = self.model.prepare_embeddings_for_image_generation(tokens[:, :-1])
        whole = torch.cat([mask, mask.new_ones(tokens.shape[0], tokens.shape[1] - 1)], 1)
        said = language_model(
            inputs_embeds=torch.cat([text, image], 1),
            attention_mask=whole,
            position_ids=(whole.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
        )
        states: Tensor = said.last_hidden_state[:, ids.shape[1] - 1 :]
        return states

    def _in_parts(self, states: _States, *, guided: bool, every_code: bool) -> Tensor:
        codes = self.model.config.vq_config.num_embeddings
        length = max(1, _LOGITS_AT_ONCE // (states.tokens.shape[0] * codes))
        compute = functools.partial(self._log_probs, guided=guided, every_code=every_code)
        again = torch.is_grad_enabled() and not every_code
        found = [
            checkpoint(compute, part, use_reentrant=False) if again else compute(part) for part in states.parts(length)
        ]
        return torch.cat(found, 1)

    def _log_probs(self, states: _States, *, guided: bool, every_code: bool) -> Tensor:
        logits = self._logits(states, guided=guided)
        if states.keep is not None:
            logits = logits.masked_fill(~unpack_codes(states.keep, logits.shape[-1]), float("-inf"))
        if every_code:
            return logits.log_softmax(-1)
        chosen = logits.gather(-1, states.tokens[..., None])[..., 0]
        return chosen - logits.logsumexp(-1)

    def _logits(self, states: _States, *, guided: bool) -> Tensor:
        head = self.model.model.generation_head
        conditional: Tensor = head(states.conditional)
        if not guided:
            return conditional.float()
        unconditional = None if states.unconditional is None else head(states.unconditional)
        logits = guided_logits(conditional, unconditional, self.sampling.guidance, convention=self.convention)
        return logits / self.sampling.temperature
