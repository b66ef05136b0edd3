"""The site and the viewer in a real headless Chromium.

Debian's packages do: ``apt-get install chromium``, no other download. Screenshots go to ``$PAIRCOMP_SCREENSHOTS``
where that is set, else below pytest's temporary folder. Where ``CI`` is set a missing browser is a failure, elsewhere
a reason to skip.
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paircomp.evaluation import EvaluatedRun
from paircomp_leaderboard.boards import make_boards
from paircomp_leaderboard.entries import Entry, read_entries, read_entry
from paircomp_leaderboard.published import published_entries
from paircomp_leaderboard.site import build_site
from paircomp_leaderboard.viewer import ViewerServer

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
HOSTILE = "<script>alert('a model named this')</script>"
DESKTOP, PHONE = (1440, 1000), (390, 844)

if BROWSER is None and not os.environ.get("CI"):
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)
pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra 'dev'")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(entries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    boards = make_boards([*read_entries(entries), *published_entries()])
    return build_site(boards, tmp_path_factory.mktemp("site") / "site")[0].parent


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open an address; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(address: Path | str, *, fragment: str = "", size: tuple[int, int] = DESKTOP, dark: bool = False) -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]},
                                      color_scheme="dark" if dark else "light", reduced_motion="reduce")  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:", "http://127.0.0.1:"))
                else complaints.append(f"left the site: {asked.url}"))  # fmt: skip
        page.goto((address.as_uri() if isinstance(address, Path) else address) + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[Page, str], None]:
    folder = Path(os.environ.get("PAIRCOMP_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=folder / f"{name}.png") and None


def model(site: Path, name: str = "poor") -> Path:
    return site / "models" / f"{name}--small-shapes--pixels.html"


def drawn(page: Page, count: int) -> None:
    page.wait_for_function("count => document.querySelectorAll('.card').length === count", arg=count)


def order(page: Page) -> list[str]:
    return page.locator("table.board").first.locator("tbody tr:not([hidden]) .model").all_inner_texts()


def test_sorting_moves_rows_and_never_their_ranks(visit: Visit, site: Path, keep: Callable[[Page, str], None]) -> None:
    page = visit(site / "index.html")
    keep(page, "board")
    table = page.locator("table.board").first
    rows = table.locator("tbody tr")
    before = {row.locator(".model").inner_text(): row.locator(".rank b").inner_text() for row in rows.all()}
    assert before["good"] == before["fair"] == "1\N{EN DASH}2"
    gap = table.get_by_role("button", name="Gap")
    gap.focus()
    page.keyboard.press("Enter")
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    up = order(page)
    page.keyboard.press("Enter")
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert up[0] != order(page)[0]
    assert {row.locator(".model").inner_text(): row.locator(".rank b").inner_text() for row in rows.all()} == before


def test_search_and_filters_choose_rows(visit: Visit, site: Path) -> None:
    page = visit(site / "index.html")
    board = page.locator(".board-section").first
    board.get_by_label("Search").fill("goo")
    assert order(page) == ["good"]
    assert board.get_by_role("status").inner_text() == "1 of 4 models"
    board.get_by_label("Search").fill("")
    board.get_by_label("Rows").select_option("unranked")
    assert order(page) == []
    board.get_by_label("Rows").select_option("")
    assert len(order(page)) == 4
    visible = "th.column-s_a:visible"
    assert board.locator(visible).count() == 6
    board.get_by_label("Subtasks show").select_option("s_g")
    assert board.locator(visible).count() == 0


def test_a_name_that_is_an_attack_is_a_name(visit: Visit, site: Path) -> None:
    page = visit(site / "index.html")
    assert HOSTILE in order(page)
    page.get_by_role("link", name=HOSTILE).first.click()
    drawn(page, 48)
    assert page.locator("h1").inner_text() == HOSTILE
    assert HOSTILE in (page.locator(".card img").first.get_attribute("alt") or "")
    assert page.evaluate("document.scripts.length") == 2  # the gallery and its data


def test_the_gallery_begins_with_the_worst_margin(visit: Visit, site: Path, keep: Callable[[Page, str], None]) -> None:
    page = visit(model(site), fragment="#gallery")
    drawn(page, 48)
    page.wait_for_timeout(200)
    keep(page, "gallery")
    text = page.locator(".card .margin").all_text_contents()
    margins = [float(said.removeprefix("margin ").replace("\N{MINUS SIGN}", "-")) for said in text]
    assert margins == sorted(margins)
    first = page.locator(".card").first
    assert first.locator("img").count() == 4
    assert first.locator("mark").count() >= 2
    assert first.locator("img").first.evaluate("image => image.complete && image.naturalWidth") == 32


def test_filters_of_the_gallery_are_kept_in_the_address(visit: Visit, site: Path) -> None:
    page = visit(model(site))
    drawn(page, 48)
    form = page.locator(".gallery form")
    form.get_by_label("Subtask").select_option("color")
    drawn(page, 8)
    assert set(page.locator(".card .subtask").all_text_contents()) == {"Color"}
    form.get_by_label("Show").select_option("failed")
    text = (site / "entries" / model(site).stem / "pairs.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    failed = sum(pair["subtask"] == "color" and pair["passed"] is False for pair in lines)
    drawn(page, failed)
    assert set(page.locator(".card .verdict").all_text_contents()) == {"fail"}
    again = visit(page.url)
    drawn(again, failed)
    again.locator(".gallery form").get_by_label("Search").fill("no prompt says this")
    drawn(again, 0)
    assert again.locator(".gallery .count").inner_text() == "0 of 48 pairs"


def test_two_models_side_by_side_show_the_pairs_that_flipped(
    visit: Visit, site: Path, keep: Callable[[Page, str], None]
) -> None:
    entries = {name: read_entry(site / "entries" / f"{name}--small-shapes--pixels") for name in ("poor", "good")}
    passed = {name: {pair["pair"]: pair["passed"] for pair in entry.pairs} for name, entry in entries.items()}
    flipped = [pair for pair in passed["poor"] if passed["poor"][pair] != passed["good"][pair]]
    page = visit(model(site), fragment="#with=good--small-shapes--pixels&show=flipped&sort=change")
    drawn(page, len(flipped))
    page.wait_for_timeout(200)
    keep(page, "flipped")
    assert sorted(int(text) for text in page.locator(".pair-number").all_text_contents()) == flipped
    assert page.locator(".card").first.locator("img").count() == 8
    assert page.locator(".card").first.locator(".side-name").all_inner_texts() == ["poor", "good"]
    page.locator(".gallery form").get_by_label("Beside").select_option("")
    drawn(page, 48)


def test_the_pairwise_matrix_leads_to_the_flipped_pairs(visit: Visit, site: Path) -> None:
    page = visit(site / "index.html")
    page.locator("table.matrix td.better a").first.click()
    page.wait_for_selector(".cards.two .card")
    assert "show=flipped" in page.url


def test_a_pair_can_be_linked_to(visit: Visit, site: Path) -> None:
    page = visit(model(site), fragment="#pair-40")
    drawn(page, 48)
    page.wait_for_function("() => document.activeElement.id === 'pair-40'")
    assert page.locator("#pair-40").evaluate("card => card.getBoundingClientRect().top < innerHeight")


@pytest.mark.parametrize(("dark", "size"), [(False, DESKTOP), (True, PHONE)], ids=["light desktop", "dark phone"])
def test_pages_are_accessible_and_fit(
    visit: Visit, site: Path, keep: Callable[[Page, str], None], dark: bool, size: tuple[int, int]
) -> None:
    for name, address in (("index", site / "index.html"), ("model", model(site))):
        page = visit(address, dark=dark, size=size, fragment="" if name == "index" else "#subtask=color")
        if name == "model":
            drawn(page, 8)  # every kind of element is in eight cards; axe takes its time over 48
        keep(page, f"{name}-{'dark' if dark else 'light'}-{size[0]}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], (
            "the page itself never scrolls sideways"
        )
        found = Axe().run(page, options={"preload": False}).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"][:300])
                   for one in found if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == []


def test_printing_shows_every_pair(visit: Visit, site: Path) -> None:
    page = visit(model(site))
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    drawn(page, 48)
    assert not page.locator(".controls").first.is_visible()


def test_without_scripts_the_scores_are_there(browser: Browser, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator("table.board").first.locator("tbody tr").count() == 4
    page.goto(model(site).as_uri())
    assert "drawn by a script" in page.locator("noscript").inner_text()
    context.close()


@pytest.fixture
def large_site(entries: Path, tmp_path: Path) -> Path:
    """Two models with 550 pairs each: the pairs of the small suite again and again."""
    grown = [
        _grown(read_entry(entries / f"{name}--small-shapes--pixels"), tmp_path / name, 550) for name in ("poor", "good")
    ]
    return build_site(make_boards(grown), tmp_path / "site")[0].parent


def _grown(entry: Entry, folder: Path, pairs: int) -> Entry:
    said: dict[str, Any] = json.loads(json.dumps(entry.said))
    said["suite"]["pairs"] = said["report"]["suite"]["pairs"] = pairs
    (folder / "thumbnails").mkdir(parents=True)
    lines = []
    for number in range(pairs):
        old = entry.pairs[number % len(entry.pairs)]
        lines.append({**old, "pair": number, "pair_id": f"pair-{number}"})
        for prompt in range(2):
            for sample in range(2):
                source = f"{old['pair']}_{prompt}_{sample}.webp"
                assert entry.path is not None
                os.link(entry.path / "thumbnails" / source, folder / "thumbnails" / f"{number}_{prompt}_{sample}.webp")
    return Entry(entry.name, said, lines, folder)


@pytest.mark.slow
def test_a_large_gallery_opens_at_once_and_loads_what_is_seen(visit: Visit, large_site: Path) -> None:
    page = visit(model(large_site), fragment="#with=good--small-shapes--pixels")
    page.wait_for_selector(".card img")
    drawn(page, 550)
    first = page.evaluate(
        "performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint').startTime"
    )
    loaded = page.evaluate("[...document.images].filter(image => image.naturalWidth).length")
    assert page.evaluate("document.images.length") == 4400
    assert loaded < 1000
    assert first < 5000  # benchmarks/gallery.py measures; this only catches a hang
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card:last-child img')].every(image => image.naturalWidth)"
    )


def test_the_viewer_shows_a_run(
    visit: Visit, runs: dict[str, EvaluatedRun], keep: Callable[[Page, str], None]
) -> None:  # fmt: skip
    with ViewerServer([runs["poor"].run.path, runs["good"].run.path]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = visit(server.address)
        drawn(page, 48)
        keep(page, "viewer")
        page.locator(".gallery form").get_by_label("Show").select_option("flipped")
        assert 0 < page.locator(".card").count() < 48
        server.shutdown()
