"""Packing a run so that others can check its row: entry, identity, judgements, image hashes, checksum list.

``bundle.json`` (schema ``paircomp-bundle/1``: the run's identity without host, paths or command), ``entry/``,
``judgements.jsonl``, ``images.jsonl``, ``suite.jsonl`` (where the prompts may be shown), ``images/`` (where wanted),
``SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paircomp.errors import RunError
from paircomp.report.local_paths import without_folders
from paircomp.run_store import ImageState, JudgementTable
from paircomp.run_store.image_index import fingerprint
from paircomp.types import ImageKey
from paircomp_leaderboard.archives import write_archive
from paircomp_leaderboard.pictures import read_picture
from paircomp_leaderboard.recording import THUMBNAIL_EDGE, entry_of, pair_lines

if TYPE_CHECKING:
    from paircomp.evaluation import EvaluatedRun
    from paircomp.run_store.score_table import Judged

__all__ = ["BUNDLE_SCHEMA", "write_bundle"]

BUNDLE_SCHEMA: Final = "paircomp-bundle/1"
_KEPT: Final = ("pair", "prompt", "sample", "judged_prompt", "image", "score", "log_yes", "log_no", "unscored")


def write_bundle(
    evaluated: EvaluatedRun, path: Path, *, judge: str | None = None, label: str | None = None,
    images: bool = False, thumbnails: bool = True, include_prompts: bool = False,
) -> int:  # fmt: skip
    """Pack a run's row; returns the number of members.

    Args:
        evaluated: the run.
        path: the ZIP file to write.
        judge: whose scores; default the run's only judge or the suite's own.
        label: what tables call it; default the run's model.
        images: hold the images themselves, so that they can be judged again.
        thumbnails: hold small copies for the gallery.
        include_prompts: hold the texts of a suite whose prompts are not public.

    Raises:
        RunError: an image changed since it was judged, or the disk is full.
        PairCompError: the run cannot be read, or was not judged.
    """
    name = evaluated.judge_name(judge)
    said, judged = entry_of(evaluated, name, label=label)
    public = include_prompts or bool(said["suite"]["prompts_public"])
    return write_archive(path, _members(evaluated, said, judged, images=images, thumbnails=thumbnails, public=public))


def _members(
    evaluated: EvaluatedRun, said: dict[str, Any], judged: Judged, *, images: bool, thumbnails: bool, public: bool
) -> Iterator[tuple[str, bytes]]:
    run = evaluated.run
    bundle = {
        "schema": BUNDLE_SCHEMA,
        "identity": {**without_folders(run.identity), "model": run.identity["model"]},
        "generator_says": without_folders(run.generator),
        "judge": {"name": judged.judge, "identity": without_folders(run.judge(judged.judge).identity)},
        "images_included": images,
    }
    yield "bundle.json", _json(bundle)
    if public:
        yield "suite.jsonl", (run.path / "suite.jsonl").read_bytes()
    yield "judgements.jsonl", _lines(_judgements(judged, public=public))
    small: list[tuple[str, bytes]] = []
    records = []
    for key, content in _pictures(judged):
        records.append(_place(key) | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
        if images:
            yield f"images/{key.filename}", content
        if thumbnails and (shrunk := _shrunk(content)) is not None:
            small.append((f"entry/thumbnails/{key.filename.replace('.png', '.webp')}", shrunk))
    yield "images.jsonl", _lines(records)
    said["thumbnails"] = {"edge": THUMBNAIL_EDGE, "count": len(small)} if small else None
    yield "entry/entry.json", _json(said)
    yield "entry/pairs.jsonl", _lines(pair_lines(judged, include_prompts=public))
    yield from small


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    written = (json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for record in records)
    return "".join(f"{line}\n" for line in written).encode()


def _place(key: ImageKey) -> dict[str, Any]:
    return {"pair": key.pair, "prompt": key.prompt, "sample": key.sample}


def _judgements(judged: Judged, *, public: bool) -> Iterator[dict[str, Any]]:
    """The last judgement of every question about the selected pairs' images as they are now, in order.

    Where the prompts are not `public`, reasons come without those that they quote.
    """
    from paircomp.report.reasons import PublicReasons

    worded = PublicReasons(judged.suite)
    last: dict[tuple[int, int, int, int], dict[str, Any]] = {}
    selected = set(judged.pairs)
    table = JudgementTable(judged.images)
    for record in judged.run.judge(judged.judge).records.read():
        place = table.take(record)
        if place is not None and place[0] in selected:
            last[place] = record
    for place, record in sorted(last.items()):
        kept: dict[str, Any] = {name: record[name] for name in _KEPT if name in record}
        if not public and kept.get("unscored"):
            kept["unscored"] = worded(kept["unscored"], ImageKey(*place[:3]))
        yield kept


def _pictures(judged: Judged) -> Iterator[tuple[ImageKey, bytes]]:
    """Every image of the selected pairs with the bytes that were judged."""
    import numpy as np

    store, said = judged.run.image_store, "was changed after it was recorded; next: run the same paircomp eval again"
    if changed := sorted(key for key in judged.images.changed if key.pair in judged.pairs):
        raise RunError(f"{store.location}/{changed[0].filename}", said)
    for pair in judged.pairs:
        for prompt, sample in np.argwhere(judged.images.state[pair] == ImageState.DRAWN).tolist():
            key = ImageKey(pair, prompt, sample)
            content = read_picture(store, key.filename)
            if content is None or fingerprint(content) != int(judged.images.tag[key]):
                raise RunError(f"{store.location}/{key.filename}", said)
            yield key, content


def _shrunk(content: bytes) -> bytes | None:
    from paircomp.runtime.images import UnreadableImageError
    from paircomp_leaderboard.thumbnails import thumbnail

    try:
        return thumbnail(content, THUMBNAIL_EDGE)
    except UnreadableImageError:
        return None
