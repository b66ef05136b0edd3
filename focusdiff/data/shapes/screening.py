"""Screening by pixel difference: the three questions of the paper, answered by measuring instead of by a model.

It holds for pictures of the shapes world with instructions of :mod:`focusdiff.data.shapes.instructions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from focusdiff.data.shapes.instructions import Demand, read_instruction
from focusdiff.data.shapes.seeing import relation_of
from paircomp.shapes.layout import BOARD_HEIGHT, BOARD_WIDTH, SIDE, THING, Placement
from paircomp.shapes.palette import TONES
from paircomp.shapes.perception import SeenThing, Sight, look
from paircomp.shapes.renderer import draw_background, draw_board, draw_things
from paircomp.shapes.scene import Background, Thing
from paircomp.shapes.stamps import Mask, Pixels
from paircomp.types import Subtask

__all__ = ["screen_pixels"]

_SAME = 16  # levels that a channel may differ by and still be the same; the faintest fade that is drawn makes 20
_STRAY_PIXELS = 4  # so many wrong pixels are forgiven


def screen_pixels(before: Pixels, after: Pixels, instruction: str) -> dict[str, bool | None]:
    """The answers to the three screening questions.

    Args:
        before: ``[32, 32, 3]``, RGB.
        after: ``[32, 32, 3]``.
        instruction: of the edit.

    Returns:
        ``follows``, ``preserves`` and ``natural``; the first two are ``None`` where the instruction is not of this
        world.
    """
    sights = look(before), look(after)
    natural = all(sight.wrong_pixels <= _STRAY_PIXELS for sight in sights)
    demand = read_instruction(instruction)
    if demand is None:
        return {"follows": None, "preserves": None, "natural": natural}
    allowed = _edited_area(demand, *sights)
    differs = (np.abs(before.astype(np.int16) - after) > _SAME).any(axis=2)
    return {
        "follows": _follows(demand, *sights),
        "preserves": bool((differs & ~allowed).sum() <= _STRAY_PIXELS) and _in_place(demand, *sights),
        "natural": natural,
    }


def _follows(demand: Demand, before: Sight, after: Sight) -> bool:
    match demand.subtask:
        case Subtask.STYLE_TONE:
            return _wanted_background(demand, before.background) == after.background != before.background
        case _ if demand.thing is None:
            return _sign_follows(demand, before, after)
        case Subtask.POSITION:
            return _stands(demand, after) and not _stands(demand, before)
        case _:
            return _wanted_things(demand, before) == _counted(after) != _counted(before)


def _wanted_background(demand: Demand, old: Background) -> Background:
    word = demand.word or ""
    return Background(word, old.pattern) if word in TONES else Background(old.tone, word)


def _sign_follows(demand: Demand, before: Sight, after: Sight) -> bool:
    if before.sign is None or after.sign is None:
        return False
    old, new = (before.sign.color, before.sign.text), (after.sign.color, after.sign.text)
    wanted = (demand.word, old[1]) if demand.subtask is Subtask.COLOR else (old[0], demand.word)
    return wanted == new != old


def _stands(demand: Demand, sight: Sight) -> bool:
    found = {seen.thing: seen for seen in sight.things}
    if len(sight.things) != 2 or demand.thing not in found or demand.other not in found:
        return False
    return relation_of(found[demand.thing], found[demand.other]) == demand.relation


def _counted(sight: Sight) -> Counter[Thing]:
    return Counter(seen.thing for seen in sight.things)


def _wanted_things(demand: Demand, before: Sight) -> Counter[Thing] | None:
    """How many of which things there shall be; ``None`` where the picture never held what is to change."""
    there = _counted(before)
    if demand.thing is None or not there[demand.thing]:
        return None
    number = there.pop(demand.thing)
    becomes = demand.thing if demand.count is not None else demand.becomes
    return None if becomes is None else there + Counter({becomes: demand.count or number})


def _edited_area(demand: Demand, before: Sight, after: Sight) -> Mask:
    """``[32, 32]``: where the pictures may differ."""
    if demand.subtask is Subtask.STYLE_TONE:
        return ~(_drawn(before) | _drawn(after))
    allowed = np.zeros((SIDE, SIDE), dtype=bool)
    if demand.thing is None:
        for sign in (before.sign, after.sign):
            if sign is not None:
                _box(allowed, sign.left, sign.top, BOARD_WIDTH, BOARD_HEIGHT)
        return allowed
    concerned = {demand.thing, demand.becomes, demand.other}
    for seen in _moved(before.things, after.things, concerned):
        _box(allowed, seen.left, seen.top, THING, THING)
    return allowed


def _moved(before: Iterable[SeenThing], after: Iterable[SeenThing], concerned: set[Thing | None]) -> list[SeenThing]:
    """What the edit concerns and what does not stand in both pictures at the same place."""
    places = [{(seen.thing, seen.left, seen.top) for seen in things} for things in (before, after)]
    return [
        seen
        for things, other in ((before, places[1]), (after, places[0]))
        for seen in things
        if seen.thing in concerned and (seen.thing, seen.left, seen.top) not in other
    ]


def _in_place(demand: Demand, before: Sight, after: Sight) -> bool:
    """Whether what gets another colour or shape stays where it is."""
    if demand.becomes is None:
        return True
    was = {(seen.left, seen.top) for seen in before.things if seen.thing == demand.thing}
    return was <= {(seen.left, seen.top) for seen in after.things if seen.thing == demand.becomes}


def _box(mask: Mask, left: int, top: int, width: int, height: int) -> None:
    """Allow a box and one pixel around it, which blur may reach."""
    mask[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1] = True


def _drawn(sight: Sight) -> Mask:
    """``[32, 32]``: where things and signs are."""
    ground = draw_background(sight.background)
    pixels = ground.copy()
    draw_things(pixels, [Placement(seen.thing, seen.left, seen.top) for seen in sight.things])
    if sight.sign is not None:
        draw_board(pixels, sight.sign.left, sight.sign.top, sight.sign.color, sight.sign.text)
    drawn: Mask = (pixels != ground).any(axis=2)
    return drawn
