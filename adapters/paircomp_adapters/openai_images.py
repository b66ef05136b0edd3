"""The ``openai-images`` generator: any server that speaks OpenAI's images protocol, from GPT Image to a local one.

The key comes from the environment only. Answers are kept as they arrive, refusals are unscored with their reason, and
what the server counts (tokens) and charges (where prices are given) is recorded with each image.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paircomp.errors import ConfigError, GenerationError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp.runtime.openai_client import OpenAIServer, RequestRefused
from paircomp.runtime.remote import Patience, RemoteCalls, Returned
from paircomp.types import Generated, GenerationRequest

if TYPE_CHECKING:
    import openai

__all__ = ["OpenAIImagesGenerator", "openai_images"]

_WHO = "generator 'openai-images'"
_LARGEST_DOWNLOAD = 64 << 20
_DOWNLOAD_WAITS = (0.5, 2.0)
_SEED_BITS = 31  # servers keep seeds in 32-bit signed integers
_PRICES = ("image", "million_input", "million_output")
_REFUSALS = ("content_policy", "content_filter", "contentfilter", "moderation", "responsibleai", "safety")


@declares(requires=("openai",), incidental=("key_variable", "concurrency", "timeout", "attempts", "prices"))
def openai_images(  # noqa: PLR0913 - each one an option of the command line, all keyword-only
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    base_url: str | None = None,
    key_variable: str | None = None,
    size: str | None = "1024x1024",
    quality: str | None = None,
    fields: dict[str, Any] | None = None,
    send_seed: bool = False,
    concurrency: int = 4,
    timeout: float = 180.0,
    attempts: int = 6,
    prices: dict[str, float] | None = None,
) -> OpenAIImagesGenerator:
    """Draws through any server that speaks OpenAI's images protocol.

    Args:
        checkpoint: the model's name at the server.
        device: any; it draws elsewhere.
        dtype: any; the server chooses.
        base_url: the server's address; ``None`` takes ``OPENAI_BASE_URL`` or OpenAI's own.
        key_variable: the environment variable that holds the key; ``None`` takes ``OPENAI_API_KEY`` for OpenAI's own
            address (or one from the environment) and sends no key elsewhere.
        size: width x height in pixels; ``None`` leaves it to the server.
        quality: as the server calls it; ``None`` leaves it to the server.
        fields: further fields of the request, as they are.
        send_seed: send the last 31 bits of the seed as ``seed``, to servers that take it.
        concurrency: requests under way at the same time.
        timeout: seconds for one request.
        attempts: calls for one image, when the server is busy or fails.
        prices: US dollars for counting the cost: ``image`` for one image, ``million_input`` and ``million_output`` for
            a million tokens where the server counts them.

    Raises:
        ConfigError: options that do not fit, all of them named.
        UnavailableError: the openai package or the key is missing.
    """
    del device, dtype
    faults = [f"{name}: expected a number above 0, got {value!r}"
              for name, value in (("concurrency", concurrency), ("timeout", timeout), ("attempts", attempts))
              if value <= 0]  # fmt: skip
    faults += [f"prices.{name}: expected a number from 0, got {value!r}"
               for name, value in (prices or {}).items() if not _is_price(value)]  # fmt: skip
    faults += [f"fields.{name}: belongs to the harness" for name in ("prompt", "n", "model") if name in (fields or {})]
    faults += [f"prices.{name}: unknown, known: {', '.join(_PRICES)}" for name in prices or {} if name not in _PRICES]
    if not checkpoint:
        faults.append("checkpoint: expected the model's name at the server, for instance gpt-image-1")
    if faults or not checkpoint:
        raise ConfigError(faults, where=_WHO)
    server = OpenAIServer(who=_WHO, failure=GenerationError, base_url=base_url, key_variable=key_variable,
                          timeout=timeout)  # fmt: skip
    body = {name: value for name, value in (("size", size), ("quality", quality)) if value is not None}
    order = _Order(checkpoint, {**body, **(fields or {})}, prices or {}, send_seed=send_seed, timeout=timeout)
    return OpenAIImagesGenerator(server, order, concurrency=concurrency, patience=Patience(attempts=attempts))


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


@dataclass(frozen=True)
class _Order:
    """What every request asks for."""

    model: str
    fields: Mapping[str, Any]
    prices: Mapping[str, float]
    send_seed: bool
    timeout: float

    def beyond_prompt(self, request: GenerationRequest) -> dict[str, Any]:
        """The fields besides model and prompt."""
        return {**self.fields, **({"seed": request.seed % (1 << _SEED_BITS)} if self.send_seed else {})}

    def cost(self, tokens: Mapping[str, int]) -> float | None:
        """US dollars for one image; ``None`` where no price is known."""
        amounts = {"image": 1.0, "million_input": tokens.get("input_tokens", 0) / 1e6,
                   "million_output": tokens.get("output_tokens", 0) / 1e6}  # fmt: skip
        return round(sum(self.prices[name] * amounts[name] for name in self.prices), 6) if self.prices else None


class OpenAIImagesGenerator:
    """Asks a server for one image per request; see :func:`openai_images`.

    Attributes:
        concurrency: requests under way at the same time.
        supports_seeds: whether the server is sent a seed.
        identity: the server's address, and the fields of every request.
    """

    def __init__(self, server: OpenAIServer, order: _Order, *, concurrency: int, patience: Patience) -> None:
        self._server = server
        self._order = order
        self._calls = RemoteCalls[GenerationRequest, Generated](
            self._draw, concurrency=concurrency, who=_WHO, failure=GenerationError, patience=patience
        )
        self.concurrency = concurrency
        self.supports_seeds = order.send_seed
        self.identity: Mapping[str, Any] = {"server": server.base_url, "fields": dict(order.fields)}

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image or reason per request, in the order of arrival.

        Raises:
            GenerationError: the key, the model or the address is wrong, or nothing succeeds any more.
        """
        for returned in self._calls.run(requests):
            yield returned.answer or _failed(returned, self._server)

    def close(self) -> None:
        """End the connections; waits end at once."""
        self._calls.close()
        self._server.close()

    def _draw(self, request: GenerationRequest) -> Generated:
        started = time.monotonic()
        try:
            answer = self._server.ask(lambda client: self._ask(client, request))
        except RequestRefused as refusal:
            if not _is_refusal(refusal):
                raise
            return Generated(request.key, unscored=f"refused: {refusal.said}", metadata={"code": refusal.code})
        picture, revised = _picture(answer)
        image = read_rgb(_content(picture, self._order.timeout))
        return Generated(
            request.key, image, seconds=round(time.monotonic() - started, 3), metadata=self._counted(answer),
            prompt_sent=revised if revised != request.prompt else None,
        )  # fmt: skip

    def _ask(self, client: openai.OpenAI, request: GenerationRequest) -> Any:
        return client.images.with_raw_response.generate(
            model=self._order.model, prompt=request.prompt, n=1, extra_body=self._order.beyond_prompt(request)
        )

    def _counted(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        usage = answer.get("usage")
        tokens = {name: value for name, value in (usage if isinstance(usage, Mapping) else {}).items()
                  if name.endswith("_tokens") and isinstance(value, int)}  # fmt: skip
        cost = self._order.cost(tokens)
        return {**({"usage": tokens} if tokens else {}), **({"usd": cost} if cost is not None else {})}


def _failed(returned: Returned[GenerationRequest, Generated], server: OpenAIServer) -> Generated:
    """A failure that the next command tries again."""
    reason = server.hide(f"error: {returned.fault}")
    return Generated(returned.request.key, unscored=reason, retry=True, metadata={"attempts": returned.attempts})


def _is_refusal(fault: RequestRefused) -> bool:
    """Whether the prompt was refused for what it says, rather than for how it was sent."""
    told = f"{fault.code} {fault.said}".lower().replace(" ", "_")
    return fault.status in (400, 403, 422, 451) and any(word in told for word in _REFUSALS)


def _picture(answer: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """The first picture of an answer, and the prompt as the server rewrote it."""
    pictures = answer.get("data")
    if not isinstance(pictures, list) or not pictures or not isinstance(pictures[0], Mapping):
        raise UnreadableImageError("the server answered without a picture")
    revised = pictures[0].get("revised_prompt")
    return pictures[0], revised if isinstance(revised, str) and revised else None


def _content(picture: Mapping[str, Any], timeout: float) -> bytes:
    encoded, url = picture.get("b64_json"), picture.get("url")
    if isinstance(encoded, str) and encoded:
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:  # letters beyond ASCII are a ValueError
            raise UnreadableImageError(f"b64_json is not base64 ({error})") from error
    if isinstance(url, str) and url.startswith("data:"):
        return _content({"b64_json": url.partition(",")[2]}, timeout)
    if isinstance(url, str) and urlsplit(url).scheme in ("http", "https"):
        return _download(url, timeout)
    raise UnreadableImageError("the server answered neither b64_json nor an http address")


def _download(url: str, timeout: float) -> bytes:
    """Fetch a picture, in a few attempts: it is paid for. Its address is often signed, so no message holds it."""
    for wait in (*_DOWNLOAD_WAITS, None):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the scheme was checked
                content: bytes = answer.read(_LARGEST_DOWNLOAD + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        else:
            if len(content) <= _LARGEST_DOWNLOAD:
                return content
            raise UnreadableImageError(f"the picture is over {_LARGEST_DOWNLOAD >> 20} MiB")
        if wait is not None:
            time.sleep(wait)
    raise UnreadableImageError(f"the picture could not be downloaded ({reason})")
