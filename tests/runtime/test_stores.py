"""Where images lie: a folder, and a bucket of moto's S3 server, a fake of Amazon's on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import ConfigError, RunError, UnavailableError
from paircomp.runtime.stores import ImageStore, open_store
from tests.fake_s3 import fake_s3_server

COMMAND = ["eval", "--model", "sketch", "--limit", "6"]


@pytest.fixture(scope="module")
def fake_s3() -> Iterator[str]:
    with fake_s3_server() as bucket:
        yield bucket


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "images"))
    return open_store(f"{request.getfixturevalue('fake_s3')}/{tmp_path.name}")


@pytest.mark.filterwarnings("ignore")  # boto's and moto's own
def test_whole_files_by_name(store: ImageStore) -> None:
    assert list(store.sizes()) == []
    store.write("0_0_0.png", b"first")
    store.write("0_0_0.png", b"second one")
    store.write("0_0_1.png", b"")
    assert store.read("0_0_0.png") == b"second one"
    assert sorted(store.sizes()) == [("0_0_0.png", 10), ("0_0_1.png", 0)]
    again = open_store(store.location)
    assert again.read("0_0_0.png") == b"second one"
    again.remove("0_0_0.png")
    again.remove("0_0_0.png")
    assert [name for name, _ in store.sizes()] == ["0_0_1.png"]
    with pytest.raises(OSError, match="0_0_0"):
        store.read("0_0_0.png")


@pytest.mark.filterwarnings("ignore")
def test_a_run_with_its_images_in_a_bucket_gives_the_same_report(fake_s3: str, tmp_path: Path) -> None:
    bucket = ["--store", f"{fake_s3}/run"]
    assert paircomp([*COMMAND, "--out", str(tmp_path / "here")]) == 0
    for index in range(2):
        assert paircomp([*COMMAND, "--out", str(tmp_path / "there"), *bucket, "--shard", f"{index}/2"]) == 0
    there = open_store(f"{fake_s3}/run")
    for path in (tmp_path / "here" / "images").iterdir():
        assert there.read(path.name) == path.read_bytes()
    assert not (tmp_path / "there" / "images").exists()
    assert (tmp_path / "there" / "report.json").read_bytes() == (tmp_path / "here" / "report.json").read_bytes()
    there.remove("0_0_0.png")
    assert paircomp([*COMMAND, "--out", str(tmp_path / "there"), *bucket]) == 0


@pytest.mark.filterwarnings("ignore")
def test_another_store_and_an_absent_bucket_are_told(
    fake_s3: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match=r"s3://absent/run/0_0_0\.png: .*what was finished is kept"):
        open_store("s3://absent/run").write("0_0_0.png", b"x")
    command = ["generate", "--model", "sketch", "--limit", "1", "--out", str(tmp_path / "run")]
    assert paircomp(command) == 0
    assert paircomp([*command, "--store", f"{fake_s3}/other"]) == 1
    assert "store: stored None, given 's3://runs/other'" in capsys.readouterr().err


def test_a_folder_can_be_listed_while_it_is_written(tmp_path: Path) -> None:
    store, done = open_store(str(tmp_path)), threading.Event()

    def write() -> None:
        while not done.is_set():
            store.write("0_0_0.png", b"x", sync=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {entry for _ in range(2000) for entry in store.sizes()}
    finally:
        done.set()
        writer.join()
    assert seen == {("0_0_0.png", 1)}


def test_an_unknown_kind_of_store_is_refused() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises((ConfigError, UnavailableError), match="nowhere://x"):
        open_store("nowhere://x")
