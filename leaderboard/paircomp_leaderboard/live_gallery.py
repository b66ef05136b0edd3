"""The gallery of a run as it is now, also while it is still going on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import ConfigError
from paircomp.evaluation import EvaluatedRun, load_run
from paircomp.report.wording import printable
from paircomp.run_store import ImageIndex, ImageState
from paircomp.types import ImageKey
from paircomp_leaderboard.gallery_data import GALLERY_SCHEMA, SMALL_EDGE, gallery_pair
from paircomp_leaderboard.pictures import read_picture
from paircomp_leaderboard.recording import NO_VALUES, pair_lines, values_by_pair

if TYPE_CHECKING:
    from paircomp.types import Suite

__all__ = ["RunGallery"]


class RunGallery:
    """Reads a run again whenever its files have changed.

    Args:
        path: the run folder.
        number: how addresses call it.
        judge: whose scores; default the run's only judge or the suite's own, none while nobody has judged.

    Raises:
        RunError: there is no run.
        ConfigError: the judge named has not judged it.
    """

    def __init__(self, path: Path, number: int, *, judge: str | None = None) -> None:
        self.number = number
        self._wanted = judge
        self.evaluated: EvaluatedRun = load_run(path)
        run = self.evaluated.run
        self._bucket = run.image_store if run.manifest.get("store") else None
        self._judge()
        self._cached: tuple[str, dict[str, Any]] | None = None

    @property
    def label(self) -> str:
        """What the page calls it."""
        return printable(str(self.evaluated.run.identity["model"]))

    def _judge(self) -> str | None:
        if self._wanted is None and not self.evaluated.run.judges():
            return None
        try:
            return self.evaluated.judge_name(self._wanted)
        except ConfigError:
            if self._wanted is None or self.evaluated.run.judges():
                raise
            return None  # the judge that was asked for may still come

    def stamp(self) -> str:
        """Changes whenever something was written to the run."""
        run = self.evaluated.run
        files = [
            run.path / "run.json",
            *run.image_records.parts(),
            *sorted((run.path / "judges").glob("*/part-*.jsonl")),
        ]
        sizes = "".join(f"{file}{file.stat().st_size}{file.stat().st_mtime_ns}" for file in files if file.exists())
        return hashlib.sha256(sizes.encode()).hexdigest()[:16]

    def read(self, known: str) -> dict[str, Any] | None:
        """The gallery; None where `known` is its stamp."""
        stamp = self.stamp()
        if stamp == known:
            return None
        if self._cached is None or self._cached[0] != stamp:
            self.evaluated = load_run(self.evaluated.run.path)
            self._cached = (stamp, {**self._gallery(), "stamp": stamp})
        return self._cached[1]

    def image(self, name: str) -> bytes | None:
        """An officially named image of the run; None for other names, and links that lead elsewhere.

        Raises:
            RunError: the bucket with the images cannot be read.
        """
        if ImageKey.from_filename(name) is None:
            return None
        if self._bucket is not None:
            return read_picture(self._bucket, name)
        folder = self.evaluated.run.images_folder.resolve()
        path = (folder / name).resolve()
        return path.read_bytes() if path.parent == folder and path.is_file() else None

    def _gallery(self) -> dict[str, Any]:
        run, suite, judge = self.evaluated.run, self.evaluated.suite, self._judge()
        pairs = self.evaluated.pairs()
        if judge is None:
            images = run.read_images(suite)
            lines, values = _unjudged_lines(suite, pairs, images), {}
        else:
            from paircomp.run_store.score_table import read_judged

            judged = read_judged(run, suite, judge, pairs)
            images = judged.images
            lines, values = pair_lines(judged, include_prompts=True, raw_reasons=True), values_by_pair(judged.table)
        shown = [gallery_pair(line, self._names(line), values.get(line["pair"], NO_VALUES)) for line in lines]
        return {"schema": GALLERY_SCHEMA, "name": str(self.number), "label": self.label, "folder": "images/",
                "pixelated": self._is_small(images), "state": _state(shown, judge), "pairs": shown}  # fmt: skip

    def _names(self, line: Mapping[str, Any]) -> list[list[str | None]]:
        """The fingerprint in the address makes a browser ask again when a picture was redrawn."""
        return [
            [tag and f"{self.number}/{ImageKey(line['pair'], prompt, sample).filename}?v={tag}"
             for sample, tag in enumerate(tags)]
            for prompt, tags in enumerate(line["images"])
        ]  # fmt: skip

    def _is_small(self, images: ImageIndex) -> bool:
        import numpy as np
        from PIL import Image

        drawn = np.argwhere(images.state == ImageState.DRAWN)
        content = self.image(ImageKey(*drawn[0].tolist()).filename) if len(drawn) else None
        if content is None:
            return False
        try:
            with Image.open(io.BytesIO(content)) as image:
                return max(image.size) <= SMALL_EDGE
        except OSError:  # being written, or no picture: the browser will say
            return False


def _unjudged_lines(suite: Suite, pairs: tuple[int, ...], images: ImageIndex) -> Iterator[dict[str, Any]]:
    """Lines like those of ``pairs.jsonl`` before any judge has looked."""
    from paircomp.suites import prompt_sha256

    for position in pairs:
        pair = suite.pairs[position]
        keys = [[ImageKey(position, prompt, sample) for sample in range(suite.samples)]
                for prompt in range(len(pair.prompts))]  # fmt: skip
        yield {
            "pair": position, "pair_id": pair.pair_id, "subtask": pair.subtask, "prompts": list(pair.prompts),
            "prompt_sha256": [prompt_sha256(prompt) for prompt in pair.prompts],
            "scores": [[[None] * len(pair.prompts) for _ in row] for row in keys],
            "images": [[_tag(images, key) for key in row] for row in keys],
            "unscored": [{"prompt": key.prompt, "sample": key.sample, "reason": _reason(images, key)}
                         for row in keys for key in row],
        }  # fmt: skip


def _tag(images: ImageIndex, key: ImageKey) -> str | None:
    return f"{int(images.tag[key]):016x}" if images.state[key] == ImageState.DRAWN else None


def _reason(images: ImageIndex, key: ImageKey) -> str:
    if images.state[key] == ImageState.DRAWN:
        return "not judged yet"
    return images.reasons.get(key, "not drawn yet")


def _state(pairs: list[dict[str, Any]], judge: str | None) -> str:
    """How far the run is, in a sentence; empty when every image is scored."""
    images = sum(len(row) for pair in pairs for row in pair["images"])
    drawn = sum(name is not None for pair in pairs for row in pair["images"] for name in row)
    scored = sum(score is not None for pair in pairs for row in pair["own"] for score in row)
    if scored == images:
        return ""
    by = f"scored by {printable(judge)}" if judge else "scored"
    return f"{drawn:,} of {images:,} images drawn, {scored:,} {by}; this page follows."
