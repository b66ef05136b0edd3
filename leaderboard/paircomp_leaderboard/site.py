"""Writing the site: one static folder that opens from a disk and from any host.

``index.html``, ``models/<entry>.html``, ``galleries/<entry>.js``, ``entries/<entry>/`` (what was submitted),
``data/`` (the tables for machines), ``assets/``. Addresses are made of entry names alone, so they stay.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from paircomp.errors import EntryError
from paircomp.runtime.files import write_atomically, write_json
from paircomp.types import ImageKey
from paircomp_leaderboard.board_page import index_page
from paircomp_leaderboard.boards import Board
from paircomp_leaderboard.entries import Entry
from paircomp_leaderboard.gallery_data import as_script, gallery_of
from paircomp_leaderboard.model_page import model_page
from paircomp_leaderboard.swapping import swapped_in
from paircomp_leaderboard.tables import flat_frame, to_csv, to_latex, to_markdown

__all__ = ["SITE_SCHEMA", "asset", "build_site", "style_sheet"]

SITE_SCHEMA: Final = "paircomp-leaderboard/1"
_MARK: Final = ".paircomp-site"
_MOST_THUMBNAIL: Final = 4 * 2**20


def build_site(boards: Sequence[Board], out: Path, *, title: str = "PairComp leaderboard") -> list[Path]:
    """Write the site into `out`, in place of the one that is there, which stays until the new one is whole.

    Args:
        boards: what to show.
        out: a new or empty folder, or one that this function wrote before.
        title: of the front page.

    Returns:
        The pages written, the front page first.

    Raises:
        EntryError: `out` holds other files.
        RunError: the disk is full or read-only.
    """
    _refuse_foreign(out)
    with swapped_in(out) as fresh:
        (fresh / _MARK).write_text(f"{SITE_SCHEMA}\n", encoding="utf-8")
        (fresh / ".nojekyll").touch()  # GitHub Pages would leave files out
        _write_assets(fresh)
        _write_tables(boards, fresh)
        pages = [_write(fresh / "index.html", index_page(boards, title))]
        for board in boards:
            for row in board.rows:
                if row.entry.measured:
                    _write_entry(row.entry, fresh)
                    pages.append(_write(fresh / "models" / f"{row.entry.name}.html", model_page(board, row)))
    return [out / page.relative_to(fresh) for page in pages]


def _refuse_foreign(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _MARK).exists())):
        raise EntryError(out, ["holds other files, which building the site would remove; next: --out a new folder"])


def _write(path: Path, text: str) -> Path:
    write_atomically(path, text.encode(), sync=False)
    return path


def asset(name: str) -> str:
    """The text of a file of ``assets/``."""
    return resources.files("paircomp_leaderboard").joinpath("assets", name).read_text(encoding="utf-8")


def style_sheet() -> str:
    """The report page's style sheet, which the site shares."""
    return resources.files("paircomp.report").joinpath("page.css").read_text(encoding="utf-8")


def _write_assets(out: Path) -> None:
    _write(out / "assets" / "page.css", style_sheet())
    for name in ("site.css", "board.js", "gallery.js"):
        _write(out / "assets" / name, asset(name))


def _write_tables(boards: Sequence[Board], out: Path) -> None:
    write_json(out / "data" / "leaderboard.json", as_json(boards))
    for name, text in (("leaderboard.csv", to_csv(boards)), ("tables.md", to_markdown(boards)),
                       ("tables.tex", to_latex(boards))):  # fmt: skip
        _write(out / "data" / name, text)


def as_json(boards: Sequence[Board]) -> dict[str, Any]:
    """The boards for machines: rows unrounded, ranks, ties and every paired test."""
    return {"schema": SITE_SCHEMA, "boards": [_board_json(board) for board in boards]}


def _board_json(board: Board) -> dict[str, Any]:
    ranking = board.ranking
    rows = json.loads(flat_frame([board]).to_json(orient="records", double_precision=15))
    tied = {row.entry.name: list(row.tied) for row in board.rows}
    return {
        "name": board.name,
        "suite": dict(board.suite),
        "judge": dict(board.judge),
        "measured": board.measured,
        "source": board.source,
        "rows": [{**row, "tied": tied[row["entry"]]} for row in rows],
        "alpha": ranking.alpha if ranking else None,
        "tests": [matchup.to_json() for matchup in ranking.matchups] if ranking else [],
    }


def _write_entry(entry: Entry, out: Path) -> None:
    if entry.path is None:
        return
    folder = out / "entries" / entry.name
    folder.mkdir(parents=True)
    for name in ("entry.json", "pairs.jsonl", "verification.json"):
        if (entry.path / name).is_file():
            shutil.copyfile(entry.path / name, folder / name)
    images = _copy_thumbnails(entry.path / "thumbnails", folder / "thumbnails")
    gallery = gallery_of(entry, folder=f"entries/{entry.name}/thumbnails/", images=images)
    _write(out / "galleries" / f"{entry.name}.js", as_script(gallery))


def _copy_thumbnails(source: Path, target: Path) -> frozenset[str]:
    """Copy what is a WebP picture under the name of an image, and nothing else."""
    if not source.is_dir() or source.is_symlink():
        return frozenset()
    target.mkdir()
    copied = set()
    for path in source.iterdir():
        named = ImageKey.from_filename(path.name.replace(".webp", ".png")) is not None and path.suffix == ".webp"
        if not named or path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_THUMBNAIL:
            continue
        content = path.read_bytes()
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            (target / path.name).write_bytes(content)
            copied.add(path.name)
    return frozenset(copied)
