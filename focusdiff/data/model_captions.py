"""Captioners with a vision-language model: on an OpenAI-compatible server, or here through transformers.

Both ask the question of ``questions.json`` about the two pictures and read a JSON object from the answer.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from focusdiff.data.captions import Captioned, CaptionRequest
from focusdiff.data.questions import ask
from paircomp.errors import AdapterError, ConfigError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.checkpoints import checkpoint_folder, resolve_dtype
from paircomp.runtime.images import png_bytes
from paircomp.runtime.openai_client import OpenAIServer, RequestRefused
from paircomp.runtime.remote import RemoteCalls

__all__ = ["LocalCaptioner", "ServerCaptioner", "caption_server", "image_text_captions", "read_captions"]

_OBJECT = re.compile(r"\{[^{}]*\}", re.DOTALL)
_LONGEST = 300  # tokens of an answer


def read_captions(said: str) -> tuple[str, str] | None:
    """The two captions in an answer; ``None`` where there are none.

    Models wrap their JSON in code fences or sentences; the last object with both keys counts.

    Example:
        >>> read_captions('Sure! ```json {"caption1": "a red cat", "caption2": "a blue cat"}```')
        ('a red cat', 'a blue cat')
    """
    for found in reversed(_OBJECT.findall(said)):
        try:
            captions = json.loads(found)
            first, second = captions["caption1"], captions["caption2"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(first, str) and isinstance(second, str) and first.strip() and second.strip():
            return first.strip(), second.strip()
    return None


def _question(request: CaptionRequest) -> str:
    instruction = request.instruction or "(none was given)"
    if request.failed is None:
        return ask("caption", "first", instruction=instruction)
    (first, second), reason = request.failed
    return ask("caption", "again", instruction=instruction, caption1=first, caption2=second, reason=reason)


def _answer(request: CaptionRequest, said: str) -> Captioned:
    captions = read_captions(said)
    if captions is None:
        return Captioned(request.position, unscored="the captioner's answer holds no two captions")
    return Captioned(request.position, captions=captions)


@declares(requires=("openai",), incidental=("base_url", "key_variable", "concurrency", "timeout"))
def caption_server(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, base_url: str | None = None,
    key_variable: str | None = None, concurrency: int = 8, timeout: float = 180.0,
) -> ServerCaptioner:  # fmt: skip
    """Captions by a vision-language model on an OpenAI-compatible server (vLLM, SGLang, a service).

    Args:
        checkpoint: the model's name at the server.
        device: not used.
        dtype: not used.
        base_url: address of the server; default ``OPENAI_BASE_URL`` or OpenAI's own.
        key_variable: environment variable with the key.
        concurrency: requests under way at the same time.
        timeout: seconds for one answer.

    Raises:
        ConfigError: no model is named.
    """
    del device, dtype
    if not checkpoint:
        raise ConfigError(["which model? next: -o captioner.checkpoint=NAME"], where="captioner 'caption-server'")
    server = OpenAIServer(who="captioner 'caption-server'", failure=AdapterError, base_url=base_url,
                          key_variable=key_variable, timeout=timeout)  # fmt: skip
    return ServerCaptioner(server, checkpoint, concurrency=concurrency)


class ServerCaptioner:
    """See :func:`caption_server`.

    Args:
        server: where the model is.
        model: its name there.
        concurrency: requests under way at the same time.
    """

    def __init__(self, server: OpenAIServer, model: str, *, concurrency: int) -> None:
        self._server, self._model = server, model
        self.concurrency = concurrency
        self.identity: Mapping[str, Any] = {"model": model, "temperature": [0.0, 0.7]}
        self._calls = RemoteCalls(
            self._ask, concurrency=concurrency, who="captioner 'caption-server'", failure=AdapterError
        )

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[Captioned]:
        """One answer per request, as they arrive.

        Raises:
            AdapterError: the server refuses everything, or cannot be reached.
        """
        for returned in self._calls.run(requests):
            if returned.answer is not None:
                yield returned.answer
            else:
                retry = not isinstance(returned.fault, RequestRefused)
                yield Captioned(returned.request.position, unscored=f"not captioned: {returned.fault}", retry=retry)

    def close(self) -> None:
        """End all connections."""
        self._calls.close()
        self._server.close()

    def _ask(self, request: CaptionRequest) -> Captioned:
        pictures: list[Any] = [
            {"type": "image_url",
             "image_url": {"url": "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()}}
            for image in request.images
        ]  # fmt: skip
        content = [*pictures, {"type": "text", "text": _question(request)}]
        answer = self._server.ask(lambda client: client.chat.completions.with_raw_response.create(
            model=self._model, messages=[{"role": "user", "content": content}], max_tokens=_LONGEST,
            # A second attempt at temperature 0 would often repeat the first.
            temperature=0.7 if request.attempt else 0.0, seed=request.position,
        ))  # fmt: skip
        try:
            return _answer(request, str(answer["choices"][0]["message"]["content"]))
        except (KeyError, IndexError, TypeError):
            return Captioned(request.position, unscored="the server's answer holds no text")


@declares(requires=("torch", "transformers"))
def image_text_captions(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, longest: int = _LONGEST
) -> LocalCaptioner:
    """Captions by any image-text-to-text model of transformers that takes two pictures, run here.

    Args:
        checkpoint: hub id or folder, with a processor and a chat template.
        device: where it runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        longest: tokens of an answer.

    Raises:
        ConfigError: no checkpoint is named.
        AdapterError: it has no chat template.
        UnavailableError: it is not here and cannot be fetched.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from paircomp.runtime.weights import explained_load

    what = "captioner 'image-text-captions'"
    if not checkpoint:
        raise ConfigError(["which model? next: -o captioner.checkpoint=FOLDER"], where=what)
    folder = checkpoint_folder(checkpoint, what=what)
    classes: Any = (AutoProcessor, AutoModelForImageTextToText)
    with explained_load(what, str(folder)):
        processor = classes[0].from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model = classes[1].from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, dtype=resolve_dtype(dtype, device)
        )
    if not getattr(processor, "chat_template", None):
        raise AdapterError(f"{what}: {folder} has no chat template; next: use a checkpoint tuned for conversation")
    return LocalCaptioner(model.to(device).eval(), processor, identity={"checkpoint": checkpoint}, longest=longest)


class LocalCaptioner:
    """See :func:`image_text_captions`. One request at a time; the second attempt samples.

    Args:
        model: in evaluation mode.
        processor: with a chat template.
        identity: what the loader knows.
        longest: tokens of an answer.
    """

    def __init__(self, model: Any, processor: Any, *, identity: Mapping[str, Any], longest: int = _LONGEST) -> None:
        self._model, self._processor, self._longest = model, processor, longest
        self.identity: Mapping[str, Any] = {**identity, "temperature": [0.0, 0.7]}

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[Captioned]:
        """One answer per request, in order."""
        for request in requests:
            yield _answer(request, self._said(request))

    def _said(self, request: CaptionRequest) -> str:
        import torch

        content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": _question(request)}]
        text = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        # The template writes what the text begins with, such as <s>, itself.
        inputs = self._processor(
            images=list(request.images), text=[text], return_tensors="pt", add_special_tokens=False
        )
        home = self._model.get_input_embeddings().weight
        inputs = {name: each.to(home.device) for name, each in inputs.items()}
        inputs = {name: each.to(home.dtype) if each.is_floating_point() else each for name, each in inputs.items()}
        sampled: dict[str, Any] = {"do_sample": True, "temperature": 0.7} if request.attempt else {"do_sample": False}
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(request.position)  # a resumed build draws what an unbroken one would have drawn
            drawn = self._model.generate(**inputs, max_new_tokens=self._longest, **sampled)
        said: str = self._processor.tokenizer.decode(drawn[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return said

    def close(self) -> None:
        """Free the model."""
        del self._model
