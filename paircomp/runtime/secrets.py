"""The last net under every secret: what an environment variable holds as a key never reaches a file or a message.

Adapters keep keys out of what they record by themselves. But a key may come back in the words of a server, of a library
or of somebody's own program, or be typed into an option; so what is written is looked through once more.
"""

from __future__ import annotations

import os
import re
from typing import Any

from paircomp.runtime.json_text import with_texts

__all__ = ["Secrets"]

_NAMES = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
#: Shorter values are words such as "none" or "true", which texts hold by chance.
_SHORTEST = 8


class Secrets:
    """The secrets in this process's environment, as they are now: variables whose names end in KEY, TOKEN and the like.

    Paths are no secrets, though some variables of such names hold one.

    Example:
        >>> import os
        >>> os.environ["EXAMPLE_API_KEY"] = "sk-0123456789"
        >>> Secrets().hidden({"said": ["wrong key sk-0123456789"]})
        {'said': ['wrong key [EXAMPLE_API_KEY]']}
        >>> del os.environ["EXAMPLE_API_KEY"]
    """

    def __init__(self) -> None:
        found = {value.strip(): f"[{name}]" for name, value in os.environ.items() if _NAMES.search(name)}
        usable = {value: mark for value, mark in found.items() if len(value) >= _SHORTEST and value[0] not in "/~."}
        # Longer ones first: one secret may be the beginning of another.
        self._marks = sorted(usable.items(), key=lambda item: -len(item[0]))

    def hidden_text(self, text: str) -> str:
        """`text` with the variable's name in each secret's place."""
        for value, mark in self._marks:
            if value in text:
                text = text.replace(value, mark)
        return text

    def hidden(self, value: Any) -> Any:
        """A JSON value with no secret in any of its texts, names included."""
        return with_texts(value, self.hidden_text) if self._marks else value
