"""From the log-probabilities that a server shows to a score with its bounds.

A server shows either exactly the tokens it was asked for, or its likeliest ones. In the second case a spelling of yes
or no that is not among them is at most as likely as the last one shown: the score then has bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paircomp.judges.yes_no import NO, YES
from paircomp.types import ImageKey, Judgement

__all__ = ["WIDEST", "Masses", "UnreadableAnswerError", "judgement", "read_masses"]

#: A score whose bounds lie further apart is not kept.
WIDEST = 0.01
# What tokenizers put before a word: a space, SentencePiece's mark, the one of byte-level BPE.
_BEFORE = " \t\n\N{LOWER ONE EIGHTH BLOCK}\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"
_ID = "token_id:"
_SLACK = 1e-3  # a log-probability may exceed 0 by rounding
_TOLD = 5


class UnreadableAnswerError(ValueError):
    """An answer without log-probabilities that can be read; the message is the reason that is recorded."""


@dataclass(frozen=True, slots=True)
class Masses:
    """What is known of the first token of the answer.

    Attributes:
        yes: probability of the visible spellings of yes.
        no: of no.
        yes_most: what all spellings of yes, hidden ones included, have at most.
        no_most: the same of no.
        likeliest: the first tokens shown with their log-probabilities, for people.
        shown: how many tokens were shown.
    """

    yes: float
    no: float
    yes_most: float
    no_most: float
    likeliest: tuple[tuple[str, float], ...]
    shown: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest possible score; only where a side is visible."""
        return self.yes / (self.yes + self.no_most), self.yes_most / (self.yes_most + self.no)


def read_masses(answer: Mapping[str, Any], words: Mapping[int, str] | None) -> Masses:
    """Sum the spellings of yes and of no in the first token of a chat completion.

    Args:
        answer: the server's JSON.
        words: token id -> spelling, where exactly these were asked for; ``None`` reads the tokens' texts.

    Raises:
        UnreadableAnswerError: no log-probabilities, ones that are no numbers, or not all of those asked for.
    """
    shown = list(_shown(answer))
    if words is not None:
        return _asked_for(shown, words)
    seen = [(token.strip(_BEFORE), log) for token, log in shown]
    yes, no = _summed(seen)
    # Each hidden spelling has at most the probability of the last visible token, all of them at most what is left.
    last, rest = math.exp(min(log for _, log in shown)), max(0.0, 1.0 - sum(math.exp(log) for _, log in shown))
    found = {word for word, _ in seen}
    hidden_yes, hidden_no = (min(last * sum(word not in found for word in side), rest) for side in (YES, NO))
    return Masses(yes, no, yes + hidden_yes, no + hidden_no, _likeliest(shown), len(shown))


def _asked_for(shown: Sequence[tuple[str, float]], words: Mapping[int, str]) -> Masses:
    logs = dict(shown)
    seen = [(word, logs[f"{_ID}{number}"]) for number, word in words.items() if f"{_ID}{number}" in logs]
    if len(seen) < len(words):
        raise UnreadableAnswerError(f"expected the {len(words)} tokens that were asked for, got {len(seen)} of them")
    yes, no = _summed(seen)
    return Masses(yes, no, yes, no, _likeliest(shown), len(shown))


def _summed(seen: Sequence[tuple[str, float]]) -> tuple[float, float]:
    """Probability of the spellings of yes, and of no."""
    yes, no = (sum(math.exp(log) for word, log in seen if word in side) for side in (YES, NO))
    return yes, no


def _likeliest(shown: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(shown, key=lambda item: -item[1])[:_TOLD])


def _shown(answer: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Token and log-probability of the first position, each token once."""
    try:
        entries = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError):
        raise UnreadableAnswerError("the server answered without log-probabilities") from None
    if not isinstance(entries, list) or not entries:
        raise UnreadableAnswerError("the server answered with an empty list of log-probabilities")
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        token, log = _entry(entry)
        # Tokens of different bytes can have one text; a token that was sampled may be listed a second time.
        key = (token, str(entry.get("bytes")))
        if key not in seen:
            seen.add(key)
            yield token, log


def _entry(entry: Any) -> tuple[str, float]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("token"), str):
        raise UnreadableAnswerError(f"expected a token with its logprob, got {str(entry)[:80]!r}")
    probability = entry.get("logprob")
    if isinstance(probability, bool) or not isinstance(probability, (int, float)) or math.isnan(probability):
        raise UnreadableAnswerError(f"expected a number as logprob of {entry['token']!r}, got {probability!r}")
    if probability > _SLACK:
        raise UnreadableAnswerError(f"expected a logprob of at most 0 for {entry['token']!r}, got {probability!r}")
    return entry["token"], min(0.0, float(probability))


def judgement(masses: Masses, key: ImageKey, judged_prompt: int) -> Judgement:
    """The judgement that the masses allow; unscored where they leave the score open.

    A side that is not visible has no log; its part in the score is the middle of what it may be.
    """
    if masses.yes + masses.no <= 0:
        reason = f"neither yes nor no is among the {masses.shown} visible tokens"
        return Judgement(key, judged_prompt, evidence=_evidence(masses), unscored=reason)
    low, high = masses.bounds
    if high - low > WIDEST:
        hidden = "yes" if not masses.yes else "no" if not masses.no else "a spelling of yes or no"
        reason = (f"{hidden} is not among the {masses.shown} visible tokens, so the score may be anything from "
                  f"{low:.3f} to {high:.3f}")  # fmt: skip
        return Judgement(key, judged_prompt, evidence=_evidence(masses), unscored=reason)
    score = masses.yes / (masses.yes + masses.no) if masses.yes and masses.no else (low + high) / 2
    evidence: dict[str, Any] = {"mass": masses.yes + masses.no}
    if high > low:
        evidence["bounds"] = [low, high]
    return Judgement(key, judged_prompt, score, _log(masses.yes), _log(masses.no), evidence)


def _log(mass: float) -> float | None:
    return math.log(mass) if mass > 0 else None


def _evidence(masses: Masses) -> dict[str, Any]:
    shown = [[token, round(log, 3)] for token, log in masses.likeliest if math.isfinite(log)]
    return {"mass": masses.yes + masses.no, "likeliest": shown}
