"""What the gallery shows of each pair, as JSON values: of an entry for the site, of a run for the viewer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from paircomp.report.wording import differing_words, printable
from paircomp.runtime.images import UnreadableImageError, read_rgb
from paircomp_leaderboard.entries import Entry
from paircomp_leaderboard.recording import NO_VALUES, values_by_pair

__all__ = ["GALLERY_SCHEMA", "SMALL_EDGE", "as_script", "gallery_of", "gallery_pair"]

GALLERY_SCHEMA: Final = "paircomp-gallery/1"
SMALL_EDGE: Final = 64
"""Longest side in pixels of pictures that are shown with square pixels."""


def gallery_of(entry: Entry, *, folder: str, images: frozenset[str]) -> dict[str, Any]:
    """The gallery of an entry.

    Args:
        entry: with scores by pair.
        folder: where its thumbnails lie, seen from the site's root; ends with a slash.
        images: names of the thumbnails there are.
    """
    values = values_by_pair(entry.table)  # not those that the entry says: they may be anything
    return {
        "schema": GALLERY_SCHEMA,
        "name": entry.name,
        "label": printable(entry.label),
        "folder": folder,
        "pixelated": _small(entry, images),
        "pairs": [
            gallery_pair(pair, _names(pair, images), values.get(pair["pair"], NO_VALUES)) for pair in entry.pairs
        ],
    }


def _small(entry: Entry, images: frozenset[str]) -> bool:
    """Whether its pictures have so few pixels that they are shown with square ones, not smoothed."""
    first = min(images, default=None)
    if first is None or entry.path is None:
        return False
    try:
        return max(read_rgb((entry.path / "thumbnails" / first).read_bytes()).size) <= SMALL_EDGE
    except (UnreadableImageError, OSError):  # a browser will show that it is no picture
        return False


def _names(pair: Mapping[str, Any], images: frozenset[str]) -> list[list[str | None]]:
    return [
        [
            name if (name := f"{pair['pair']}_{prompt}_{sample}.webp") in images else None
            for sample in range(len(samples))
        ]
        for prompt, samples in enumerate(pair["scores"])
    ]


def gallery_pair(
    pair: Mapping[str, Any], images: Sequence[Sequence[str | None]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """One pair.

    Args:
        pair: a line of ``pairs.jsonl``.
        images: names of its pictures by prompt and sample, None where there is none.
        values: its a, g, passed and margin.
    """
    return {
        "pair": pair["pair"],
        "id": printable(pair["pair_id"]),
        "subtask": printable(pair["subtask"]),
        "pieces": _pieces(pair["prompts"]),
        "hashes": pair["prompt_sha256"],
        "own": [[sample[prompt] for sample in samples] for prompt, samples in enumerate(pair["scores"])],
        **values,
        "images": images,
        "why": {f"{lack['prompt']}_{lack['sample']}": printable(lack["reason"]) for lack in pair["unscored"]},
    }


def _pieces(prompts: Sequence[str] | None) -> list[list[tuple[str, bool]]] | None:
    """Each prompt cut into pieces, each with whether it differs from the pair's other prompt."""
    if prompts is None:
        return None
    if len(prompts) < 2:
        return [[(printable(prompt), False)] for prompt in prompts]
    others = [prompts[1], *[prompts[0]] * (len(prompts) - 1)]
    return [
        [(printable(text) if text.strip() else text, differs) for text, differs in differing_words(prompt, other)]
        for prompt, other in zip(prompts, others, strict=True)
    ]


def as_script(gallery: Mapping[str, Any]) -> str:
    """The gallery as a script: pages opened from a folder may load scripts and no other data.

    The JSON is plain ASCII without ``<``, so that nothing in it can end a script or begin a comment.
    """
    said = json.dumps(gallery, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f"paircompGallery({said});\n"
