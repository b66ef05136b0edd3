"""Errors as the short reasons that records and reports keep: the same error always reads the same."""

from __future__ import annotations

import re

__all__ = ["reason_of"]

_LONGEST = 200
# `<_io.BytesIO object at 0x7f...>`: the address differs from run to run, so equal reasons would not be counted as one.
_ADDRESS = re.compile(r"( at)? 0x[0-9a-fA-F]+")


def reason_of(error: BaseException) -> str:
    """The message on one line, without memory addresses, at most 200 characters; the error's type where it has none.

    Example:
        >>> reason_of(ValueError("cannot read <Image at 0x7f01>"))
        'cannot read <Image>'
    """
    return " ".join(_ADDRESS.sub("", str(error)).split())[:_LONGEST] or type(error).__name__
