"""Holding what generators and judges answer against their contract, before anything of it is written down.

What third parties answer may hold numbers of numpy, NaN or objects that no record can keep. Numbers are brought to
plain Python ones; everything else is refused with the name of the field it stands in.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paircomp.runtime.images import UnreadableImageError, to_rgb
from paircomp.runtime.reasons import reason_of
from paircomp.types import Generated, Judgement

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["AnswerFault", "checked_generated", "checked_judgement", "plain_json"]


class AnswerFault(ValueError):  # noqa: N818 - a fault of an answer; the caller says whose and raises its own error
    """An answer that breaks the contract; the message says which field, what was expected and what came."""


def checked_generated(answer: Generated) -> Generated:
    """The answer with an RGB image or a reason, and with plain JSON values beside it.

    A picture whose file turns out to be damaged, once its pixels are read, becomes a reason: it costs one image.

    Raises:
        AnswerFault: both or neither, an image without pixels or of another type, values that JSON does not hold.
    """
    if answer.image is not None and answer.unscored is not None:
        raise AnswerFault(f"holds both an image and a reason why there is none ({answer.unscored!r})")
    if answer.image is None and answer.unscored is None:
        raise AnswerFault("holds neither an image nor a reason")
    _refuse_no_reason(answer.unscored)
    if answer.prompt_sent is not None and not isinstance(answer.prompt_sent, str):
        raise AnswerFault(f"prompt_sent: expected text, got {_shown(answer.prompt_sent)}")
    damage = _damage(answer.image)
    return replace(
        answer,
        image=None if answer.image is None or damage else _rgb(answer.image),
        unscored=damage or answer.unscored,
        retry=answer.retry or damage is not None,
        seconds=None if answer.seconds is None else _seconds(answer.seconds),
        metadata=_mapping(answer.metadata, "metadata"),
    )


def checked_judgement(answer: Judgement) -> Judgement:
    """The judgement with plain numbers and plain JSON values.

    Raises:
        AnswerFault: no score and no reason or both, a score outside [0, 1], logs that are not finite, evidence that
            JSON does not hold.
    """
    score = answer.score
    if score is None and answer.unscored is None:
        raise AnswerFault("holds neither a score nor a reason why there is none")
    if score is not None and answer.unscored is not None:
        raise AnswerFault(f"holds both a score and a reason why there is none ({answer.unscored!r})")
    _refuse_no_reason(answer.unscored)
    if score is not None:
        if not _is_number(score) or not 0.0 <= score <= 1.0:
            raise AnswerFault(f"expected a score in [0, 1], got {_shown(score)}")
        score = float(score)
    return replace(answer, score=score, log_yes=_log(answer.log_yes, "log_yes"), log_no=_log(answer.log_no, "log_no"),
                   evidence=_mapping(answer.evidence, "evidence"))  # fmt: skip


def plain_json(value: Any, where: str) -> Any:
    """`value` as JSON holds it: numpy scalars become Python numbers, mappings dicts, tuples lists.

    Args:
        value: anything.
        where: names the field in messages.

    Raises:
        AnswerFault: NaN, infinity, keys that are not text, or a type that JSON does not know.
    """
    try:
        return _plain(value, where)
    except RecursionError:
        raise AnswerFault(f"{where}: expected JSON values, got values nested too deep") from None


def _plain(value: Any, where: str) -> Any:
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AnswerFault(f"{where}: expected JSON values without NaN and infinity, got {value!r}")
        return value
    if isinstance(value, Mapping):
        return _plain_mapping(value, where)
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    raise AnswerFault(f"{where}: expected JSON values, got {_shown(value)}")


def _plain_mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for name in value:
        if not isinstance(name, str):
            raise AnswerFault(f"{where}: expected names that are text, got {_shown(name)}")
    return {name: _plain(item, f"{where}.{name}") for name, item in value.items()}


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise AnswerFault(f"{where}: expected a mapping, got {_shown(value)}")
    plain: dict[str, Any] = plain_json(value, where)
    return plain


def _refuse_no_reason(reason: Any) -> None:
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        raise AnswerFault(f"unscored: expected a reason in words, got {_shown(reason)}")


def _damage(image: Any) -> str | None:
    from PIL import Image as Pillow

    if isinstance(image, Pillow.Image):
        try:
            image.load()  # Pillow reads a file's pixels only now
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            return f"error: not a readable image ({reason_of(error)})"
    return None


def _rgb(image: Any) -> Image:
    from PIL import Image as Pillow

    if not isinstance(image, Pillow.Image):
        raise AnswerFault(f"holds something that is not an image: expected a Pillow image, got {type(image).__name__}")
    try:
        return to_rgb(image)
    except (UnreadableImageError, OSError, ValueError, SyntaxError) as error:
        said = " ".join(str(error).split())[:200]
        raise AnswerFault(f"holds something that is not an image: {said}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _seconds(value: Any) -> float:
    if not _is_number(value) or not 0 <= value < math.inf:
        raise AnswerFault(f"seconds: expected a finite number from 0, got {_shown(value)}")
    return float(value)


def _log(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not math.isfinite(value):
        raise AnswerFault(f"{where}: expected finite log_yes and log_no, got {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (str, bool, numbers.Number)):
        return repr(value)[:100]
    return type(value).__name__
