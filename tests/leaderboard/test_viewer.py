"""``paircomp view`` over real connections on the loopback address."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import paircomp
from paircomp.errors import RunError
from paircomp.evaluation import EvaluatedRun
from paircomp_leaderboard.viewer import ViewerServer


@pytest.fixture
def server(runs: dict[str, EvaluatedRun]) -> Iterator[ViewerServer]:
    with ViewerServer([runs["poor"].run.path, runs["good"].run.path]) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(
    server: ViewerServer, path: str, *, host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    said = answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    connection.close()
    return said


def test_it_listens_on_the_loopback_address_alone(server: ViewerServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def test_it_serves_the_page_the_pairs_and_their_images(server: ViewerServer, runs: dict[str, EvaluatedRun]) -> None:
    status, headers, page = ask(server, "/")
    assert status == 200
    assert b"small-shapes" in page
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    status, _, answer = ask(server, "/data/0")
    gallery = json.loads(answer)
    assert len(gallery["pairs"]) == 48
    assert gallery["state"] == ""
    name = gallery["pairs"][0]["images"][0][0]
    status, headers, picture = ask(server, f"/images/{name}")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert picture == (runs["poor"].run.images_folder / "0_0_0.png").read_bytes()
    assert ask(server, f"/data/1?since={json.loads(ask(server, '/data/1')[2])['stamp']}")[0] == 204
    for asset in ("page.css", "site.css", "gallery.js"):
        assert ask(server, f"/assets/{asset}")[0] == 200


def test_it_serves_images_that_lie_in_a_bucket(
    in_a_bucket: EvaluatedRun, runs: dict[str, EvaluatedRun], tmp_path: Path
) -> None:
    with ViewerServer([in_a_bucket.run.path]) as opened:
        (gallery,) = opened.galleries
        assert gallery.image("0_0_0.png") == (runs["good"].run.images_folder / "0_0_0.png").read_bytes()
        assert gallery.image("9999_0_0.png") is None
        assert gallery.image("run.json") is None
        said = gallery.read("")
        assert said is not None
        assert said["pixelated"]


@pytest.mark.parametrize(
    "path",
    ["/run.json", "/images/0/../run.json", "/images/0/%2e%2e%2frun.json", "/images/0/..%5c..%5crun.json",
     "/../../etc/passwd",
     "//etc/passwd", "/images/0//etc/passwd", "/images/0/00_0_0.png", "/images/0/0_0_0.png/..", "/images/2/0_0_0.png",
     "/images/-1/0_0_0.png", "/images/0/9999_0_0.png", "/assets/../viewer.py", "/assets/viewer.py", "/data/2", "/data/",
     "/judges/pixels/judge.json", "/%00", "/images/0/link_0_0.png"],
)  # fmt: skip
def test_nothing_else_is_served(server: ViewerServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_a_link_out_of_the_run_is_not_followed(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    shutil.copytree(runs["good"].run.path, tmp_path / "run")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    picture = tmp_path / "run" / "images" / "0_0_0.png"
    picture.unlink()
    picture.symlink_to(secret)
    with ViewerServer([tmp_path / "run"]) as opened:
        assert opened.galleries[0].image("0_0_0.png") is None
        assert opened.galleries[0].image("0_0_1.png") is not None


def test_pages_of_other_sites_learn_nothing(server: ViewerServer) -> None:
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1", ""):
        status, _, answer = ask(server, "/data/0", host=host or " ")
        assert status == 403
        assert b"pairs" not in answer
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_it_reads_and_never_writes(server: ViewerServer) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, "/data/0", method=method)[0] == 501
    status, headers, content = ask(server, "/", method="HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["content-length"]) > 1000


def test_it_follows_a_run_that_is_still_going_on(runs: dict[str, EvaluatedRun], tmp_path: Path) -> None:
    """First without a judge, then with half of the pairs, then with all of them."""
    suite = runs["good"].suite
    paircomp.evaluate("sketch", suite, out=tmp_path / "run", limit=12)
    shutil.move(tmp_path / "run" / "judges", tmp_path / "judges")
    with ViewerServer([tmp_path / "run"]) as opened:
        gallery = opened.galleries[0]
        drawn = gallery.read("")
        assert drawn is not None
        assert drawn["state"] == "48 of 48 images drawn, 0 scored; this page follows."
        assert drawn["pairs"][0]["own"] == [[None, None], [None, None]]
        assert drawn["pairs"][0]["why"]["0_0"] == "not judged yet"
        assert gallery.read(drawn["stamp"]) is None
        shutil.move(tmp_path / "judges", tmp_path / "run" / "judges")
        judged = gallery.read(drawn["stamp"])
        assert judged is not None
        assert judged["state"] == ""
        paircomp.evaluate("sketch", suite, out=tmp_path / "run")
        whole = gallery.read(judged["stamp"])
        assert whole is not None
        assert len(whole["pairs"]) == 48
        assert all(pair["g"] is not None for pair in whole["pairs"])


def test_a_taken_port_and_a_folder_without_a_run_are_said(server: ViewerServer, tmp_path: Path) -> None:
    path = server.galleries[0].evaluated.run.path
    with pytest.raises(RunError, match="next: another --port"):
        ViewerServer([path], port=server.server_port)
    with pytest.raises(RunError, match="no run here"):
        ViewerServer([tmp_path])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_the_command(runs: dict[str, EvaluatedRun]) -> None:
    command = [
        sys.executable,
        "-c",
        "from paircomp.cli import main; main()",
        "view",
        str(runs["good"].run.path),
        "--no-open",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err
