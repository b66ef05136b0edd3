"""Keeping a run steady by itself (FocusDiff, arXiv 2506.05501, appendix C).

The paper's authors watched the reward: on a sharp drop they went on with a learning rate of a half to two thirds, and
when it fell slowly they made the current model the reference and resumed. Here a controller does both, from the mean
reward of sampled pictures alone. A step's mean is noisy, so a drop is measured against the noise of its own window, and
after each intervention the window fills anew before the next: the run is given time to answer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from focusdiff.training_protocols import Adjustment

__all__ = ["SteadinessController", "SteadinessRecipe"]

_WATCHED = "reward"


@dataclass(frozen=True)
class SteadinessRecipe:
    """When a run is steadied, and how.

    Attributes:
        cut: the learning rate's factor after a sharp drop. Paper: a half to two thirds; 0 never cuts.
        drop: how far the mean reward of the last `short` steps must lie below that of the `window` before them to be a
            sharp drop; in rewards, not in shares of them. Ours: the paper judged by eye.
        noise: and by how many standard errors of those steps' rewards, so that noise is no drop. Ours.
        lowest_scale: the learning rate is never cut below this share of its schedule. Ours.
        ref_update: when the current model becomes the reference. ``none``: never, as published code; ``every_n``: each
            `ref_every` steps; ``ema``: at each of these, the reference goes `ref_mix` of the way to the current model;
            ``on_plateau``: when the reward stands still or falls slowly, as the paper's authors did by hand. A model
            whose reward lies `drop` or more below the best half window so far has collapsed, and becomes none.
        ref_every: steps.
        ref_mix: share of the way.
        plateau: the rise of the mean reward, from one half of `window` to the other, below which it is a plateau.
        window: steps that are compared.
        short: the last steps, that a sharp drop is seen in.
    """

    cut: float = 0.0
    drop: float = 0.1
    noise: float = 3.0
    lowest_scale: float = 0.1
    ref_update: Literal["none", "every_n", "ema", "on_plateau"] = "none"
    ref_every: int = 100
    ref_mix: float = 0.4
    plateau: float = 0.0
    window: int = 40
    short: int = 5

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        for name in ("ref_every", "short"):
            if getattr(self, name) < 1:
                yield f"{name}: expected a count from 1, got {getattr(self, name)}"
        if self.window < 4:
            yield f"window: expected a count from 4, got {self.window}"
        for name in ("cut", "lowest_scale", "ref_mix"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name}: expected a share from 0 to 1, got {getattr(self, name)}"

    @property
    def idle(self) -> bool:
        """Whether nothing would ever be done."""
        return self.cut == 0 and self.ref_update == "none"


class SteadinessController:
    """Watches the reward; a `focusdiff.training_protocols.Controller`.

    Args:
        recipe: when and how.
    """

    def __init__(self, recipe: SteadinessRecipe) -> None:
        self._recipe = recipe
        self._scale = 1.0
        self._rewards: deque[float] = deque(maxlen=recipe.window + recipe.short)
        self._best = -math.inf

    def observe(self, step: int, metrics: Mapping[str, float]) -> Adjustment:
        """Hear of a step, and say what is to change from the next one on; a step without rewards changes nothing."""
        reward = metrics.get(_WATCHED, math.nan)
        if not math.isnan(reward):
            self._rewards.append(reward)
        return self._on_drop() or self._on_reference(step) or Adjustment(self._scale)

    def state_dict(self) -> dict[str, Any]:
        """The factor, the rewards in the window, and the best mean of half a window; none before there was one."""
        best = None if math.isinf(self._best) else self._best
        return {"scale": self._scale, "rewards": list(self._rewards), "best": best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._scale = float(state["scale"])
        self._rewards.clear()
        self._rewards.extend(map(float, state["rewards"]))
        best = state.get("best")  # runs of earlier versions kept none
        self._best = -math.inf if best is None else float(best)

    def _on_drop(self) -> Adjustment | None:
        asked = self._recipe
        full = len(self._rewards) == asked.window + asked.short
        if asked.cut == 0 or self._scale <= asked.lowest_scale or not full:
            return None
        held = list(self._rewards)
        before, now = held[: asked.window], held[asked.window :]
        fallen, error = _mean(before) - _mean(now), _error(before, len(now))
        if fallen < asked.drop or fallen < asked.noise * error:
            return None
        self._scale = max(asked.lowest_scale, self._scale * asked.cut)
        self._rewards.clear()  # what came before says nothing of the run as it is now
        return Adjustment(self._scale, reason=f"reward fell by {fallen:.3f} within {asked.short} steps: learning rate "
                                              f"at {self._scale:.3g} of its schedule")  # fmt: skip

    def _on_reference(self, step: int) -> Adjustment | None:
        asked = self._recipe
        if asked.ref_update in ("every_n", "ema"):
            if (step + 1) % asked.ref_every:
                return None
            share = asked.ref_mix if asked.ref_update == "ema" else 1.0
            return self._moved(f"every {asked.ref_every} steps", share)
        if asked.ref_update == "none" or len(self._rewards) < asked.window:
            return None
        held = list(self._rewards)[-asked.window :]
        half = asked.window // 2
        before, now = _mean(held[:half]), _mean(held[half:])
        self._best = max(self._best, before, now)
        risen = now - before
        if risen > asked.plateau or self._best - now >= asked.drop:
            return None
        self._rewards.clear()  # what came before says nothing of the run as it is now
        said = "rose" if risen >= 0 else "fell"
        return self._moved(f"reward {said} by {abs(risen):.3f} within {asked.window} steps", 1.0)

    def _moved(self, why: str, share: float) -> Adjustment:
        said = "is the current model" if share == 1.0 else f"goes {share:.0%} of the way to the current model"
        return Adjustment(
            self._scale, move_reference=True, reference_share=share, reason=f"{why}: the reference {said}"
        )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _error(values: Sequence[float], count: int) -> float:
    """Standard error of the difference between the mean of `values` and that of `count` further ones like them."""
    mean = _mean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance * (1 / len(values) + 1 / count))
