"""Intervals, tests and power, the pair being the unit. Definitions and formulas: `docs/statistics.md`."""

from paircomp.statistics.bootstrap import StratifiedBootstrap, stratified_bootstrap
from paircomp.statistics.contrast import ContrastSummary
from paircomp.statistics.intervals import Interval, mean_interval, wilson
from paircomp.statistics.multiple import holm
from paircomp.statistics.paired import Difference, PairedDifferences, paired_differences
from paircomp.statistics.permutation import SignFlips, sign_flips
from paircomp.statistics.power import minimal_detectable_effect
from paircomp.statistics.summary import ReadingSummary, RunSummary, Summary, summarize

__all__ = [
    "ContrastSummary",
    "Difference",
    "Interval",
    "PairedDifferences",
    "ReadingSummary",
    "RunSummary",
    "SignFlips",
    "StratifiedBootstrap",
    "Summary",
    "holm",
    "mean_interval",
    "minimal_detectable_effect",
    "paired_differences",
    "sign_flips",
    "stratified_bootstrap",
    "summarize",
    "wilson",
]
