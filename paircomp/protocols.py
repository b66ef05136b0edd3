"""What a generator and a judge must offer: structural types, nothing to inherit from.

A *factory* builds one: a callable ``(*, checkpoint, device, dtype, **options)`` registered under an entry-point group
(`docs/plugins.md`). Options are checked against its signature before it is called.

Besides the methods below a part may carry these attributes; `paircomp.runtime.capabilities` reads them in one place:

- ``identity``: a mapping of JSON values that belongs to the run's or judge's identity (template text, weights digest).
- ``supports_seeds`` (generators, default True): False where the service takes no seed; the manifest records it.
- ``max_batch_size`` (default none): the pipeline never cuts larger batches.
- ``concurrency`` (default none): a part that answers so many requests at the same time, a server's client for
  instance. The pipeline then hands it many times as many, and it yields each answer as it arrives.
- ``keep_logs(folder)`` (generators): called once before the first batch; whatever a program says goes there.

A factory may carry, readable without calling it:

- ``requires``: import names of packages it needs.
- ``cross_by_default`` (judges, default False): whether asking about the pair's other prompt too is nearly free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from paircomp.types import Generated, GenerationRequest, Judgement, JudgeRequest

__all__ = ["GeneratorFactory", "ImageGenerator", "Judge", "JudgeFactory"]


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
