"""Intervals, tests and power, the pair being the unit. Definitions and formulas: `docs/statistics.md`."""

from paircomp.statistics.intervals import Interval, mean_interval, wilson
from paircomp.statistics.summary import RunSummary, Summary, summarize

__all__ = ["Interval", "RunSummary", "Summary", "mean_interval", "summarize", "wilson"]
