"""Reasons as reports may show them: without the prompts that they quote."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator

from paircomp.suites import prompt_sha256
from paircomp.types import ImageKey, Suite

__all__ = ["PublicReasons"]

_OWN = "<prompt>"
#: So many letters at the end of a reason that was cut off are enough to be taken for the beginning of a prompt.
_CUT_OFF = 8


class PublicReasons:
    """Takes prompts out of reasons.

    The prompt of the image itself becomes ``<prompt>``, so that equal reasons are counted as one. Where the suite's
    prompts are not public, every other prompt of the suite becomes ``<prompt sha256 0123456789ab>``: a batch that
    failed may quote any of them. Quoting (``repr``, JSON), case and a cut-off end are seen through.

    Args:
        suite: its prompts.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._public = suite.prompts_public

    def __call__(self, reason: str, key: ImageKey) -> str:
        """The reason of one image as a report may show it."""
        prompts = self._suite.pairs[key.pair].prompts
        own = prompts[key.prompt]
        written = self._everywhere if not self._public else _written(prompts)
        pattern = self._pattern if not self._public else _any_of(written)

        def replaced(found: re.Match[str]) -> str:
            prompt = written[found[0].lower()]
            if prompt == own:
                return _OWN
            return found[0] if self._public else f"<prompt sha256 {prompt_sha256(prompt)[:12]}>"

        said = pattern.sub(replaced, reason)
        return said if self._public else _without_cut_off(said, self._everywhere)

    @functools.cached_property
    def _everywhere(self) -> dict[str, str]:
        return _written(prompt for pair in self._suite.pairs for prompt in pair.prompts)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _any_of(self._everywhere)


def _written(prompts: Iterable[str]) -> dict[str, str]:
    """Prompts by the forms in which a message may hold them, in lower case."""

    def forms(prompt: str) -> Iterator[str]:
        joined = " ".join(prompt.split())
        for text in (prompt, joined):
            yield from (text, repr(text)[1:-1], text.replace("'", "\\'"), json.dumps(text)[1:-1])

    return {form.lower(): prompt for prompt in prompts for form in forms(prompt) if form}


def _any_of(written: Iterable[str]) -> re.Pattern[str]:
    """The longest first: one prompt may be the beginning of another."""
    forms = "|".join(re.escape(form) for form in sorted(written, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{forms})(?!\w)", re.IGNORECASE)


def _without_cut_off(reason: str, written: Iterable[str]) -> str:
    """Without the beginning of a prompt at the end: messages are cut off at some length."""
    end = reason.rstrip(" .…\"'")
    low = end.lower()
    for form in written:
        start = low.rfind(form[:_CUT_OFF])
        if start >= 0 and form.startswith(low[start:]):
            return f"{end[:start]}{_OWN}"
    return reason
