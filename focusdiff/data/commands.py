"""``focusdiff data``: build a data set of verified pairs, look at it, see where records went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from focusdiff.data.hygiene import Hygiene
    from focusdiff.data.recipe import Recipe
    from focusdiff.data.records import Source
    from focusdiff.data.stages import BlockCount
    from paircomp.plugins import Registry

__all__ = ["data_group"]

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SHAPES = ("pixel-difference", "grammar", "pixels")
_ELSEWHERE = ("internvl2.5-26b-edit", "source-captions", "internvl2.5-8b")


@click.group("data", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def data_group() -> None:
    """Pairs of prompts and images from image-editing data, screened, captioned and verified.

    \b
      focusdiff data build --source shapes --out pairs     the embedded world: no weights, no downloads
      focusdiff data inspect pairs                         how many records left each stage, and why
      focusdiff data view pairs                            a page that shows the pairs side by side
    """


@data_group.command("build")
@click.option(
    "--source",
    "given",
    required=True,
    metavar="SOURCE",
    help="shapes, ultraedit[:PATH], anyedit[:PATH], or a .json, .jsonl or .parquet file or folder.",
)
@click.option("--out", required=True, type=_FOLDER, metavar="DIR", help="The dataset folder; run again to resume.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N records; a larger N later continues."
)
@click.option(
    "--screener", metavar="NAME", help="A judge that looks at two images, 'pixel-difference' (shapes) or 'none'."
)
@click.option(
    "--captioner",
    metavar="NAME",
    help="Who writes the captions: grammar (shapes), source-captions, caption-server, image-text-captions.",
)
@click.option(
    "--structure",
    type=click.Choice(["token-edit", "language-model"]),
    default="token-edit",
    show_default=True,
    help="Who says whether two captions are alike in structure.",
)
@click.option("--verifier", metavar="NAME", help="The judge that holds captions against images.")
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="PART.KEY=VALUE",
    help="Option of a part: source, screener, captioner, structure, verifier; KEY 'checkpoint' names weights.",
)
@click.option(
    "--until",
    type=click.Choice(["screen", "caption", "verify"]),
    default="verify",
    show_default=True,
    help="The last stage to do now, for machines that hold one model at a time.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least score of a screening question that is a yes.",
)
@click.option(
    "--aligned",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least score of a caption on its own image.",
)
@click.option(
    "--unaligned",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="A caption stays below this score on the other image.",
)
@click.option(
    "--shares",
    default="equal",
    show_default=True,
    metavar="SHARES",
    help="Wanted shares of the subtasks: equal, as-is, or color=0.2,counting=0.3,…",
)
@click.option(
    "--most-repeats",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="No pair is repeated more often for the sake of its subtask's share.",
)
@click.option(
    "--guard",
    "guards",
    multiple=True,
    default=("paircomp",),
    show_default=True,
    metavar="SUITE|FILE",
    help="No prompt may lie close to one of this suite; the embedded ones are always guarded. May be repeated.",
)
@click.option(
    "--guard-ngram",
    type=click.IntRange(min=3),
    default=8,
    show_default=True,
    help="Words in a row that no prompt may share with a guarded one.",
)
@click.option(
    "--guard-edits",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of words: a prompt within so many word edits of a guarded one is close to it.",
)
@click.option(
    "--duplicate-bits",
    type=click.IntRange(0, 192),
    default=4,
    show_default=True,
    help="Image hashes that differ in at most so many of 192 bits are those of one image.",
)
@click.option("--keep-duplicates", is_flag=True, help="Leave duplicates in.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Unpaired prompts, one a line, that go through the guard into prompts.txt.",
)
@click.option(
    "--trainer-json/--no-trainer-json",
    default=True,
    help="Also write trainer/pairs.json and image files for the published trainer.  [default: write]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; each opens the parts for itself.",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Largest batch.  [default: found]")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A Python file with more judges, captioners or suites.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the funnel as one JSON object and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def build_command(**given: Any) -> None:  # fmt: skip
    """Build a dataset folder of verified pairs; run the same command again to resume.

    Every verdict is kept as it is given, so nothing is asked twice. What comes after the verdicts (shares, guard,
    duplicates) is done anew each time and may be changed freely.
    """
    from focusdiff.data.building import BuildFolder
    from focusdiff.data.finishing import finish
    from focusdiff.data.sources import limited, open_source
    from paircomp.plugins import Registry

    registry = Registry(given["plugins"])
    options = _options_by_part(given["options"])
    whole = open_source(given["given"], options.pop("source", {}))
    source = limited(whole, given["limit"])
    recipe = _recipe(given, options, shapes=whole.name == "shapes")
    recipe.check(registry)
    hygiene = _hygiene(given, registry)
    folder = BuildFolder(given["out"])
    with folder.lock():
        folder.begin(source, recipe, registry)
        blocks = _take(folder, source, recipe, given)
        if given["until"] != "verify":
            click.echo(f"Done up to {given['until']}; next: the same command without --until", err=True)
            return
        report = finish(folder, source, blocks, hygiene)
    _tell(report, given["out"], as_json=given["as_json"])


def _options_by_part(words: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """``PART.KEY=VALUE`` words by part."""
    from focusdiff.data.recipe import PARTS
    from paircomp.errors import ConfigError
    from paircomp.runtime.capabilities import parse_options

    options: dict[str, dict[str, Any]] = {}
    faults = []
    for key, value in parse_options(words, where="option -o").items():
        part, separator, name = key.partition(".")
        if not separator or part not in ("source", *PARTS):
            faults.append(f"{key}: expected PART.KEY=VALUE with a part of source, {', '.join(PARTS)}")
        else:
            options.setdefault(part, {})[name] = value
    if faults:
        raise ConfigError(faults, where="option -o")
    return options


def _recipe(given: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], *, shapes: bool) -> Recipe:
    from focusdiff.data.recipe import Recipe

    screener, captioner, verifier = _SHAPES if shapes else _ELSEWHERE
    return Recipe(
        screener=given["screener"] or screener, captioner=given["captioner"] or captioner,
        verifier=given["verifier"] or verifier, structure=given["structure"], options=options,
        threshold=given["threshold"], aligned=given["aligned"], unaligned=given["unaligned"],
        device=given["device"], batch_size=given["batch_size"], plugins=tuple(given["plugins"]),
    )  # fmt: skip


def _hygiene(given: Mapping[str, Any], registry: Registry) -> Hygiene:
    from focusdiff.data.balance import Balance, parse_shares
    from focusdiff.data.contamination import open_guard
    from focusdiff.data.hygiene import Hygiene
    from focusdiff.data.pairs import read_prompts

    if given["prompts"] is not None:
        read_prompts(given["prompts"])  # a file that cannot be read is told before the work, not after it
    guard = open_guard(registry, suites=given["guards"], ngram=given["guard_ngram"], edits=given["guard_edits"])
    for name, why in guard.missing.items():
        click.echo(f"Warning: the contamination guard cannot run against suite {name!r}: {why}", err=True)
    return Hygiene(
        guard, Balance(parse_shares(given["shares"]), given["most_repeats"]), duplicate_bits=given["duplicate_bits"],
        prompts=given["prompts"], trainer_json=given["trainer_json"], keep_duplicates=given["keep_duplicates"],
    )  # fmt: skip


def _take(folder: Any, source: Source, recipe: Recipe, given: Mapping[str, Any]) -> list[BlockCount]:
    """Take the stages, telling now and then how far it is; gives what was done with each block."""
    import time

    from focusdiff.data.building import take_stages
    from focusdiff.data.records import Stage

    started = told = time.monotonic()
    blocks = []
    records = verdicts = torn = 0
    for count in take_stages(folder, source, recipe, until=Stage(given["until"]), workers=given["workers"]):
        blocks.append(count)
        records, verdicts, torn = records + count.size, verdicts + count.verdicts, torn + count.torn
        if time.monotonic() - told > 10:
            told = time.monotonic()
            click.echo(f"build: {records:,} records, {records / (told - started):.1f}/s", err=True)
    said = f"build: {records:,} records, {verdicts:,} new verdicts, {time.monotonic() - started:.1f} s"
    click.echo(f"{said}, {torn} torn lines done again" if torn else said, err=True)
    return blocks


def _tell(report: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    from focusdiff.data.funnel_table import funnel_lines

    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
        return
    click.echo("\n".join(funnel_lines(report)))
    click.echo(f"\n{out}: {report['pairs']:,} pairs, {report['rows']:,} rows with repeats")
    click.echo(f"next: focusdiff data view {out}")


@data_group.command("inspect", short_help="How many records left each stage, and why the others did not.")
@click.argument("path", type=click.Path(path_type=Path, exists=True), metavar="DIR")
@click.option("--record", metavar="PAIR_ID|N", help="Everything that the stages said of one record.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def inspect_command(path: Path, *, record: str | None, as_json: bool, verbose: bool) -> None:
    """Print the funnel of a dataset folder: how many records left each stage, and why the others did not."""
    del verbose
    from focusdiff.data.inspecting import read_funnel, record_verdicts

    if record is not None:
        said = record_verdicts(path, record)
        click.echo(json.dumps(said, ensure_ascii=False, indent=None if as_json else 1))
        return
    _tell(read_funnel(path), path, as_json=as_json)


@data_group.command("view")
@click.argument("path", type=click.Path(path_type=Path, exists=True), metavar="DIR|FILE")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write the page.  [default: DIR/view.html, or beside a file]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=240,
    show_default=True,
    metavar="N",
    help="Pairs on the page, spread over the subtasks.",
)
@click.option("--subtask", "subtasks", multiple=True, metavar="NAME", help="Only this subtask; may be repeated.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
def view_command(path: Path, *, out: Path | None, limit: int, subtasks: tuple[str, ...], verbose: bool) -> None:
    """Write one page that shows pairs side by side, with the words that differ marked."""
    del verbose
    from focusdiff.data.view import write_page

    target = out or (path / "view.html" if path.is_dir() else path.with_suffix(".html"))
    shown = write_page(path, target, limit=limit, subtasks=subtasks)
    click.echo(f"{target}: {shown} pairs; open it in a browser")
