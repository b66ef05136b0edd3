"""The commands as a user types them: exit codes, stdout kept for results, one-line errors."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from paircomp.cli import run
from paircomp.report.schema import report_schema
from paircomp.run_store import Run

OFFICIAL = os.environ.get("PAIRCOMP_DATA_DIR")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def test_eval_prints_a_table_and_writes_the_report(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "12"]) == 0
    out, err = capfd.readouterr()
    assert "PARTIAL: 12 of 240 pairs" in out
    assert "Average (macro)" in out
    assert "generate: 48 images, 0 cached" in err
    files = {path.name for path in Path("runs/sketch--shapes--seed0").iterdir()}
    assert {"run.json", "report.json", "report.md", "report.csv", "report.html", "pairs.csv"} <= files


def test_json_is_one_object_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "6", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    jsonschema.validate(report, report_schema())
    assert report == json.loads(Path("runs/sketch--shapes--seed0/report.json").read_text())


def test_the_steps_alone_equal_eval(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "6", "--out", "whole", "--json"]) == 0
    whole = capfd.readouterr().out
    assert run(["generate", "--model", "sketch", "--limit", "6", "--out", "steps"]) == 0
    assert run(["judge", "steps", "--limit", "6"]) == 0
    capfd.readouterr()
    assert run(["report", "steps", "--json"]) == 0
    assert capfd.readouterr().out == whole


def test_the_steps_alone_tell_a_program_what_they_did(capfd: pytest.CaptureFixture[str]) -> None:
    for command, total in ((["generate", "--model", "sketch", "--limit", "6", "--out", "steps"], 24),
                           (["judge", "steps", "--limit", "6"], 48)):  # fmt: skip
        for new, cached in ((total, 0), (0, total)):
            assert run([*command, "--json"]) == 0
            said = json.loads(capfd.readouterr().out)
            counts = {"total": total, "cached": cached, "new": new, "unscored": 0, "dropped": 0, "usd": 0}
            assert said.pop("seconds") >= 0
            assert said == {"run": "steps", "step": command[0], **counts}


def test_a_second_eval_has_nothing_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "6"])
    capfd.readouterr()
    assert run(["eval", "--model", "sketch", "--limit", "6"]) == 0
    err = capfd.readouterr().err
    assert "generate: 24 cached, 0 new" in err
    assert "judge: 48 cached, 0 new" in err


def test_a_folder_of_images_is_judged_like_a_run(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "12", "--out", "drawn", "--json"])
    drawn = json.loads(capfd.readouterr().out)
    assert run(["judge", "--images", "drawn/images", "--suite", "shapes", "--model", "mine", "--limit", "12"]) == 0
    path = capfd.readouterr().out.strip()
    assert path == os.path.join("runs", "mine--shapes--seed0")
    assert run(["report", path, "--json"]) == 0
    judged = json.loads(capfd.readouterr().out)
    assert judged["subtasks"] == drawn["subtasks"]
    assert judged["generator"]["model"] == "mine"


def test_a_folder_named_by_a_dot_gives_its_name_to_the_model(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["generate", "--model", "sketch", "--limit", "2", "--out", "drawn"]) == 0
    monkeypatch.chdir("drawn/images")
    assert run(["eval", "--images", ".", "--suite", "shapes", "--limit", "2", "--json"]) == 0
    assert Run.open(Path("runs/images--shapes--seed0")).identity["model"] == "images"


def test_a_selection_without_pictures_says_which_names_it_looked_for(capfd: pytest.CaptureFixture[str]) -> None:
    Path("pictures").mkdir()
    Image.new("RGB", (32, 32)).save("pictures/0_0_0.png")
    assert run(["eval", "--images", "pictures", "--suite", "shapes", "--limit", "6"]) == 1
    said = r"no image of the 6 pairs that were selected of 240 .* such as [1-9]\d*_0_0\.png; .* --limit or --subtask"
    assert re.search(said, capfd.readouterr().err)


def test_estimate_counts_and_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--estimate", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["pairs"], said["images"], said["images_left"]) == (240, 960, 960)
    assert 0 < said["seconds"] < 600
    assert list(tmp_path.iterdir()) == []
    run(["eval", "--model", "sketch", "--limit", "10"])
    capfd.readouterr()
    run(["eval", "--model", "sketch", "--estimate"])
    assert "960 (920 to draw" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["eval"], 1, "name a model (--model NAME) or an adapter"),
        (["eval", "--model", "sketsh"], 1, "did you mean sketch"),
        (["eval", "--model", "sketch", "--judge", "pixel"], 1, "did you mean pixels?"),
        (["eval", "--model", "sketch", "--suite", "shape"], 1, "did you mean shapes"),
        (["eval", "--model", "sketch", "--suite", "absent.json"], 1, "absent.json"),
        (["eval", "--model", "sketch", "--subtask", "colour"], 1, "did you mean 'color'?"),
        (["eval", "--model", "sketch", "-o", "mistakes=2"], 1, "mistakes"),
        (["eval", "--model", "sketch", "-o", "mistake=2"], 1, "did you mean mistakes?"),
        (["eval", "--model", "sketch", "-o", "token=abc"], 1, "environment"),
        (["eval", "--model", "sketch", "--device", "cuda"], 1, "--device auto"),
        (["eval", "--model", "sketch", "--limit", "0"], 2, "--limit"),
        (["eval", "--model", "sketch", "--batch-size", "none"], 2, "expected 'auto' or a whole number"),
        (["eval", "--nonsense"], 2, "--nonsense"),
        (["evil"], 2, "Did you mean 'eval'?"),
        (["report", "absent"], 1, "no run here"),
        (["report"], 2, "name a RUN or --official-scores"),
        (["report", "absent", "--format", "pdf"], 2, "unknown format 'pdf'"),
        (["judge"], 2, "name a RUN or --images"),
        (["judge", "--images", "absent", "--suite", "shapes"], 1, "got nothing"),
        (["judge", "--images", "absent"], 2, "--images needs --suite"),
        (["compare", "a", "b"], 1, "no run here"),
        (["compare", "a", "b", "--fail-if-worse", "1.5"], 2, "0.01 for one point"),
        (["fetch", "nothing"], 1, "nothing"),
        (["adapter", "check", "sketsh"], 1, "sketsh"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    arguments: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(arguments) == code
    out, err = capfd.readouterr()
    assert said in err
    assert out == ""
    assert "Traceback" not in err
    if code == 1:
        assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1


def test_verbose_shows_where_an_error_came_from(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketsh", "-v"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_compare_prints_and_gates(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "60", "--out", "a"])
    run(["eval", "--model", "sketch-careful", "--limit", "60", "--out", "b"])
    capfd.readouterr()
    assert run(["compare", "a", "b", "--fail-if-worse", "0.01"]) == 0
    assert "Average (macro)" in capfd.readouterr().out
    assert run(["compare", "b", "a", "--fail-if-worse", "0.01", "--json"]) == 3
    out, err = capfd.readouterr()
    assert json.loads(out)["average"]["s_g"]["difference"] < -0.01
    assert "a is worse than b by more than 0.01" in err
    assert run(["compare", "a", "b", "--require-not-worse", "0.01"]) == 0
    assert run(["compare", "b", "a", "--require-not-worse", "0.01"]) == 3


@pytest.mark.parametrize("formats", ["eee", "hub", "official", "json,md,csv,html"])
def test_every_export_is_written(formats: str, capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"])
    capfd.readouterr()
    assert run(["report", "run", "--format", formats, "--hub-dataset", "someone/paircomp"]) == 0
    names = {path.name for path in Path("run").rglob("*") if path.is_file()}
    expected = {"eee": "_samples.jsonl", "hub": "model_card_section.md", "official": "score.json"}
    assert any(name.endswith(expected.get(formats, "report.html")) for name in names)


def test_scores_written_for_the_published_script_read_back(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "12", "--out", "run", "--json"])
    first = json.loads(capfd.readouterr().out)
    run(["report", "run", "--format", "official"])
    capfd.readouterr()
    assert run(["report", "--official-scores", "run/score.json", "--suite", "shapes", "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    for name, row in first["subtasks"].items():
        assert again["subtasks"][name]["s_g"] == row["s_g"]
    assert again["coverage"]["unscored"] == 960 - 48
    assert run(["eval", "--images", "run/images", "--suite", "shapes", "--judge", "recorded", "-j",
                "file=run/score.json", "--limit", "12", "--json"]) == 0  # fmt: skip
    recorded = json.loads(capfd.readouterr().out)
    assert recorded["subtasks"]["color"]["s_a"] == first["subtasks"]["color"]["s_a"]


@pytest.mark.skipif(OFFICIAL is None, reason="PAIRCOMP_DATA_DIR names no folder with the published files")
def test_the_published_score_file_gives_the_published_summary(capfd: pytest.CaptureFixture[str]) -> None:
    folder = Path(str(OFFICIAL))
    assert run(["report", "--official-scores", str(folder / "official_scores_seed7.json"), "--suite",
                str(folder / "PairComp.json"), "--json"]) == 0  # fmt: skip
    report = json.loads(capfd.readouterr().out)
    expected = json.loads((folder / "official_scores_seed7.expected.json").read_text())
    names = {"Overall appearance": "overall_appearance", "Color": "color", "Counting": "counting",
             "Position": "position", "Style & Tone": "style_tone", "Text": "text"}  # fmt: skip
    for title, name in names.items():
        for mean in ("s_a", "s_g"):
            assert report["subtasks"][name][mean] == pytest.approx(expected[title][mean], abs=1e-12)
    for mean in ("s_a", "s_g"):
        assert report["average"][mean] == pytest.approx(expected["Average"][mean], abs=1e-12)


@pytest.mark.skipif(OFFICIAL is None, reason="PAIRCOMP_DATA_DIR names no folder with the published files")
def test_the_official_550_pairs_are_judged_from_a_folder(capfd: pytest.CaptureFixture[str]) -> None:
    """2,200 officially named images, scored as the published file says: the report equals the published summary."""
    from PIL import Image

    folder = Path(str(OFFICIAL))
    Path("images").mkdir()
    for pair in range(550):
        for prompt in range(2):
            for sample in range(2):
                Image.new("RGB", (8, 8), (pair % 256, prompt, sample)).save(f"images/{pair}_{prompt}_{sample}.png")
    assert run(["judge", "--images", "images", "--suite", "paircomp", "--model", "seed7", "--judge", "recorded", "-j",
                f"file={folder / 'official_scores_seed7.json'}"]) == 0  # fmt: skip
    path = capfd.readouterr().out.strip()
    assert run(["report", path, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    expected = json.loads((folder / "official_scores_seed7.expected.json").read_text())
    assert report["coverage"] == {**report["coverage"], "images": 2200, "scored": 2200}
    assert report["average"]["s_g"] == pytest.approx(expected["Average"]["s_g"], abs=1e-12)
    assert all(pair["prompts"] is None for pair in report["worst_pairs"])
    caption = json.loads((folder / "PairComp.json").read_text())[0]["caption1"]
    assert run(["report", path, "--format", "json,md,csv,html,eee,hub", "--hub-dataset", "a/b"]) == 0
    written = [file for file in Path(path).rglob("*") if file.is_file() and file.name != "suite.jsonl"]
    assert len(written) > 8
    assert not any(caption.encode() in file.read_bytes() for file in written)
    assert run(["report", path, "--format", "csv", "--include-prompts"]) == 0
    assert caption in (Path(path) / "pairs.csv").read_text()


def test_models_judges_suites_and_doctor_answer_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    for command, key, name in (("models", "models", "sketch"), ("judges", "judges", "pixels"),
                               ("suites", "suites", "shapes")):  # fmt: skip
        assert run([command, "--json"]) == 0
        assert name in {row["name"] for row in json.loads(capfd.readouterr().out)[key]}
    assert run(["doctor", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["machine"]["cores"] >= 1
    assert said["broken"] == []


@pytest.mark.parametrize(("kind", "name"), [("generator", "sketch"), ("judge", "pixels")])
def test_built_in_parts_keep_their_contract(kind: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["adapter", "check", name, "--kind", kind]) == 0
    out = capfd.readouterr().out
    assert "FAILED" not in out
    assert out.count("     ok  ") >= 4


def test_a_file_size_limit_like_a_full_disk_is_one_line_and_resumable() -> None:
    command = [sys.executable, "-m", "paircomp", "eval", "--model", "sketch", "--limit", "30", "--out", "run"]

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    full = subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=small_files)
    assert full.returncode == 1
    assert "Traceback" not in full.stderr
    assert "next: mend it and run the same command again" in full.stderr
    subprocess.run(command, capture_output=True, check=True)
    undisturbed = [*command[:-1], "undisturbed"]
    subprocess.run(undisturbed, capture_output=True, check=True)
    assert Path("run/report.json").read_bytes() == Path("undisturbed/report.json").read_bytes()


def test_a_place_that_cannot_be_written_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "1", "--out", "/proc/paircomp/run"]) == 1
    err = capfd.readouterr().err
    assert err.startswith("Error: /proc/paircomp")
    Path("file").write_text("x")
    assert run(["eval", "--model", "sketch", "--limit", "1", "--out", "file"]) == 1
    assert "got a file" in capfd.readouterr().err


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_an_asked_for_end_say_how_to_go_on(sent: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "paircomp", "eval", "--model", "sketch", "--out", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (Path("run/images").exists() and any(Path("run/images").iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "the same command continues" in err
    assert "Traceback" not in err
    assert run(["eval", "--model", "sketch", "--out", "run"]) == 0


def test_a_second_process_on_one_step_is_told() -> None:
    plugin = Path("slow.py")
    plugin.write_text(
        "import time\nfrom PIL import Image\nfrom paircomp import Generated\n"
        "class Slow:\n    def generate(self, requests):\n        for r in requests:\n            time.sleep(0.3)\n"
        "            yield Generated(r.key, Image.new('RGB', (8, 8)))\n    def close(self): ...\n"
        "def slow(*, checkpoint=None, device='cpu', dtype=None): return Slow()\nGENERATORS = {'slow': slow}\n"
    )
    command = [sys.executable, "-m", "paircomp", "generate", "--adapter", "slow", "--plugin", "slow.py", "--suite",
               "shapes", "--out", "run"]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not Path("run/images").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert f"already being done by process {first.pid}" in second.stderr
    finally:
        first.kill()
        first.wait()


def test_judging_the_whole_of_a_partial_run_keeps_it_partial(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "6", "--out", "run", "--json"])
    first = json.loads(capfd.readouterr().out)
    assert run(["judge", "run"]) == 0
    capfd.readouterr()
    assert run(["report", "run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == first


def test_pictures_that_were_replaced_are_judged_as_they_are_now() -> None:
    Path("pictures").mkdir()
    for place, colour in (("39_0_0", "red"), ("39_1_0", "blue"), ("40_0_0", "red")):
        Image.new("RGB", (8, 8), colour).save(f"pictures/{place}.png")
    common = ["--images", "pictures", "--suite", "shapes", "--model", "mine", "--limit", "1"]  # pair 39
    assert run(["judge", *common, "--out", "run"]) == 0
    Image.new("RGB", (8, 8), "lime").save("pictures/39_0_0.png")
    assert run(["judge", "run"]) == 0
    opened = Run.open(Path("run"))
    tags = [
        said["image"] for said in opened.judge("pixels").records.read() if (said["pair"], said["prompt"]) == (39, 0)
    ]
    recorded = [said["sha256"][:16] for said in opened.image_records.read() if said["prompt"] == 0]
    assert list(dict.fromkeys(tags)) == recorded
    assert len(recorded) == 2
    assert {said["pair"] for said in opened.image_records.read()} == {39}  # pairs that nobody asked for stay out


def test_another_folder_of_images_is_another_run(capfd: pytest.CaptureFixture[str]) -> None:
    run(["generate", "--model", "sketch", "--limit", "2", "--out", "a"])
    run(["generate", "--model", "sketch", "--limit", "2", "--out", "b", "--seed", "1"])
    assert run(["judge", "--images", "a/images", "--suite", "shapes", "--limit", "2"]) == 0
    capfd.readouterr()
    assert run(["judge", "--images", "b/images", "--suite", "shapes", "--limit", "2"]) == 1
    assert "checkpoint: stored" in capfd.readouterr().err


def test_a_run_in_place_is_reported_from_anywhere_or_says_that_its_images_are_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["generate", "--model", "sketch", "--limit", "2", "--out", "a"])
    assert run(["judge", "--images", "a/images", "--suite", "shapes", "--limit", "2", "--out", "judged"]) == 0
    monkeypatch.chdir(tmp_path / "a")
    capfd.readouterr()
    assert run(["report", str(tmp_path / "judged"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["coverage"]["unscored"] == 0
    (tmp_path / "a" / "images").rename(tmp_path / "a" / "elsewhere")
    assert run(["report", str(tmp_path / "judged")]) == 1
    assert "images is gone" in capfd.readouterr().err


def test_a_refused_second_process_leaves_no_trace_in_the_selection(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"])
    with Run.open(Path("run")).lock("generate"):
        assert run(["eval", "--model", "sketch", "--limit", "60", "--out", "run"]) == 1
    capfd.readouterr()
    assert run(["report", "run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["suite"]["selected_pairs"] == 6


def test_a_smaller_look_or_a_second_judge_leaves_the_report_alone(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "12", "--out", "run"])
    whole = Path("run/report.json").read_bytes()
    assert run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"]) == 0
    out, err = capfd.readouterr()
    assert "PARTIAL: 6 of 240 pairs" in out
    assert "asked for 12 pairs; its report files are left" in err
    run(["report", "run", "--format", "official"])
    assert run(["eval", "--model", "sketch", "--limit", "12", "--out", "run", "--judge", "recorded", "-j",
                "file=run/score.json"]) == 0  # fmt: skip
    assert Path("run/report.json").read_bytes() == whole
    assert json.loads(Path("run/judges/recorded/report.json").read_text())["judge"]["name"] == "recorded"


@pytest.mark.parametrize("part", [["--limit", "6"], ["--subtask", "color"]])
def test_a_report_of_a_part_leaves_the_files_of_the_whole_alone(
    part: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "--model", "sketch", "--limit", "12", "--out", "run"]) == 0
    before = {path: path.read_bytes() for path in Path("run").iterdir() if path.is_file()}
    capfd.readouterr()
    assert run(["report", "run", *part, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["suite"]["selected_pairs"] == (6 if part[0] == "--limit" else 40)
    assert "asked for 12 pairs; its report files are left as they are" in err
    assert {path: path.read_bytes() for path in Path("run").iterdir() if path.is_file()} == before


def test_a_part_of_the_subtasks_has_no_average_for_the_hub(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", "sketch", "--subtask", "color", "--limit", "2", "--out", "run"]) == 0
    assert "Average (1 of 6 subtasks)" in capfd.readouterr().out
    assert run(["report", "run", "--format", "hub", "--hub-dataset", "me/paircomp"]) == 1
    assert "average over 1 of 6 subtasks: no export without all" in capfd.readouterr().err
    assert not list(Path("run").glob("**/*.yaml"))


def test_a_suite_refused_as_a_whole_still_gets_its_report(capfd: pytest.CaptureFixture[str]) -> None:
    Path("mine.jsonl").write_text('{"prompts": ["three eggs", "two eggs"], "subtask": "counting"}\n')
    assert run(["eval", "--model", "sketch", "--suite", "mine.jsonl", "--judge", "pixels", "--json"]) == 1
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert report["notices"][0].startswith("COVERAGE 0.0%")
    assert report["average"]["s_a"] is None
    assert "no image to judge" in err


def test_images_without_any_score_get_their_report_and_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    run(["generate", "--model", "sketch", "--limit", "1", "--out", "drawn"])
    capfd.readouterr()
    Path("mine.jsonl").write_text('{"prompts": ["three eggs", "two eggs"], "subtask": "counting"}\n')
    Path("pictures").mkdir()
    for drawn in Path("drawn/images").glob("*_*_*.png"):
        drawn.rename(Path("pictures") / f"0_{drawn.name.partition('_')[2]}")

    said = run(["eval", "--images", "pictures", "--suite", "mine.jsonl", "--judge", "pixels", "--out", "run", "--json"])

    out, err = capfd.readouterr()
    assert said == 1
    assert json.loads(out)["notices"][0].startswith("COVERAGE 0.0%")
    assert re.search(r"run: not one of 4 images has a score: .*outside.*; next: mend that and evaluate again", err)
    assert Path("run/report.html").is_file()


def test_a_generator_that_prints_does_not_spoil_the_json(capfd: pytest.CaptureFixture[str]) -> None:
    Path("chatty.py").write_text(
        "from PIL import Image\nfrom paircomp import Generated\n"
        "class Chatty:\n    def generate(self, requests):\n        for r in requests:\n            print('drawing')\n"
        "            yield Generated(r.key, Image.new('RGB', (8, 8)))\n    def close(self): ...\n"
        "def chatty(*, checkpoint=None, device='cpu', dtype=None):\n    print('loading')\n    return Chatty()\n"
        "GENERATORS = {'chatty': chatty}\n"
    )
    assert (
        run(["eval", "--adapter", "chatty", "--plugin", "chatty.py", "--suite", "shapes", "--limit", "1", "--json"])
        == 0
    )
    out, err = capfd.readouterr()
    assert json.loads(out)["schema"] == "paircomp-report/1"
    assert err.count("drawing") == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no such weights')", "generator 'odd' cannot be made: RuntimeError: no such weights"),
        ("return None", "generator 'odd': its factory returned NoneType"),
    ],
)
def test_a_factory_that_fails_is_one_line(body: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(
        f"def odd(*, checkpoint=None, device='cpu', dtype=None):\n    {body}\nGENERATORS = {{'odd': odd}}\n"
    )
    assert run(["eval", "--adapter", "odd", "--plugin", "odd.py", "--suite", "shapes", "--limit", "1"]) == 1
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_runs_are_compared_by_one_rater_and_not_by_two_files(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("sketch", "sketch-careful"):
        assert run(["eval", "--model", name, "--limit", "12", "--out", name]) == 0
        assert run(["report", name, "--format", "official"]) == 0
        for rater in (["-j", "rater=three people"], []):
            command = ["eval", "--images", f"{name}/images", "--suite", "shapes", "--limit", "12", "--model", name,
                       "--judge", "recorded", "-j", f"file={name}/score.json", *rater]  # fmt: skip
            assert run([*command, "--out", f"{name}-rated{len(rater)}"]) == 0
    capfd.readouterr()
    assert run(["compare", "sketch-rated2", "sketch-careful-rated2", "--json"]) == 0
    rated = json.loads(capfd.readouterr().out)
    assert run(["compare", "sketch", "sketch-careful", "--json"]) == 0
    assert rated["average"] == json.loads(capfd.readouterr().out)["average"]
    assert run(["compare", "sketch-rated0", "sketch-careful-rated0"]) == 1
    assert "differ in judge.says.sha256" in capfd.readouterr().err

    Path("sketch/score.json").write_text(Path("sketch-careful/score.json").read_text())
    edited = ["-j", "file=sketch/score.json", "-j", "rater=three people"]
    assert run(["judge", "sketch-rated2", "--judge", "recorded", *edited]) == 1
    assert "evidence.file: stored" in capfd.readouterr().err  # one run holds one file's scores


def test_a_score_file_of_another_k_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    run(["eval", "--model", "sketch", "--limit", "6", "--out", "run"])
    run(["report", "run", "--format", "official"])
    said = json.loads(Path("run/score.json").read_text())
    first = {pair: [row for row in rows if row["image_idx"] == 0] for pair, rows in said.items()}
    Path("first.json").write_text(json.dumps(first))
    for file, k in (("run/score.json", 2), ("first.json", 1)):
        capfd.readouterr()
        assert run(["report", "--official-scores", file, "--suite", "shapes"]) == 0
        out = capfd.readouterr().out
        assert f"on shapes, K = {k}, judged by official-scores" in out
        assert ("K = 1, THE SUITE HAS 2" in out) == (k == 1)


def test_no_public_file_says_where_folders_lie(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "home of somebody"
    (secret / "weights").mkdir(parents=True)
    assert run(["eval", "--model", "sketch", "--limit", "2", "--out", str(secret / "drawn")]) == 0
    assert run(["report", str(secret / "drawn"), "--format", "official"]) == 0
    suite = secret / "pairs.jsonl"
    suite.write_bytes((secret / "drawn" / "suite.jsonl").read_bytes())
    assert run(["eval", "--images", str(secret / "drawn" / "images"), "--suite", str(suite), "--out", "run", "--limit",
                "2", "--judge", "recorded", "-j", f"file={secret / 'drawn' / 'score.json'}"]) == 0  # fmt: skip
    assert run(["report", "run", "--format", "json,md,csv,html,eee"]) == 0
    assert run(["leaderboard", "add", "run", "--entries", "entries"]) == 0
    assert run(["leaderboard", "bundle", "run", "--out", "bundle.zip"]) == 0
    assert run(["leaderboard", "verify", "bundle.zip"]) == 0
    capfd.readouterr()

    report = json.loads(Path("run/report.json").read_text())
    assert report["generator"]["checkpoint"] == "images"
    assert report["suite"]["source"] == "pairs.jsonl"
    assert "home of somebody" in Path("run/run.json").read_text()
    with zipfile.ZipFile("bundle.zip") as bundle:
        members = [bundle.read(name) for name in bundle.namelist()]
    public = [path.read_bytes() for place in ("entries", "run") for path in Path(place).rglob("*")
              if path.is_file() and path.name not in ("run.json", "judge.json")]  # fmt: skip
    assert not [content for content in (*members, *public) if b"somebody" in content]
