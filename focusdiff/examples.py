"""Prompts and pictures of supervised training, by the name of their source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from focusdiff.janus_tiny.skew import SkewedScenes
from focusdiff.shapes_pairs import shapes_pairs
from paircomp.errors import ConfigError
from paircomp.shapes import Dice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from focusdiff.data.pairs import TrainingPair
    from focusdiff.sft import Examples
    from focusdiff.sft_recipe import ExamplesRecipe

__all__ = ["DRAWN", "CleanPairs", "DatasetExamples", "open_examples"]

#: Sources whose pictures the renderer of the embedded world draws.
DRAWN = frozenset({"shapes", "shapes-crowded", "shapes-skewed"})
_PAIRS_A_STEP = 6  # as the shapes recipe of reinforcement learning draws them


def open_examples(recipe: ExamplesRecipe) -> Examples:
    """The examples that a recipe names.

    Raises:
        ConfigError: there is no such source, or it holds no picture.
    """
    if recipe.source == "shapes-skewed":
        return SkewedScenes(recipe.seed)
    if recipe.source in DRAWN:
        return CleanPairs(recipe.seed, recipe.pairs, source=recipe.source)
    path = Path(recipe.source)
    if not path.exists():
        known = "shapes-skewed, shapes, shapes-crowded, or a path"
        raise ConfigError([f"source: expected {known}, got {recipe.source!r}, which does not exist"], where="examples")
    from focusdiff.data.pairs import read_pairs

    return DatasetExamples(read_pairs(path), recipe.seed, where=recipe.source)


class CleanPairs:
    """Both prompts of shapes pairs with their pictures, in the order in which reinforcement learning draws the pairs.

    Args:
        seed: of the pairs.
        pairs: after so many they repeat; 0 never.
        source: ``shapes`` or ``shapes-crowded``.
    """

    def __init__(self, seed: int, pairs: int = 0, *, source: str = "shapes") -> None:
        self._source = shapes_pairs(source, seed)
        self._pairs = pairs

    def example(self, number: int) -> tuple[str, Image]:
        """The prompt and the picture of that number."""
        pair, side = divmod(number, 2)
        step, place = divmod(pair % self._pairs if self._pairs else pair, _PAIRS_A_STEP)
        drawn = self._source.draw(step, _PAIRS_A_STEP)[place]
        if drawn.pictures is None:
            raise ConfigError([f"pair {drawn.pair_id}: no picture"], where="examples")
        return drawn.prompts[side], drawn.pictures[side]


class DatasetExamples:
    """Prompts and pictures of a dataset, in another order each time through it.

    Args:
        pairs: the dataset.
        seed: of the order.
        where: for messages.

    Raises:
        ConfigError: no pair has a picture.
    """

    def __init__(self, pairs: Sequence[TrainingPair], seed: int, *, where: str) -> None:
        self._pairs, self._seed = pairs, seed
        self._places = [(place, side) for place, pair in enumerate(pairs) for side in (0, 1) if pair.images[side]]
        self._order: tuple[int, list[tuple[int, int]]] = (-1, [])
        if not self._places:
            raise ConfigError(["expected pairs with pictures, found none"], where=where)

    def example(self, number: int) -> tuple[str, Image]:
        """The prompt and the picture of that number."""
        epoch, place = divmod(number, len(self._places))
        if self._order[0] != epoch:
            self._order = (epoch, Dice(f"sft order {self._seed} {epoch}").shuffled(self._places))
        at, side = self._order[1][place]
        pair = self._pairs[at]
        picture = pair.load_images()[side]
        if picture is None:
            raise ConfigError([f"pair {pair.pair_id}: no picture for prompt {side + 1}"], where="examples")
        return pair.prompts[side], picture
