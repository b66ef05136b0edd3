"""Functions of one's own as rewards, by entry point (group ``focusdiff.rewards``).

A package registers a factory; it is called once with the recipe's options and returns the function::

    [project.entry-points."focusdiff.rewards"]
    brightness = "my_package:brightness"

    def brightness(*, target: float = 0.5):
        def reward(prompts, pictures, subtasks):
            return [1 - abs(mean_of(picture) - target) for picture in pictures]
        return reward

``None`` and NaN stand for unscored. A function may raise `paircomp.errors.PairCompError` to stop the run in one line.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

from focusdiff.rewards.scores import Scores, scores_of
from paircomp.errors import AdapterError, PairCompError, UnknownNameError
from paircomp.runtime.capabilities import call_factory, check_options

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GROUP", "FunctionScorer", "RewardFunction", "faithful", "reward_names"]

GROUP = "focusdiff.rewards"

RewardFunction: TypeAlias = "Callable[[Sequence[str], Sequence[Image], Sequence[str]], Sequence[float | None]]"


def reward_names() -> list[str]:
    """Names of registered functions, sorted; none is imported."""
    return sorted({point.name for point in entry_points(group=GROUP)})


class FunctionScorer:
    """Asks a function by name.

    Args:
        name: of the entry point.
        options: of its factory.

    Raises:
        UnknownNameError: no such function.
        ConfigError: options that do not fit.
        AdapterError: it cannot be loaded or made.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        factory = _load(name)
        check_options(factory, options, where=f"reward.options of reward {name!r}")
        self.name = name
        made: Any = call_factory(factory, f"reward {name!r}", **options)
        if not callable(made):
            raise AdapterError(f"reward {name!r}: its factory returned {type(made).__name__}, expected a function")
        self._reward: RewardFunction = made

    def scores(self, prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]) -> Scores:
        """The function's numbers; see `focusdiff.rewards.scores.Scorer`.

        Raises:
            AdapterError: it failed, or answered something other than one number, ``None`` or NaN per picture.
        """
        try:
            said = list(self._reward(prompts, pictures, subtasks))
        except PairCompError:
            raise
        except Exception as error:  # a function of a third party may raise anything
            reason = " ".join(str(error).split())[:300]
            raise AdapterError(f"reward {self.name!r} failed: {type(error).__name__}: {reason}") from error
        if len(said) != len(pictures):
            raise AdapterError(f"reward {self.name!r}: expected {len(pictures)} numbers, got {len(said)}")
        found = {place: self._number(value) for place, value in enumerate(said) if value is not None}
        known = {place: value for place, value in found.items() if not math.isnan(value)}
        reasons = {place: f"reward {self.name!r} gave no number" for place in range(len(said)) if place not in known}
        return scores_of(known, reasons, count=len(said))

    def close(self) -> None:
        """Free the function, where it has something to free."""
        close = getattr(self._reward, "close", None)
        if callable(close):
            close()

    def _number(self, value: Any) -> float:
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or math.isinf(value):
            raise AdapterError(f"reward {self.name!r}: expected finite numbers, None or NaN, got {value!r}")
        return float(value)


def _load(name: str) -> Callable[..., Any]:
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise UnknownNameError("reward", name, reward_names())
    if len(points) > 1:
        claims = " and ".join(map(_origin, points))
        raise AdapterError(f"reward {name!r} is claimed by {claims}; next: uninstall or rename one")
    try:
        factory: Any = points[0].load()
    except (Exception, SystemExit) as error:  # third parties may fail in any way
        raise AdapterError(f"reward {name!r} from {_origin(points[0])} cannot be loaded: {error}") from error
    if not callable(factory):
        raise AdapterError(f"reward {name!r}: expected a factory, got {type(factory).__name__}")
    loaded: Callable[..., Any] = factory
    return loaded


def _origin(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


def faithful(*, tolerated: float = 0.0) -> RewardFunction:
    """How little of a picture of the shapes world the nearest rendered scene leaves unexplained, in [0, 1].

    Args:
        tolerated: pixels of 1,024 that cost nothing.
    """
    from paircomp.shapes.layout import SIDE
    from paircomp.shapes.perception import look, to_pixels

    def reward(prompts: Sequence[str], pictures: Sequence[Image], subtasks: Sequence[str]) -> Sequence[float | None]:
        del prompts, subtasks
        wrong = (look(to_pixels(picture)).wrong_pixels for picture in pictures)
        return [1 - max(0.0, pixels - tolerated) / (SIDE * SIDE) for pixels in wrong]

    return reward
