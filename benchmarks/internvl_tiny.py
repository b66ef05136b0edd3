"""How far the ``internvl-tiny`` judge can be trusted, and what it costs.

    python benchmarks/internvl_tiny.py            # 1,000 scenes a subtask, minutes
    python benchmarks/internvl_tiny.py --quick    # 80 scenes a subtask, under a minute

Renders: each picture is judged against its own prompt and one that differs in a word; the label is the truth. Sketches:
pictures of the `sketch` generator for the prompts of the suite `shapes-dev`, with mistakes and blemishes, judged
against the prompt that was asked for; the label is what `pixels` says, at least one half. All scenes are held out:
renders show scenes of the two fixed suites and their edits, none of which was ever trained on, picture or prompt.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import rankdata

from paircomp.judges.internvl_tiny import CHECKPOINT, internvl_tiny
from paircomp.judges.pixels import pixels
from paircomp.protocols import Judge
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.shapes import Dice, parse_prompt
from paircomp.shapes.renderer import render
from paircomp.suites.shapes_suites import shapes_dev_suite, shapes_suite
from paircomp.types import GenerationRequest, ImageKey, JudgeRequest, PromptPair, Question, Subtask
from paircomp_adapters.sketch import sketch

MISTAKES, BLEMISHES = 0.25, 0.6
AT_ONCE = 64
WANTED = {"auc_renders": 0.97, "least_auc_renders": 0.90}

Scores = NDArray[np.float64]


def auc(scores: Scores, labels: NDArray[np.bool_]) -> float:
    """Chance that a picture that fits scores above one that does not (Mann-Whitney; ties count half)."""
    fits, misses = int(labels.sum()), int((~labels).sum())
    return float((rankdata(scores)[labels].sum() - fits * (fits + 1) / 2) / (fits * misses))


def ask(judge: Judge, requests: Sequence[JudgeRequest]) -> list[dict[int, float]]:
    """The score of every question of every request."""
    found: dict[ImageKey, dict[int, float]] = {request.key: {} for request in requests}
    for start in range(0, len(requests), AT_ONCE):
        for answer in judge.judge(requests[start : start + AT_ONCE]):
            if answer.score is None:
                raise RuntimeError(f"{answer.key}: {answer.unscored}")
            found[answer.key][answer.judged_prompt] = answer.score
    return [found[request.key] for request in requests]


def held_out_pairs(subtask: Subtask) -> list[PromptPair]:
    return [pair for suite in (shapes_suite(), shapes_dev_suite()) for pair in suite.pairs if pair.subtask == subtask]


def renders(subtask: Subtask, count: int) -> list[JudgeRequest]:
    """Pictures of held-out scenes, each side of a pair in turn, asked about their own prompt and the pair's other."""
    pairs, dice = held_out_pairs(subtask), Dice(f"internvl-tiny-benchmark/{subtask}")
    made = []
    for number in range(count):
        pair, side = pairs[number // 2 % len(pairs)], number % 2
        own, other = pair.prompts[side], pair.prompts[1 - side]
        picture = render(parse_prompt(own), dice.number(2**31))
        asked = (Question(0, own, subtask), Question(1, other, subtask))
        made.append(JudgeRequest(ImageKey(number, side, 0), (picture,), asked))
    return made


def sketches(count: int) -> list[JudgeRequest]:
    """Pictures by `sketch` for the prompts of `shapes-dev`, asked about the prompt that was to be drawn."""
    pairs = shapes_dev_suite().pairs
    generator = sketch(mistakes=MISTAKES, blemishes=BLEMISHES, steadiness=0.0)
    asked = [(pairs[number // 2 % len(pairs)], number % 2, number) for number in range(count)]
    wanted = [
        GenerationRequest(ImageKey(pair.pair, side, number), pair.prompts[side], seed=number)
        for pair, side, number in asked
    ]
    drawn = {made.key: made.image for made in generator.generate(wanted)}
    return [_about(request, drawn[request.key]) for request in wanted]


def _about(request: GenerationRequest, picture: Image.Image | None) -> JudgeRequest:
    if picture is None:
        raise RuntimeError(f"{request.prompt}: not drawn")
    return JudgeRequest(request.key, (picture,), (Question(0, request.prompt, ""),))


def measure_renders(judge: Judge, count: int) -> dict[str, dict[str, float]]:
    """For each subtask and for all of them together."""
    scores = {str(subtask): ask(judge, renders(subtask, count)) for subtask in Subtask}
    scores["all"] = [row for rows in scores.values() for row in rows]
    return {name: _summary(rows) for name, rows in scores.items()}


def _summary(rows: Sequence[dict[int, float]]) -> dict[str, float]:
    own, other = (np.array([row[place] for row in rows]) for place in (0, 1))
    labels = np.repeat([True, False], len(rows))
    return {
        "auc": auc(np.concatenate([own, other]), labels),
        "own_passes": float((own >= 0.5).mean()),
        "other_fails": float((other < 0.5).mean()),
        "own_above_other": float((own > other).mean()),
        "own_mean": float(own.mean()),
        "other_mean": float(other.mean()),
    }


def measure_sketches(judge: Judge, count: int) -> dict[str, float]:
    requests = sketches(count)
    ours, truth = (np.array([row[0] for row in ask(each, requests)]) for each in (judge, pixels()))
    fits = truth >= 0.5
    return {
        "auc": auc(ours, fits),
        "agreement": float(((ours >= 0.5) == fits).mean()),
        "fits": float(fits.mean()),
        "mean": float(ours.mean()),
        "pixels_mean": float(truth.mean()),
        "correlation": float(np.corrcoef(ours, truth)[0, 1]),
    }


def measure_speed(judge: Judge, rounds: int) -> dict[str, float]:
    """Medians, because other work may share the cores."""
    both = renders(Subtask.COLOR, AT_ONCE)
    own = [JudgeRequest(request.key, request.images, request.questions[:1]) for request in both]
    times = {name: [_seconds(judge, asked) for _ in range(rounds)] for name, asked in (("own", own), ("both", both))}
    alone, together = (statistics.median(times[name]) for name in ("own", "both"))
    return {"ms_per_image": 1000 * alone / AT_ONCE, "cross_over_own": together / alone}


def _seconds(judge: Judge, requests: Sequence[JudgeRequest]) -> float:
    start = time.perf_counter()
    ask(judge, requests)
    return time.perf_counter() - start


def print_tables(
    on_renders: dict[str, dict[str, float]], on_sketches: dict[str, float], speed: dict[str, float]
) -> None:
    print("| renders of unseen scenes | AUC | own >= 0.5 | other < 0.5 | own above other | own mean | other mean |")
    print("|---|---|---|---|---|---|---|")
    for name, row in on_renders.items():
        shares = f"{row['own_passes']:.1%} | {row['other_fails']:.1%} | {row['own_above_other']:.1%}"
        print(f"| {name} | {row['auc']:.4f} | {shares} | {row['own_mean']:.3f} | {row['other_mean']:.3f} |")
    print("\nsketches: " + ", ".join(f"{name} {value:.4f}" for name, value in on_sketches.items()))
    print("speed: " + ", ".join(f"{name} {value:.3f}" for name, value in speed.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="80 scenes a subtask")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="another one than the shipped")
    arguments = parser.parse_args()
    count = 80 if arguments.quick else 1000
    judge = internvl_tiny(checkpoint=str(arguments.checkpoint))
    on_renders = measure_renders(judge, count)
    on_sketches = measure_sketches(judge, 3 * count)
    speed = measure_speed(judge, 3 if arguments.quick else 15)
    if not arguments.json:
        print_tables(on_renders, on_sketches, speed)
    report: dict[str, Any] = {
        "benchmark": "internvl_tiny",
        "scenes_per_subtask": count,
        "auc_renders": on_renders["all"]["auc"],
        "least_auc_renders": min(row["auc"] for row in on_renders.values()),
        "auc_sketches": on_sketches["auc"],
        "wanted": WANTED,
        **speed,
        "renders": on_renders,
        "sketches": {**on_sketches, "mistakes": MISTAKES, "blemishes": BLEMISHES},
        "judge": dict(judge.identity),
        "versions": package_versions(),
        "machine": this_machine().to_json(),
    }
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
