"""Finding out what a server serves and what it shows, and asking it one question."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from paircomp.errors import AdapterError, ConfigError, JudgeError
from paircomp.judges.question_templates import QuestionTemplate
from paircomp.judges.vlm_server_answers import UnreadableAnswerError, read_masses
from paircomp.judges.yes_no import NO, YES
from paircomp.runtime.images import png_bytes
from paircomp.runtime.openai_client import OpenAIServer, RequestRefused
from paircomp.runtime.remote import Patience, RemoteCalls

if TYPE_CHECKING:
    import openai
    from PIL.Image import Image

__all__ = ["WHO", "PatientClient", "Settings", "data_url", "settle"]

WHO = "judge 'vlm-server'"
_LIKELIEST = 20
_NEXT = "next: see docs/serving.md"

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class PatientClient:
    """A server with patience: single calls in which every fault is final, and streams of them."""

    def __init__(self, server: OpenAIServer, *, concurrency: int, patience: Patience) -> None:
        self.server = server
        self.concurrency = concurrency
        self._patience = patience

    def once(self, call: Callable[[openai.OpenAI], Any]) -> dict[str, Any]:
        """One answer; what may pass is tried again, and is a `JudgeError` in the end.

        Raises:
            RequestRefused: the server will not answer this.
            JudgeError: it refuses everything, or cannot be reached.
        """
        (returned,) = self.calls(self.server.ask, concurrency=1).run([call])
        if returned.answer is not None:
            return returned.answer
        if isinstance(returned.fault, RequestRefused):
            raise returned.fault
        raise JudgeError(f"{WHO}: {returned.fault}; {_NEXT}") from returned.fault

    def calls(
        self, call: Callable[[Request], Answer], *, concurrency: int | None = None
    ) -> RemoteCalls[Request, Answer]:
        """Many answers, as they arrive."""
        return RemoteCalls(
            call, concurrency=concurrency or self.concurrency, who=WHO, failure=JudgeError, patience=self._patience
        )


@dataclass(frozen=True)
class Settings:
    """What is asked, and how answers are read.

    Attributes:
        model: its name at the server.
        served: what the server says of it.
        template: the question.
        system: the system message.
        revision: as the user stated it.
        words: token id -> spelling where the server shows the tokens it is asked for; ``None``: its likeliest ones.
    """

    model: str
    served: Mapping[str, Any]
    template: QuestionTemplate
    system: str | None
    revision: str | None
    words: Mapping[int, str] | None = None

    def identity(self) -> dict[str, Any]:
        """What of this decides the scores."""
        shown = f"{_LIKELIEST} likeliest" if self.words is None else {str(i): word for i, word in self.words.items()}
        return {
            "model": self.model, "served": dict(self.served), "revision": self.revision,
            "question": {**self.template.to_json(), "system": self.system},
            "tokens": shown,
        }  # fmt: skip

    def ask(self, client: openai.OpenAI, pictures: Sequence[str], prompt: str) -> Any:
        """Send one question; the pictures stand first, so that a server can keep what it computed for them."""
        messages: list[Any] = [{"role": "system", "content": self.system}] if self.system is not None else []
        content = self.template.content(prompt, [{"type": "image_url", "image_url": {"url": url}} for url in pictures])
        exact = {"logprob_token_ids": list(self.words), "return_tokens_as_token_ids": True} if self.words else None
        return client.chat.completions.with_raw_response.create(
            model=self.model, messages=[*messages, {"role": "user", "content": content}], max_tokens=1,
            temperature=0, logprobs=True, top_logprobs=_LIKELIEST, extra_body=exact,
        )  # fmt: skip


def data_url(image: Image) -> str:
    """The picture as a PNG within an address."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()


def settle(
    client: PatientClient, model: str | None, template: QuestionTemplate, system: str | None, revision: str | None
) -> Settings:
    """Find the model, and which tokens the server shows.

    Raises:
        ConfigError: several models and none named, or one that is not served.
        JudgeError: the server cannot be reached, takes no pictures or shows no log-probabilities.
    """
    name, served = _find_model(client, model)
    settings = Settings(name, served, template, system, revision)
    exact = replace(settings, words=_token_ids(client, name))
    if exact.words is not None and _shows(client, exact) is None:
        return exact
    fault = _shows(client, settings)
    if fault is not None:
        raise JudgeError(f"{WHO}: model {name!r} at {client.server.base_url}: {fault}; the server must take pictures "
                         f"and show {_LIKELIEST} log-probabilities; {_NEXT}")  # fmt: skip
    return settings


def _find_model(client: PatientClient, wanted: str | None) -> tuple[str, dict[str, Any]]:
    try:
        listed = client.once(lambda api: api.models.with_raw_response.list()).get("data")
    except RequestRefused as error:
        raise JudgeError(f"{WHO}: {client.server.base_url} does not list its models: {error}; {_NEXT}") from error
    models = {str(entry["id"]): entry for entry in listed or [] if isinstance(entry, Mapping) and "id" in entry}
    if wanted is None and len(models) == 1:
        wanted = next(iter(models))
    if wanted is None or wanted not in models:
        said = "which model?" if wanted is None else f"no model {wanted!r}"
        known = ", ".join(sorted(models)) or "none"
        raise ConfigError([f"{said} (served: {known}); next: --judge-checkpoint NAME"], where=WHO)
    entry = models[wanted]
    return wanted, {field: entry[field] for field in ("owned_by", "root") if isinstance(entry.get(field), str)}


def _token_ids(client: PatientClient, model: str) -> dict[int, str] | None:
    """Token id -> spelling, asked of the server's tokenizer; ``None`` where it has none or needs several tokens."""
    url = client.server.base_url.removesuffix("/v1") + "/tokenize"
    words: dict[int, str] = {}
    for word in YES + NO:
        body = {"model": model, "prompt": word, "add_special_tokens": False}
        try:
            said = client.once(lambda api, body=body: _Content(api.post(url, cast_to=object, body=body)))  # type: ignore[misc]
        except (AdapterError, RequestRefused):
            return None
        ids = said.get("tokens")
        if not isinstance(ids, list) or len(ids) != 1 or not isinstance(ids[0], int):
            return None
        words[ids[0]] = word
    return words if len(words) == len(YES + NO) else None


class _Content:
    """An answer outside OpenAI's protocol, in the form of those within it."""

    def __init__(self, answer: object) -> None:
        self.content = json.dumps(answer).encode()


def _shows(client: PatientClient, settings: Settings) -> str | None:
    """``None`` where the server answers a question as `settings` ask for it; else what is wrong."""
    from PIL import Image as Pillow

    pictures = [data_url(Pillow.new("RGB", (64, 64), "white"))] * settings.template.images
    try:
        answer = client.once(lambda api: settings.ask(api, pictures, "a white wall"))
        shown = read_masses(answer, settings.words).shown
    except (RequestRefused, UnreadableAnswerError) as error:
        return client.server.hide(str(error))
    # A server that does not know the field shows its likeliest tokens, which may happen to hold all that we asked for.
    if settings.words is not None and shown > len(settings.words) + 1:
        return f"it shows {shown} tokens instead of those asked for"
    return None
