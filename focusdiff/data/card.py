"""The data card: what is in the folder, where it came from, and the funnel that led there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from focusdiff.data.card_making import CREDITS, how_records_pass, origin_and_guard
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
    parts = (_front_matter(report), _opening(report), _funnel(report), _reasons(report), how_records_pass(report),
             _subtasks(report), _columns(), _reading(), origin_and_guard(report), _limits(report),
             _citation(report))  # fmt: skip
    return "\n".join("\n".join(lines) + "\n" for part in parts if (lines := tuple(part)))


def _front_matter(report: Mapping[str, Any]) -> Iterator[str]:
    licences = {_HUB_LICENCES.get(name, "other") for name in report["licences"]}
    yield "---"
    yield f"pretty_name: Prompt-image pairs from {report['source']}"
    yield f"license: {licences.pop() if len(licences) == 1 else 'other'}"
    yield "task_categories: [text-to-image]"
    if report["source"] in CREDITS:  # of other sources the language is not known
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
    share = 100 * report["pairs"] / max(1, report["records"])
    yield (
        "Each record holds two prompts that differ in a few words and two images, of which each shows its own prompt "
        "and not the other (FocusDiff-Data, arXiv 2506.05501, section 3.1 and appendix B). Made by "
        f"`focusdiff data build` ({report['made_by']}) from {report['records']:,} image edits, of which {share:.1f} % "
        f"were kept. With repeats for balance, an epoch has {report['rows']:,} rows."
    )
    for name in report["guard"]["missing"]:
        yield ""
        yield (f"> **The contamination guard did not run against the suite `{name}`**, which was not at hand when the "
               "data was built: its prompts may be among these.")  # fmt: skip


def _funnel(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## The funnel"
    yield ""
    yield "| stage | entered | left | of the source | dropped | undecided |"
    yield "|---|---:|---:|---:|---:|---:|"
    yield f"| source `{report['source']}` | | {report['records']:,} | 100.0 % | | |"
    for stage in report["stages"]:
        dropped = sum(stage["reasons"].values())
        share = 100 * stage["left"] / max(1, report["records"])
        yield (f"| {_NAMES[stage['stage']]} | {stage['entered']:,} | {stage['left']:,} | {share:.1f} % | {dropped:,} | "
               f"{stage['undecided']:,} |")  # fmt: skip
    yield ""
    yield _regenerated(report)
    if any(stage["undecided"] for stage in report["stages"]):
        yield "Undecided records could not be judged, for instance by a server that was away; they are not in the data."
    if report["open"]:
        yield f"{report['open']:,} records have not been through all stages yet."


def _regenerated(report: Mapping[str, Any]) -> str:
    if not report["regenerated"]:
        return "No record needed a second pair of captions."
    return (f"{report['regenerated']:,} records had their captions written a second time after the first failed; "
            f"{report['rescued']:,} of them were kept.")  # fmt: skip


def _reasons(report: Mapping[str, Any]) -> Iterator[str]:
    named = [(_NAMES[stage["stage"]], stage["reasons"]) for stage in report["stages"]]
    named.append(("unpaired prompts", report.get("unpaired_prompts", {}).get("reasons", {})))
    lines = [
        f"| {name} | {_cell(reason)} | {count:,} |" for name, reasons in named for reason, count in reasons.items()
    ]
    if lines:
        yield from ("### Why records were dropped", "", "| stage | reason | records |", "|---|---|---:|", *lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _subtasks(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Subtasks"
    yield ""
    yield (
        "A pair belongs to the subtask of the words that tell its prompts apart, else to that of the source's kind of "
        f"edit. Pairs of rare subtasks are repeated, at most {report['most_repeats']} times; the column `repeats` says "
        "how often, and no image is stored twice for it."
    )
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
        "from datasets import load_dataset",
        "from focusdiff.data.pairs import read_pairs",
        "",
        'rows = load_dataset("this/folder", split="train")',
        'pairs = read_pairs("this/folder")   # repeats expanded; pairs[0].prompts, pairs[0].load_images()',
        "```",
        "",
        "`focusdiff sft` and `focusdiff rl` take the folder as it is. `trainer/pairs.json`, where written, is in "
        "the published trainer's own format, with image paths relative to its folder. `build/` holds the verdicts of "
        "every record and needs no upload.",
    )


def _limits(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "- Every verdict is that of the judges above; no person has looked at the records. A model that trains on them "
        "should also be evaluated by a judge of another family than these."
    )
    yield "- A repeated row is no further evidence, and the shares of subtasks are chosen, not those of the source."
    spoilt = report["identity"].get("source", {}).get("spoilt")
    if spoilt is not None:
        yield (
            "- The images are renders of the embedded world of `paircomp`, of use for testing methods and not for "
            f"training on photographs. {100 * spoilt:g} % of the edits were spoilt on purpose, so that the stages have "
            "something to find; no stage is told which."
        )


def _citation(report: Mapping[str, Any]) -> Iterator[str]:
    yield "## Citation"
    yield ""
    yield "- The method: FocusDiff (arXiv 2506.05501). Its own pipeline was not published; this one follows its text."
    if credit := CREDITS.get(report["source"]):
        yield f"- The images: {credit}."
