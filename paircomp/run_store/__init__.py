"""A run is one folder: identity first, then append-only records that any later step reads.

``run.json`` (identity, invocations), ``suite.jsonl`` (the pairs), ``images/`` (PNG files), ``generate/part-*.jsonl``
(image records), ``judges/<judge>/judge.json`` and ``judges/<judge>/part-*.jsonl`` (judgements), ``report.*``,
``locks/``.
"""

from paircomp.run_store.image_index import ImageIndex, ImageState
from paircomp.run_store.judgement_table import JudgementTable
from paircomp.run_store.records import PartWriter, RecordFolder
from paircomp.run_store.run import JudgeFolder, Run, Selection, differences

__all__ = [
    "ImageIndex",
    "ImageState",
    "JudgeFolder",
    "JudgementTable",
    "PartWriter",
    "RecordFolder",
    "Run",
    "Selection",
    "differences",
]
