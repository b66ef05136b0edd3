"""The page of a data set."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest

from focusdiff.data.view import write_page
from paircomp.errors import ConfigError
from tests.focusdiff.data.parts import build, run


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.depth: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.depth.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(page)
    assert reader.depth == []
    return reader.tags


def test_the_page_shows_each_pair_with_its_words_marked_and_needs_nothing_else(tmp_path: Path) -> None:
    build(tmp_path / "out", records=40)
    said = run("view", tmp_path / "out", "--limit", 12)
    page = (tmp_path / "out" / "view.html").read_text()
    found = tags(page)

    images = [attributes for tag, attributes in found if tag == "img"]
    assert said.startswith(f"{tmp_path / 'out' / 'view.html'}: {len(images) // 2} pairs")
    assert 6 <= len(images) // 2 <= 12
    assert all(str(image["src"]).startswith("data:image/png;base64,") and image["alt"] for image in images)
    assert all(image["class"] == "pixelated" for image in images)
    assert len(re.findall("<figcaption>.*?</figcaption>", page)) == len(re.findall("<mark>", page)) == len(images)
    assert "does not follow the instruction" in page
    assert not [tag for tag, attributes in found if tag in ("script", "link") or "http" in str(attributes.get("src"))]


def test_strings_of_the_data_are_text_and_absent_pictures_are_told(tmp_path: Path) -> None:
    row = {"prompt1": "a <script>alert(1)</script>", "prompt2": "a \u202e cat", "image1": None, "image2": None}
    (tmp_path / "pairs.json").write_text(json.dumps([row]))

    assert write_page(tmp_path / "pairs.json", tmp_path / "page.html") == 1
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.count("no image</div>") == 2


def test_an_unknown_subtask_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text(json.dumps([{"prompt1": "a", "prompt2": "b", "subtask": "color"}]))

    with pytest.raises(ConfigError, match="subtask 'colour': no pair has it; there are: color"):
        write_page(tmp_path / "pairs.json", tmp_path / "page.html", subtasks=["colour"])


def test_a_file_has_its_page_beside_it(tmp_path: Path) -> None:
    build(tmp_path / "out", records=20)
    said = run("view", tmp_path / "out" / "trainer" / "pairs.json", "--limit", 6)

    assert said.startswith(f"{tmp_path / 'out' / 'trainer' / 'pairs.html'}: ")
    assert (tmp_path / "out" / "trainer" / "pairs.html").read_text().count("<img") >= 6
