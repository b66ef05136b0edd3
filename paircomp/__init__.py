"""PairComp: how finely does a text-to-image model follow words?

    >>> import paircomp
    >>> evaluated = paircomp.evaluate("sketch", suite="shapes", limit=12)  # doctest: +SKIP
    >>> evaluated.report()["average"]["s_g"]  # doctest: +SKIP

Everything here is imported when first used, so that ``import paircomp`` stays instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paircomp.comparison import Comparison as Comparison
    from paircomp.errors import PairCompError as PairCompError
    from paircomp.evaluated_run import EvaluatedRun as EvaluatedRun
    from paircomp.evaluated_run import load_run as load_run
    from paircomp.evaluation import evaluate as evaluate
    from paircomp.protocols import ImageGenerator as ImageGenerator
    from paircomp.protocols import Judge as Judge
    from paircomp.types import Generated as Generated
    from paircomp.types import GenerationRequest as GenerationRequest
    from paircomp.types import ImageKey as ImageKey
    from paircomp.types import Judgement as Judgement
    from paircomp.types import JudgeRequest as JudgeRequest
    from paircomp.types import ModelSpec as ModelSpec
    from paircomp.types import PromptPair as PromptPair
    from paircomp.types import Question as Question
    from paircomp.types import Subtask as Subtask
    from paircomp.types import Suite as Suite

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "comparison",
    "EvaluatedRun": "evaluated_run",
    "Generated": "types",
    "GenerationRequest": "types",
    "ImageGenerator": "protocols",
    "ImageKey": "types",
    "Judge": "protocols",
    "JudgeRequest": "types",
    "Judgement": "types",
    "ModelSpec": "types",
    "PairCompError": "errors",
    "PromptPair": "types",
    "Question": "types",
    "Subtask": "types",
    "Suite": "types",
    "evaluate": "evaluation",
    "load_run": "evaluated_run",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are listed once


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'paircomp' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"paircomp.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
