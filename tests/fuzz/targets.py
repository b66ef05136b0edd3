"""Every parser of foreign files, as a function of bytes: it reads what they make of a sound file, or refuses in a line.

Anything but a `PairCompError` of one line that comes out of a target is a fault of ours. `test_targets.py` drives them
with hypothesis in the plain suite, ``python -m tests.fuzz TARGET`` with atheris for as long as wanted.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

import paircomp
from paircomp.cli.reporting import FORMATS, write_reports
from paircomp.errors import PairCompError
from paircomp.evaluation import EvaluatedRun, load_run
from paircomp.judges.recorded import recorded
from paircomp.judges.vlm_server_answers import UnreadableAnswerError, judgement, read_masses
from paircomp.plugins import Registry
from paircomp.runtime.images import UnreadableImageError, png_bytes, read_rgb
from paircomp.runtime.remote import wait_asked
from paircomp.suites import load_suite_file
from paircomp.types import ImageKey
from paircomp_leaderboard.acceptance import accept
from paircomp_leaderboard.archives import write_archive
from paircomp_leaderboard.boards import make_boards
from paircomp_leaderboard.bundles import write_bundle
from paircomp_leaderboard.entries import read_entries
from paircomp_leaderboard.recomputing import refuse_wrong_sums
from paircomp_leaderboard.site import build_site
from paircomp_leaderboard.verification import verify_bundle
from tests.fuzz.mutations import Choices, spoilt, spoilt_json, spoilt_lines

__all__ = ["TARGETS"]

PAIRS = 6


class BrokenPromiseError(AssertionError):
    """A target answered, or refused, in a way that its reader does not promise."""


@contextlib.contextmanager
def refusing_in_a_line(*also: type[Exception]) -> Iterator[None]:
    """Let errors of the domain pass, if they are one line each; `also` names faults that a caller turns into one."""
    try:
        yield
    except PairCompError as error:
        if len(str(error).splitlines()) > 1:
            raise BrokenPromiseError(repr(str(error))) from error
    except also:
        pass


@functools.cache
def workplace() -> Path:
    """A folder in memory where there is one; it goes with the process."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="paircomp-fuzz-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def sound_run() -> EvaluatedRun:
    """A finished run of the embedded model."""
    return paircomp.evaluate("sketch", "shapes", limit=PAIRS, out=workplace() / "sound", options={"mistakes": 0.4})


@functools.cache
def sound_bundle() -> Mapping[str, bytes]:
    """The members of a bundle of that run."""
    path = workplace() / "sound.zip"
    evaluated = sound_run()
    write_bundle(evaluated, path, images=True)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "SHA256SUMS"}


def _spoilt_file(name: str, content: bytes, choices: Choices) -> bytes:
    if name.endswith(".json"):
        return spoilt_json(content, choices)
    return spoilt_lines(content, choices) if name.endswith(".jsonl") else spoilt(content, choices)


# Suite


def suite(data: bytes) -> None:
    """A file of pairs."""
    choices = Choices(data)
    pairs = [{"prompts": [f"a red {n}", f"a blue {n}"], "subtask": "color", "pair_id": str(n), "metadata": {"n": n}}
             for n in range(3)]  # fmt: skip
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs).encode()
    way = choices.number(3)
    content = (
        choices.rest() if way == 0 else spoilt_lines(lines, choices) if way == 1
        else spoilt_json(json.dumps(pairs).encode(), choices)
    )  # fmt: skip
    path = workplace() / "suite.json"
    path.write_bytes(content)
    with refusing_in_a_line():
        load_suite_file(path)


# Run folder


def run(data: bytes) -> None:
    """A run folder that somebody sends: reported, exported, packed or resumed."""
    choices = Choices(data)
    folder = workplace() / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound_run().run.path, folder)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".png"))
    texts = [path for path in files if path.suffix != ".png" and not path.name.startswith("report")]
    for _ in range(1 + choices.number(2)):
        name = choices.one_of(texts if choices.number(8) else files)
        (folder / name).write_bytes(_spoilt_file(name.name, (folder / name).read_bytes(), choices))
    with refusing_in_a_line():
        choices.one_of((_report, _frames, _pack, _resume))(folder)


def _report(folder: Path) -> None:
    evaluated = load_run(folder)
    judge = evaluated.judge_name()
    write_reports(evaluated, evaluated.report(judge), judge, formats=FORMATS)


def _frames(folder: Path) -> None:
    evaluated = load_run(folder)
    evaluated.to_frame()
    evaluated.pair_frame()
    evaluated.compare(sound_run())


def _pack(folder: Path) -> None:
    write_bundle(load_run(folder), workplace() / "packed.zip", images=True)


def _resume(folder: Path) -> None:
    paircomp.evaluate("sketch", "shapes", limit=PAIRS, out=folder, options={"mistakes": 0.4}).report()


# Leaderboard


def entry(data: bytes) -> None:
    """An entry that somebody submits: read, recomputed, and laid out as pages."""
    choices = Choices(data)
    folder = workplace() / "entries"
    shutil.rmtree(folder, ignore_errors=True)
    members = sound_bundle().items()
    files = {name.removeprefix("entry/"): held for name, held in members if name.startswith("entry/")}
    files["verification.json"] = json.dumps(
        {"schema": "paircomp-verification/1", "badge": "verified arithmetic", "explained": "",
         "bundle_sha256": "0" * 64, "checks": [{"name": "archive", "outcome": "passed", "said": "fine"}]}
    ).encode()  # fmt: skip
    texts = ["entry.json", "pairs.jsonl", "verification.json"]
    name = choices.one_of(texts)
    files[name] = _spoilt_file(name, files[name], choices)
    for place, content in files.items():
        (folder / "one" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "one" / place).write_bytes(content)
    with refusing_in_a_line():
        entries = read_entries(folder)
        with contextlib.suppress(PairCompError):
            refuse_wrong_sums(entries, folder)
        site = workplace() / "site"
        shutil.rmtree(site, ignore_errors=True)
        build_site(make_boards(entries), site)


def bundle(data: bytes) -> None:
    """A bundle that somebody sends: verified, and taken in where it passes."""
    choices = Choices(data)
    path = workplace() / "bundle.zip"
    members = dict(sound_bundle())
    way = choices.number(8)
    if way == 0:
        path.write_bytes(choices.rest())
    else:
        name = choices.one_of(sorted(name for name in members if way == 1 or not name.endswith((".png", ".webp"))))
        members[name] = _spoilt_file(name, members[name], choices)
        write_archive(path, members.items())
        if way == 2:
            path.write_bytes(spoilt(path.read_bytes(), choices))
    with refusing_in_a_line():
        found = verify_bundle(path, registry=Registry())
        for check in found.checks:
            if "\n" in check.said:
                raise BrokenPromiseError(repr(check.said))
        if found.passed:
            accepted = workplace() / "accepted"
            shutil.rmtree(accepted, ignore_errors=True)
            accept(found, accepted)


# Servers and pictures


def _sound_answer() -> bytes:
    shown = [{"token": word, "logprob": -1.0 - place, "bytes": list(word.encode())}
             for place, word in enumerate(("Yes", "No", "yes", "no"))]  # fmt: skip
    return json.dumps({"choices": [{"logprobs": {"content": [{**shown[0], "top_logprobs": shown}]}}]}).encode()


WAITS = ("1", "nan", "inf", "-1e400", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 0001 07:28:00 +9999")


def server(data: bytes) -> None:
    """What a judge's server answers, with the headers that ask to wait."""
    from paircomp.errors import JudgeError
    from paircomp.runtime.openai_client import OpenAIServer, RequestRefused

    choices = Choices(data)
    client = _client(OpenAIServer, JudgeError)
    header = choices.one_of(("retry-after", "retry-after-ms"))
    wait = wait_asked({header: choices.one_of((*WAITS, data[:40].decode("latin-1")))})
    if wait is not None and not wait >= 0:
        raise BrokenPromiseError(f"waits {wait}")
    content = choices.rest() if not choices.number(4) else spoilt_json(_sound_answer(), choices)
    with refusing_in_a_line(RequestRefused, UnreadableAnswerError):
        answer = client._parsed(content)
        for words in (None, {1: "yes", 2: "no"}):
            said = judgement(read_masses(answer, words), ImageKey(0, 0, 0), 0)
            if said.score is not None and not 0 <= said.score <= 1:
                raise BrokenPromiseError(f"score {said.score}")
            json.dumps(dict(said.evidence), allow_nan=False).encode()


@functools.cache
def _client(kind: Callable[..., Any], failure: type[Exception]) -> Any:
    os.environ.setdefault("OPENAI_API_KEY", "canary")
    return kind(who="judge", failure=failure, base_url="http://127.0.0.1:9/v1")


def image_server(data: bytes) -> None:
    """What an image server answers; addresses in it are not followed here."""
    from paircomp_adapters.openai_images import _content, _picture

    choices = Choices(data)
    held = base64.b64encode(png_bytes(Image.new("RGB", (4, 4), "red"))).decode()
    content = spoilt_json(
        json.dumps({"data": [{"b64_json": held, "revised_prompt": "a"}], "usage": {}}).encode(), choices
    )
    with refusing_in_a_line(UnreadableImageError):
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            return  # the client's part, see `server`
        if isinstance(answer, dict):
            picture, _ = _picture(answer)
            if "url" not in picture:
                read_rgb(_content(picture, 0.1))


def _sound_picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((9, 7), 50).convert("RGB").save(stream, format=kind)
    return stream.getvalue()


PICTURES = {kind: _sound_picture(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO")}


def picture(data: bytes) -> None:
    """A picture of any format."""
    choices = Choices(data)
    content = spoilt(PICTURES[choices.one_of(sorted(PICTURES))], choices)
    with refusing_in_a_line(UnreadableImageError):
        read_rgb(content)


def scores(data: bytes) -> None:
    """The published evaluator's score.json, or anybody's ratings."""
    choices = Choices(data)
    rows = [{"pair_idx": n, "prompt_idx": 0, "image_idx": 1, "score": 0.5} for n in range(3)]
    path = workplace() / "score.json"
    path.write_bytes(spoilt_json(json.dumps({"0": rows, "1": []}).encode(), choices))
    with refusing_in_a_line():
        recorded(file=str(path))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "suite": suite, "run": run, "entry": entry, "bundle": bundle, "server": server, "image-server": image_server,
    "picture": picture, "scores": scores,
}  # fmt: skip
