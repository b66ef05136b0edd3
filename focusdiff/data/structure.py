"""Are two captions alike in structure? A measure of word edits, or a language model's answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from focusdiff.data.questions import ask
from focusdiff.data.words import word_edits, words_of
from paircomp.errors import AdapterError, ConfigError
from paircomp.runtime.capabilities import declares
from paircomp.runtime.openai_client import OpenAIServer, RequestRefused
from paircomp.runtime.remote import RemoteCalls

__all__ = ["LanguageModelStructure", "Structure", "TokenEdits", "language_model", "structure_factory", "token_edit"]

CaptionPair = tuple[str, str]


@dataclass(frozen=True)
class Alike:
    """Whether two captions are alike; ``None`` with the reason where it could not be told."""

    alike: bool | None
    reason: str | None = None
    share: float | None = None
    retry: bool = False


class Structure(Protocol):
    """Compares captions."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values that decide its answers."""
        ...

    def compare(self, pairs: Sequence[CaptionPair]) -> Iterator[Alike]:
        """One answer per pair, in order."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


def token_edit(*, most: float = 0.5) -> TokenEdits:
    """Word edits between the captions as a share of the longer one's words.

    Args:
        most: the largest share at which they are still alike.

    Raises:
        ConfigError: `most` is outside (0, 1].
    """
    if not 0 < most <= 1:
        raise ConfigError([f"most: expected a share in (0, 1], got {most}"], where="structure 'token-edit'")
    return TokenEdits(most)


@dataclass(frozen=True)
class TokenEdits:
    """See :func:`token_edit`."""

    most: float

    @property
    def identity(self) -> Mapping[str, Any]:
        """The bound."""
        return {"most": self.most}

    def compare(self, pairs: Sequence[CaptionPair]) -> Iterator[Alike]:
        """One answer per pair, in order."""
        for first, second in pairs:
            share = word_edits(first, second) / max(1, len(words_of(first)), len(words_of(second)))
            yield Alike(0 < share <= self.most, share=round(share, 4))

    def close(self) -> None:
        """Nothing to close."""


@declares(requires=("openai",), incidental=("base_url", "key_variable", "concurrency", "timeout"))
def language_model(
    *, model: str, base_url: str | None = None, key_variable: str | None = None, concurrency: int = 8,
    timeout: float = 120.0,
) -> LanguageModelStructure:  # fmt: skip
    """A language model on an OpenAI-compatible server says whether the captions are alike.

    Args:
        model: its name at the server.
        base_url: address of the server; default ``OPENAI_BASE_URL`` or OpenAI's own.
        key_variable: environment variable with the key.
        concurrency: questions under way at the same time.
        timeout: seconds for one answer.
    """
    server = OpenAIServer(who="structure 'language-model'", failure=AdapterError, base_url=base_url,
                          key_variable=key_variable, timeout=timeout)  # fmt: skip
    return LanguageModelStructure(server, model, concurrency=concurrency)


class LanguageModelStructure:
    """See :func:`language_model`."""

    def __init__(self, server: OpenAIServer, model: str, *, concurrency: int) -> None:
        self._server, self._model = server, model
        self._calls = RemoteCalls(
            self._ask, concurrency=concurrency, who="structure 'language-model'", failure=AdapterError
        )
        self.identity: Mapping[str, Any] = {"model": model}

    def compare(self, pairs: Sequence[CaptionPair]) -> Iterator[Alike]:
        """One answer per pair, in order; all are asked at the same time."""
        answers: dict[int, Alike] = {}
        for returned in self._calls.run(list(enumerate(pairs))):
            number, answer = returned.request[0], returned.answer
            answers[number] = answer or Alike(None, f"not judged: {returned.fault}", retry=True)
        yield from (answers[number] for number in range(len(pairs)))

    def close(self) -> None:
        """End all connections."""
        self._calls.close()
        self._server.close()

    def _ask(self, request: tuple[int, CaptionPair]) -> Alike:
        first, second = request[1]
        if words_of(first) == words_of(second):
            return Alike(alike=False)
        text = ask("structure", "similar", caption1=first, caption2=second)
        try:
            answer = self._server.ask(lambda client: client.chat.completions.with_raw_response.create(
                model=self._model, messages=[{"role": "user", "content": text}], temperature=0, max_tokens=8,
            ))  # fmt: skip
        except RequestRefused as refused:
            return Alike(None, f"not judged: {refused.said}")
        return _read(answer)


def _read(answer: Mapping[str, Any]) -> Alike:
    try:
        said = str(answer["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError):
        return Alike(None, "not judged: the language model gave no answer")
    found = re.match(r"\W*(yes|no)\b", said.casefold())
    if found is None:
        return Alike(None, "not judged: the language model said neither yes nor no")
    return Alike(found[1] == "yes")


_FACTORIES = {"token-edit": token_edit, "language-model": language_model}


def structure_factory(name: str) -> Any:
    """The factory of a way to compare captions.

    Raises:
        ConfigError: no such way.
    """
    if name not in _FACTORIES:
        raise ConfigError([f"structure {name!r}: expected {' or '.join(_FACTORIES)}"])
    return _FACTORIES[name]
