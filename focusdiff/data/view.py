"""A page of a data set that needs nothing else: pairs side by side, the words that differ marked, the funnel above."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.data.inspecting import read_funnel
from focusdiff.data.pairs import PairSequence, TrainingPair, read_pairs
from focusdiff.data.parquet_pairs import open_parquet, parquet_files
from focusdiff.data.view_funnel import funnel_section
from paircomp import __version__
from paircomp.errors import ConfigError, DataError
from paircomp.report.elements import Markup, element, join
from paircomp.report.wording import differing_words, subtask_title
from paircomp.runtime.files import disk_faults, write_atomically
from paircomp.types import Subtask

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["write_page"]

# The browser itself keeps the page from loading, sending or running anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_THUMBNAIL = 320  # pixels; larger pictures are reduced, so that a page of hundreds stays small
_PIXEL_ART = 64  # pixels; smaller pictures are shown with sharp pixels
_DETAILS = ("instruction", "score_1_1", "score_2_2", "score_2_1", "score_1_2", "regenerated", "origin", "licence",
            "repeats")  # fmt: skip


@dataclass(frozen=True)
class _Shown:
    pair: TrainingPair
    said: Mapping[str, Any]


def write_page(path: Path, target: Path, *, limit: int = 240, subtasks: Sequence[str] = ()) -> int:
    """Write the page of a data set.

    Args:
        path: what `focusdiff.data.pairs.read_pairs` reads.
        target: the page.
        limit: pairs on it, spread over the subtasks.
        subtasks: only these; all when empty.

    Returns:
        How many pairs it shows.

    Raises:
        ConfigError: a subtask that no pair has.
        DataError: the data cannot be read.
    """
    pairs = read_pairs(path, repeated=False)
    by_subtask = _by_subtask(pairs)
    if unknown := [name for name in subtasks if name not in by_subtask]:
        known = ", ".join(by_subtask)
        raise ConfigError([f"subtask {name!r}: no pair has it; there are: {known}" for name in unknown])
    chosen = {name: by_subtask[name] for name in (subtasks or by_subtask)}
    details = _details(path)
    sections = {name: _spread(numbers, limit // len(chosen) or 1) for name, numbers in chosen.items()}
    shown = {name: [_Shown(pairs[at], details[at] if details else {}) for at in numbers]
             for name, numbers in sections.items()}  # fmt: skip
    with disk_faults(target):
        write_atomically(
            target, _page(path, len(pairs), shown, {name: len(by_subtask[name]) for name in chosen}).encode()
        )
    return sum(map(len, shown.values()))


def _by_subtask(pairs: PairSequence) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        found[pair.subtask or "pairs"].append(number)
    order = {str(name): place for place, name in enumerate(Subtask)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly from beginning to end."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[place * len(numbers) // most] for place in range(most)]


def _details(path: Path) -> list[dict[str, Any]]:
    """What is known beside prompts and pictures, row by row; empty where the data has no such columns."""
    rows: list[dict[str, Any]] = []
    for file in parquet_files(path) if path.is_dir() or path.suffix == ".parquet" else []:
        opened = open_parquet(file)
        rows += opened.read(columns=[name for name in _DETAILS if name in opened.schema_arrow.names]).to_pylist()
    return rows


def _page(path: Path, count: int, shown: Mapping[str, Sequence[_Shown]], counts: Mapping[str, int]) -> str:
    try:
        funnel: Mapping[str, Any] | None = read_funnel(path)
    except DataError:
        funnel = None  # data of another maker has none
    title = f"{count:,} pairs" + (f" from {funnel['source']}" if funnel else "")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"FocusDiff data: {title}"),
        element("style", Markup(_style())),
    )
    header = element(
        "header",
        element("p", "FocusDiff data", class_="overline"),
        element("h1", title),
        element(
            "p",
            "Each image shows its own prompt and not the other one's; the words that differ are marked.",
            class_="by",
        ),
    )
    main = element(
        "main", header, funnel_section(funnel) if funnel else None, _contents(shown, counts),
        (_section(name, pairs, counts[name]) for name, pairs in shown.items()),
    )  # fmt: skip
    footer = element("footer", element("p", f"Made by focusdiff {__version__} from {path.name}. "
                                            "No script, no connection: this file is the whole page."))  # fmt: skip
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main, footer), lang='en')}\n"


def _style() -> str:
    shared = resources.files("paircomp.report").joinpath("page.css").read_text(encoding="utf-8")
    return shared + resources.files("focusdiff.data").joinpath("view.css").read_text(encoding="utf-8")


def _contents(shown: Mapping[str, Sequence[_Shown]], counts: Mapping[str, int]) -> Markup | None:
    if len(shown) < 2:
        return None
    links = (
        element("li", element("a", subtask_title(name), href=f"#{name}"), f" {counts[name]:,}", class_="muted")
        for name in shown
    )
    return element("nav", element("ul", links), class_="contents", aria_label="Subtasks")


def _section(name: str, pairs: Sequence[_Shown], count: int) -> Markup:
    lead = f"{count:,} pairs" + (f", {len(pairs):,} of them here" if len(pairs) < count else "")
    title = "Pairs" if name == "pairs" else subtask_title(name)
    cards = element("ol", map(_card, pairs), class_="cards")
    return element("section", element("h2", title), element("p", lead, class_="lead"), cards, id=name)


def _card(shown: _Shown) -> Markup:
    pair, said = shown.pair, shown.said
    repeats = said.get("repeats") or 1
    badges = ["second captions"] * bool(said.get("regenerated")) + [f"\u00d7 {repeats}"] * (repeats > 1)
    foot = " · ".join(str(said[name]) for name in ("origin", "licence") if said.get(name))
    return element(
        "li",
        element("div", element("span", pair.pair_id, class_="pair-id"),
                (element("span", badge, class_="badge") for badge in badges), class_="card-head"),
        element("p", said["instruction"], class_="instruction") if said.get("instruction") else None,
        element("div", (_side(pair, side, said) for side in (0, 1)), class_="sides"),
        element("p", foot, class_="origin") if foot else None,
        class_="card",
    )  # fmt: skip


def _side(pair: TrainingPair, side: int, said: Mapping[str, Any]) -> Markup:
    prompt, other = pair.prompts[side], pair.prompts[1 - side]
    wording = (element("mark", piece) if differs else piece for piece, differs in differing_words(prompt, other))
    return element("figure", _picture(pair, side), element("figcaption", wording), _scores(side, said))


def _scores(side: int, said: Mapping[str, Any]) -> Markup | None:
    own, cross = said.get(f"score_{side + 1}_{side + 1}"), said.get(f"score_{2 - side}_{side + 1}")
    if own is None or cross is None:
        return None
    return element("p", join("own ", element("b", f"{own:.2f}"), "  other ", f"{cross:.2f}"), class_="scores",
                   title="the verifier's score of this image with its own prompt, and with the other one")  # fmt: skip


def _picture(pair: TrainingPair, side: int) -> Markup:
    image = pair.images[side]
    if image is None:
        return element("div", "no image", class_="no-image")
    try:
        picture = image.load()
    except DataError as error:
        return element("div", str(error), class_="no-image")
    small = max(picture.size) <= _PIXEL_ART
    return element("img", src=_data_url(picture), alt=pair.prompts[side], width=picture.width, height=picture.height,
                   loading="lazy", class_="pixelated" if small else None)  # fmt: skip


def _data_url(picture: Image) -> str:
    stream = io.BytesIO()
    if max(picture.size) <= _PIXEL_ART:
        picture.save(stream, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        picture.save(stream, format="JPEG", quality=85)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
