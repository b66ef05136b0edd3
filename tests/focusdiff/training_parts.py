"""A training run small enough for a test: a random Janus of the real class, and a reward that it can learn from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from focusdiff.launch import train
from focusdiff.recipe import RLRecipe
from focusdiff.recipe_reading import recipe_from, with_values

if TYPE_CHECKING:
    from PIL.Image import Image

TABLE: dict[str, Any] = {
    "policy": {"dtype": "float32", "options": {"guidance": 1.0}},
    "prompts": {"source": "shapes", "pairs": 2},
    "reward": {"judge": "pixels"},
    "groups": {"samples": 3, "probability": [[0, 1.0], ["100%", 0.5]], "negatives": "statistics"},
    "optimiser": {"rate": 3e-3, "warm_up": 1, "convert_rate": 1e-3, "convert_at": "50%", "final_rate": 1e-4},
    "loop": {"steps": 6, "micro_batch": 5, "checkpoint_every": 2, "probe_every": 2},
}


def small_recipe(checkpoint: Path, **values: Any) -> RLRecipe:
    """`values`: ``section__key=value``."""
    changes = {name.replace("__", "."): value for name, value in values.items()}
    return recipe_from(RLRecipe, with_values(TABLE, {"policy.checkpoint": str(checkpoint), **changes}), where="test")


class Brightness:
    """Rewards bright pictures: what anybody may write as a reward of their own.

    Args:
        stop_after: calls after which it breaks, as a server may.
        unscored: every so many-th picture cannot be scored; 0 scores all.
    """

    name = "brightness"

    def __init__(self, *, stop_after: int | None = None, unscored: int = 0) -> None:
        self._left = stop_after
        self._unscored = unscored

    def score(
        self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]
    ) -> Future[Sequence[float]]:
        future: Future[Sequence[float]] = Future()
        if self._left == 0:
            future.set_exception(ConnectionError("the server is gone"))
            return future
        if self._left is not None:
            self._left -= 1
        scores = [float(np.asarray(picture).mean()) / 255 for picture in pictures]
        if self._unscored:
            scores = [math.nan if place % self._unscored == 0 else score for place, score in enumerate(scores)]
        future.set_result(scores)
        return future

    def close(self) -> None:
        pass


def trained(recipe: RLRecipe, out: Path, **options: Any) -> Path:
    options.setdefault("reward", Brightness())
    return train(recipe, out, **options)


def metrics(out: Path) -> list[dict[str, Any]]:
    """Lines of the metrics, without what a clock said."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()
