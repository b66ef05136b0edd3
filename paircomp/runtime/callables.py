"""A plain function as an image generator, so that a notebook needs no plugin."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paircomp.errors import ConfigError
from paircomp.runtime.fingerprints import fingerprint
from paircomp.types import Generated, GenerationRequest, ModelSpec

__all__ = ["CallableGenerator", "callable_spec"]


class CallableGenerator:
    """Draws with ``function(prompt)`` or ``function(prompt, seed)``, one image at a time.

    Args:
        function: returns a Pillow image. What it raises becomes the reason why there is none: the step goes on with
            the other prompts and stops at ten failures in a row; the next evaluation asks again.

    Raises:
        ConfigError: it takes neither one nor two positional arguments.
    """

    max_batch_size = 1

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.supports_seeds = _takes_seed(function)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """Call the function for each request."""
        for request in requests:
            arguments = (request.prompt, request.seed) if self.supports_seeds else (request.prompt,)
            started = time.perf_counter()
            image = self._function(*arguments)
            yield Generated(request.key, image, seconds=round(time.perf_counter() - started, 6))

    def close(self) -> None:
        """Nothing to free."""


def _takes_seed(function: Callable[..., Any]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    except (TypeError, ValueError):  # built-in callables without a signature
        return False
    required = sum(p.default is p.empty for p in parameters)
    if not parameters or required > 2:
        raise ConfigError([f"expected a function (prompt) or (prompt, seed), got {inspect.signature(function)}"],
                          where="model")  # fmt: skip
    return required == 2 or any(p.name == "seed" for p in parameters[1:2])


def callable_spec(function: Callable[..., Any]) -> ModelSpec:
    """A catalogue entry for a function; its name carries a digest of its code and of the values it draws with.

    An edited function, or the same one around other settings, thus gets a run folder of its own instead of the pictures
    of its older self. What the digest cannot see into (a pipeline of a library, a network) makes it new at each call:
    such a model always draws anew, and ``out=`` of an older run is refused. To resume, hand in an object with an
    ``identity``, a mapping of plain values that says which model it is (`paircomp.runtime.fingerprints`).
    """
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    name = getattr(bare, "__qualname__", type(bare).__qualname__).split(".")[-1].strip("<>")
    digest = fingerprint(function)[:8]
    return ModelSpec(name=f"{name}-{digest}", adapter="callable", recipe={"code": digest}, suite="shapes")
