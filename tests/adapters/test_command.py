"""The ``command`` generator against real programs: sound ones, and ones that fail in every way a program can."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from paircomp.cli import run as paircomp
from paircomp.errors import ConfigError, GenerationError
from paircomp.pipeline import generate_images
from paircomp.run_store import Run, Selection
from paircomp.testing import check_generator
from paircomp.types import Generated, GenerationRequest, ImageKey
from paircomp_adapters.command import CommandGenerator, command
from paircomp_adapters.command_process import ProgramEnded
from tests.parts import IDENTITY, small_suite

#: What each program begins with: one colour of the prompt and the seed.
SOUND = """
import base64, hashlib, io, json, os, sys, time
from PIL import Image

def picture(request):
    seen = hashlib.sha256(f"{request['prompt']}/{request['seed']}".encode()).digest()
    return Image.new("RGB", (8, 8), tuple(seen[:3]))

def answer(request, **said):
    print(json.dumps({"key": request["key"], **said}), flush=True)

def draw(request):
    picture(request).save(request["path"])
    answer(request, path=request["path"])

def requests():
    return map(json.loads, sys.stdin)

"""
DRAWS = SOUND + "for request in requests():\n    draw(request)\n"


@pytest.fixture
def program(tmp_path: Path):
    """Writes a program and opens the generator that runs it; what was opened is closed."""
    opened: list[CommandGenerator] = []

    def write(body: str, **options: Any) -> CommandGenerator:
        file = tmp_path / f"program{len(opened)}.py"
        file.write_text(SOUND + textwrap.dedent(body))
        opened.append(command(program=[sys.executable, str(file)], **options))
        return opened[-1]

    yield write
    for generator in opened:
        generator.close()


def requests(count: int = 4) -> list[GenerationRequest]:
    return [GenerationRequest(ImageKey(number, 0, 0), f"prompt {number}", number) for number in range(count)]


def draw(generator: CommandGenerator, count: int = 4) -> list[Generated]:
    return list(generator.generate(requests(count)))


# Sound programs


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(DRAWS)

    checks = check_generator(lambda: command(program=f"'{sys.executable}' '{file}'"), exact=True)

    assert [str(check) for check in checks if check.passed is False] == []


def test_answers_may_come_in_any_order_and_form(program) -> None:
    generator = program("""
        for request in reversed([next(stream) for stream in [requests()] for _ in range(4)]):
            content = io.BytesIO()
            picture(request).save(content, "JPEG" if request["seed"] % 2 else "PNG")
            answer(request, image=base64.b64encode(content.getvalue()).decode(), prompt_sent="translated",
                   seconds=0.5, metadata={"steps": 4})
    """)
    answers = draw(generator)

    assert [answer.key.pair for answer in answers] == [3, 2, 1, 0]
    assert {(answer.prompt_sent, answer.seconds) for answer in answers} == {("translated", 0.5)}
    assert answers[0].metadata == {"steps": 4}
    assert all(answer.image is not None for answer in answers)


def test_a_request_holds_the_key_the_prompt_the_seed_and_a_place(program) -> None:
    generator = program("""
        for request in requests():
            answer(request, unscored=json.dumps(request))
    """)
    (answer,) = draw(generator, 1)
    request = json.loads(str(answer.unscored))

    assert request.pop("path").endswith("0_0_0.png")
    assert request == {"key": [0, 0, 0], "prompt": "prompt 0", "seed": 0}


def test_the_programs_words_name_checkpoint_device_and_dtype(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(SOUND + "for request in requests():\n    answer(request, unscored=' '.join(sys.argv[1:]))\n")
    words = [sys.executable, "program.py", "{checkpoint}", "{device}", "{dtype}", "{x}"]
    generator = command(checkpoint="weights/1", device="cuda:1", dtype="bfloat16", folder=str(tmp_path), program=words)
    (answer,) = draw(generator, 1)
    generator.close()

    assert answer.unscored == "weights/1 cuda:1 bfloat16 {x}"


def test_its_own_pictures_stay_where_they_are(program, tmp_path: Path) -> None:
    generator = program(f"""
        os.chdir({str(tmp_path)!r})
        for request in requests():
            picture(request).save("mine.png")
            answer(request, path={str(tmp_path / "mine.png")!r})
    """)
    (answer,) = draw(generator, 1)

    assert answer.image is not None
    assert (tmp_path / "mine.png").exists()


def test_one_process_serves_all_batches_and_ends_with_its_input(program, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    generator = program(f"""
        for request in requests():
            answer(request, unscored=str(os.getpid()))
        open({str(ended)!r}, "w").close()
    """)
    first, second = draw(generator, 2), draw(generator, 3)
    generator.close()

    assert len({answer.unscored for answer in (*first, *second)}) == 1
    assert ended.exists()


def test_refusals_and_errors_keep_their_reasons(program) -> None:
    generator = program("""
        for request in requests():
            if request["seed"] == 0:
                answer(request, unscored="refused:\\n  too long")
            elif request["seed"] == 1:
                answer(request, error="no luck this time")
            elif request["seed"] == 2:
                answer(request, path="/no/such/file.png")
            else:
                answer(request, image=base64.b64encode(b"junk").decode())
    """)
    told = [(answer.unscored, answer.retry) for answer in draw(generator)]

    assert told[:2] == [("refused: too long", False), ("error: no luck this time", True)]
    assert told[2][0].startswith("unreadable: [Errno 2] No such file")
    assert told[3][0].startswith("unreadable: not an image file")


# Programs that fail


def run_in(folder: Path, generator: CommandGenerator, pairs: int = 3) -> Any:
    suite = small_suite(pairs)
    run = Run.create(folder, suite=suite, identity=IDENTITY)
    count = generate_images(run, suite, lambda: generator, Selection(), who="command")
    return run, run.read_images(suite), count


def test_a_death_on_one_prompt_costs_one_image(program, tmp_path: Path) -> None:
    generator = program("""
        print("loading", os.getpid(), file=sys.stderr)
        for request in requests():
            if request["key"] == [1, 0, 1]:
                print("Segmentation fault", file=sys.stderr)
                os._exit(3)
            draw(request)
    """)
    run, images, count = run_in(tmp_path / "run", generator)

    assert (count.new, count.unscored) == (12, 1)
    (reason,) = images.reasons.values()
    assert "ProgramEnded: it ended with exit code 3, having said 'Segmentation fault' (all of it: " in reason
    log = (run.path / "logs" / "command.log").read_text()
    assert log.count("loading") == 3  # at first, for the poisoned prompt alone, and for the rest
    assert log.count("Segmentation fault") == 2


def test_a_program_that_closes_its_output_is_not_said_to_have_died(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paircomp_adapters.command_process._GRACE_SECONDS", 0.3)
    generator = program("""
        for request in requests():
            os.close(1)
            time.sleep(60)
    """)
    with pytest.raises(GenerationError, match=r"it closed its standard output and was ended.*never answered"):
        run_in(tmp_path / "run", generator, pairs=1)


def test_a_hanging_program_is_ended_and_started_anew(program, tmp_path: Path) -> None:
    generator = program("""
        for request in requests():
            if request["key"] == [0, 1, 0]:
                time.sleep(60)
            draw(request)
    """, timeout=0.6, start_timeout=3)  # fmt: skip
    begun = time.monotonic()
    _, images, count = run_in(tmp_path / "run", generator, pairs=1)

    assert (count.new, count.unscored) == (4, 1)
    assert re.search(r"it gave no answer for [12] s and was ended", next(iter(images.reasons.values())))
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Loading weights...", "expected one JSON object per line"),
        ("[1, 2]", "expected a JSON object, got list"),
        ('{"key": [0, 0, 0]}', "expected one of path, image, unscored, error, got none"),
        ('{"key": [0, 0, 0], "path": "a", "unscored": "b"}', "got path and unscored"),
        ('{"key": "0_0_0", "path": "a"}', "key: expected the request's three numbers, got '0_0_0'"),
        ('{"key": [0, 0, true], "path": "a"}', "key: expected the request's three numbers"),
        ('{"key": [0, 0, 0], "path": 1, "time": 3}', "path: expected text, got 1; time: unknown"),
        ('{"key": [0, 0, 0], "unscored": " "}', "unscored: expected text"),
        ('{"key": [0, 0, 0], "path": "a", "seconds": -1}', "seconds: expected a number from 0"),
        ('{"key": [0, 0, 0], "path": "a", "metadata": {"x": NaN}}', "metadata: expected an object without NaN"),
    ],
)
def test_garbage_ends_the_step_and_is_shown(program, line: str, fault: str) -> None:
    generator = program(f"""
        for request in requests():
            print({line!r}, flush=True)
    """)
    with pytest.raises(GenerationError) as refused:
        draw(generator, 1)

    assert fault in str(refused.value)
    assert "next: print answers only, and everything else to stderr" in str(refused.value)


def test_an_answer_to_nothing_ends_the_step(program, tmp_path: Path) -> None:
    generator = program("""
        for request in requests():
            draw({**request, "key": [7, 7, 7]})
    """)
    with pytest.raises(GenerationError, match=r"answered \(7, 7, 7\), which was not asked for"):
        run_in(tmp_path / "run", generator)


def test_a_program_that_cannot_start_is_not_loaded_again_and_again(program, tmp_path: Path) -> None:
    generator = program("raise SystemExit('no module named torch')")

    with pytest.raises(
        GenerationError, match=r"exit code 1, having said 'no module.*started 3 times and never answered"
    ):
        run_in(tmp_path / "run", generator)


def test_answers_of_an_abandoned_batch_reach_nobody(program) -> None:
    generator = program("""
        for request in requests():
            draw(request)
    """)
    answers = generator.generate(requests(4))
    next(answers)
    answers.close()

    assert [answer.key.pair for answer in draw(generator, 2)] == [0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_the_programs_children_end_with_it(program, tmp_path: Path) -> None:
    told = tmp_path / "child"
    generator = program(f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(told)!r}, "w").write(str(child.pid))
        time.sleep(60)
    """, start_timeout=1.5)  # fmt: skip
    with pytest.raises(ProgramEnded, match="it gave no answer"):
        draw(generator, 1)

    assert is_gone(int(told.read_text()))


def is_gone(process: int) -> bool:
    """Whether a process has ended, or waits for whoever inherited it to notice."""
    for _ in range(50):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{process}/stat")
        if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_program_that_does_not_read_cannot_hang_us(program) -> None:
    """More than a pipe holds, unread: closing must not wait for the writer."""
    generator = program("time.sleep(60)", start_timeout=0.8)
    long = [GenerationRequest(ImageKey(number, 0, 0), "word " * 20_000, 0) for number in range(4)]
    begun = time.monotonic()
    with pytest.raises(ProgramEnded, match=r"it gave no answer for 0\.8 s"):
        list(generator.generate(long))
    generator.close()

    assert time.monotonic() - begun < 10


def test_pictures_left_behind_are_deleted(program) -> None:
    generator = program("""
        for request in requests():
            picture(request).save(request["path"])
            picture(request).save(request["path"] + ".copy.png")
            answer(request, unscored=request["path"])
    """)
    (answer,) = draw(generator, 1)
    place = Path(str(answer.unscored)).parent
    assert place.is_dir()
    generator.close()

    assert not place.exists()


# Options


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"program": "surely-no-such-program --x"}, "'surely-no-such-program' is not on the PATH and no file"),
        ({"program": ""}, "program: expected a command, got ''"),
        ({"program": [1]}, "program: expected a command"),
        ({"program": "python 'unclosed"}, "No closing quotation"),
        ({"program": sys.executable, "timeout": 0, "folder": "nowhere"}, "above 0, got 0; folder: no such folder"),
    ],
)  # fmt: skip
def test_faults_are_named(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        command(**options)
    assert fault in str(refused.value)


def test_it_is_evaluated_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(DRAWS)
    words = ["eval", "--adapter", "command", "-o", f"program={sys.executable} mine.py", "-o", f"folder={tmp_path}"]
    words += ["--model", "mine", "--suite", "shapes", "--limit", "6", "--out", str(tmp_path / "run"), "--json"]

    assert paircomp(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["coverage"]["images"] == report["coverage"]["scored"] == 24
    assert report["generator"]["model"] == "mine"
