"""The guard against contamination: no prompt of the training data may lie close to a prompt of a benchmark.

Close means: a run of `ngram` words in common, or no more than `edits` of the longer prompt's words to change. Prompts
of the embedded suites are guarded by what they show instead: their small world has few sentences, and a training prompt
one word away from one of theirs is the rule there, the same picture is not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from focusdiff.data.words import word_edits, word_ngrams, words_of
from paircomp.errors import ConfigError, PairCompError
from paircomp.plugins import Registry
from paircomp.shapes import OutsideGrammarError, parse_prompt
from paircomp.suites import load_suite
from paircomp.suites.shapes_suites import is_held_out

__all__ = ["EMBEDDED", "Guard", "PromptIndex", "open_guard"]

EMBEDDED = ("shapes", "shapes-dev")
OFFICIAL = "paircomp"
_RARE = 0.02  # share of prompts that a rare word is in at most


class PromptIndex:
    """The prompts of a benchmark, to be asked whether a text lies close to one.

    Args:
        prompts: of the benchmark.
        ngram: words of a run that no text may share with a prompt of at least that length.
        edits: share of the longer one's words; a text within so many word edits of a prompt is close.
    """

    def __init__(self, prompts: Iterable[str], *, ngram: int, edits: float) -> None:
        self._edits, self._ngram = edits, ngram
        self._prompts = list(dict.fromkeys(prompts))
        self._words = [Counter(words_of(prompt)) for prompt in self._prompts]
        self._lengths = [counted.total() for counted in self._words]
        self._runs = {run for prompt in self._prompts for run in word_ngrams(prompt, ngram) if len(run) == ngram}
        holding: dict[str, list[int]] = defaultdict(list)
        for number, counted in enumerate(self._words):
            for word in counted:
                holding[word].append(number)
        # Looking up "the" would bring every prompt; rare words alone tell which few need a closer look.
        self._common = {word for word, numbers in holding.items() if len(numbers) > _RARE * len(self._prompts)}
        self._rare = {word: numbers for word, numbers in holding.items() if word not in self._common}

    def __len__(self) -> int:
        """How many different prompts there are."""
        return len(self._prompts)

    def close_by(self, text: str) -> str | None:
        """The rule by which a text is close to a prompt; ``None`` where it is not."""
        if not self._runs.isdisjoint(word_ngrams(text, self._ngram)):
            return f"{self._ngram} words in a row"
        counted = Counter(words_of(text))
        length = counted.total()
        for number in self._candidates(counted, length):
            longer = max(length, self._lengths[number])
            allowed = int(self._edits * longer)
            # So many words at least must be changed, in whatever order they stand.
            least = longer - (counted & self._words[number]).total()
            if least <= allowed and word_edits(text, self._prompts[number]) <= allowed:
                return "edit distance"
        return None

    def _candidates(self, counted: Counter[str], length: int) -> Iterable[int]:
        """Prompts that may be close: those that share enough rare words, or all where few words are rare."""
        common = sum(count for word, count in counted.items() if word in self._common)
        if length - common <= int(self._edits * length):
            return range(len(self._prompts))
        shared: Counter[int] = Counter()
        for word, count in counted.items():
            for number in self._rare.get(word, ()):
                shared[number] += min(count, self._words[number][word])
        return [
            number
            for number, rare in shared.items()
            if (longer := max(length, self._lengths[number])) - rare - common <= int(self._edits * longer)
        ]


@dataclass(frozen=True)
class Guard:
    """What prompts are held against.

    Attributes:
        indexes: by suite.
        ngram: see :class:`PromptIndex`.
        edits: the same.
        missing: suites that could not be read, each with the reason: nothing was held against them.
        digests: of the contents of each suite.
    """

    indexes: Mapping[str, PromptIndex]
    ngram: int
    edits: float
    missing: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)

    def refuses(self, prompts: Sequence[str]) -> str | None:
        """Why prompts may not be in the data: the suite and the rule; ``None`` where they may."""
        for prompt in prompts:
            if _shows_held_out(prompt):
                return "embedded suites: the same picture"
            for suite, index in self.indexes.items():
                if rule := index.close_by(prompt):
                    return f"{suite}: {rule}"
        return None

    @property
    def suites(self) -> tuple[str, ...]:
        """What prompts were held against."""
        return (*EMBEDDED, *self.indexes)


def _shows_held_out(prompt: str) -> bool:
    try:
        return is_held_out(parse_prompt(prompt))
    except OutsideGrammarError:
        return False


def open_guard(registry: Registry, *, suites: Sequence[str] = (OFFICIAL,), ngram: int = 8, edits: float = 0.2) -> Guard:
    """The guard against some suites, and always against the embedded ones.

    Args:
        registry: knows suites by name.
        suites: names or files. The published suite may be absent, because it is fetched by each user: the guard then
            says so. Any other must be readable.
        ngram: words of a run.
        edits: share of words.

    Raises:
        ConfigError: `ngram` or `edits` out of range.
        PairCompError: a suite that was named cannot be read.
    """
    faults = [] if ngram >= 3 else [f"guard n-gram: expected at least 3 words, got {ngram}"]
    faults += [] if 0 <= edits < 1 else [f"guard edits: expected a share in [0, 1), got {edits}"]
    if faults:
        raise ConfigError(faults)
    indexes, missing, digests = {}, {}, {}
    for name in dict.fromkeys(suite for suite in suites if suite not in EMBEDDED):
        try:
            suite = load_suite(registry, name)
        except PairCompError as error:
            if name != OFFICIAL:
                raise
            missing[name] = str(error)
            continue
        prompts = [prompt for pair in suite.pairs for prompt in pair.prompts]
        indexes[suite.name] = PromptIndex(prompts, ngram=ngram, edits=edits)
        digests[suite.name] = suite.digest
    return Guard(indexes, ngram, edits, missing, digests)
