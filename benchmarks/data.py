"""FocusDiff-Data on the embedded world, whose truth is known: what is kept, how fast, in how much memory, if killed.

    python benchmarks/data.py [--quick] [--json] [--part quality|speed|memory|kills] [--verifier pixels|internvl-tiny]

Precision and recall are those of the verdicts: a record is rightly kept when its edit was not spoilt and its captions
say what was drawn, by the scenes that were drawn and not by any judge. `verify alone` lets every record through the
screening and takes the source's captions, which speak of the edit that was asked for, not of the one that is shown.
`pairs_over_kept` is what guard and duplicates leave of the kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from focusdiff.data.building import BuildFolder
from focusdiff.data.ledger import Outcome, outcome_of
from focusdiff.data.records import BLOCK
from focusdiff.data.shapes.source import draw_edit
from paircomp.runtime.machine import package_versions, this_machine
from paircomp.shapes import Dice, Groups, Relation, Scene, canonical, parse_prompt
from paircomp.shapes.scene import Sign, things

COMMAND = [sys.executable, "-c", "from focusdiff.commands import main; main()", "data", "build", "--source", "shapes"]
ALONE = ("--screener", "none", "--captioner", "source-captions")
SPOILT = 0.3


def build(out: Path, records: int, *options: str, check: bool = True) -> tuple[float, float]:
    """Seconds, and the largest memory of any process so far in MB."""
    started = time.perf_counter()
    command = [*COMMAND, "--out", str(out), "-o", f"source.records={records}", "--guard", "shapes", "--json", *options]
    subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spent = time.perf_counter() - started
    return spent, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def says(caption: str, drawn: Scene) -> bool:
    """Whether a caption is true of what was drawn."""
    said = parse_prompt(caption)
    if said.background != drawn.background or isinstance(said, Sign) != isinstance(drawn, Sign):
        return False
    if isinstance(said, Relation) and isinstance(drawn, Relation):
        return canonical(said) == canonical(drawn)
    if isinstance(said, Sign):
        return said == drawn
    return counted(said) == counted(drawn)


def counted(scene: Scene) -> Counter[Any]:
    if isinstance(scene, Groups):
        return Counter({group.thing: group.count for group in scene.groups})
    return Counter(things(scene))


def quality(folder: Path, records: int, *options: str) -> dict[str, Any]:
    """Precision and recall of the verdicts, and how many of each kind of spoilt edits were kept."""
    seconds, _ = build(folder, records, *options)
    kept: Counter[str] = Counter()
    every: Counter[str] = Counter()
    right = 0
    for position in range(records):
        edit = draw_edit(Dice(f"focusdiff-data 0 {position}"), spoilt=SPOILT)
        every[edit.spoilt or "sound"] += 1
        if position % BLOCK == 0:
            ledger = BuildFolder(folder).ledger(position // BLOCK)
        fate = outcome_of(ledger.said_of(position))
        if fate.outcome is Outcome.KEPT and fate.captions is not None:
            kept[edit.spoilt or "sound"] += 1
            true = says(fate.captions[0], edit.before) and says(fate.captions[1], edit.shown)
            right += true and not edit.spoilt
    pairs = json.loads((folder / "funnel.json").read_text())["pairs"]
    return {"records": records, "precision": right / max(1, kept.total()), "recall": right / every["sound"],
            "pairs_over_kept": pairs / max(1, kept.total()), "kept": dict(kept), "of": dict(every),
            "seconds": seconds}  # fmt: skip


def speed(folder: Path, records: int) -> dict[str, Any]:
    """Records a second with one and two workers, start-up left out by taking the difference of two sizes."""
    few = records // 4
    rates = {}
    for workers in (1, 2):
        short, _ = build(folder / f"{workers}-few", few, "--workers", str(workers), "--no-trainer-json")
        long, _ = build(folder / f"{workers}-all", records, "--workers", str(workers), "--no-trainer-json")
        rates[workers] = (records - few) / (long - short)
    return {"records": records, "per_second_1": rates[1], "per_second_2": rates[2],
            "two_workers_over_one": rates[2] / rates[1]}  # fmt: skip


def memory(folder: Path, sizes: tuple[int, ...]) -> dict[str, Any]:
    """The largest process of a whole build by number of records."""
    said: dict[str, Any] = {}
    for size in sizes:  # ascending: the counter knows a maximum only
        seconds, megabytes = build(folder / str(size), size, "--workers", "2", "--no-trainer-json")
        said[str(size)] = {"mb": megabytes, "seconds": seconds}
    first, last = (said[str(size)]["mb"] for size in (sizes[0], sizes[-1]))
    return {**said, "largest_over_smallest": last / first, "added_bytes_per_record": (last - first) * 2**20 / sizes[-1]}


def kills(folder: Path, records: int, times: int, workers: int) -> dict[str, Any]:
    """Kill a build at random moments until it was killed so often; the data at the end against an unbroken build's."""
    whole, _ = build(folder / "whole", records, "--workers", str(workers))
    moments, killed = random.Random(7), 0  # noqa: S311 - moments, not keys
    options = ["--out", str(folder / "killed"), "-o", f"source.records={records}", "--guard", "shapes",
               "--workers", str(workers)]  # fmt: skip
    while killed < times:
        process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=whole * moments.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    build(folder / "killed", records, "--workers", str(workers))
    same = contents(folder / "whole") == contents(folder / "killed")
    return {"records": records, "workers": workers, "kills": killed, "same": same}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "build" not in path.relative_to(folder).parts
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true", help="nothing but the object")
    parser.add_argument("--part", action="append", choices=["quality", "speed", "memory", "kills"])
    parser.add_argument("--verifier", action="append", choices=["pixels", "internvl-tiny"], help="of the part quality")
    given = parser.parse_args()
    parts = given.part or ["quality", "speed", "memory", "kills"]
    quick = given.quick
    said: dict[str, Any] = {"versions": package_versions(), "machine": this_machine().to_json(), "spoilt": SPOILT}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if "memory" in parts:  # first, because it reads a maximum
            said["memory"] = memory(folder / "memory", (500, 2_000) if quick else (10_000, 100_000))
        if "quality" in parts:
            sizes = {"pixels": 300 if quick else 10_000, "internvl-tiny": 100 if quick else 2_000}
            for name in given.verifier or sizes:
                options = ("--verifier", name, "--device", "cpu")
                said[name] = quality(folder / name, sizes[name], *options)
                said[f"{name}, verify alone"] = quality(folder / f"{name}-alone", sizes[name], *options, *ALONE)
        if "speed" in parts:
            said["speed"] = speed(folder / "speed", 1_000 if quick else 8_000)
        if "kills" in parts:
            size, times = (200, 3) if quick else (1_000, 20)
            said["kills"] = [kills(folder / f"kills-{workers}", size, times, workers) for workers in (1, 2)]
    if not given.json:
        for name, value in said.items():
            print(f"{name}: {value}")
    print(json.dumps(said))


if __name__ == "__main__":
    main()
