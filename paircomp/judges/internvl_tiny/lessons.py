"""What the small InternVL learns from: pictures of the shapes world with questions about each, and their answers.

A lesson is drawn from its number alone. It shows a scene that no fixed suite holds, spoilt in two of five lessons, and
asks about prompts that fit and prompts that nearly fit. The answers are those of the ``pixels`` judge, which looks at
the picture: so a blemish lowers them as far as it does there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from paircomp.judges.pixels import PixelsJudge
from paircomp.shapes import Dice, Group, Groups, Relation, Scene, Thing, Wording, edits, sample_pair, sample_scene
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.grammar import write_prompt
from paircomp.shapes.renderer import draw_background, render_pixels
from paircomp.shapes.scene import MOST_THINGS, OPPOSITES
from paircomp.suites.shapes_suites import is_held_out
from paircomp.types import ImageKey, JudgeRequest, Question, Subtask

if TYPE_CHECKING:
    from PIL.Image import Image

    from paircomp.shapes.stamps import Pixels

__all__ = ["OWN", "QUESTIONS", "Lesson", "draw_lesson"]

#: Questions of a lesson, and how many of them, the first ones, say what was drawn.
QUESTIONS, OWN = 4, 2
_SPOILT = 0.4
_ANY, _EXCHANGED = 0.15, 0.2  # of the questions about another scene
_SEEDS = 2**31
_JUDGE = PixelsJudge()


@dataclass(frozen=True)
class Lesson:
    """One picture.

    Attributes:
        image: RGB, 32 x 32.
        prompts: :data:`QUESTIONS` prompts; the first :data:`OWN` say what was drawn, in different ways.
        scores: what ``pixels`` answers to each, in [0, 1].
    """

    image: Image
    prompts: tuple[str, ...]
    scores: tuple[float, ...]


def draw_lesson(number: int, *, seed: int = 0, turns: Sequence[Subtask] = tuple(Subtask)) -> Lesson:
    """The lesson of that number; neither its picture nor any of its prompts shows a scene of a fixed suite.

    Args:
        number: which one; others have no influence on it.
        seed: of the whole course.
        turns: the subtasks that lessons take in turn.
    """
    from PIL import Image

    dice = Dice(f"internvl-tiny/{seed}/{number}")
    subtask = turns[number % len(turns)]
    scene, other = next(pair for pair in _pairs(dice, subtask) if not any(map(is_held_out, pair)))
    image = Image.fromarray(_picture(scene, dice))
    asked = [*(_said_otherwise(scene, dice) for _ in range(OWN)), other, _another(scene, dice)]
    prompts = tuple(write_prompt(each, dice.pick(tuple(Wording))) for each in asked)
    return Lesson(image, prompts, _scores(image, prompts))


def _pairs(dice: Dice, subtask: Subtask) -> Iterator[tuple[Scene, Scene]]:
    while True:
        scene, other = sample_pair(dice, subtask)
        yield (scene, other) if dice.chance(0.5) else (other, scene)


def _picture(scene: Scene, dice: Dice) -> Pixels:
    pixels = render_pixels(scene, dice.number(_SEEDS))
    if not dice.chance(_SPOILT):
        return pixels
    return blemish(pixels, draw_background(scene.background), dice.pick(tuple(BLEMISHES)), 1 - dice.fraction(), dice)


def _said_otherwise(scene: Scene, dice: Dice) -> Scene:
    """The same picture, its parts named in either order."""
    if dice.chance(0.5):
        return scene
    match scene:
        case Groups():
            return replace(scene, groups=scene.groups[::-1])
        case Relation():
            return Relation(scene.second, OPPOSITES[scene.relation], scene.first, scene.background)
        case _:
            return scene


def _another(scene: Scene, dice: Dice) -> Scene:
    """Another scene: most often one word or number away, sometimes with parts exchanged, sometimes any."""
    while True:
        chance = dice.fraction()
        if chance < _ANY:
            found: Scene | None = sample_scene(dice)
        else:
            found = _exchanged(scene, dice) if chance < _ANY + _EXCHANGED else _one_away(scene, dice)
        if found is not None and not is_held_out(found):
            return _said_otherwise(found, dice)


def _one_away(scene: Scene, dice: Dice) -> Scene | None:
    subtask = dice.pick(tuple(Subtask))
    found = _recounted(scene) if subtask is Subtask.COUNTING else edits(scene, subtask)
    return dice.pick(found) if found else None


def _recounted(scene: Scene) -> tuple[Scene, ...]:
    """The scene with another number of things of a kind, one included, which no edit of a single word reaches."""
    if not isinstance(scene, Groups):
        return ()
    total = sum(group.count for group in scene.groups)
    return tuple(
        replace(scene, groups=(*scene.groups[:place], Group(count, group.thing), *scene.groups[place + 1 :]))
        for place, group in enumerate(scene.groups)
        for count in range(1, MOST_THINGS - total + group.count + 1)
        if count != group.count
    )


def _exchanged(scene: Scene, dice: Dice) -> Scene | None:
    """Two things that have exchanged colours, or two groups that have exchanged numbers."""
    match scene:
        case Relation(first=a, second=b) if a.color != b.color and a.shape != b.shape:
            return replace(scene, first=Thing(b.color, a.shape), second=Thing(a.color, b.shape))
        case Groups(groups=(a, b)):
            if a.count != b.count and dice.chance(0.5):
                return replace(scene, groups=(Group(b.count, a.thing), Group(a.count, b.thing)))
            if a.thing.color != b.thing.color and a.thing.shape != b.thing.shape:
                crossed = Thing(b.thing.color, a.thing.shape), Thing(a.thing.color, b.thing.shape)
                return replace(scene, groups=(Group(a.count, crossed[0]), Group(b.count, crossed[1])))
    return None


def _scores(image: Image, prompts: tuple[str, ...]) -> tuple[float, ...]:
    questions = tuple(Question(place, prompt, "") for place, prompt in enumerate(prompts))
    answers = _JUDGE.judge([JudgeRequest(ImageKey(0, 0, 0), (image,), questions)])
    scores = tuple(answer.score for answer in answers if answer.score is not None)
    if len(scores) != len(prompts):
        raise ValueError(f"pixels answered {len(scores)} of {prompts}")
    return scores
