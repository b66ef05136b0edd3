"""Entries: what they hold, and that whatever is wrong with one is named."""

import copy
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

import paircomp
from paircomp.errors import EntryError
from paircomp.evaluation import EvaluatedRun
from paircomp.plugins import Registry
from paircomp.report.schema import report_schema
from paircomp.runtime.json_schema import schema_faults
from paircomp.types import PromptPair, Suite, suite_digest
from paircomp_leaderboard.boards import make_boards
from paircomp_leaderboard.bundles import write_bundle
from paircomp_leaderboard.entries import entry_schema, file_digests, folder_name, read_entries, read_entry
from paircomp_leaderboard.published import published_entries
from paircomp_leaderboard.recomputing import pair_faults, summary_faults
from paircomp_leaderboard.recording import add_entry
from paircomp_leaderboard.site import build_site
from paircomp_leaderboard.swapping import swapped_in

NAME = "poor--small-shapes--pixels"


def test_an_entry_follows_the_published_schema_and_its_own_scores(entries: Path) -> None:
    for entry in read_entries(entries):
        jsonschema.validate(entry.said, entry_schema())
        jsonschema.validate(entry.said["report"], report_schema())
        assert summary_faults(entry) == []
        assert pair_faults(entry) == []
        assert len(entry.pairs) == 48
        assert entry.said["provenance"] == "measured"


def test_an_entry_names_no_host_path_or_command(entries: Path) -> None:
    text = (entries / NAME / "entry.json").read_text()
    assert not {"host", "command"} & set(json.loads(text)["made_with"])
    assert str(entries.parent) not in text


def test_thumbnails_are_small_pictures_of_every_image(entries: Path) -> None:
    files = list((entries / NAME / "thumbnails").iterdir())
    assert len(files) == 48 * 4
    with Image.open(files[0]) as image:
        assert (image.format, image.size) == ("WEBP", (32, 32))


def test_adding_twice_is_refused_unless_it_replaces(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    add_entry(runs["good"], tmp_path, thumbnails=False)
    with pytest.raises(EntryError, match="exists already; next: --replace"):
        add_entry(runs["good"], tmp_path)
    assert add_entry(runs["good"], tmp_path, replace=True).said["thumbnails"]["count"] == 192


@pytest.mark.parametrize("replace", [False, True])
def test_a_killed_add_leaves_no_half_entry(
    runs: dict[str, EvaluatedRun], entries: Path, tmp_path: Path, *, replace: bool
) -> None:
    folder = tmp_path / "entries"
    shutil.copytree(entries / NAME, folder / NAME)
    if replace:
        add_entry(runs["good"], folder, thumbnails=False)
    before = {path: path.read_bytes() for path in folder.rglob("*.json*")}
    script = (
        "import os, signal, sys, paircomp, pathlib\n"
        "from paircomp_leaderboard import recording\n"
        "recording.write_entry = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "recording.add_entry(paircomp.load_run(sys.argv[1]), pathlib.Path(sys.argv[2]), replace=True)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(runs["good"].run.path), str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == len(before) // 2 + 2  # and what the killed one left, with its lock
    assert {entry.path / "entry.json" for entry in read_entries(folder)} <= set(before)
    assert all(path.read_bytes() == content for path, content in before.items())
    add_entry(runs["good"], folder, replace=replace)
    assert {path.name for path in folder.iterdir()} == {NAME, "sketch--small-shapes--pixels"}


def test_an_entry_comes_back_where_its_replacement_was_killed_between_two_renames(
    runs: dict[str, EvaluatedRun], tmp_path: Path
) -> None:
    entry = add_entry(runs["good"], tmp_path, thumbnails=False)
    (tmp_path / f".{entry.name}.new").mkdir()
    entry.path.rename(tmp_path / f".{entry.name}.new" / "old")
    with pytest.raises(RuntimeError), swapped_in(entry.path):
        raise RuntimeError
    assert read_entry(entry.path).said == entry.said


def test_images_from_elsewhere_make_a_re_judged_entry(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    from paircomp.cli import run

    images, suite = runs["good"].run.images_folder, runs["good"].run.path / "suite.jsonl"
    assert run(["judge", "--images", str(images), "--suite", str(suite), "--judge", "pixels", "--model", "elsewhere",
                "--out", str(tmp_path / "run")]) == 0  # fmt: skip
    entry = add_entry(paircomp.load_run(tmp_path / "run"), tmp_path / "entries")
    assert entry.said["provenance"] == "re-judged"


def test_prompts_that_are_not_public_stay_out(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    public = runs["good"].suite
    pairs = public.pairs[:6]
    private = Suite("private", pairs, suite_digest(pairs), default_judge="pixels", prompts_public=False)
    evaluated = paircomp.evaluate("sketch", private, out=tmp_path / "run")
    add_entry(evaluated, tmp_path / "entries")
    written = "".join(path.read_text() for path in tmp_path.glob("entries/*/*.json*"))
    assert public.pairs[0].prompts[0] not in written
    add_entry(evaluated, tmp_path / "entries", include_prompts=True, replace=True)
    assert public.pairs[0].prompts[0] in "".join(path.read_text() for path in tmp_path.glob("entries/*/*.jsonl"))


def test_reasons_do_not_quote_prompts_that_are_not_public(tmp_path: Path) -> None:
    """The judge pixels refuses prompts outside its grammar, and quotes them."""
    secret = ("a secret fox under a birch", "a secret owl under a birch")
    drawable = Registry().suite("shapes").pairs[0].prompts
    pairs = [PromptPair(number, f"p{number}", "color", prompts) for number, prompts in enumerate((secret, drawable))]
    private = Suite("private", pairs, suite_digest(pairs), default_judge="pixels", prompts_public=False)
    evaluated = paircomp.evaluate(lambda prompt: Image.new("RGB", (64, 64)), private, out=tmp_path / "run")
    entry = add_entry(evaluated, tmp_path / "entries")
    assert "<prompt>" in entry.pairs[0]["unscored"][0]["reason"]
    build_site(make_boards([entry]), tmp_path / "site")
    write_bundle(evaluated, tmp_path / "row.zip")
    with zipfile.ZipFile(tmp_path / "row.zip") as archive:
        written = b"".join(archive.read(name) for name in archive.namelist())
    assert b"outside the shapes grammar" in written
    for folder in ("entries", "site"):
        written += b"".join(path.read_bytes() for path in (tmp_path / folder).rglob("*.*") if path.is_file())
    assert b"a secret" not in written


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e.pop("label"), "'label' is missing"),
        (lambda e: e.update(provenance="trust me"), "provenance: expected one of"),
        (lambda e: e["suite"].update(digest="abc"), "suite.digest"),
        (lambda e: e["suite"].update(samples=0), "suite.samples: minimum is 1, got 0"),
        (lambda e: e["report"]["average"].update(s_g=1.7), "report.average.s_g: maximum is 1"),
        (lambda e: e["report"].pop("coverage"), "'coverage' is missing"),
        (lambda e: e["suite"].update(name="another"), "suite.name is 'another', in the report 'small-shapes'"),
        (lambda e: e.update(trained_with_judge="pixels"), "trained_with_judge differs"),
        (lambda e: e.pop("report"), "'report' is missing"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(
    edited: Callable[..., Path], change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    with pytest.raises(EntryError, match="entry ") as error:
        read_entry(edited(change))
    assert said in str(error.value)


@pytest.fixture
def verified(edited: Callable[..., Path]) -> tuple[Path, dict[str, Any]]:
    """An entry with its verification."""
    path = edited(lambda entry: None)
    sound = {"schema": "paircomp-verification/1", "badge": "verified arithmetic", "checks": [],
             "files": file_digests(path)}  # fmt: skip
    (path / "verification.json").write_text(json.dumps(sound))
    return path, sound


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"checks": None}, "verification.json: checks"),
        ({"checks": [{"name": "archive"}]}, "'outcome' is missing"),
        ({"checks": [{"name": "archive", "outcome": "superb", "said": ""}]}, "outcome: expected one of"),
        ({"badge": 3}, "verification.json: badge"),
        ({"badge": "verified by the pope"}, "badge: expected one of 'verified arithmetic', 're-judged sample'"),
        ({"schema": "another/1"}, "verification.json: schema"),
    ],
)
def test_what_is_wrong_with_a_verification_is_named(
    verified: tuple[Path, dict[str, Any]], said: Any, fault: str
) -> None:
    path, sound = verified
    assert read_entry(path).verification == sound
    (path / "verification.json").write_text(json.dumps({**sound, **said}))
    with pytest.raises(EntryError) as error:
        read_entry(path)
    assert fault in str(error.value)


@pytest.mark.parametrize("name", ["entry.json", "pairs.jsonl", "verification.json"])
def test_a_badge_is_of_the_entry_that_was_verified(
    verified: tuple[Path, dict[str, Any]], name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from paircomp.cli import run

    path, _ = verified
    if name == "verification.json":  # of a time when digests were not kept
        (path / name).write_text(json.dumps({**verified[1], "files": {}}))
    else:
        (path / name).write_bytes((path / name).read_bytes().replace(b"{", b"{ ", 1))
    entry = read_entry(path)
    assert entry.verification is None
    assert "changed since; next: verify its bundle again" in entry.lapsed
    assert run(["leaderboard", "build", str(path.parent), "--out", str(tmp_path / "site")]) == 0
    assert f"Note: {path.name} is shown without its badge" in capfd.readouterr().err
    pages = "".join(page.read_text() for page in (tmp_path / "site").rglob("*.html"))
    assert "verification lapsed" in pages
    assert "VERIFICATION LAPSED: " in pages
    assert "verified arithmetic" not in pages


def test_a_folder_without_entries_is_named(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(EntryError, match="holds no entry; next: paircomp leaderboard add"):
        read_entries(tmp_path)


def test_every_faulty_line_and_entry_is_named_at_once(edited: Callable[..., Path]) -> None:
    path = edited(lambda entry: None)
    lines = (path / "pairs.jsonl").read_text().splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    first["scores"][0][0][0] = 1.5
    second["images"] = [["x"]]
    (path / "pairs.jsonl").write_text("\n".join([json.dumps(first), json.dumps(second), "{torn", *lines[3:]]))
    with pytest.raises(EntryError) as error:
        read_entries(path.parent)
    assert [part in str(error.value) for part in ("line 1: scores", "line 2: images", "line 3: not JSON")] == [True] * 3


def test_numbers_that_do_not_follow_from_the_scores_are_named(edited: Callable[..., Path]) -> None:
    path = edited(lambda entry: entry["report"]["subtasks"]["color"].update(s_g=0.99))
    assert any("report.subtasks.color.s_g says 0.99" in fault for fault in summary_faults(read_entry(path)))


def test_the_papers_table_is_whole_and_agrees_with_itself() -> None:
    rows = published_entries()
    assert len(rows) == 19
    for entry in rows:
        jsonschema.validate(entry.said, entry_schema())
        assert entry.said["provenance"] == "author-reported"
        assert "arXiv 2506.05501" in entry.said["source"]
        reported = entry.said["reported"]
        for mean in ("s_a", "s_g"):
            average = sum(means[mean] for means in reported["subtasks"].values()) / 6
            assert average == pytest.approx(reported["average"][mean], abs=0.0011)  # printed with one decimal
    best = max(rows, key=lambda entry: entry.said["reported"]["average"]["s_g"])
    assert (best.label, best.said["reported"]["average"]) == ("Janus-FocusDiff-7B", {"s_a": 0.85, "s_g": 0.835})
    assert best.said["trained_with_judge"] == "internvl2.5-26b"


def test_our_schema_reader_agrees_with_a_full_one(entries: Path) -> None:
    said = json.loads((entries / NAME / "entry.json").read_text())
    validator = jsonschema.Draft202012Validator(entry_schema())
    report = jsonschema.Draft202012Validator(report_schema())
    compared = 0
    for path in _leaves(said):
        for wrong in (None, -1, 2.5, "", {}, ...):
            changed = _changed(said, path, wrong)
            ours = bool(schema_faults(changed, entry_schema()))
            assert ours == (not validator.is_valid(changed)), (path, wrong)
            if path[0] == "report" and compared % 7 == 0 and isinstance(changed["report"], dict):
                ours = bool(schema_faults(changed["report"], report_schema()))
                assert ours == (not report.is_valid(changed["report"])), (path, wrong)
            compared += 1
    assert compared > 300


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places two levels deep in the entry, four in the report: every kind of field once."""
    if isinstance(value, dict) and len(path) < 3:
        return [*([path] if path else []), *(place for key in value for place in _leaves(value[key], (*path, key)))]
    return [path]


def _changed(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    changed = copy.copy(value)
    if len(path) > 1:
        changed[path[0]] = _changed(value[path[0]], path[1:], wrong)
    elif wrong is ...:
        del changed[path[0]]
    else:
        changed[path[0]] = wrong
    return changed


def test_folder_names_hold_nothing_that_leads_elsewhere() -> None:
    assert folder_name("../../etc/passwd", "a/b", "..") == "etc-passwd--a-b--model"
    assert folder_name(".", "s", "j") == "model--s--j"
