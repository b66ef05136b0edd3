"""The ``pixels`` judge: looks at pictures of the shapes world by measuring their pixels.

It needs no weights and knows nothing but the picture and the prompt: never the scene that was drawn, nor any metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paircomp.errors import ConfigError
from paircomp.judges.pixels_rules import RULES, factors
from paircomp.runtime.capabilities import declares
from paircomp.shapes.grammar import OutsideGrammarError, parse_prompt
from paircomp.shapes.layout import BOARD_HEIGHT, BOARD_WIDTH, SIDE, THING
from paircomp.shapes.perception import SeenSign, SeenThing, Sight, look, to_pixels
from paircomp.types import Judgement, JudgeRequest, Question

__all__ = ["SCORE_CEILING", "SCORE_FLOOR", "PixelsJudge", "pixels"]

# Scores are clipped to these: the logs of both answers stay finite, and no single picture makes a geometric mean 0.
SCORE_FLOOR, SCORE_CEILING = 0.001, 0.999


@declares(cross_by_default=True)
def pixels(*, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None) -> PixelsJudge:
    """Judge of the embedded shapes world: measures the pixels, needs no weights.

    Args:
        checkpoint: none is needed.
        device: any; the judge runs on the CPU.
        dtype: any; it has no weights.

    Raises:
        ConfigError: a checkpoint was given.
    """
    del device, dtype
    if checkpoint is not None:
        raise ConfigError([f"checkpoint: this judge has no weights, got {checkpoint!r}"], where="judge 'pixels'")
    return PixelsJudge()


class PixelsJudge:
    """Scores pictures against prompts of the shapes grammar; see :func:`pixels` and docs/shapes.md."""

    identity: Mapping[str, Any] = {"rules": RULES, "floor": SCORE_FLOOR, "ceiling": SCORE_CEILING}

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[Judgement]:
        """One judgement per question; each picture is looked at once."""
        for request in requests:
            if len(request.images) != 1:
                reason = f"pixels looks at one image at a time, got {len(request.images)}"
                yield from (Judgement(request.key, asked.judged_prompt, unscored=reason) for asked in request.questions)
            else:
                yield from _answers(request)

    def close(self) -> None:
        """Nothing to free."""


def _answers(request: JudgeRequest) -> Iterator[Judgement]:
    image = request.images[0]
    sight = look(to_pixels(image))
    seen = _said(sight, image.size)
    for question in request.questions:
        yield _answer(request, question, sight, seen)


def _answer(request: JudgeRequest, question: Question, sight: Sight, seen: Mapping[str, Any]) -> Judgement:
    try:
        scene = parse_prompt(question.prompt)
    except OutsideGrammarError as error:
        return Judgement(request.key, question.judged_prompt, evidence=seen, unscored=str(error))
    sides = factors(sight, scene)
    score = min(SCORE_CEILING, max(SCORE_FLOOR, math.prod(sides.values())))
    return Judgement(
        request.key,
        question.judged_prompt,
        score=score,
        log_yes=math.log(score),
        log_no=math.log1p(-score),
        evidence={**seen, "factors": _rounded(sides)},
    )


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _said(sight: Sight, size: tuple[int, int]) -> dict[str, Any]:
    """What is seen, as JSON values: what the `evidence` of every judgement of the picture holds."""
    said: dict[str, Any] = {
        "background": f"{sight.background.tone} {sight.background.pattern}" if sight.backgrounds else None,
        "things": [_said_thing(thing) for thing in sight.things],
        "wrong_pixels": round(sight.wrong_pixels, 1),
    }
    if sight.sign is not None:
        said["sign"] = _said_sign(sight.sign)
    if size != (SIDE, SIDE):
        said["resized_from"] = list(size)
    return said


def _said_thing(seen: SeenThing) -> dict[str, Any]:
    thing = seen.thing
    return {
        "color": thing.color,
        "shape": thing.shape,
        "fit": round(seen.shapes[thing.shape], 3),
        "box": [seen.left, seen.top, seen.left + THING, seen.top + THING],
    }


def _said_sign(seen: SeenSign) -> dict[str, Any]:
    return {
        "color": seen.color,
        "text": seen.text,
        "fit": round(seen.texts[seen.text], 3),
        "box": [seen.left, seen.top, seen.left + BOARD_WIDTH, seen.top + BOARD_HEIGHT],
    }
