"""Images whose right answer is certain: renders of known scenes, and pictures that show nothing.

The scenes are those of the suite ``shapes-dev``, which no training may use, so that a judge trained on the shapes world
meets them for the first time. Their pictures are drawn from their scene, without any generator in between.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paircomp.shapes import Dice, Wording, parse_prompt, write_prompt
from paircomp.suites.selection import select_pairs
from paircomp.suites.shapes_suites import shapes_dev_suite
from paircomp.types import PromptPair

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BLANK", "NOISE", "ONE_WORD", "OWN", "PARAPHRASE", "UNRELATED", "Case", "Probe", "embedded_controls"]

OWN, ONE_WORD, UNRELATED = "own prompt", "one word different", "unrelated prompt"
BLANK, NOISE = "blank image", "noise image"
PARAPHRASE = "own prompt, reworded"

_SIDE = 32
_BLANKS = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (64, 64, 64), (192, 192, 192), (220, 30, 30), (30, 160, 60),
           (30, 60, 210), (240, 220, 40), (130, 40, 160))  # fmt: skip
_NOISES = 10
_GRAMMAR = frozenset({"a", "and", "background", "of", "on", "reads", "sign", "that", "with"})


@dataclass(frozen=True, slots=True)
class Probe:
    """One question about an image.

    Attributes:
        control: what kind of question; the names of this module, or ``label`` for a human's.
        prompt: the text the image is held against.
        label: whether the image shows it.
    """

    control: str
    prompt: str
    label: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One image and the questions about it.

    Attributes:
        image: RGB.
        name: says which image, for people.
        subtask: of the suite the image belongs to; empty for images that show nothing.
        cluster: images of one cluster hang together (the two of a pair); errors are counted by cluster.
        probes: at least one.
    """

    image: Image
    name: str
    subtask: str
    cluster: str
    probes: tuple[Probe, ...]


def embedded_controls(pairs_per_subtask: int = 20, *, seed: int = 0) -> list[Case]:
    """Renders of known scenes with four questions each, then blank and noise images with two.

    A render is asked about its own prompt (yes), about the other prompt of its pair, which differs in one word (no),
    about a prompt that has nothing in common with it (no), and about its own prompt in the other wording (yes).

    Args:
        pairs_per_subtask: 1 to 40; each gives two renders.
        seed: of layouts, unrelated prompts and noise.
    """
    suite = shapes_dev_suite()
    chosen = select_pairs(suite, limit=pairs_per_subtask * len(suite.subtasks))
    dice = Dice(f"calibration/{seed}")
    cases = [case for pair in chosen for case in _renders(suite.pairs[pair], seed, dice)]
    return [*cases, *_empty_images(seed, dice)]


def _renders(pair: PromptPair, seed: int, dice: Dice) -> Iterator[Case]:
    from paircomp.shapes.renderer import render

    for position, prompt in enumerate(pair.prompts):
        image = render(parse_prompt(prompt), dice.number(1 << 30))
        probes = (
            Probe(OWN, prompt, label=True),
            Probe(ONE_WORD, pair.prompts[1 - position], label=False),
            Probe(UNRELATED, _unrelated(prompt, dice), label=False),
            Probe(PARAPHRASE, _reworded(prompt), label=True),
        )
        yield Case(image, f"{pair.pair_id}, prompt {position}, seed {seed}", pair.subtask, pair.pair_id, probes)


def _empty_images(seed: int, dice: Dice) -> Iterator[Case]:
    import numpy as np
    from PIL import Image as Pillow

    prompts = _prompts()

    def asked(control: str) -> tuple[Probe, ...]:
        return tuple(Probe(control, dice.pick(prompts), label=False) for _ in range(2))

    for color in _BLANKS:
        name = f"blank image, RGB {' '.join(map(str, color))}"
        yield Case(Pillow.new("RGB", (_SIDE, _SIDE), color), name, "", name, asked(BLANK))
    random = np.random.default_rng(seed)
    for number in range(_NOISES):
        pixels = random.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
        name = f"noise image {number}, seed {seed}"
        yield Case(Pillow.fromarray(pixels), name, "", name, asked(NOISE))


@functools.cache
def _prompts() -> tuple[str, ...]:
    return tuple(prompt for pair in shapes_dev_suite().pairs for prompt in pair.prompts)


def _unrelated(prompt: str, dice: Dice) -> str:
    """A prompt that shares no word with `prompt` but those of the grammar: other things, colours, background."""
    words = _content_words(prompt)
    while True:
        other = dice.pick(_prompts())
        if words.isdisjoint(_content_words(other)):
            return other


def _content_words(prompt: str) -> frozenset[str]:
    """The words that say what is to be seen; plurals count as their singular."""
    return frozenset(_singular(word) for word in prompt.split()) - _GRAMMAR


def _singular(word: str) -> str:
    return {"crosses": "cross"}.get(word) or (word[:-1] if len(word) > 3 and word.endswith("s") else word)


def _reworded(prompt: str) -> str:
    scene = parse_prompt(prompt)
    (other,) = (text for wording in Wording if (text := write_prompt(scene, wording)) != prompt)
    return other
