"""One OpenAI-compatible server: opened without a secret in any option, its faults sorted, its answers as plain JSON.

The key comes from the environment and goes to no server that it was not meant for. Texts of the server are cleared of
it before anything else sees them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paircomp.errors import AdapterError, ConfigError, UnavailableError
from paircomp.runtime.json_text import parse_json, with_texts
from paircomp.runtime.remote import PassingFault, wait_asked

if TYPE_CHECKING:
    import openai

__all__ = ["OPENAI_URL", "OpenAIServer", "RequestRefused"]

OPENAI_URL = "https://api.openai.com/v1"
_KEY_VARIABLE = "OPENAI_API_KEY"
_NO_KEY = "none"  # the client insists on one; servers of one's own ignore it
_BROKEN_OFF = frozenset({"RemoteProtocolError", "ReadError"})  # of the client's transport
_PASSING = frozenset({408, 409, 425, 429})
_WRONG_FOR_ALL = {
    401: "the key is wrong or missing",
    402: "the account has no credit",
    403: "the key may not use this model",
    404: "there is no such model or address",
    405: "this address does not take such requests",
}


class RequestRefused(Exception):  # noqa: N818 - an answer, though not the one that was asked for
    """The server will not answer this request, however often it is asked.

    Args:
        status: HTTP status.
        code: the server's own code, for instance ``content_policy_violation``; empty where it has none.
        said: the server's message, one line, cleared of the key.
    """

    def __init__(self, status: int, code: str, said: str) -> None:
        self.status = status
        self.code = code
        self.said = said
        super().__init__(f"HTTP {status}: {said}")


class OpenAIServer:
    """A server that speaks OpenAI's protocol.

    Args:
        who: named in messages, for instance ``generator 'openai-images'``.
        failure: the error for what is wrong with all requests alike.
        base_url: its address; ``None`` takes ``OPENAI_BASE_URL`` or OpenAI's own.
        key_variable: the environment variable that holds the key. ``None`` takes ``OPENAI_API_KEY`` where the address
            is OpenAI's or comes from the environment too, and sends no key elsewhere.
        timeout: seconds for one call.

    Attributes:
        base_url: the address, without anything secret.

    Raises:
        ConfigError: an address that is none, or that carries a password or a query.
        UnavailableError: the openai package or the key is missing.
    """

    def __init__(
        self,
        *,
        who: str,
        failure: type[AdapterError],
        base_url: str | None = None,
        key_variable: str | None = None,
        timeout: float = 180.0,
    ) -> None:
        self._who = who
        self._failure = failure
        self.base_url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL, who=who)
        if key_variable is None and (base_url is None or self.base_url == OPENAI_URL):
            key_variable = _KEY_VARIABLE
        self._key = _key_from(key_variable, who=who) if key_variable else ""
        self._client = _open_client(self.base_url, self._key or _NO_KEY, timeout, who=who)

    def ask(self, call: Callable[[openai.OpenAI], Any]) -> dict[str, Any]:
        """What the server answers, as a JSON object.

        Args:
            call: makes one request with the client and returns its raw response, for instance
                ``lambda client: client.images.with_raw_response.generate(...)``.

        Raises:
            PassingFault: worth another attempt.
            RequestRefused: this request alone is at fault.
            AdapterError: of the class `failure`: every request would fail alike.
        """
        import openai

        try:
            content: bytes = call(self._client).content
        except openai.APIStatusError as error:
            raise self._sorted(error) from None
        except openai.APITimeoutError:
            raise PassingFault(f"{self.base_url} did not answer in time") from None
        except openai.APIConnectionError as error:
            reason = type(error.__cause__ or error).__name__
            said = "broke off its answer" if reason in _BROKEN_OFF else "cannot be reached"
            raise PassingFault(f"{self.base_url} {said} ({reason})") from None
        return self._parsed(content)

    def hide(self, text: str) -> str:
        """`text` on one line, shortened, without the key."""
        return " ".join(self._without_key(text).split())[:300]

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            answer = parse_json(content, nan=True)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            start = self.hide(content.decode(errors="replace"))[:80]
            raise RequestRefused(200, "", f"expected a JSON object, got {start!r}")
        # Whatever a server repeats of the key, however it spells it in JSON.
        cleared: dict[str, Any] = with_texts(answer, self._without_key)
        return cleared

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _sorted(self, error: openai.APIStatusError) -> Exception:
        """The fault that stands for an HTTP status."""
        status, (code, message) = error.status_code, _said_by(error)
        said = self.hide(message)
        if code == "insufficient_quota":
            return self._failure(f"{self._who}: the quota at {self.base_url} is used up: {said}; what was finished is "
                                 "kept; next: raise it and run the same command again")  # fmt: skip
        if status in _PASSING or status >= 500:
            return PassingFault(f"HTTP {status}: {said}", wait=wait_asked(error.response.headers),
                                busy=status in (429, 503))  # fmt: skip
        if status in _WRONG_FOR_ALL and "content" not in code:
            return self._failure(
                f"{self._who}: {self.base_url} answered HTTP {status}, {_WRONG_FOR_ALL[status]}: {said}"
            )
        return RequestRefused(status, self.hide(code), said)


def _checked_url(url: str, *, who: str) -> str:
    parts = urlsplit(url)
    faults = []
    if parts.scheme not in ("http", "https") or not parts.hostname:
        faults.append("base_url: expected an address such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        faults.append("base_url: carries a user, a password or a query, which the run would store; next: give the key "
                      "in an environment variable and name it with key_variable")  # fmt: skip
    if faults:
        raise ConfigError(faults, where=who)
    return url.rstrip("/")


def _key_from(variable: str, *, who: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UnavailableError(who, package=f"a key in the environment variable {variable}",
                               remedy=f"export {variable}=..., in the shell that runs paircomp")  # fmt: skip
    return key


def _open_client(base_url: str, key: str, timeout: float, *, who: str) -> openai.OpenAI:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise UnavailableError(who, package="openai", remedy="python -m pip install 'paircomp[api]'") from error
    # Attempts are ours to count, so that waits and reasons are recorded.
    return openai.OpenAI(base_url=base_url, api_key=key, timeout=timeout, max_retries=0)


def _said_by(error: openai.APIStatusError) -> tuple[str, str]:
    """The server's code and message, whatever form its answer has."""
    body = error.body
    if not isinstance(body, Mapping):
        return "", str(body or error.message)
    code, message = body.get("code") or body.get("type") or "", body.get("message")
    return str(code), str(message or error.message)
