"""How fast the leaderboard's gallery opens: 550 pairs of two models side by side, in headless Chromium.

    python benchmarks/gallery.py [--quick] [--json]

Needs the extra ``dev`` and a Chromium (Debian: ``apt-get install chromium``). Prints the time from opening the page to
its first painted card and to the last of its 550 cards, how many of the 4,400 pictures were loaded by then, and the
median and worst time between two frames while scrolling through all of it.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import paircomp
from paircomp_leaderboard.boards import make_boards
from paircomp_leaderboard.entries import Entry, read_entry
from paircomp_leaderboard.recording import add_entry
from paircomp_leaderboard.site import build_site

_SCROLL = """() => new Promise((resolve) => {
  const gaps = []; let last = performance.now(), place = 0;
  const step = (now) => {
    gaps.push(now - last); last = now; place += 400;
    window.scrollTo(0, place);
    if (place < document.body.scrollHeight) requestAnimationFrame(step); else resolve(gaps.slice(2));
  };
  requestAnimationFrame(step);
})"""


def entry_of_size(folder: Path, name: str, mistakes: float, pairs: int, drawn: int) -> Entry:
    """A measured entry whose pairs are repeated until there are `pairs`."""
    run = paircomp.evaluate("sketch", "shapes", limit=drawn, out=folder / "runs" / name, options={"mistakes": mistakes})
    entry = read_entry(add_entry(run, folder / "entries", label=name).path or folder)
    said: dict[str, Any] = json.loads(json.dumps(entry.said))
    said["suite"]["pairs"] = said["report"]["suite"]["pairs"] = pairs
    target = folder / "grown" / entry.name
    (target / "thumbnails").mkdir(parents=True)
    lines = []
    for number in range(pairs):
        old = entry.pairs[number % len(entry.pairs)]
        lines.append({**old, "pair": number, "pair_id": f"pair-{number}"})
        for place in ("0_0", "0_1", "1_0", "1_1"):
            source = folder / "entries" / entry.name / "thumbnails" / f"{old['pair']}_{place}.webp"
            shutil.copyfile(source, target / "thumbnails" / f"{number}_{place}.webp")
    return Entry(entry.name, said, lines, target)


def measure(address: str, pairs: int) -> dict[str, float]:
    """Open the page once and scroll through it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".cards.two .card img")
        first = time.perf_counter() - started
        page.wait_for_function("n => document.querySelectorAll('.card').length === n", arg=pairs)
        every = time.perf_counter() - started
        loaded = page.evaluate("[...document.images].filter((image) => image.naturalWidth).length")
        gaps = page.evaluate(_SCROLL)
        browser.close()
    return {"first_card_s": first, "every_card_s": every, "pictures_loaded": loaded,
            "frame_ms_median": statistics.median(gaps), "frame_ms_worst": max(gaps)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="draw fewer different pairs; the page has as many")
    parser.add_argument("--json", action="store_true", help="print the object alone")
    given = parser.parse_args()
    pairs = 550
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = [entry_of_size(folder, label, rate, pairs, 24 if given.quick else 240)
                   for label, rate in (("plain", 0.4), ("careful", 0.05))]  # fmt: skip
        started = time.perf_counter()
        pages = build_site(make_boards(entries), folder / "site")
        built = time.perf_counter() - started
        opened = measure(f"{pages[1].as_uri()}#with={entries[1 - (entries[0].name != pages[1].stem)].name}", pairs)
    result = {"pairs": pairs, "models": 2, "build_s": built, **opened, "within_2_s": opened["first_card_s"] <= 2,
              "versions": {"paircomp": paircomp.__version__, "python": platform.python_version()},
              "machine": platform.machine()}  # fmt: skip
    if not given.json:
        sys.stderr.write(f"first card after {opened['first_card_s']:.2f} s, all after {opened['every_card_s']:.2f} s\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
