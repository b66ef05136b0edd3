"""Janus as a policy: what supervised fine-tuning and reinforcement learning need of it.

The log-probabilities of training and the distribution of the sampler come from one function, `guided_logits`, under one
`Sampling`. They are computed by one ``forward`` of one module, which is what data-parallel wrappers want.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from paircomp.errors import ConfigError
from paircomp_adapters.janus_checkpoint import JanusCheckpoint, Layout, save_janus
from paircomp_adapters.janus_images import decode_tokens, encode_pictures
from paircomp_adapters.janus_prompts import PromptTokens
from paircomp_adapters.janus_sampler import JanusSampler, Rollout
from paircomp_adapters.janus_sampling import Convention, Sampling
from paircomp_adapters.janus_steps import StepKind
from paircomp_adapters.janus_teacher_forcing import TeacherForcing

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["JanusPolicy"]

#: Parts of the model that image generation does not use or that stay as they are (the published code freezes them too).
_FROZEN = ("vision_model", "aligner", "vqmodel")


class JanusPolicy:
    """A Janus that can be sampled, scored, trained and saved; see `paircomp.protocols.Policy`.

    Args:
        loaded: model, tokenizer and what they were read from.
        sampling: of rollouts, and of the log-probabilities.
        convention: of the log-probabilities.
        step: of the sampler.

    Attributes:
        module: what an optimiser trains and a wrapper wraps; vision tower, aligner, image tokenizer and text head are
            frozen: no image token depends on them.

    Raises:
        ConfigError: the sampling has no log-probabilities (temperature 0).
    """

    def __init__(
        self,
        loaded: JanusCheckpoint,
        sampling: Sampling,
        *,
        convention: Convention = "sampler",
        step: StepKind = "eager",
    ) -> None:
        if sampling.temperature == 0:
            raise ConfigError(
                ["temperature: a policy samples, expected a number above 0, got 0"], where="policy 'janus'"
            )
        self._loaded = loaded
        self.sampling = sampling
        self._step: StepKind = step
        self.module = TeacherForcing(loaded.model, sampling, convention)
        self._sampler = JanusSampler(loaded.model, loaded.prompts, sampling, step=step)
        _freeze(loaded.model)

    @property
    def length(self) -> int:
        """L, image tokens of one picture."""
        return self._sampler.length

    @property
    def codes(self) -> int:
        """V, size of the codebook."""
        codes: int = self._loaded.model.config.vq_config.num_embeddings
        return codes

    def sample(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> Rollout:
        """Draw one image's tokens per prompt and seed, with log-probabilities and the mask of a truncated sampler."""
        training = self.module.training
        self.module.eval()
        try:
            return self._sampler.sample(prompts, seeds, explained=True)
        finally:
            self.module.train(training)

    def log_probs(
        self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None, module: nn.Module | None = None
    ) -> Tensor:
        """``[B, L]`` float32: log-probabilities of tokens under the sampler's guidance, temperature and convention.

        Args:
            prompts: B texts.
            tokens: ``[B, L]``.
            keep: ``Rollout.keep`` of a truncated sampler.
            module: `module` as a data-parallel or sharding wrapper holds it.

        Raises:
            ConfigError: the sampler truncates and no mask was given: such log-probabilities would be of another policy.
        """
        self._refuse_truncated(keep)
        result: Tensor = (module or self.module)(self._placed(prompts), tokens, keep)
        return result

    def log_distributions(self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """``[B, L, V]`` float32: the same of every code, for the exact KL of a small codebook."""
        self._refuse_truncated(keep)
        result: Tensor = self.module(self._placed(prompts), tokens, keep, every_code=True)
        return result

    def plain_log_probs(
        self,
        prompts: Sequence[str],
        tokens: Tensor,
        *,
        unconditional: Sequence[bool] | None = None,
        module: nn.Module | None = None,
    ) -> Tensor:
        """``[B, L]`` float32: the model's own, without guidance; minus their mean is the loss of supervised training.

        Args:
            prompts: B texts.
            tokens: ``[B, L]``.
            unconditional: rows whose prompt is replaced by its unconditional twin (guidance dropout).
            module: as for :meth:`log_probs`.
        """
        dropped = None if unconditional is None else torch.tensor(list(unconditional), device=self._device)
        result: Tensor = (module or self.module)(self._placed(prompts), tokens, None, dropped, guided=False)
        return result

    def encode(self, pictures: Sequence[Image]) -> Tensor:
        """``[B, L]`` tokens of pictures: centred square, scaled; codes are searched among unit vectors."""
        return encode_pictures(self._loaded.model, pictures)

    def decode(self, tokens: Tensor) -> list[Image]:
        """Pictures of ``[B, L]`` tokens."""
        return list(decode_tokens(self._loaded.model, tokens))

    def frozen_copy(self) -> JanusPolicy:
        """The policy as it is now, in memory of its own and without gradients: a reference model."""
        model = copy.deepcopy(self._loaded.model).requires_grad_(requires_grad=False).eval()
        copied = JanusPolicy(replace(self._loaded, model=model), self.sampling, convention=self.module.convention,
                             step=self._step)  # fmt: skip
        copied.module.requires_grad_(requires_grad=False)
        return copied

    def save(
        self, folder: Path, *, layout: Layout = "transformers", weights: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write the checkpoint, with its tokenizer, in transformers' layout or the ``original`` one.

        Args:
            folder: made when absent.
            layout: of the two.
            weights: in place of the module's own, by the names of its state dict.
        """
        given = None if weights is None else {name.removeprefix("model."): weight for name, weight in weights.items()}
        save_janus(self._loaded, folder, layout=layout, weights=given)

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._loaded.model.device
        return device

    def _placed(self, prompts: Sequence[str]) -> PromptTokens:
        return PromptTokens(*(tensor.to(self._device) for tensor in self._loaded.prompts.batch(prompts)))

    def _refuse_truncated(self, keep: Tensor | None) -> None:
        if keep is None and self.sampling.truncates(self.codes):
            said = "the sampler truncates (top_k, top_p or min_p), so log-probabilities need the rollout's mask"
            raise ConfigError([f"{said}; next: pass keep=rollout.keep, or sample untruncated"], where="policy 'janus'")


def _freeze(model: Any) -> None:
    for name in _FROZEN:
        getattr(model.model, name).requires_grad_(requires_grad=False)
    if not model.config.tie_word_embeddings:
        model.lm_head.requires_grad_(requires_grad=False)
