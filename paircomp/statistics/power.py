"""How small a difference a comparison could have shown."""

from __future__ import annotations

from paircomp.statistics.intervals import t_quantile

__all__ = ["minimal_detectable_effect"]


def minimal_detectable_effect(error: float, degrees: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that a two-sided test at `alpha` finds with probability `power`.

    ``(t[1 - alpha/2] + t[power]) * SE`` (Bloom, 1995). An absent effect smaller than this is not shown to be absent.

    Args:
        error: standard error of the difference.
        degrees: its degrees of freedom.
        alpha: two-sided size of the test.
        power: wanted probability.
    """
    return (t_quantile(1 - alpha / 2, degrees) + t_quantile(power, degrees)) * error
