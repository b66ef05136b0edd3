"""The records that travel between the parts: prompt pairs, requests, images, judgements, specs.

One record per step of the way: ``PromptPair -> GenerationRequest -> Generated -> JudgeRequest -> Judgement``. They are
immutable, know nothing of files or models, and import nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "Generated",
    "GenerationRequest",
    "ImageKey",
    "JudgeRequest",
    "Judgement",
    "ModelSpec",
    "PromptPair",
    "Question",
    "Subtask",
    "Suite",
    "image_seed",
    "suite_digest",
]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Subtask(StrEnum):
    """The six subtasks of PairComp (FocusDiff, arXiv 2506.05501, section 2). Other suites may use other names."""

    OVERALL_APPEARANCE = "overall_appearance"
    COLOR = "color"
    COUNTING = "counting"
    POSITION = "position"
    STYLE_TONE = "style_tone"
    TEXT = "text"


_IMAGE_NAME = re.compile(r"(0|[1-9]\d*)_(0|[1-9]\d*)_(0|[1-9]\d*)\.png")


class ImageKey(NamedTuple):
    """Which image: position of the pair in the suite, prompt within the pair, sample of that prompt (all from zero)."""

    pair: int
    prompt: int
    sample: int

    @property
    def filename(self) -> str:
        """``{pair}_{prompt}_{sample}.png``, the naming of the published benchmark."""
        return f"{self.pair}_{self.prompt}_{self.sample}.png"

    @classmethod
    def from_filename(cls, name: str) -> ImageKey | None:
        """The key that an officially named file stands for; ``None`` for any other name.

        Example:
            >>> ImageKey.from_filename("12_0_1.png")
            ImageKey(pair=12, prompt=0, sample=1)
        """
        match = _IMAGE_NAME.fullmatch(name)
        return cls(*map(int, match.groups())) if match else None


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One test case: prompts that differ in a word.

    Attributes:
        pair: zero-based position in the suite file.
        pair_id: a label for people; unique within the suite.
        subtask: what the prompts differ in.
        prompts: two for a pair; suites of single prompts hold one.
        metadata: whatever the suite knows besides.
    """

    pair: int
    pair_id: str
    subtask: str
    prompts: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True)
class Suite:
    """A fixed, ordered set of prompt pairs.

    Attributes:
        name: what tables call it.
        pairs: ``pairs[i].pair == i``.
        digest: hex SHA-256 of the contents, see :func:`suite_digest`; runs of different digests are never compared.
        samples: K, images per prompt.
        default_judge: the judge `eval` takes when none is named; ``None`` where the suite has none.
        held_out_judge: the judge for models that were trained with the default one.
        prompts_public: whether exports may carry the prompts themselves, not only their hashes.
        source: where it came from, for people.
    """

    name: str
    pairs: Sequence[PromptPair]
    digest: str
    samples: int = 2
    default_judge: str | None = None
    held_out_judge: str | None = None
    prompts_public: bool = True
    source: str = ""

    @property
    def subtasks(self) -> tuple[str, ...]:
        """Subtask names in the order of their first pair."""
        return tuple(dict.fromkeys(pair.subtask for pair in self.pairs))


def suite_digest(pairs: Sequence[PromptPair]) -> str:
    """Hex SHA-256 over the canonical JSON of ``[subtask, prompts]`` of every pair, in order.

    Labels and metadata stay out of it: they change no image and no score.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(_canonical([pair.subtask, list(pair.prompts)]))
        digest.update(b"\n")
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One image to draw.

    Attributes:
        key: which image.
        prompt: the text to draw.
        seed: non-negative, below 2**53; depends on the key and the run seed alone, never on batch, order or shard.
    """

    key: ImageKey
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generator answers to one request: an image, or the reason why there is none.

    Attributes:
        key: the request's key.
        image: any Pillow mode; stored as RGB.
        unscored: why there is no image, for instance ``refused: content policy``.
        retry: with `unscored`: the reason may pass (a timeout, a file not there yet), so the next command asks again.
        seconds: time spent on this image, where the generator knows it.
        prompt_sent: the text the model saw, where it differs from the request's.
        metadata: JSON values worth keeping beside the image.
    """

    key: ImageKey
    image: Image | None = None
    unscored: str | None = None
    seconds: float | None = None
    prompt_sent: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    retry: bool = False


class Question(NamedTuple):
    """A prompt that an image is held against.

    Attributes:
        judged_prompt: position of the prompt within its pair; equal to the key's for the image's own prompt.
        prompt: the text.
        subtask: the pair's subtask, for judges that look at one aspect.
    """

    judged_prompt: int
    prompt: str
    subtask: str


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """Images and the questions about them, answered together so that a judge looks at the images once.

    Attributes:
        key: which image.
        images: RGB; one for scoring an image, two for questions about a pair of images.
        questions: at least one.
    """

    key: ImageKey
    images: tuple[Image, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's answer to one question.

    Attributes:
        key: the request's key.
        judged_prompt: which question.
        score: in [0, 1], P(yes) / (P(yes) + P(no)); ``None`` only with `unscored`.
        log_yes: log of the yes mass, where the judge has it.
        log_no: log of the no mass.
        evidence: JSON values that explain the score.
        unscored: why there is no score.
        retry: with `unscored`: the reason may pass, so the next command asks again.
    """

    key: ImageKey
    judged_prompt: int
    score: float | None = None
    log_yes: float | None = None
    log_no: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    unscored: str | None = None
    retry: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """A model of the catalogue: which adapter draws it, from which checkpoint, by which recipe.

    Attributes:
        name: what ``--model`` takes.
        adapter: name of the generator that draws it.
        checkpoint: hub id or path; ``None`` where the adapter needs none.
        revision: pinned revision of the checkpoint.
        recipe: options of the adapter's factory; part of the run's identity, overridable with ``-o``.
        suite: the suite `eval` takes when none is named.
        trained_with_judge: the judge whose score was this model's training reward.
        family: for the catalogue.
        licence: of the weights.
        resolution: native width and height in pixels.
        parameters: weights of the network that draws, without text encoders and decoders; ``None`` where unknown.
        packages: import names that must be there.
        dtype: number format of the weights in the recipe, overridable with ``--dtype``; ``None`` leaves it to the
            adapter.
        download: bytes of the files that a first use fetches, about; ``None`` where unknown or where there are none.
        memory: bytes that all weights take once loaded in `dtype`, about; drawing needs more. ``None`` as above.
        gated: whether a licence must be accepted on the checkpoint's page before its weights can be fetched.
        published: whether the weights can be had at all.
        retired: the day (ISO) since which the service no longer serves it; empty where it does, or for weights.
        environment: environment variables that must be set, for instance the key of a service.
        setup: what the user must bring before this can run, for adapters that draw with a program of the user's own.
        description: one line.
        source: paper or repository.
    """

    name: str
    adapter: str
    checkpoint: str | None = None
    revision: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    suite: str = "paircomp"
    trained_with_judge: str | None = None
    family: str = ""
    licence: str = ""
    resolution: tuple[int, int] | None = None
    parameters: int | None = None
    packages: tuple[str, ...] = ()
    dtype: str | None = None
    download: int | None = None
    memory: int | None = None
    gated: bool = False
    published: bool = True
    retired: str = ""
    environment: tuple[str, ...] = ()
    setup: str = ""
    description: str = ""
    source: str = ""

    def overridden(self, *, checkpoint: str | None = None, options: Mapping[str, Any] | None = None) -> ModelSpec:
        """The model with weights or options of the user's own.

        What the catalogue knows of its own weights (revision, sizes, licence gate) is not said of others.
        """
        changed: dict[str, Any] = {"recipe": {**self.recipe, **(options or {})}}
        if options:
            changed["setup"] = ""  # whether the options bring what was asked for is the adapter's to say
        if checkpoint is not None:
            changed |= {"checkpoint": checkpoint, "revision": None, "parameters": None, "download": None,
                        "memory": None, "gated": False, "published": True, "retired": ""}  # fmt: skip
        return replace(self, **changed)


def _canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def image_seed(run_seed: int, suite: str, key: ImageKey) -> int:
    """The seed of one image: first 53 bits of SHA-256 over canonical JSON of (run seed, suite, pair, prompt, sample).

    53 bits survive JSON, JavaScript and ``float``. The seed depends on nothing else, so any image can be redrawn alone.

    Example:
        >>> image_seed(0, "shapes", ImageKey(0, 0, 0)) == image_seed(0, "shapes", ImageKey(0, 0, 0))
        True
    """
    digest = hashlib.sha256(_canonical([run_seed, suite, key.pair, key.prompt, key.sample])).digest()
    return int.from_bytes(digest[:7], "big") >> 3
