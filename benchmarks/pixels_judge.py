"""How far the ``pixels`` judge can be trusted, and what it costs.

    python benchmarks/pixels_judge.py            # 10,000 scenes a subtask, several minutes
    python benchmarks/pixels_judge.py --quick    # 300 scenes a subtask, under a minute

Scenes of every subtask are drawn, as they are, with gaussian noise of sd 8/255 and blurred by 0.5 pixels, and each
picture is judged against its own prompt and against one that differs in a word. Then pictures with blemishes of graded
severity are judged against their own prompt. Nothing is told to the judge but the pixels and the prompt.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from paircomp.judges.pixels import PixelsJudge, pixels
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.shapes import Dice, Scene, Wording, sample_pair, sample_scene, write_prompt
from paircomp.shapes.blemishes import BLEMISHES, blemish
from paircomp.shapes.renderer import draw_background, render, render_pixels
from paircomp.types import ImageKey, JudgeRequest, Question, Subtask

SEVERITIES = (0.1, 0.25, 0.5, 0.75, 1.0)
PASS = 0.5
KEY = ImageKey(0, 0, 0)


def as_drawn(picture: Image.Image, seed: int) -> Image.Image:
    return picture


def noisy(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 8, (32, 32, 3))
    return Image.fromarray(np.clip(np.rint(np.asarray(picture) + noise), 0, 255).astype(np.uint8))


def blurred(picture: Image.Image, seed: int) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(0.5))


VIEWS: dict[str, Callable[[Image.Image, int], Image.Image]] = {"clean": as_drawn, "noise": noisy, "blur": blurred}


class Scores(NamedTuple):
    """Scores of the same pictures for their own prompt and for the one a word away."""

    own: list[float]
    other: list[float]

    def summary(self) -> dict[str, float]:
        """Shares on the right side of one half, means and extremes."""
        own, other = np.array(self.own), np.array(self.other)
        return {
            "own_passes": float((own >= PASS).mean()),
            "other_fails": float((other < PASS).mean()),
            "own_mean": float(own.mean()),
            "own_min": float(own.min()),
            "other_mean": float(other.mean()),
            "other_max": float(other.max()),
        }


def ask(judge: PixelsJudge, picture: Image.Image, *prompts: str) -> list[float]:
    questions = tuple(Question(position, prompt, "") for position, prompt in enumerate(prompts))
    return [float(answer.score or 0) for answer in judge.judge([JudgeRequest(KEY, (picture,), questions)])]


def pictures(subtask: Subtask, count: int) -> Iterator[tuple[Image.Image, str, str]]:
    """Picture, its prompt, and a prompt one word away; both wordings, each edit in both directions."""
    dice = Dice(f"pixels-judge/{subtask}")
    for seed in range(count):
        scene, other = dice.shuffled(sample_pair(dice, subtask))
        wording = dice.pick(tuple(Wording))
        yield render(scene, seed), write_prompt(scene, wording), write_prompt(other, wording)


def measure_agreement(judge: PixelsJudge, count: int) -> dict[str, dict[str, dict[str, float]]]:
    table: dict[str, dict[str, dict[str, float]]] = {}
    for subtask in Subtask:
        found = {view: Scores([], []) for view in VIEWS}
        for seed, (picture, prompt, other) in enumerate(pictures(subtask, count)):
            for view, seen in VIEWS.items():
                scores = ask(judge, seen(picture, seed), prompt, other)
                found[view].own.append(scores[0])
                found[view].other.append(scores[1])
        table[str(subtask)] = {view: scores.summary() for view, scores in found.items()}
    return table


def spoilt(scene: Scene, kind: str, severity: float, seed: int, dice: Dice) -> Image.Image:
    return Image.fromarray(blemish(render_pixels(scene, seed), draw_background(scene.background), kind, severity, dice))


def measure_blemishes(judge: PixelsJudge, count: int) -> dict[str, dict[str, dict[str, float]]]:
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind in BLEMISHES:
        table[kind] = {}
        for severity in SEVERITIES:
            dice = Dice(f"pixels-judge/{kind}/{severity}")
            scores = []
            for seed in range(count):
                scene = sample_scene(dice)
                scores += ask(judge, spoilt(scene, kind, severity, seed, dice), write_prompt(scene))
            passed = sum(score >= PASS for score in scores) / count
            table[kind][str(severity)] = {"mean": statistics.fmean(scores), "passes": passed}
    return table


def measure_speed(judge: PixelsJudge, count: int) -> dict[str, float]:
    """Medians, because other work may share the cores."""
    dice = Dice("pixels-judge/speed")
    pairs = [sample_pair(dice, dice.pick(tuple(Subtask))) for _ in range(count)]
    prompts = [(write_prompt(scene), write_prompt(other)) for scene, other in pairs]
    shown = [render(scene, seed) for seed, (scene, _) in enumerate(pairs)]
    own = timed([lambda at=at: ask(judge, shown[at], prompts[at][0]) for at in range(count)])
    both = timed([lambda at=at: ask(judge, shown[at], *prompts[at]) for at in range(count)])
    drawing = timed([lambda at=at: render(pairs[at][0], at) for at in range(count)])
    return {
        "ms_per_image": own,
        "ms_per_image_and_cross": both,
        "cross_over_own": both / own,
        "ms_per_rendering": drawing,
    }


def timed(tasks: list[Callable[[], Any]]) -> float:
    """Median milliseconds of a task."""
    seconds = []
    for task in tasks:
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def draw_sheet(judge: PixelsJudge, path: Path) -> None:
    """Blemished pictures with their scores, a row per kind, from slight to severe."""
    columns, side, gap, line = 8, 96, 10, 18
    sheet = Image.new("RGB", (gap + columns * (side + gap), gap + len(BLEMISHES) * (side + line + gap)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    dice = Dice("pixels-judge/sheet")
    for row, kind in enumerate(BLEMISHES):
        for column, scene_kind in enumerate(("group", "sign", "relation", "two groups") * 2):
            scene = sample_scene(dice, scene_kind)
            picture = spoilt(scene, kind, (column + 1) / columns, column, dice)
            left, top = gap + column * (side + gap), gap + row * (side + line + gap)
            sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), (left, top))
            score = ask(judge, picture, write_prompt(scene))[0]
            label = f"{score:.2f}" if column else f"{score:.2f} {kind}"
            draw.text((left, top + side + 1), label, fill=(30, 110, 50) if score >= PASS else (170, 30, 50), font=font)
    sheet.quantize(128).save(path, optimize=True)


def print_tables(agreement: dict[str, Any], blemishes: dict[str, Any], speed: dict[str, float]) -> None:
    print("| subtask | picture | own >= 0.5 | other < 0.5 | own mean (min) | other mean (max) |")
    print("|---|---|---|---|---|---|")
    for subtask, views in agreement.items():
        for view, row in views.items():
            passes = f"{row['own_passes']:.2%} | {row['other_fails']:.2%}"
            means = f"{row['own_mean']:.3f} ({row['own_min']:.3f}) | {row['other_mean']:.3f} ({row['other_max']:.3f})"
            print(f"| {subtask} | {view} | {passes} | {means} |")
    print("\n| blemish: mean score (share >= 0.5) at severity |", " | ".join(map(str, SEVERITIES)), "|")
    print("|---" * (len(SEVERITIES) + 1) + "|")
    for kind, cells in blemishes.items():
        print(f"| {kind} |", " | ".join(f"{cell['mean']:.2f} ({cell['passes']:.0%})" for cell in cells.values()), "|")
    print("\n" + ", ".join(f"{name} {value:.3f}" for name, value in speed.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="300 scenes a subtask")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    parser.add_argument("--scenes", type=int, help="scenes a subtask")
    parser.add_argument("--sheet", type=Path, help="write a picture of blemished scenes with their scores, and stop")
    arguments = parser.parse_args()
    judge = pixels()
    if arguments.sheet:
        draw_sheet(judge, arguments.sheet)
        return
    count = arguments.scenes or (300 if arguments.quick else 10_000)
    agreement = measure_agreement(judge, count)
    blemishes = measure_blemishes(judge, min(count, 500) // (5 if arguments.quick else 1))
    speed = measure_speed(judge, 300)
    if not arguments.json:
        print_tables(agreement, blemishes, speed)
    rows = [row for views in agreement.values() for row in views.values()]
    print(
        json.dumps(
            {
                "benchmark": "pixels_judge",
                "scenes_per_subtask": count,
                "least_own_passes": min(row["own_passes"] for row in rows),
                "least_other_fails": min(row["other_fails"] for row in rows),
                **speed,
                "agreement": agreement,
                "blemishes": blemishes,
                "judge": dict(judge.identity),
                "versions": package_versions(),
                "machine": this_machine().to_json(),
            }
        )
    )


if __name__ == "__main__":
    main()
