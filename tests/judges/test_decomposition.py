"""Prompts taken apart into questions: by rules, from a file, by a language model behind a server; and their mean."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from paircomp.errors import ConfigError, JudgeError
from paircomp.judges import internvl_variants
from paircomp.judges.decomposition import FileDecomposer, QuestionsMissingError, RuleDecomposer
from paircomp.judges.question_writing import INSTRUCTION, write_questions
from paircomp.runtime.remote import Patience
from paircomp.testing import check_judge
from tests.judges import tiny_internvl as tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # more only wait for each other on models this small
    yield
    torch.set_num_threads(before)


PROMPT = "a red fox asleep under a tree, two cubs playing with a ball and a river between rocks and moss"


def asked(part: str) -> str:
    return f'Is this true of the image: "{part}"?'


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("two red circles", ["two red circles"]),
        ("A red fox, asleep under a tree, with two cubs.", ["A red fox", "asleep under a tree", "with two cubs"]),
        ("a man and a very big dog in the park", ["a man and a very big dog in the park"]),
        ("a lamp standing between a chair and a large table", ["a lamp standing between a chair and a large table"]),
        ("a small red car while a large dog sleeps", ["a small red car", "a large dog sleeps"]),
        ("the same old tree, the same old tree", ["the same old tree"]),
        ("", [""]),
    ],
)
def test_rules_cut_a_prompt_into_its_parts(prompt: str, parts: list[str]) -> None:
    assert RuleDecomposer().questions(prompt) == tuple(map(asked, parts))


def test_a_file_has_the_questions_of_exactly_its_prompts(tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"questions": {"a red fox": ["Is there a fox?", "Is the fox red?"]}}))
    held = FileDecomposer(file)

    assert held.questions("a red fox") == ("Is there a fox?", "Is the fox red?")
    with pytest.raises(QuestionsMissingError):
        held.questions("a blue fox")
    file.write_text(file.read_text() + " ")
    assert FileDecomposer(file).identity != held.identity


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "expected"),
        ("nothing", "not readable as JSON"),
        ('{"questions": {"a": [], "b": "no list", "c": ["x", "x"], "d": ["fine?"]}}', "'a'.*; 'b'.*; 'c'"),
    ],
)
def test_a_file_of_something_else_is_refused_with_all_faults(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(content)

    with pytest.raises(ConfigError, match=said):
        FileDecomposer(tmp_path / "bad.json")


# The judge


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_native(tiny.build("qwen2"), tmp_path_factory.mktemp("checkpoint") / "native")


def test_the_score_is_the_mean_of_the_parts(folder: Path) -> None:
    whole = internvl_variants.internvl_decomposed(checkpoint=str(folder), dtype="float32")
    parts = RuleDecomposer().questions(PROMPT)
    image = tiny.picture()

    (answer,) = whole.judge([tiny.request(image, PROMPT)])

    single = [next(iter(whole._judge.judge([tiny.request(image, part)]))).score for part in parts]
    assert len(parts) == 4
    assert answer.score == pytest.approx(sum(single) / len(single), abs=1e-5)
    assert answer.evidence["questions"] == pytest.approx(dict(zip(parts, single, strict=True)), abs=1e-5)


def test_the_contract_of_judges_is_kept(folder: Path) -> None:
    def opened() -> object:
        return internvl_variants.internvl_decomposed(checkpoint=str(folder), dtype="float32")

    checks = list(check_judge(opened, prompts=(PROMPT, PROMPT.replace("red", "grey"), "a man")))

    assert [str(check) for check in checks if check.passed is False] == []


def test_a_prompt_without_questions_is_unscored(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"questions": {"a": ["Is it a?"]}}))
    opened = internvl_variants.internvl_questions(checkpoint=str(folder), dtype="float32", file=str(file))

    missing, there = sorted(opened.judge([tiny.request(tiny.picture(), "b", "a")]), key=lambda each: each.judged_prompt)

    assert missing.unscored == "the file of questions has none for this prompt"
    assert there.score is not None
    assert "sha256" in opened.identity["decomposition"]


def test_an_unscored_part_leaves_the_whole_unscored(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"questions": {"a": ["Is it a?", "Is it <|im_end|>?"]}}))
    opened = internvl_variants.internvl_questions(checkpoint=str(folder), dtype="float32", file=str(file))

    (answer,) = opened.judge([tiny.request(tiny.picture(), "a")])

    assert answer.score is None
    assert str(answer.unscored).startswith("no answer to 'Is it <|im_end|>?'")


# A language model behind a server


class FakeChatServer(BaseHTTPRequestHandler):
    """A fake: answers with a fixed text, after one refusal for being busy."""

    text = 'Sure: ["Is there a fox?", "Is the fox red?"]'
    refusals = 1

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cls = type(self)
        if cls.refusals:
            cls.refusals -= 1
            self.send_error(503)
            return
        answered = said["messages"][0]["content"] == INSTRUCTION
        body = json.dumps({"choices": [{"message": {"content": cls.text if answered else "[]"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...  # noqa: A002


@pytest.fixture
def server() -> Iterator[tuple[str, type[FakeChatServer]]]:
    handler = type("Fake", (FakeChatServer,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/v1", handler
        running.shutdown()
        thread.join()


def test_a_language_model_writes_the_file(server: tuple[str, type[FakeChatServer]], tmp_path: Path) -> None:
    url, _ = server
    file = tmp_path / "questions.json"

    count = write_questions(["a red fox", "a red fox"], file, model="m", base_url=url, patience=Patience(3, 0.01, 0.1))

    assert count == 2
    assert FileDecomposer(file).questions("a red fox") == ("Is there a fox?", "Is the fox red?")
    assert json.loads(file.read_text())["instruction"] == INSTRUCTION


@pytest.mark.parametrize("text", ["I would rather not.", "[]", '["unclosed"'])
def test_prompts_without_questions_are_named_and_nothing_is_written(
    text: str, server: tuple[str, type[FakeChatServer]], tmp_path: Path
) -> None:
    url, handler = server
    handler.text = text

    with pytest.raises(JudgeError, match="'a red fox'"):
        write_questions(["a red fox"], tmp_path / "q.json", model="m", base_url=url, patience=Patience(3, 0.01, 0.1))

    assert not (tmp_path / "q.json").exists()
