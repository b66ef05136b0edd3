"""What a run stores of a web address: where it leads, and no user, password or query, which may be a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from paircomp.runtime.secrets import Secrets

__all__ = ["storable"]

# Up to the next blank or double quote: an option may hold an address inside JSON.
_ADDRESS = re.compile(
    r"""(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://) (?P<user>[^\s"/?\#]*@)? (?P<place>[^\s"?]*) (?P<query>\?[^\s"\#]*)?""",
    re.VERBOSE,
)


def storable(value: Any) -> Any:
    """A JSON value as a run may hold it: no secret of the environment, no user, password or query in any address.

    Example:
        >>> storable({"base_url": "https://me:word@host/v1?api-key=0123"})
        {'base_url': 'https://[user]@host/v1?[query]'}
    """
    return _without_users_and_queries(Secrets().hidden(value))


def _without_users_and_queries(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub(_public, value) if "://" in value else value
    if isinstance(value, Mapping):
        return {_without_users_and_queries(name): _without_users_and_queries(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_users_and_queries(held) for held in value]
    return value


def _public(address: re.Match[str]) -> str:
    user, query = ("[user]@" if address["user"] else ""), ("?[query]" if address["query"] else "")
    return f"{address['scheme']}{user}{address['place']}{query}"
