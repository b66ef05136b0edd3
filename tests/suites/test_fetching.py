"""Fetching against a real server that truncates, resets, stalls and lies."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paircomp.errors import ConfigError, RunError, SuiteError
from paircomp.suites.fetching import SOURCES, cache_directory, cached_file, fetch


def fetch_from(server: Any, cache: Path, **options: Any) -> Path:
    digest = options.pop("sha256", hashlib.sha256(server.content).hexdigest())
    settings = {"attempts": 4, "timeout": 5.0, "pause": 0.01, **options}
    return fetch("paircomp", url=server.url, sha256=digest, cache_dir=cache, **settings)


def left_over(cache: Path) -> set[str]:
    """What lies beside the file, locks aside."""
    return {path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_file_arrives_whole_and_is_not_asked_for_again(server: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    path = fetch_from(server, tmp_path, progress=lambda size, expected: seen.append((size, expected)))
    again = fetch_from(server, tmp_path)

    assert path == again == cached_file("paircomp", cache_dir=tmp_path)
    assert path.read_bytes() == server.content
    assert server.ranges_asked == [None]
    assert seen[-1] == (len(server.content), len(server.content))
    assert [size for size, _ in seen] == sorted(size for size, _ in seen)
    assert left_over(tmp_path) == {"PairComp.json"}


@pytest.mark.parametrize("fault", ["truncated", "reset", "stalled"])
def test_a_broken_transfer_goes_on_where_it_broke(server: Any, tmp_path: Path, fault: str) -> None:
    server.script = [fault]

    path = fetch_from(server, tmp_path, timeout=0.3)

    half = len(server.content) // 2
    assert path.read_bytes() == server.content
    assert len(server.ranges_asked) == 2
    resumed_at = int(str(server.ranges_asked[1]).removeprefix("bytes=").removesuffix("-"))
    assert 0 < resumed_at <= half
    if fault != "reset":  # a reset may throw away bytes on their way
        assert resumed_at == half


def test_a_later_call_resumes_what_an_earlier_one_left(server: Any, tmp_path: Path) -> None:
    server.script = ["truncated"]

    with pytest.raises(SuiteError, match=r"ended after 102400 of 204800 bytes \(1 attempts\); next: .*it resumes"):
        fetch_from(server, tmp_path, attempts=1)
    assert fetch_from(server, tmp_path).read_bytes() == server.content
    assert server.ranges_asked == [None, "bytes=102400-"]


def test_a_server_without_ranges_is_read_from_the_start(server: Any, tmp_path: Path) -> None:
    server.ranges_supported = False
    server.script = ["truncated", "truncated"]

    assert fetch_from(server, tmp_path).read_bytes() == server.content
    assert server.ranges_asked == [None, "bytes=102400-", "bytes=102400-"]


def test_a_range_that_begins_elsewhere_is_not_stitched_on(server: Any, tmp_path: Path) -> None:
    server.script = ["truncated", "shifted"]

    assert fetch_from(server, tmp_path).read_bytes() == server.content
    assert server.ranges_asked == [None, "bytes=102400-", None]


def test_a_wrong_digest_names_both_and_leaves_nothing(server: Any, tmp_path: Path) -> None:
    got = hashlib.sha256(server.content).hexdigest()

    with pytest.raises(SuiteError, match=f"expected SHA-256 {'0' * 64}, got {got}; the wrong file was deleted"):
        fetch_from(server, tmp_path, sha256="0" * 64)
    assert len(server.ranges_asked) == 1
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize("length", [1000, 204800, 300000])
def test_a_foreign_beginning_is_thrown_away(server: Any, tmp_path: Path, length: int) -> None:
    path = cached_file("paircomp", cache_dir=tmp_path)
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.part").write_bytes(b"x" * length)

    assert fetch_from(server, tmp_path).read_bytes() == server.content
    assert server.ranges_asked == [f"bytes={length}-", None]


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Any, tmp_path: Path) -> None:
    path = fetch_from(server, tmp_path)
    path.write_bytes(server.content[:-1])

    assert fetch_from(server, tmp_path).read_bytes() == server.content


def test_what_is_not_there_is_not_asked_for_twice(server: Any, tmp_path: Path) -> None:
    server.script = ["404", "ok"]

    with pytest.raises(SuiteError, match=r"answered 404 Not Found; next: .*PAIRCOMP_DATA_DIR"):
        fetch_from(server, tmp_path)
    assert len(server.ranges_asked) == 1


def test_a_busy_server_is_asked_again(server: Any, tmp_path: Path) -> None:
    server.script = ["500", "busy0", "502"]

    assert fetch_from(server, tmp_path).read_bytes() == server.content
    assert len(server.ranges_asked) == 4


def test_attempts_end(server: Any, tmp_path: Path) -> None:
    server.script = ["503"] * 9

    with pytest.raises(SuiteError, match=r"answered 503 Service Unavailable \(3 attempts\)"):
        fetch_from(server, tmp_path, attempts=3)
    assert len(server.ranges_asked) == 3


def test_nobody_there(server: Any, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no connection"):
        fetch("paircomp", url="http://127.0.0.1:1/PairComp.json", cache_dir=tmp_path, attempts=2, pause=0.01)
    with pytest.raises(SuiteError, match="expected an http or https address"):
        fetch("paircomp", url="file:///etc/hostname", cache_dir=tmp_path)


def test_two_processes_share_one_download(server: Any, tmp_path: Path) -> None:
    server.script = ["stalled"]
    program = (
        "import sys; from pathlib import Path; from paircomp.suites.fetching import fetch; "
        "print(fetch('paircomp', url=sys.argv[1], sha256=sys.argv[2], cache_dir=Path(sys.argv[3]), timeout=0.3))"
    )
    digest = hashlib.sha256(server.content).hexdigest()
    command = [sys.executable, "-c", program, server.url, digest, str(tmp_path)]

    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert said == [f"{cached_file('paircomp', cache_dir=tmp_path)}\n"] * 2
    assert cached_file("paircomp", cache_dir=tmp_path).read_bytes() == server.content
    assert len(server.ranges_asked) == 2  # the broken attempt and its continuation, of one process alone


def test_a_cache_that_is_a_file(server: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")

    with pytest.raises(RunError, match="cache"):
        fetch_from(server, tmp_path / "cache")


def test_only_published_suites_can_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="suite 'shapes' has nothing to fetch; these have: paircomp"):
        fetch("shapes", cache_dir=tmp_path)


def test_the_source_is_one_fixed_version() -> None:
    source = SOURCES["paircomp"]

    assert "/070155b" in source.url
    assert source.url.startswith("https://raw.githubusercontent.com/wendell0218/FocusDiff/")
    assert source.url.endswith("/PairComp/prompt/PairComp.json")
    assert source.sha256 == "f4fe0842de2ea4cd1739e25d888e32bce80959a46e4e96bb606ec2336bb654d4"


def test_the_cache_is_where_the_user_or_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAIRCOMP_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"

    monkeypatch.delenv("PAIRCOMP_CACHE_DIR")
    for platform, variable, expected in [
        ("linux", "XDG_CACHE_HOME", tmp_path / "paircomp"),
        ("win32", "LOCALAPPDATA", tmp_path / "paircomp"),
    ]:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path))
        assert cache_directory() == expected
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "Library" / "Caches" / "paircomp" or os.name == "nt"
