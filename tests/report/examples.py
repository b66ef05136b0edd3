"""Example reports in the shape that `paircomp.report.schema` fixes: simulated scores, honestly summarised.

`EXAMPLES` maps a name to a function that builds a fresh report. Intervals here are plain normal ones: the renderers do
not care how they were made.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping
from statistics import fmean, stdev
from typing import Any

OFFICIAL = {
    "overall_appearance": (250, 0.80),
    "color": (50, 0.92),
    "counting": (50, 0.68),
    "position": (50, 0.62),
    "style_tone": (100, 0.90),
    "text": (50, 0.45),
}
METRICS = ("s_a", "s_g", "gap", "full_pass")
BINS = [i / 20 for i in range(21)]
HOSTILE = (
    "<script>alert('x')</script> | `*bold*` \x1b[31mred\x1b[0m [link](javascript:1) [red]&amp; \"q\"\u202eevil"
    "\n# heading"
)

Values = list[tuple[float, float, bool]]  # a, g, pass of each pair


def _pair(rng: random.Random, level: float) -> tuple[float, float, bool]:
    centre = min(max(rng.gauss(level, 0.18), 0.02), 0.98)
    scores = [rng.betavariate(2.5 * centre, 2.5 * (1 - centre)) for _ in range(4)]
    if rng.random() < 0.01:
        scores[0] = 0.0
    g = math.prod(scores) ** 0.25
    return fmean(scores), g, min(scores) >= 0.5


def _interval(values: list[float]) -> list[float] | None:
    if len(values) < 2:
        return None
    half = 1.96 * stdev(values) / math.sqrt(len(values))
    return [max(fmean(values) - half, 0.0), min(fmean(values) + half, 1.0)]


def _columns(values: Values) -> dict[str, list[float]]:
    return {
        "s_a": [a for a, _, _ in values],
        "s_g": [g for _, g, _ in values],
        "gap": [a - g for a, g, _ in values],
        "full_pass": [float(passed) for _, _, passed in values],
    }


def _summary(values: Values) -> dict[str, Any]:
    columns = _columns(values)
    means = {name: fmean(column) if column else None for name, column in columns.items()}
    intervals = {name: _interval(column) for name, column in columns.items()}
    return {"pairs": len(values), **means, "zeros": sum(g == 0 for _, g, _ in values), "ci": intervals}


def _average(summaries: Mapping[str, Mapping[str, Any]], metrics: tuple[str, ...]) -> dict[str, Any]:
    there = [summary for summary in summaries.values() if summary["pairs"]]
    whole = len(there) == len(summaries)
    means = {name: fmean([s[name] for s in there]) if whole else None for name in metrics}
    halves = {
        name: math.sqrt(sum(((s["ci"][name][1] - s["ci"][name][0]) / 2) ** 2 for s in there)) / len(there)
        if whole and all(s["ci"][name] for s in there)
        else None
        for name in metrics
    }
    intervals = {
        name: None if half is None else [max(means[name] - half, 0.0), min(means[name] + half, 1.0)]
        for name, half in halves.items()
    }
    return {"pairs": sum(s["pairs"] for s in there), **means, "ci": intervals, "subtasks": len(summaries)}


def _reading(values: Mapping[str, Values]) -> dict[str, Any]:
    summaries = {name: _summary(column) for name, column in values.items()}
    average = _average(summaries, METRICS) | {"zeros": sum(s["zeros"] for s in summaries.values())}
    weighted = _summary([pair for column in values.values() for pair in column])
    return {"subtasks": summaries, "average": average, "pair_weighted": weighted}


def _histogram(column: list[float]) -> list[int]:
    counts = [0] * (len(BINS) - 1)
    for value in column:
        counts[min(int(value * 20), 19)] += 1
    return counts


def _contrast(values: Mapping[str, Values], rng: random.Random) -> dict[str, Any]:
    names = ("text", "image", "group", "margin")
    subtasks = {}
    for name, column in values.items():
        told = {key: [min(max(a + rng.gauss(shift, 0.2), 0), 1) for a, _, _ in column] for key, shift in
                (("text", 0.05), ("image", 0.0), ("group", -0.12), ("margin", -0.3))}  # fmt: skip
        subtasks[name] = {
            "pairs": len(column),
            **{key: fmean(told[key]) if column else None for key in names},
            "ci": {key: _interval(told[key]) for key in names},
        }
    average = _average(subtasks, names)
    del average["subtasks"]
    return {"subtasks": subtasks, "average": average, "chance": {"text": 0.25, "image": 0.25, "group": 1 / 6}}


def _prompts(pair: int, subtask: str) -> list[str]:
    shape = ("circle", "square", "cross", "ring")[pair % 4]
    texts = {
        "color": (f"three red {shape}s on a grey wall", f"three blue {shape}s on a grey wall"),
        "counting": (f"two {shape}s above a long white line", f"five {shape}s above a long white line"),
    }
    return list(
        texts.get(subtask, (f"a {shape} to the left of a lamp, at dusk", f"a {shape} to the right of a lamp, at dusk"))
    )


def _worst(values: Mapping[str, Values], *, prompts_public: bool) -> list[dict[str, Any]]:
    flat = [(subtask, a, g) for subtask, column in values.items() for a, g, _ in column]
    worst = sorted(enumerate(flat), key=lambda item: (item[1][2], item[0]))[:10]
    return [
        {
            "pair": pair,
            "pair_id": f"{subtask}-{pair:04d}",
            "subtask": subtask,
            "a": a,
            "g": g,
            "gap": a - g,
            "prompts": _prompts(pair, subtask) if prompts_public else None,
            "prompt_sha256": [hashlib.sha256(p.encode()).hexdigest() for p in _prompts(pair, subtask)],
        }
        for pair, (subtask, a, g) in worst
    ]


def _coverage(values: Mapping[str, Values]) -> dict[str, Any]:
    by_subtask = {name: {"images": 4 * len(v), "scored": 4 * len(v), "unscored": 0} for name, v in values.items()}
    images = sum(counts["images"] for counts in by_subtask.values())
    fraction = 1.0 if images else None
    return {
        "images": images,
        "scored": images,
        "unscored": 0,
        "fraction": fraction,
        "by_subtask": by_subtask,
        "reasons": [],
    }


def build(
    subtasks: Mapping[str, tuple[int, float]] = OFFICIAL,
    *,
    seed: int = 0,
    contrast: bool = True,
    prompts_public: bool = True,
) -> dict[str, Any]:
    """A report over simulated pairs: `subtasks` maps a name to (pairs, mean score)."""
    rng = random.Random(seed)
    values = {name: [_pair(rng, level) for _ in range(pairs)] for name, (pairs, level) in subtasks.items()}
    reading = _reading(values)
    pairs = sum(len(column) for column in values.values())
    return {
        "schema": "paircomp-report/1",
        "paircomp_version": "0.1.0",
        "notices": [],
        "suite": {
            "name": "paircomp",
            "digest": hashlib.sha256(b"suite").hexdigest(),
            "pairs": pairs,
            "selected_pairs": pairs,
            "partial": False,
            "samples": 2,
            "prompts_public": prompts_public,
            "source": "https://github.com/wendell0218/FocusDiff",
        },
        "generator": {
            "model": "janus-focusdiff-7b",
            "adapter": "janus",
            "checkpoint": "wendell0218/Janus-FocusDiff-7B",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "recipe": {"guidance_scale": 5.0, "temperature": 1.0, "dtype": "bfloat16"},
            "seed": 0,
            "supports_seeds": True,
            "trained_with_judge": "internvl2.5-26b",
        },
        "judge": {
            "name": "internvl2.5-8b-exact",
            "identity": {
                "weights": "OpenGVLab/InternVL2_5-8B",
                "question": 'Does this image match the description "{p}"?',
            },
        },
        "unscored_reading": "exclude",
        "interval": {"level": 0.95, "method": "studentised bootstrap over pairs", "draws": 10000, "seed": 0},
        **reading,
        "readings": {"exclude": reading, "zero": reading},
        "coverage": _coverage(values),
        "contrast": _contrast(values, rng) if contrast else None,
        "distribution": {
            "bins": BINS,
            "subtasks": {
                name: {"a": _histogram([a for a, _, _ in v]), "g": _histogram([g for _, g, _ in v])}
                for name, v in values.items()
            },
        },
        "worst_pairs": _worst(values, prompts_public=prompts_public),
    }


def partial() -> dict[str, Any]:
    """Two pairs a subtask, of 550."""
    report = build({name: (2, level) for name, (_, level) in OFFICIAL.items()})
    report["suite"] |= {"pairs": 550, "partial": True}
    report["notices"] = ["PARTIAL: 12 of 550 pairs"]
    return report


def one_subtask() -> dict[str, Any]:
    """Six pairs of one subtask, of a suite of six subtasks."""
    report = build({"color": (6, 0.9)})
    report["suite"] |= {"pairs": 550, "partial": True, "subtasks": 6}
    report["notices"] = ["PARTIAL: 6 of 550 pairs"]
    return report


def low_coverage() -> dict[str, Any]:
    """Images without scores, for two reasons; the two readings differ."""
    report = build()
    counts = report["coverage"]["by_subtask"]["text"]
    counts |= {"scored": counts["images"] - 66, "unscored": 66}
    report["coverage"] |= {
        "scored": report["coverage"]["images"] - 66,
        "unscored": 66,
        "fraction": 1 - 66 / report["coverage"]["images"],
        "reasons": [
            {"reason": "refused: content policy", "count": 60, "first": "500_0_1.png"},
            {"reason": "unreadable: truncated PNG", "count": 6, "first": "511_1_0.png"},
        ],
    }
    report["readings"]["zero"] = build(seed=0, subtasks=OFFICIAL | {"text": (50, 0.30)})["readings"]["zero"]
    report["notices"] = ["COVERAGE 97.0% (below 98%): 66 of 2200 images unscored"]
    return report


def zero_pairs() -> dict[str, Any]:
    """A subtask no pair of which could be scored, and one with a single pair (no interval)."""
    report = build(OFFICIAL | {"text": (0, 0.5), "color": (1, 0.9)})
    report["coverage"]["by_subtask"]["text"] |= {"images": 200, "unscored": 200}
    report["coverage"] |= {"images": report["coverage"]["images"] + 200, "unscored": 200}
    report["coverage"]["fraction"] = report["coverage"]["scored"] / report["coverage"]["images"]
    report["coverage"]["reasons"] = [{"reason": "judge: out of memory", "count": 200, "first": "500_0_0.png"}]
    report["notices"] = ["COVERAGE 90.0% (below 98%): 200 of 2004 images unscored"]
    return report


def nothing() -> dict[str, Any]:
    """A run in which nothing could be scored."""
    report = build({name: (0, level) for name, (_, level) in OFFICIAL.items()})
    report["suite"] |= {"pairs": 550, "selected_pairs": 550}
    report["notices"] = ["COVERAGE 0.0% (below 98%): nothing scored"]
    return report


def twelve_subtasks() -> dict[str, Any]:
    """Twelve subtasks of a suite of one's own."""
    names = [f"relation {i:02d} between parts" if i % 3 else f"attribute_{i:02d}" for i in range(12)]
    report = build({name: (20 + 3 * i, 0.3 + 0.05 * i) for i, name in enumerate(names)}, contrast=False)
    report["suite"]["name"] = "my-suite"
    return report


def hostile() -> dict[str, Any]:
    """Markup, escapes and control characters wherever a string may come from outside."""
    report = build(OFFICIAL | {HOSTILE: (12, 0.5), "=1+1": (5, 0.7)})
    report["notices"] = [HOSTILE]
    report["suite"] |= {"name": HOSTILE, "source": HOSTILE}
    report["generator"] |= {"model": HOSTILE, "checkpoint": HOSTILE, "recipe": {HOSTILE: [HOSTILE, {HOSTILE: 1}]}}
    report["judge"] = {"name": HOSTILE, "identity": {HOSTILE: HOSTILE}}
    report["coverage"]["reasons"] = [{"reason": HOSTILE, "count": 1, "first": HOSTILE}]
    report["worst_pairs"][0] |= {"pair_id": HOSTILE, "prompts": [HOSTILE, HOSTILE + " more"]}
    return report


EXAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "full": build,
    "private": lambda: build(prompts_public=False),
    "no_contrast": lambda: build(contrast=False),
    "partial": partial,
    "one_subtask": one_subtask,
    "low_coverage": low_coverage,
    "zero_pairs": zero_pairs,
    "nothing": nothing,
    "twelve_subtasks": twelve_subtasks,
    "hostile": hostile,
}
