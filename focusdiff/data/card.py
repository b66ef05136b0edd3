"""The data card: what is in the folder, where it came from, and the funnel that led there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from focusdiff.data.dataset import COLUMNS
from paircomp.runtime.files import write_atomically

__all__ = ["card_text", "write_card"]

_HUB_LICENCES = {"CC-BY-4.0": "cc-by-4.0", "Apache-2.0": "apache-2.0", "MIT": "mit"}
_NAMES = {"screen": "screen", "caption": "caption", "verify": "verify", "contamination": "contamination guard",
          "duplicates": "duplicates"}  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(path: Path, report: Mapping[str, Any]) -> None:
    """Write ``README.md`` as the hub shows it."""
    write_atomically(path / "README.md", card_text(report).encode())


def card_text(report: Mapping[str, Any]) -> str:
    """The card of a build.

    Args:
        report: what ``funnel.json`` holds.
    """
    parts = (_front_matter(report), _opening(report), _funnel(report), _reasons(report), _subtasks(report),
             _columns(), _reading(), _origin(report))  # fmt: skip
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _front_matter(report: Mapping[str, Any]) -> Iterator[str]:
    licences = {_HUB_LICENCES.get(name, "other") for name in report["licences"]}
    yield "---"
    yield f"license: {licences.pop() if len(licences) == 1 else 'other'}"
    yield "task_categories: [text-to-image]"
    yield "language: [en]"
    yield "tags: [focusdiff, image-pairs, paired-prompts]"
    yield f"size_categories: [{next((name for most, name in _SIZES if report['pairs'] < most), '1M<n<10M')}]"
    yield "configs:"
    yield "- config_name: default"
    yield "  data_files: [{split: train, path: data/train-*.parquet}]"
    yield "---"


def _opening(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {report['pairs']:,} prompt-image pairs from `{report['source']}`"
    yield ""
    yield (
        "Each record holds two prompts that differ in a few words and two images, of which each shows its own prompt "
        "and not the other (FocusDiff-Data, arXiv 2506.05501, section 3.1). Made with `focusdiff data build` from an "
        f"image-editing data set. With repeats for balance, an epoch has {report['rows']:,} rows."
    )
    for name, why in report["guard"]["missing"].items():
        yield ""
        yield f"> **The contamination guard could not run against the suite `{name}`**: {why}"


def _funnel(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## The funnel"
    yield ""
    yield "| stage | entered | left | dropped | undecided |"
    yield "|---|---:|---:|---:|---:|"
    yield f"| source `{report['source']}` | | {report['records']:,} | | |"
    for stage in report["stages"]:
        dropped = sum(stage["reasons"].values())
        yield (f"| {_NAMES[stage['stage']]} | {stage['entered']:,} | {stage['left']:,} | {dropped:,} | "
               f"{stage['undecided']:,} |")  # fmt: skip
    yield ""
    yield (f"{report['regenerated']:,} records had their captions written a second time after the first failed; "
           f"{report['rescued']:,} of them were kept.")  # fmt: skip
    if report["open"]:
        yield f"{report['open']:,} records have not been through all stages yet."


def _reasons(report: Mapping[str, Any]) -> Iterator[str]:
    yield "### Why records were dropped"
    yield ""
    yield "| stage | reason | records |"
    yield "|---|---|---:|"
    for stage in report["stages"]:
        for reason, count in stage["reasons"].items():
            yield f"| {_NAMES[stage['stage']]} | {_cell(reason)} | {count:,} |"
    for reason, count in report.get("unpaired_prompts", {}).get("reasons", {}).items():
        yield f"| unpaired prompts | {_cell(reason)} | {count:,} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _subtasks(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Subtasks"
    yield ""
    yield "| subtask | pairs | rows with repeats | share of rows | wanted |"
    yield "|---|---:|---:|---:|---:|"
    for name, said in report["subtasks"].items():
        wanted = "" if said["wanted"] is None else f"{100 * said['wanted']:.1f} %"
        yield f"| {name} | {said['pairs']:,} | {said['rows']:,} | {100 * said['share']:.1f} % | {wanted} |"


def _columns() -> Iterator[str]:
    yield "## Columns"
    yield ""
    yield "| column | holds |"
    yield "|---|---|"
    for name, holds in COLUMNS.items():
        yield f"| `{name}` | {holds} |"


def _reading() -> Sequence[str]:
    return (
        "## Reading",
        "",
        "```python",
        "from focusdiff.data.pairs import read_pairs",
        "",
        'pairs = read_pairs("this/folder")   # repeats expanded; pairs[0].prompts, pairs[0].load_images()',
        "```",
        "",
        "`focusdiff sft` and `focusdiff rl` take the folder as it is. `trainer/pairs.json`, where written, is in "
        "the published trainer's own format, with image paths relative to its folder. `build/` holds the verdicts of "
        "every record and needs no upload.",
    )


def _origin(report: Mapping[str, Any]) -> Iterator[str]:
    guard = report["guard"]
    yield "## Origin, licence, contamination"
    yield ""
    for name, count in report["licences"].items():
        yield f"- {count:,} pairs under {name}; the columns `source`, `origin` and `licence` say it per record."
    near = f"shares {guard['ngram']} words in a row with, or is within {100 * guard['edits']:g} % of word edits of,"
    yield (f"- No prompt {near} a prompt of: {', '.join(guard['suites'])}. The embedded suites `shapes` and "
           "`shapes-dev` are guarded by the picture that a prompt asks for.")  # fmt: skip
    yield "- What answered the questions:"
    yield ""
    yield "```json"
    yield json.dumps(report["identity"], indent=1, ensure_ascii=False)
    yield "```"
