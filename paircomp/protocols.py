"""What a generator, a judge and a policy must offer: structural types, nothing to inherit from.

A *factory* builds one: a callable ``(*, checkpoint, device, dtype, **options)`` registered under an entry-point group
(`docs/plugins.md`). Options are checked against its signature before it is called.

Besides the methods below a part may carry these attributes; `paircomp.runtime.capabilities` reads them in one place:

- ``identity``: a mapping of JSON values that belongs to the run's or judge's identity (template text, weights digest).
- ``supports_seeds`` (generators, default True): False where the service takes no seed; the manifest records it.
- ``max_batch_size`` (default none): the pipeline never cuts larger batches.
- ``concurrency`` (default none): a part that answers so many requests at the same time, a server's client for
  instance. The pipeline then hands it many times as many, and it yields each answer as it arrives.
- ``asking_no_first()`` (judges): the same judge with "no" named before "yes" in its question; calibration measures what
  the order does.
- ``keep_logs(folder)`` (generators): called once before the first batch; whatever a program says goes there.

A factory may carry, readable without calling it:

- ``requires``: import names of packages it needs.
- ``cross_by_default`` (judges, default False): whether asking about the pair's other prompt too is nearly free.
- ``incidental``: options that change no picture and no score; they stay out of the identity.
- ``evidence`` (judges): options that name a file; the SHA-256 of its content is stored with the judge's answers, which
  are never mixed with those of another content, and is not compared between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from paircomp.types import Generated, GenerationRequest, Judgement, JudgeRequest

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor, nn

__all__ = ["GeneratorFactory", "ImageGenerator", "Judge", "JudgeFactory", "Policy", "PolicyFactory", "Rollout"]


@runtime_checkable
class ImageGenerator(Protocol):
    """Draws images. Not called Generator: `torch` and `typing` own that word."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """Answer each request exactly once, in any order; yielded results are kept even if a later one fails.

        The picture of a request must not depend on the other requests of the batch.

        Raises:
            OutOfMemory: the batch did not fit; the pipeline halves it.
        """
        ...

    def close(self) -> None:
        """Free the device; called once."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Says how well images match prompts."""

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement for each question of each request, in any order.

        A judge that cannot tell yields ``unscored`` with the reason; NaN or a score outside [0, 1] is a defect and
        stops the step.

        Raises:
            OutOfMemory: the batch did not fit; the pipeline halves it.
        """
        ...

    def close(self) -> None:
        """Free the device; called once."""
        ...


class GeneratorFactory(Protocol):
    """Builds an image generator."""

    def __call__(
        self, *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, **options: Any
    ) -> ImageGenerator:
        """Load `checkpoint` on `device` in `dtype`."""
        ...


class JudgeFactory(Protocol):
    """Builds a judge."""

    def __call__(
        self, *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, **options: Any
    ) -> Judge:
        """Load `checkpoint` on `device` in `dtype`."""
        ...


class Rollout(Protocol):
    """Image tokens that a policy drew; B images, L tokens each."""

    @property
    def tokens(self) -> Tensor:
        """``[B, L]``."""
        ...

    @property
    def log_probs(self) -> Tensor | None:
        """``[B, L]`` float32, as the sampler computed them; training recomputes them in its own geometry."""
        ...

    @property
    def keep(self) -> Tensor | None:
        """The mask of a truncated sampler, to be handed back to ``log_probs``; ``None`` where it did not truncate."""
        ...


@runtime_checkable
class Policy(Protocol):
    """An autoregressive generator as training sees it: it can be sampled, scored, and its weights changed and saved.

    The sampler and ``log_probs`` share guidance, temperature and truncation. Which logits a log-probability is taken of
    under guidance (the *convention*) is an option of the policy's factory.
    """

    @property
    def module(self) -> nn.Module:
        """What an optimiser trains and a data-parallel wrapper wraps; log-probabilities are its ``forward``."""
        ...

    @property
    def length(self) -> int:
        """L, tokens of one image."""
        ...

    @property
    def codes(self) -> int:
        """V, size of the codebook."""
        ...

    def sample(self, prompts: Sequence[str], *, seeds: Sequence[int]) -> Rollout:
        """Draw one image's tokens per prompt and seed, from the weights as they are now."""
        ...

    def log_probs(
        self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None, module: nn.Module | None = None
    ) -> Tensor:
        """``[B, L]`` float32 with gradient: log-probabilities of `tokens` under guidance and the policy's convention.

        Args:
            prompts: B texts.
            tokens: ``[B, L]``.
            keep: the rollout's, required of a truncated sampler.
            module: :attr:`module` as a wrapper holds it; its own by default.

        Raises:
            ConfigError: the sampler truncates and `keep` is absent.
        """
        ...

    def log_distributions(self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """``[B, L, V]`` float32: the log-probabilities of every code, for an exact KL."""
        ...

    def plain_log_probs(
        self,
        prompts: Sequence[str],
        tokens: Tensor,
        *,
        unconditional: Sequence[bool] | None = None,
        module: nn.Module | None = None,
    ) -> Tensor:
        """``[B, L]`` float32 with gradient, without guidance: supervised training minimises minus their mean.

        Args:
            prompts: B texts.
            tokens: ``[B, L]``.
            unconditional: images whose prompt is dropped (guidance dropout).
            module: as for :meth:`log_probs`.
        """
        ...

    def encode(self, pictures: Sequence[Image]) -> Tensor:
        """``[B, L]`` tokens of pictures."""
        ...

    def decode(self, tokens: Tensor) -> list[Image]:
        """Pictures of ``[B, L]`` tokens."""
        ...

    def frozen_copy(self) -> Policy:
        """The policy as it is now, in memory of its own, without gradients: a reference model."""
        ...

    def save(self, folder: Path, *, layout: Any = ..., weights: Mapping[str, Tensor] | None = None) -> None:
        """Write a checkpoint that the family's generator loads.

        Args:
            folder: made when absent.
            layout: of the file names and tensors, where the family knows several.
            weights: to be written in place of the module's own, by the names of its state dict as it was loaded:
                adapters merged into the base, or shares of several processes gathered.
        """
        ...


class PolicyFactory(Protocol):
    """Builds a policy."""

    def __call__(
        self, *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, **options: Any
    ) -> Policy:
        """Load `checkpoint` on `device` in `dtype`."""
        ...
