"""From the scores of a run to one set of values per pair.

`ScoreTable` holds every score of a run as one array; `pair_values` reduces it to the values of each pair, the unit of
all statistics; `contrast_values` reads the cross scores. The official score file of the published evaluator is read and
written here too. numpy only; `paircomp.statistics` puts the error bars on.
"""

from paircomp.scoring.contrast import CHANCE, ContrastValues, contrast_values
from paircomp.scoring.official_scores import official_scores_json, read_official_scores, write_official_scores
from paircomp.scoring.pairs import (
    PASS_MARK,
    Means,
    PairValues,
    PerPair,
    Reading,
    ScoreTable,
    macro,
    pair_values,
    pair_weighted,
    subtask_means,
)

__all__ = [
    "CHANCE",
    "PASS_MARK",
    "ContrastValues",
    "Means",
    "PairValues",
    "PerPair",
    "Reading",
    "ScoreTable",
    "contrast_values",
    "macro",
    "official_scores_json",
    "pair_values",
    "pair_weighted",
    "read_official_scores",
    "subtask_means",
    "write_official_scores",
]
