"""How the fixed suites of the shapes world were drawn; ``python -m paircomp.suites.shapes_drawing`` writes them again.

The files are committed and a test holds them against this module to the byte. Each subtask cycles through its kinds of
scene, so that every kind is there equally often; the wording of a pair is drawn.
"""

from __future__ import annotations

import json
from pathlib import Path

from paircomp.shapes import Dice, Scene, Wording, canonical, sample_pair, write_prompt
from paircomp.shapes.sampling import KINDS
from paircomp.types import Subtask

__all__ = ["PAIRS_PER_SUBTASK", "SUITE_NAMES", "draw_suites", "write_suites"]

SUITE_NAMES = ("shapes", "shapes-dev")
PAIRS_PER_SUBTASK = 40
_EDITION = 1


def draw_suites() -> dict[str, str]:
    """The text of both suite files by suite name: one pair a line, no scene in two pairs of either suite."""
    taken: set[Scene] = set()
    return {name: "".join(_subtask_lines(name, subtask, taken) for subtask in Subtask) for name in SUITE_NAMES}


def _subtask_lines(name: str, subtask: Subtask, taken: set[Scene]) -> str:
    dice = Dice(f"{name}/{subtask}/{_EDITION}")
    kinds = KINDS[subtask]
    lines = []
    for position in range(PAIRS_PER_SUBTASK):
        pair = _untaken_pair(dice, subtask, kinds[position % len(kinds)], taken)
        taken.update(map(canonical, pair))
        wording = dice.pick(tuple(Wording))
        prompts = [write_prompt(scene, wording) for scene in pair]
        label = f"{name}-{subtask}-{position:02d}"
        lines.append(json.dumps({"pair_id": label, "subtask": subtask, "prompts": prompts}) + "\n")
    return "".join(lines)


def _untaken_pair(dice: Dice, subtask: Subtask, kind: str, taken: set[Scene]) -> tuple[Scene, Scene]:
    while True:
        pair = sample_pair(dice, subtask, kind)
        if taken.isdisjoint(map(canonical, pair)):
            return pair


def write_suites(folder: Path) -> None:
    """Write ``shapes.jsonl`` and ``shapes-dev.jsonl`` into `folder`."""
    for name, text in draw_suites().items():
        (folder / f"{name}.jsonl").write_bytes(text.encode())


if __name__ == "__main__":
    write_suites(Path(__file__).parent)
