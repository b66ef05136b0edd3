"""Learning curves as PNG and SVG, in the report page's colours and with its signs: s_a a disc, s_g a diamond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from focusdiff.ablation.arms import ARMS, BASE
from focusdiff.ablation.comparing import MEASURES, Measure, seed_mean
from focusdiff.ablation.results import ArmResult
from paircomp.errors import UnavailableError
from paircomp.runtime.requirements import install_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_curves"]

# Okabe and Ito's palette, safe for colour-blind readers; dashes part lines where colour does not.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
_DASHES = ("-", "--", "-.", ":")
_TITLES: Mapping[Measure, str] = {"s_a": "$s_a$", "s_g": "$s_g$", "gap": "gap", "full_pass": "full pass"}
_WIDTH, _HEIGHT, _DPI = 10.0, 6.6, 160
_BAND_FROM = 5  # seeds: of fewer the interval is wider than what there is to see
_ARMS_SHOWN = tuple(name for name in ARMS if name != BASE)


def draw_curves(results: Sequence[ArmResult], folder: Path, *, name: str = "curves") -> list[Path]:
    """Draw every arm's measurements during training: the mean over its seeds as a line, its 95% interval as a band.

    Arms of few seeds are thin lines without one. A seed that lacks measurements which others of its arm have is left
    out; the legend says how many are in.

    Args:
        results: of one setting; those without measurements during training are left out.
        folder: made when absent.
        name: of the files, without ending.

    Returns:
        ``{name}.png`` and ``{name}.svg``; empty where there is nothing to draw.

    Raises:
        UnavailableError: matplotlib is missing.
    """
    drawn = [result for result in results if len(result.curve) > 1]
    if not drawn:
        return []
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise UnavailableError("learning curves", package="matplotlib", remedy=install_line(["matplotlib"])) from error
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    with mpl.rc_context({"font.size": 10, "svg.hashsalt": "focusdiff", "axes.spines.top": False,
                         "axes.spines.right": False}):  # fmt: skip
        figure = _figure(drawn)
        for path in paths:  # no date: the same results give the same bytes
            figure.savefig(path, dpi=_DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return paths


def _figure(drawn: Sequence[ArmResult]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    plots = figure.subplots(2, 2, sharex=True)
    for plot, measure in zip(plots.flat, MEASURES, strict=True):
        _draw_measure(plot, drawn, measure)
    for plot in plots[1]:
        plot.set_xlabel("share of training done, %")
    lines, labels = plots.flat[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, handlelength=2.6)
    return figure


def _draw_measure(plot: Axes, drawn: Sequence[ArmResult], measure: Measure) -> None:
    for place, arm in enumerate(_ARMS_SHOWN):
        mine = _whole([result for result in drawn if result.arm == arm])
        if not mine:
            continue
        steps, means, halves = _points(mine, measure)
        seeds = f"{len(mine)} seed" + ("s" if len(mine) > 1 else "")
        style: dict[str, Any] = {"color": _COLORS[place % len(_COLORS)], "linestyle": _DASHES[place % len(_DASHES)]}
        many = len(mine) >= _BAND_FROM
        plot.plot(steps, means, linewidth=2.0 if many else 1.1, label=f"{ARMS[arm].title} ({seeds})", **style)
        if many:
            plot.fill_between(steps, means - halves, means + halves, color=style["color"], alpha=0.13, linewidth=0)
    plot.set_title(_TITLES[measure], loc="left", fontweight="bold")
    plot.grid(axis="y", linewidth=0.5, alpha=0.4)
    plot.margins(x=0.01)
    plot.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}")


def _whole(mine: Sequence[ArmResult]) -> list[ArmResult]:
    most = max((len(result.curve) for result in mine), default=0)
    return [result for result in mine if len(result.curve) == most]


def _points(mine: Sequence[ArmResult], measure: Measure) -> tuple[Any, Any, Any]:
    """Shares of training done in percent, means over seeds, half intervals (0 for a single seed)."""
    length = len(mine[0].curve)
    last = [max(float(row["step"]) for row in result.curve) for result in mine]
    shares = [
        100 * np.mean([result.curve[row]["step"] / end for result, end in zip(mine, last, strict=True)])
        for row in range(length)
    ]
    found = [seed_mean([float(result.curve[row][measure]) for result in mine]) for row in range(length)]
    means = np.array([np.nan if each is None else each.mean for each in found])
    halves = np.array([0.0 if each is None or each.half is None else each.half for each in found])
    return np.array(shares), means, halves
