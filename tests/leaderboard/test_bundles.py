"""Bundles: a sound one is verified, whatever was done to another is found and named, hostile ones are refused."""

import hashlib
import json
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from paircomp.errors import EntryError
from paircomp.evaluation import EvaluatedRun
from paircomp.plugins import Registry
from paircomp_leaderboard import acceptance, rejudging
from paircomp_leaderboard.acceptance import accept
from paircomp_leaderboard.archives import CHECKSUMS, BundleFile, write_archive
from paircomp_leaderboard.bundles import write_bundle
from paircomp_leaderboard.entries import entry_schema, read_entries, read_entry, score_table
from paircomp_leaderboard.recording import add_entry
from paircomp_leaderboard.rejudging import Rejudging, _Said
from paircomp_leaderboard.verification import Verification, verify_bundle

Members = dict[str, bytes]


@pytest.fixture(scope="session")
def bundle(runs: dict[str, EvaluatedRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "good.zip"
    write_bundle(runs["good"], path, images=True)
    return path


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != CHECKSUMS}


def verify(path: Path, **options: Any) -> Verification:
    return verify_bundle(path, registry=Registry(), **options)


def outcomes(found: Verification) -> dict[str, str]:
    return {check.name: check.outcome for check in found.checks}


@pytest.fixture
def tampered(bundle: Path, tmp_path: Path) -> Callable[..., Verification]:
    """Verify the bundle after a change, with its checksum list made new: a careful forger would not forget it."""

    def change_and_verify(change: Callable[[Members], Any], **options: Any) -> Verification:
        members = members_of(bundle)
        change(members)
        write_archive(tmp_path / "changed.zip", members.items())
        return verify(tmp_path / "changed.zip", **options)

    return change_and_verify


def edit_json(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        said = json.loads(members[name])
        change(said)
        members[name] = json.dumps(said).encode()

    return edit


def edit_line(name: str, number: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        lines = [json.loads(line) for line in members[name].splitlines()]
        change(lines[number])
        members[name] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()

    return edit


def entry(change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    return edit_json("entry/entry.json", change)


def third_pair(change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    return edit_line("entry/pairs.jsonl", 3, change)


def test_a_sound_bundle_passes_every_check_and_is_judged_again(bundle: Path) -> None:
    found = verify(bundle, rejudging=Rejudging(seed=1))
    assert set(outcomes(found).values()) == {"passed"}
    assert found.badge == "re-judged sample"
    assert "10 images" in found.checks[-1].said  # 5% of 192
    assert found.sha256 == hashlib.sha256(bundle.read_bytes()).hexdigest()


def test_the_same_run_makes_the_same_bytes(runs: dict[str, EvaluatedRun], bundle: Path, tmp_path: Path) -> None:
    write_bundle(runs["good"], tmp_path / "again.zip", images=True)
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_a_run_with_its_images_in_a_bucket_makes_the_same_bundle_and_entry(
    in_a_bucket: EvaluatedRun, bundle: Path, tmp_path: Path
) -> None:
    write_bundle(in_a_bucket, tmp_path / "row.zip", images=True)
    assert members_of(tmp_path / "row.zip") == members_of(bundle)
    assert add_entry(in_a_bucket, tmp_path / "entries").said["thumbnails"]["count"] == 192


def test_exported_records_name_images_that_lie_in_a_bucket(in_a_bucket: EvaluatedRun, tmp_path: Path) -> None:
    from paircomp.cli import run

    assert run(["report", str(in_a_bucket.run.path), "--format", "eee", "--organization", "tests"]) == 0
    written = "".join(path.read_text() for path in in_a_bucket.run.path.rglob("every_eval_ever/**/*.jsonl"))
    digest = hashlib.sha256(in_a_bucket.run.image_store.read("0_0_0.png")).hexdigest()
    assert digest in written


def test_an_image_that_a_bucket_does_not_give_is_named(
    in_a_bucket: EvaluatedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paircomp.errors import RunError
    from paircomp.runtime.stores import BucketStore

    def refused(store: object, name: str) -> bytes:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(BucketStore, "read", refused)
    for write in (lambda: write_bundle(in_a_bucket, tmp_path / "row.zip"), lambda: add_entry(in_a_bucket, tmp_path)):
        with pytest.raises(RunError, match=r"images/0_0_0\.png: Access Denied"):
            write()


def test_a_bundle_names_no_host_path_or_command(bundle: Path) -> None:
    written = b"".join(content for name, content in members_of(bundle).items() if name.endswith(("json", "jsonl")))
    assert str(bundle.parent.parent).encode() not in written
    assert b'"host"' not in written
    assert b'"command"' not in written


def test_without_images_the_badge_says_arithmetic_only(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    write_bundle(runs["fair"], tmp_path / "row.zip")
    found = verify(tmp_path / "row.zip", rejudging=Rejudging())
    assert found.passed
    assert found.badge == "verified arithmetic"
    assert outcomes(found) == {
        **dict.fromkeys(outcomes(found), "passed"),
        "images": "skipped",
        "judge again": "skipped",
    }


def unlisted(members: Members) -> None:
    """A bundle that names no image at all."""
    members["images.jsonl"] = b""
    for name in [name for name in members if name.startswith("images/")]:
        del members[name]
    for name, change in (("judgements.jsonl", {"image": ""}), ("entry/pairs.jsonl", {"images": [[None] * 2] * 2})):
        lines = [json.loads(line) | change for line in members[name].splitlines()]
        members[name] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()


CRASHED = {"reason": "the judge crashed", "count": 77, "first": "0_0_0.png"}
HELD_OUT = {"trained_with_judge": "pixels", "judge": "better", "identity": {}, "problem": None, "subtasks": {},
            "average": None}  # fmt: skip


def bonus(said: dict[str, Any]) -> None:
    """A subtask that no pair belongs to."""
    said["report"]["subtasks"]["bonus"] = {**said["report"]["subtasks"]["color"], "s_g": 1.0}


def scores(value: float) -> Callable[[dict[str, Any]], None]:
    def change(pair: dict[str, Any]) -> None:
        pair["scores"][0][0][0] = value

    return change


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (entry(lambda e: e["report"]["average"].update(s_g=0.999)), "summary", "report.average.s_g"),
        (entry(lambda e: e["report"]["average"]["ci"].update(s_g=[0.9, 0.91])), "summary", ".ci.s_g"),
        (entry(lambda e: e["report"]["contrast"]["average"].update(group=1.0)), "summary", "contrast"),
        (entry(lambda e: e["report"]["coverage"].update(unscored=7)), "summary", "coverage.unscored"),
        (entry(lambda e: e["report"]["worst_pairs"].pop(0)), "summary", "worst_pairs"),
        (entry(lambda e: e["report"]["worst_pairs"].clear()), "summary", "worst_pairs: expected 10 values, got 0"),
        (entry(lambda e: e["report"]["worst_pairs"][0].update(gap=0.0)), "summary", "worst_pairs[0].gap"),
        (entry(lambda e: e["report"]["worst_pairs"][0].update(prompts=["forged"] * 2)), "summary", "says forged"),
        (entry(bonus), "summary", "report.subtasks holds 'bonus'"),
        (entry(lambda e: e["report"]["notices"].append("INDEPENDENTLY AUDITED")), "summary", "says 'INDEPENDENTLY AUD"),
        (entry(lambda e: e["report"]["coverage"].update(reasons=[CRASHED])), "summary", "coverage.reasons: expected 0"),
        (entry(lambda e: e["report"].update(held_out=HELD_OUT)), "summary", "held_out: trained_with_judge is 'pixels'"),
        (third_pair(lambda p: p.update(pair_id="forged")), "suite", "the entry says 'forged'"),
        (third_pair(lambda p: p["unscored"].append({"prompt": 0, "sample": 0, "reason": "x"})), "summary", "reasons"),
        (entry(lambda e: e["report"]["interval"].update(draws=10**9)), "summary", "report.interval"),
        (entry(lambda e: e["report"]["generator"].update(model="better")), "identity", "'better'"),
        (entry(lambda e: e["report"]["generator"].update(recipe={"mistakes": 0})), "identity", "recipe"),
        (entry(lambda e: e.update(provenance="re-judged")), "identity", "expected 'measured' of adapter 'sketch'"),
        (entry(lambda e: e.pop("made_with")), "schema", "'made_with' is missing"),
        (edit_json("bundle.json", lambda b: b["judge"]["identity"].update(checkpoint="x")), "identity", "judge"),
        (edit_json("bundle.json", lambda b: b.update(schema="other/1")), "schema", "paircomp-bundle/1"),
        (edit_json("bundle.json", lambda b: b.pop("identity")), "identity", "malformed"),
        (third_pair(scores(0.123)), "judgements", "pairs.jsonl says 0.123"),
        (third_pair(lambda p: p.update(log_odds=[[[0.0] * 2] * 2] * 2)), "judgements", "pair 3: log_odds differ"),
        (third_pair(lambda p: p.update(g=0.5)), "summary", "pair 3.g says 0.5"),
        (third_pair(lambda p: p.update(subtask="color")), "suite", "pair 3: subtask is"),
        (third_pair(lambda p: p.update(prompts=["easy", "easier"])), "suite", "the prompts shown"),
        (third_pair(lambda p: p.update(pair=4)), "schema", "a pair occurs twice"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(score=1.0)), "judgements", "the judgement 1.0"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(image="0" * 16)), "judgements", "another image"),
        (edit_line("images.jsonl", 5, lambda i: i.update(sha256="0" * 64)), "judgements", "another image"),
        (unlisted, "judgements", "images.jsonl lists no such image"),
        (third_pair(lambda p: p.update(images=[[None] * 2] * 2)), "judgements", "that pairs.jsonl does not name"),
        (edit_line("images.jsonl", 5, lambda i: i.update(pair=999)), "judgements", "names 999_0_1.png, which is"),
        (edit_line("images.jsonl", 5, lambda i: i.update(pair="1")), "judgements", "expected whole numbers"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(judged_prompt=-1)), "judgements", "no prompt -1"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(log_yes="-0.1")), "judgements", "expected numbers"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(image="")), "judgements", "another image"),
        (edit_line("judgements.jsonl", 5, lambda j: j.update(image=None)), "judgements", "another image"),
        (edit_line("images.jsonl", 5, lambda i: i.update(sha256="")), "judgements", "expected 64 hexadecimal digits"),
        (lambda m: m.update({"images/0_0_0.png": m["images/0_0_1.png"] + b" "}), "images", "is not the image"),
        (lambda m: m.pop("images/0_0_0.png"), "images", "images/0_0_0.png is missing"),
        (lambda m: m.update({"judgements.jsonl": b"{"}), "judgements", "not JSON Lines"),
        (lambda m: m.pop("entry/pairs.jsonl"), "schema", "entry/pairs.jsonl is missing"),
        (edit_line("suite.jsonl", 3, lambda p: p.update(prompts=["one", "other"])), "suite", "digest"),
    ],
)  # fmt: skip
def test_inconsistent_edits_are_found_and_named(
    tampered: Callable[..., Verification], change: Callable[[Members], Any], check: str, said: str
) -> None:
    found = tampered(change)
    assert outcomes(found)[check] == "failed"
    assert said in next(one.said for one in found.checks if one.name == check)
    assert not found.passed
    assert found.badge == "failed verification"


def renamed(**generator: Any) -> Callable[[Members], None]:
    """A bundle whose entry and run agree on another generator."""

    def edit(members: Members) -> None:
        for name in ("entry/entry.json", "bundle.json"):
            said = json.loads(members[name])
            (said["report"]["generator"] if "report" in said else said["identity"]).update(generator)
            members[name] = json.dumps(said).encode()

    return edit


def test_images_from_elsewhere_cannot_be_called_measured(tampered: Callable[..., Verification]) -> None:
    found = tampered(renamed(adapter="images"))
    assert "provenance: expected 're-judged' of adapter 'images', got 'measured'" in found.checks[3].said


@pytest.mark.parametrize(
    "generator", [{"model": "janus-tiny-focusdiff"}, {"model": "mine", "checkpoint": "wendell0218/janus-focusdiff-7b"}]
)
def test_a_known_models_training_judge_cannot_be_left_out(
    tampered: Callable[..., Verification], generator: dict[str, str]
) -> None:
    found = tampered(renamed(**generator))
    assert outcomes(found)["identity"] == "failed"
    assert "as the catalogue says of this model, got None" in found.checks[3].said


def test_accidents_show_in_the_checksums(bundle: Path, tmp_path: Path) -> None:
    members = members_of(bundle)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in members.items())
    members["entry/entry.json"] = members["entry/entry.json"].replace(b"0.9", b"0.8", 1)
    del members["images/1_0_0.png"]
    with zipfile.ZipFile(tmp_path / "row.zip", "w") as archive:
        for name, content in [*members.items(), (CHECKSUMS, sums.encode())]:
            archive.writestr(name, content)
    found = verify(tmp_path / "row.zip")
    said = found.checks[1].said
    assert "entry/entry.json was changed" in said
    assert "images/1_0_0.png is listed in SHA256SUMS and missing" in said


def test_only_judging_again_finds_a_consistent_forgery(
    runs: dict[str, EvaluatedRun], tmp_path: Path
) -> None:  # fmt: skip
    """A run whose judgement records were all raised: every file agrees with every other."""
    import shutil

    import paircomp

    shutil.copytree(runs["poor"].run.path, tmp_path / "run")
    for part in (tmp_path / "run" / "judges" / "pixels").glob("part-*.jsonl"):
        header, *lines = part.read_text().splitlines()
        records = [json.loads(line) for line in lines]
        raised = [{**record, "score": min(1.0, record["score"] + 0.3)} for record in records]
        part.write_text("\n".join([header, *map(json.dumps, raised)]) + "\n")
    write_bundle(paircomp.load_run(tmp_path / "run"), tmp_path / "row.zip", images=True)
    assert verify(tmp_path / "row.zip").badge == "verified arithmetic"
    found = verify(tmp_path / "row.zip", rejudging=Rejudging(seed=3))
    assert outcomes(found)["judge again"] == "failed"
    assert "questions differ by more than 0.02" in found.checks[-1].said


def odds(members: Members) -> None:
    """Logs that tell every image from every other, and a summary that follows from them."""
    from paircomp.statistics import summarize

    judgements = [json.loads(line) for line in members["judgements.jsonl"].splitlines()]
    for record in judgements:
        own = record["prompt"] == record["judged_prompt"]
        record["log_yes"], record["log_no"] = (-0.01, -5.0) if own else (-5.0, -0.01)
    pairs = [json.loads(line) for line in members["entry/pairs.jsonl"].splitlines()]
    for pair in pairs:
        pair["log_odds"] = [[[4.99 if a == b else -4.99 for b in range(2)] for _ in range(2)] for a in range(2)]
    said = json.loads(members["entry/entry.json"])
    said["report"].update(summarize(score_table(pairs)).to_json("exclude"))
    members["entry/entry.json"] = json.dumps(said).encode()
    for name, lines in (("judgements.jsonl", judgements), ("entry/pairs.jsonl", pairs)):
        members[name] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def test_forged_logs_are_found_by_judging_again(tampered: Callable[..., Verification]) -> None:
    assert tampered(odds).badge == "verified arithmetic"
    found = tampered(odds, rejudging=Rejudging(share=1.0))
    assert outcomes(found)["judge again"] == "failed"
    assert "stored share of yes by its logs 0.0068, now 0.1197" in found.checks[-1].said


@pytest.mark.parametrize(
    ("stored", "fresh", "outcome"),
    [((0.5, 0.0, 0.0), (0.5, 0.0, 0.01), "passed"), ((0.5, 0.0, 0.0), (0.5, 0.0, 2.0), "failed"),
     ((0.5, None, None), (0.5, None, None), "passed"), ((0.5, None, None), (0.5, 0.0, 0.0), "failed"),
     ((0.5, 0.0, 0.0), (None, None, None), "failed"), ((1.0, 900.0, -900.0), (1.0, 0.0, -40.0), "passed")],
)  # fmt: skip
def test_logs_are_compared_as_shares_of_yes(stored: Any, fresh: Any, outcome: str) -> None:
    place = (0, 0, 0, 1)
    result = rejudging._compared({place: _Said.of(*fresh)}, {place: _Said.of(*stored)}, 0.02, "1 image")
    assert result[0] == outcome


def test_only_numbers_choices_and_defaults_are_taken_from_a_strangers_bundle() -> None:
    def factory(
        *, checkpoint: str | None = None, mode: Literal["a", "b"] | None = None, host: str = "localhost", most: int = 3
    ) -> Any: ...

    def named(**options: Any) -> str:
        return rejudging._outside_names({"checkpoint": None, "options": options}, factory)

    assert named(mode="a", host="localhost", most=4, strict=True, other=None) == ""
    assert named(mode="a", host="elsewhere", words=["elsewhere"], table={}) == "host, words, table"
    assert rejudging._outside_names({"checkpoint": "weights"}, factory) == "checkpoint"


@pytest.mark.parametrize("address", ["http://evil.example/v1", "evil-host", ["evil-host"]])
def test_a_strangers_judge_is_not_loaded_from_where_the_bundle_says(
    tampered: Callable[..., Verification], address: object
) -> None:
    def redirect(members: Members) -> None:
        for name in ("entry/entry.json", "bundle.json"):
            said = json.loads(members[name])
            for part in (said, said.get("report", said)):
                part["judge"]["identity"]["options"] = {"address": address}
            members[name] = json.dumps(said).encode()

    found = tampered(redirect, rejudging=Rejudging())
    assert outcomes(found)["judge again"] == "skipped"
    assert "--trust-judge" in found.checks[-1].said


def test_a_changed_image_cannot_be_packed(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    import shutil

    import paircomp
    from paircomp.errors import RunError

    shutil.copytree(runs["good"].run.path, tmp_path / "run")
    image = tmp_path / "run" / "images" / "0_0_0.png"
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="was changed after it was recorded"):
        write_bundle(paircomp.load_run(tmp_path / "run"), tmp_path / "row.zip")
    assert not (tmp_path / "row.zip").exists()


def test_a_verified_entry_carries_its_badge(bundle: Path, tmp_path: Path) -> None:
    found = verify(bundle, rejudging=Rejudging())
    folder = accept(found, tmp_path / "entries")
    entry = read_entry(folder)
    jsonschema.validate(entry.said, entry_schema())
    assert entry.verification is not None
    assert entry.verification["badge"] == "re-judged sample"
    assert entry.verification["bundle_sha256"] == found.sha256
    assert len(list((folder / "thumbnails").iterdir())) == 192
    assert folder.name == "sketch--small-shapes--pixels"


@pytest.mark.parametrize(
    ("label", "said"),
    [("sketch-careful", 'label: here "sketch-careful", in the bundle "sketch careful"'), ("sketch careful", "")],
)
def test_a_bundle_takes_the_place_of_its_own_row_only(
    runs: dict[str, EvaluatedRun], tmp_path: Path, label: str, said: str
) -> None:
    add_entry(runs["fair"], tmp_path / "entries", label=label, thumbnails=False)
    write_bundle(runs["good"], tmp_path / "row.zip", label="sketch careful", thumbnails=False)
    found = verify(tmp_path / "row.zip")
    if said:
        with pytest.raises(EntryError, match="another row has this place") as error:
            accept(found, tmp_path / "entries")
        assert said in str(error.value)
        assert "--replace" in str(error.value)
        (there,) = read_entries(tmp_path / "entries")
        assert there.label == label
    folder = accept(found, tmp_path / "entries", replace=bool(said))
    assert read_entry(folder).said["report"]["generator"]["recipe"]["mistakes"] == 0.02


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e["suite"].update(digest="0" * 64), "suite digest"),
        (lambda e: e["suite"].update(samples=3), "samples: here 3"),
        (lambda e: e["judge"]["identity"].update(checkpoint="x"), "judge"),
    ],
)
def test_a_row_of_another_suite_or_judge_keeps_its_place(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    found = verify(bundle)
    folder = accept(found, tmp_path)
    there = read_entry(folder)
    other = json.loads(json.dumps(there.said))
    change(other)
    monkeypatch.setattr(acceptance, "read_entry", lambda path: replace(there, said=other))
    with pytest.raises(EntryError, match=f"another row has this place .{said}"):
        accept(found, tmp_path)


def test_a_failed_bundle_and_a_thumbnail_that_is_none_are_not_accepted(
    tampered: Callable[..., Verification], tmp_path: Path
) -> None:
    with pytest.raises(EntryError, match="was not verified"):
        accept(tampered(lambda members: members.pop("images.jsonl")), tmp_path / "entries")
    found = tampered(lambda members: members.update({"entry/thumbnails/0_0_0.webp": b"<html>"}))
    with pytest.raises(EntryError, match=r"0_0_0\.webp: not an image file"):
        accept(found, tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


# Hostile archives


def hostile(path: Path, name: str, content: bytes = b"x", **attributes: Any) -> Path:
    header = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(header, key, value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(header, content)
    return path


@pytest.mark.parametrize(
    "name",
    ["../../evil.json", "/etc/passwd", "entry/../../x", "C:\\evil", "entry/thumbnails/../../x.webp",
     "images/0_0_0.png/..",
     "images/", "bundle.json/", "__pycache__/x.pyc", "entry/model.pkl", "images/00_0_0.png", "images/0_0_0.svg"],
)  # fmt: skip
def test_members_that_no_bundle_has_are_refused_unread(tmp_path: Path, name: str) -> None:
    with pytest.raises(EntryError, match="is no file of a bundle"):
        BundleFile(hostile(tmp_path / "x.zip", name))


def test_links_are_refused(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.zip", "bundle.json", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(EntryError, match=r"'bundle.json' is no plain file"):
        BundleFile(path)


def test_bombs_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.zip", "judgements.jsonl", bytes(64 * 2**20), compress_type=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(EntryError, match="swells"):
        BundleFile(path)


def test_a_member_that_lies_about_its_size_is_damaged(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.zip", "bundle.json", b"{}" * 500)
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 24 : central + 28] = (10).to_bytes(4, "little")  # uncompressed size in the directory
    path.write_bytes(content)
    with BundleFile(path) as file, pytest.raises(EntryError, match=r"bundle\.json"):
        file.read("bundle.json")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("bundle.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("bundle.json", "[]")
    with pytest.raises(EntryError, match="a member occurs twice"):
        BundleFile(twice)
    odd = hostile(tmp_path / "odd.zip", "bundle.json", compress_type=zipfile.ZIP_BZIP2)
    with pytest.raises(EntryError, match="compressed in a way"):
        BundleFile(odd)
    (tmp_path / "text.zip").write_text("not an archive")
    with pytest.raises(EntryError, match="not a readable ZIP file"):
        BundleFile(tmp_path / "text.zip")
    with (
        pytest.raises(EntryError, match="SHA256SUMS is missing"),
        BundleFile(hostile(tmp_path / "e.zip", "bundle.json")) as file,
    ):
        file.checksum_faults()


@pytest.mark.parametrize("where", range(20))
def test_a_bundle_damaged_anywhere_is_never_verified(bundle: Path, tmp_path: Path, where: int) -> None:
    content = bytearray(bundle.read_bytes())
    place = 40 + where * (len(content) - 80) // 20
    content[place] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(content)
    try:
        found = verify(tmp_path / "x.zip")
    except EntryError:
        return
    same = members_of_or_none(tmp_path / "x.zip") == members_of(bundle)
    assert not found.passed or same  # a byte of the archive's own bookkeeping may not matter


def members_of_or_none(path: Path) -> Members | None:
    try:
        return members_of(path)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError):
        return None
