"""Any number of processes on one run give the same images and the same report."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import MissingImagesError, RunError
from paircomp.pipeline import generate_images, import_images, judge_images
from paircomp.pipeline.share import wanted_images
from paircomp.run_store import Run, Selection
from paircomp.runtime.shards import ALL, Shard
from paircomp.types import Generated, GenerationRequest
from tests.parts import FlatGenerator, SteadyJudge, new_run, small_suite

REPORTS = ("report.json", "report.md", "report.csv", "pairs.csv", "report.html")
SUITE = small_suite()


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("SLURM_") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)


def files(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def images(folder: Path) -> dict[str, bytes]:
    return files(folder, (f"images/{path.name}" for path in (folder / "images").glob("*.png")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert paircomp(["eval", "--model", "sketch", "--limit", "13", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_shards_gives_the_same_report_and_the_same_images(
    count: int, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    for step in (["generate", "--model", "sketch", "--limit", "13", "--out", out], ["judge", out]):
        for index in reversed(range(count)):
            assert paircomp([*step, "--shard", f"{index}/{count}"]) == 0
    assert paircomp(["report", out]) == 0
    assert images(tmp_path / "run") == images(whole)
    assert files(tmp_path / "run", REPORTS) == files(whole, REPORTS)
    invocations = Run.open(tmp_path / "run").manifest["invocations"]
    assert len(invocations) == 2 * count
    assert invocations[0].get("shard") == (None if count == 1 else f"{count - 1}/{count}")


@pytest.mark.parametrize(("pairs", "limit", "count"), [(4, None, 3), (5, 3, 7), (4, 2, 40)])
def test_shards_are_even_and_disjoint_and_leave_nothing_out(pairs: int, limit: int | None, count: int) -> None:
    suite = small_suite(pairs)
    selected = Selection(limit).pairs(suite)
    shares = [wanted_images(suite, selected, Shard(index, count)) for index in range(count)]
    assert (np.sum(shares, axis=0) == wanted_images(suite, selected, ALL)).all()
    sizes = [int(share.sum()) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_shards_of_eval_run_at_the_same_time_and_the_last_one_writes_the_report(whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "paircomp", "eval", "--model", "sketch", "--limit", "13", "--out", "run"]
    surroundings = {**os.environ, "WORLD_SIZE": "3"}
    started = [
        subprocess.Popen(command, cwd=tmp_path, env={**surroundings, "RANK": str(rank)}, stderr=subprocess.PIPE)
        for rank in range(3)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    for rank, text in enumerate(said):
        assert f"shard {rank}/3 (counted from 0), taken from RANK={rank}, WORLD_SIZE=3" in text
    assert files(tmp_path / "run", REPORTS) == files(whole, REPORTS)
    assert images(tmp_path / "run") == images(whole)


def test_a_shard_that_is_not_the_last_says_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--model", "sketch", "--limit", "2", "--out", str(tmp_path / "run"), "--json"]
    assert paircomp([*command, "--shard", "0/2"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": str(tmp_path / "run"), "shard": "0/2", "images_left": 4, "judgements_left": 0,
    }  # fmt: skip
    assert not (tmp_path / "run" / "report.json").exists()
    assert paircomp([*command, "--shard", "1/2"]) == 0
    assert json.loads(capsys.readouterr().out)["coverage"] == {
        **json.loads((tmp_path / "run" / "report.json").read_text())["coverage"], "images": 8, "scored": 8,
    }  # fmt: skip


def test_shards_of_a_folder_of_images_divide_it_too(whole: Path, tmp_path: Path) -> None:
    command = ["judge", "--images", str(whole / "images"), "--suite", "shapes", "--limit", "13", "--out"]
    for index in range(3):
        assert paircomp([*command, str(tmp_path / "run"), "--shard", f"{index}/3"]) == 0
    records = [(r["pair"], r["prompt"], r["sample"]) for r in Run.open(tmp_path / "run").image_records.read()]
    assert len(records) == 52
    assert Counter(records).most_common(1)[0][1] == 1
    judged = list(Run.open(tmp_path / "run").judge("pixels").records.read())
    assert len(judged) == 104


def test_what_one_number_of_shards_left_another_number_finishes(tmp_path: Path) -> None:
    run = new_run(tmp_path, SUITE)
    generate_images(run, SUITE, FlatGenerator, Selection(), who="flat", shard=Shard(1, 3))
    counts = [
        generate_images(run, SUITE, FlatGenerator, Selection(), who="flat", shard=Shard(index, 2)) for index in (0, 1)
    ]
    assert [count.total for count in counts] == [8, 8]
    assert sum(count.new for count in counts) == 11
    assert len(images(tmp_path)) == 16


def test_other_shards_may_be_at_work_but_no_other_division(tmp_path: Path) -> None:
    run = new_run(tmp_path, SUITE)
    with run.lock("generate", shard=Shard(0, 3)), run.lock("generate", shard=Shard(2, 3)):
        with pytest.raises(RunError, match=r"generate \(shard 0/3\) step of this run is already being done by process"):
            run.lock("generate", shard=Shard(0, 3)).__enter__()
        for other in (ALL, Shard(0, 2)):
            with pytest.raises(RunError, match=r"generate \(shard 0/3\) step"):
                run.lock("generate", shard=other).__enter__()
        with run.lock("judge steady", shard=Shard(0, 2)):
            pass
    with run.lock("generate"):
        pass


class Refusing(FlatGenerator):
    def answer(self, request: GenerationRequest) -> Generated:
        return Generated(request.key, unscored="refused: no")


def test_a_shard_without_images_to_judge_is_done_when_they_were_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, SUITE)

    def judge(shard: Shard) -> int:
        return judge_images(run, SUITE, SteadyJudge, Selection(), name="steady", identity={}, cross=False,
                            shard=shard).total  # fmt: skip

    with pytest.raises(MissingImagesError):
        judge(Shard(0, 2))  # nothing was tried: it is the generate step that is missing
    generate_images(run, SUITE, Refusing, Selection(), who="flat", shard=Shard(0, 2))
    assert judge(Shard(0, 2)) == 0
    with pytest.raises(MissingImagesError):
        judge(ALL)
    assert judge(Shard(39, 40)) == 0  # no image falls to it


def test_an_empty_folder_is_told_by_every_shard(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    run = Run.create(tmp_path / "run", suite=SUITE, identity={}, images=tmp_path / "images")
    with pytest.raises(MissingImagesError):
        import_images(run, SUITE, Selection(), shard=Shard(1, 2))


def test_a_job_array_is_divided_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["generate", "--model", "sketch", "--limit", "1", "--out", str(tmp_path / "run")]
    assert paircomp([*command, "--shard", "auto"]) == 1
    assert "found neither SLURM_ARRAY_TASK_ID nor RANK and WORLD_SIZE" in capsys.readouterr().err
    for name, value in {"ID": "2", "MIN": "1", "MAX": "4", "COUNT": "4"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert paircomp([*command, "--shard", "auto"]) == 0
    assert "shard 1/4 (counted from 0), taken from SLURM_ARRAY_TASK_ID=2" in capsys.readouterr().err
    assert len(images(tmp_path / "run")) == 1
    assert paircomp(command) == 0
    assert "each task of this job array does all of the work; --shard auto divides it" in capsys.readouterr().err
    assert len(images(tmp_path / "run")) == 4
