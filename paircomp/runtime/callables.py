"""A plain function as an image generator, so that a notebook needs no plugin."""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paircomp.errors import ConfigError
from paircomp.types import Generated, GenerationRequest, ModelSpec

__all__ = ["CallableGenerator", "callable_spec"]


class CallableGenerator:
    """Draws with ``function(prompt)`` or ``function(prompt, seed)``, one image at a time.

    Args:
        function: returns a Pillow image; raise to refuse, and the message becomes the reason.

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
    """A catalogue entry for a function; its name carries a digest of its code.

    An edited function thus gets a run folder of its own instead of the pictures of its older self.
    """
    bare = function.func if isinstance(function, functools.partial) else function
    name = getattr(bare, "__qualname__", type(bare).__qualname__).split(".")[-1].strip("<>")
    digest = hashlib.sha256(_code_of(bare)).hexdigest()[:8]
    return ModelSpec(name=f"{name}-{digest}", adapter="callable", recipe={"code": digest}, suite="shapes")


def _code_of(function: Callable[..., Any]) -> bytes:
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if code is None:
        return repr(function).encode()
    # Nested functions sit among the constants with their memory address in the repr; their own bytes stand in for them.
    constants = [item.co_code if inspect.iscode(item) else repr(item).encode() for item in code.co_consts]
    return b"\n".join([code.co_code, *constants, repr(code.co_names).encode()])
