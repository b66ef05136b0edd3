"""What a run stores of a web address: where it leads, and no user, password or query, which may be a key."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from paircomp.runtime.json_text import with_texts
from paircomp.runtime.secrets import Secrets

__all__ = ["holds_user_or_query", "storable"]

# Up to the next blank or quote: an option may hold an address inside JSON, and a command in shell syntax.
_ADDRESS = re.compile(
    r"""(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://) (?P<user>[^\s"'/?\#]*@)? (?P<place>[^\s"'?]*)
    (?P<query>\?[^\s"'\#]*)?""",
    re.VERBOSE,
)
_STAND_IN = re.compile(r"\[(user|query):[0-9a-f]{4}\]")


def storable(value: Any) -> Any:
    """A JSON value as a run may hold it: no secret of the environment, no user, password or query in any address.

    Example:
        >>> storable({"base_url": "https://me:word@host/v1?api-key=0123"})
        {'base_url': 'https://[user:8ac7]@host/v1?[query:3660]'}
    """
    return with_texts(Secrets().hidden(value), _public_text)


def holds_user_or_query(address: str) -> bool:
    """Whether an address holds what must not be stored."""
    return _public_text(address) != address


def _public_text(text: str) -> str:
    return _ADDRESS.sub(_public, text) if "://" in text else text


def _public(address: re.Match[str]) -> str:
    """The address without what may be secret."""
    user = f"{_stand_in('user', address['user'][:-1])}@" if address["user"] else ""
    query = f"?{_stand_in('query', address['query'][1:])}" if address["query"] else ""
    return f"{address['scheme']}{user}{address['place']}{query}"


def _stand_in(name: str, secret: str) -> str:
    """Tells one from another, in sixteen bits: too few to find out what it stands for."""
    if _STAND_IN.fullmatch(secret):  # it was stored before
        return secret
    return f"[{name}:{hashlib.sha256(secret.encode()).hexdigest()[:4]}]"
