"""Tables and the site as files; `test_browser.py` looks at them in a browser."""

import io
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from paircomp.errors import EntryError
from paircomp.evaluation import EvaluatedRun
from paircomp_leaderboard.boards import Board, make_boards
from paircomp_leaderboard.entries import read_entries
from paircomp_leaderboard.published import published_entries
from paircomp_leaderboard.recording import add_entry
from paircomp_leaderboard.site import build_site
from paircomp_leaderboard.tables import FORMATS, best_and_second, flat_frame, rank_text, to_csv, to_latex, to_markdown

HOSTILE = "<script>alert('a model named this')</script>"


@pytest.fixture(scope="module")
def boards(entries: Path) -> list[Board]:
    return make_boards([*read_entries(entries), *published_entries()])


@pytest.fixture(scope="module")
def site(boards: list[Board], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(boards, tmp_path_factory.mktemp("site") / "site")[0].parent


class Page(HTMLParser):
    """What a page refers to and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str | None] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = dict(attributes)
        self.links += [value for name in ("href", "src") if (value := said.get(name))]
        self.ids += [said["id"]] if said.get("id") else []
        assert not [name for name in said if name.startswith("on")], "no inline handlers"
        assert "style" not in said, "the policy forbids inline styles"
        if tag == "script":
            self.scripts.append(said.get("src"))


def test_every_link_of_the_site_leads_somewhere_in_it(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) == 1 + 4
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids))
        for link in page.links:
            target, _, fragment = link.partition("#")
            if link.startswith("data:"):
                continue
            assert not re.match(r"[a-z]+:|//", link), f"{link} leaves the site"
            found = (path.parent / target).resolve() if target else path
            assert found.is_file(), f"{path.name}: {link}"
            if fragment and "=" not in fragment:
                assert fragment in pages[found].ids, f"{path.name}: {link}"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_board_shows_which_images_were_drawn_with_code_of_a_checkpoint(
    edited: Callable[..., Path], tmp_path: Path, *, allowed: bool
) -> None:
    folder = edited(lambda said: said["report"]["generator"]["recipe"].update(remote_code=allowed))

    index, *_ = build_site(make_boards(read_entries(folder.parent)), tmp_path / "site")

    assert ("ran remote code" in index.read_text(encoding="utf-8")) is allowed


def test_what_came_from_a_submission_is_text(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = Page(path.read_text())
        assert all(page.scripts), "every script is a file of the site"
        assert HOSTILE not in path.read_text()
    for path in site.rglob("*.js"):
        if path.parent.name == "galleries":
            assert "<" not in path.read_text()
    for name in ("markdown", "html"):
        assert "<script>" not in FORMATS[name](make_boards(read_entries(site / "entries")))


def test_galleries_are_scripts_of_plain_json(site: Path, boards: list[Board]) -> None:
    text = (site / "galleries" / "good--small-shapes--pixels.js").read_text()
    assert text.isascii()
    gallery = json.loads(re.fullmatch(r"paircompGallery\((.*)\);\n", text, re.DOTALL)[1])
    assert [len(gallery["pairs"]), gallery["pixelated"]] == [48, True]
    pair = gallery["pairs"][0]
    assert pair["images"][0][0] == "0_0_0.webp"
    assert (site / gallery["folder"] / pair["images"][0][0]).is_file()
    assert any(differs for _, differs in pair["pieces"][0])
    entry = next(row.entry for row in boards[0].rows if row.entry.label == "good")
    assert "".join(text for text, _ in pair["pieces"][0]) == entry.pairs[0]["prompts"][0]


def test_what_no_score_bears_out_is_marked_as_not_verified(edited: Callable[..., Path], tmp_path: Path) -> None:
    calibration = {"schema": "paircomp-calibration/1", "judge": {}, "controls": [], "overall": {}, "subtasks": {},
                   "reliability": [], "sensitivity": []}  # fmt: skip
    measure = {"judge": 0.9, "held_out": 0.95, "difference": -0.05, "ci": None}
    held_out = {"trained_with_judge": "x", "judge": "internvl2.5-78b", "identity": {}, "problem": None, "subtasks": {},
                "average": {"pairs": 48, "s_a": measure, "s_g": measure}}  # fmt: skip
    folder = edited(lambda said: said["report"].update(held_out=held_out))
    index, page = build_site(make_boards(read_entries(folder.parent)), tmp_path / "site")
    assert re.search(r"not verified</span> Held-out judge", page.read_text())
    assert "Versions (not verified)" in page.read_text()
    assert "Images/s <span" in index.read_text()
    said = json.loads((folder / "entry.json").read_text())
    said["report"]["calibration"] = calibration
    (folder / "entry.json").write_text(json.dumps(said))
    _, page = build_site(make_boards(read_entries(folder.parent)), tmp_path / "site")
    assert "What this entry holds of them cannot be read" in page.read_text()


def test_a_label_stands_beside_the_models_own_name(site: Path, boards: list[Board]) -> None:
    assert "sketch</span>" in (site / "index.html").read_text()
    assert "Model: sketch" in (site / "models" / "good--small-shapes--pixels.html").read_text()
    assert "| good (sketch) |" in to_markdown(boards)
    assert set(flat_frame(boards[:1])["generator"]) == {"sketch"}


def test_the_front_page_counts_rows_that_paircomp_judged(site: Path) -> None:
    assert "4 rows judged by PairComp. " in (site / "index.html").read_text()


def test_only_pictures_are_copied_from_an_entry(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    entry = add_entry(runs["good"], tmp_path / "entries")
    thumbnails = tmp_path / "entries" / entry.name / "thumbnails"
    (thumbnails / "evil.html").write_text("<script>")
    (thumbnails / "0_0_0.webp").write_text("<script>alert(1)</script>")
    (thumbnails / "0_0_1.webp").unlink()
    (thumbnails / "0_0_1.webp").symlink_to("/etc/passwd")
    build_site(make_boards(read_entries(tmp_path / "entries")), tmp_path / "site")
    copied = {path.name for path in (tmp_path / "site").rglob("thumbnails/*")}
    assert len(copied) == 192 - 2
    assert not {"evil.html", "0_0_0.webp", "0_0_1.webp"} & copied


def test_building_again_replaces_the_site_and_nothing_else(boards: list[Board], tmp_path: Path) -> None:
    build_site(boards, tmp_path / "site")
    (tmp_path / "site" / "old.html").touch()
    build_site(boards, tmp_path / "site")
    assert not (tmp_path / "site" / "old.html").exists()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    with pytest.raises(EntryError, match="holds other files"):
        build_site(boards, tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_a_build_that_fails_leaves_the_old_site(
    boards: list[Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paircomp_leaderboard import site

    def broken(*_: object) -> str:
        raise RuntimeError("the last table cannot be written")

    build_site(boards, tmp_path / "site")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(site, "to_latex", broken)
    with pytest.raises(RuntimeError, match="the last table"):
        build_site(boards[:1], tmp_path / "site")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with pytest.raises(RuntimeError):
        build_site(boards, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_site_needs_no_more_than_the_core_installs(
    boards: list[Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    build_site(boards, tmp_path / "site")
    assert "\\toprule" in (tmp_path / "site" / "data" / "tables.tex").read_text()
    assert all(table(boards) for table in FORMATS.values())


def test_a_site_without_entries_says_what_to_do(tmp_path: Path) -> None:
    (index,) = build_site([], tmp_path / "site")
    assert "paircomp leaderboard add RUN" in index.read_text()


def test_downloads_hold_the_boards(site: Path, boards: list[Board]) -> None:
    said = json.loads((site / "data" / "leaderboard.json").read_text())
    measured = said["boards"][0]
    assert len(measured["tests"]) == 6
    assert [row["model"] for row in measured["rows"]] == [row.entry.label for row in boards[0].rows]
    assert measured["rows"][0]["average_s_g"] == pytest.approx(boards[0].rows[0].average["s_g"], abs=1e-12)
    frame = pd.read_csv(site / "data" / "leaderboard.csv")
    assert list(frame["board"].value_counts()) == [19, 4]


def test_csv_reads_back_unrounded(boards: list[Board]) -> None:
    frame = pd.read_csv(io.StringIO(to_csv(boards)))
    flat = flat_frame(boards)
    assert list(frame["average_s_g"]) == list(flat["average_s_g"])
    assert frame["rank_low"].isna().sum() == 19


def test_the_papers_table_is_printed_as_in_the_paper() -> None:
    text = to_markdown(make_boards(published_entries()))
    (line,) = (line for line in text.splitlines() if "| Janus-FocusDiff-7B" in line)
    printed = "85.4 82.4 97.8 97.7 71.0 69.0 75.9 74.0 94.3 93.9 85.3 83.8 85.0 83.5 1.5"
    assert re.findall(r"\d+\.\d", line) == printed.split()
    assert "**83.5**" in line
    assert "<u>81.4</u>" in next(line for line in text.splitlines() if "| SD3 " in line)
    assert "Not measured by PairComp, not ranked" in text


def test_best_and_second_are_of_ranked_rows_and_of_printed_values(boards: list[Board]) -> None:
    marks = best_and_second(boards[0])
    printed = sorted({f"{100 * row.average['s_g']:.1f}" for row in boards[0].rows}, key=float, reverse=True)
    assert marks["average", "s_g"] == (printed[0], printed[1])


def test_latex_is_balanced_and_escaped(boards: list[Board]) -> None:
    text = to_latex(boards)
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 2
    assert "Style \\& tone" in text
    body = [line for line in text.splitlines() if line.endswith("\\\\") and " & " in line and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {20, 16}  # 21 and 17 columns


def test_rank_text_shows_an_interval(boards: list[Board]) -> None:
    shown = {row.entry.label: rank_text(row) for row in boards[0].rows}
    assert shown["good"] == "1\N{EN DASH}2"
    assert rank_text(boards[1].rows[0]) == "\N{EN DASH}"
