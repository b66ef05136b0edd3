"""The vlm-server judge against a fake server that misbehaves in every way; its arithmetic against the full softmax."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paircomp.calibration import calibrate, embedded_controls
from paircomp.errors import ConfigError, JudgeError, UnavailableError
from paircomp.judges.question_templates import OFFICIAL
from paircomp.judges.vlm_server import VLMServerJudge, vlm_server
from paircomp.judges.vlm_server_answers import UnreadableAnswerError, judgement, read_masses
from paircomp.judges.yes_no import NO, YES
from paircomp.protocols import Judge
from paircomp.runtime import remote
from paircomp.runtime.capabilities import effective_options
from paircomp.testing import check_judge
from paircomp.types import ImageKey, Judgement, JudgeRequest, Question
from tests.judges.fake_vlm_server import FakeVLMServer, by_redness, log_softmax

RED, BLUE = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(remote.Patience, "wait", lambda *_, **__: 0.01)


@pytest.fixture
def server() -> Iterator[FakeVLMServer]:
    with FakeVLMServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeVLMServer, VLMServerJudge]]:
    """A server and a judge of it for questions that leave nothing behind: opening one costs time."""
    with FakeVLMServer() as running:
        judge = opened(running, concurrency=1)
        yield running, judge
        judge.close()


def opened(server: FakeVLMServer, **options: Any) -> VLMServerJudge:
    return vlm_server(base_url=server.url, **{"attempts": 3, **options})


def ask(judge: Judge, *prompts: str, image: Image.Image = RED) -> list[Judgement]:
    requests = [
        JudgeRequest(ImageKey(number, 0, 0), (image,), (Question(0, prompt, "color"),))
        for number, prompt in enumerate(prompts)
    ]
    return sorted(judge.judge(requests), key=lambda answer: answer.key)


def whole(logits: Mapping[str, float]) -> tuple[float, float, float]:
    """Score and log masses from the whole vocabulary."""
    logs = log_softmax(logits)
    yes, no = (math.fsum(math.exp(logs[word]) for word in side) for side in (YES, NO))
    return yes / (yes + no), math.log(yes), math.log(no)


# Arithmetic


def test_exact_tokens_give_the_whole_softmaxs_score(server: FakeVLMServer) -> None:
    judge = opened(server)
    assert judge.identity["tokens"] == {"0": "yes", "1": "Yes", "2": "YES", "3": "no", "4": "No", "5": "NO"}
    for image in (RED, BLUE):
        (answer,) = ask(judge, "a thing", image=image)
        score, log_yes, log_no = whole(by_redness("", image))
        assert (answer.score, answer.log_yes, answer.log_no) == pytest.approx((score, log_yes, log_no))
        assert answer.evidence == {"mass": pytest.approx(math.exp(log_yes) + math.exp(log_no))}
    judge.close()


@pytest.mark.parametrize("options", [{"exact": "ignored"}, {"exact": "rejected"}, {"tokenizer": False},
                                     {"tokenizer": "split"}])  # fmt: skip
def test_a_server_that_knows_less_is_asked_for_its_likeliest_tokens(options: dict[str, Any]) -> None:
    with FakeVLMServer(**options) as server:
        judge = opened(server)
        assert judge.identity["tokens"] == "20 likeliest"
        (answer,) = ask(judge, "a thing")
        assert "logprob_token_ids" not in server.asked[-1]
        # " yes" with a space is one more spelling of yes for those who read texts.
        assert answer.score == pytest.approx(whole(by_redness("", RED))[0], abs=1e-3)
        judge.close()


def answer_of(*entries: tuple[str, float]) -> dict[str, Any]:
    shown = [{"token": token, "logprob": log, "bytes": list(token.encode())} for token, log in entries]
    return {"choices": [{"logprobs": {"content": [{"top_logprobs": shown}]}}]}


KEY = ImageKey(0, 0, 0)


def test_all_spellings_are_summed_and_a_token_listed_twice_counts_once() -> None:
    masses = read_masses(
        answer_of(("yes", math.log(0.3)), (" Yes", math.log(0.2)), ("\u2581YES", math.log(0.1)), ("\u0120no", -2.0),
                  ("yes", math.log(0.3)), ("yesterday", -3.0), ("No", -4.0), ("NO", -5.0)), None)  # fmt: skip
    assert masses.yes == pytest.approx(0.6)
    assert masses.no == pytest.approx(sum(map(math.exp, (-2, -4, -5))))
    assert masses.bounds[0] == masses.bounds[1]


def test_a_hidden_side_is_bounded_by_the_last_visible_token() -> None:
    sure = [("yes", math.log(0.9)), ("Yes", math.log(0.05)), *((f"w{n}", math.log(0.0005)) for n in range(18))]
    found = judgement(read_masses(answer_of(*sure), None), KEY, 0)
    low, high = 0.95 / (0.95 + 3 * 0.0005), 1.0
    assert found.evidence["bounds"] == pytest.approx([low, high])
    assert found.score == pytest.approx((low + high) / 2)
    assert found.log_yes == pytest.approx(math.log(0.95))
    assert found.log_no is None


def test_a_hidden_side_that_leaves_the_score_open_is_unscored() -> None:
    unsure = [("yes", math.log(0.5)), *((f"w{n}", math.log(0.02)) for n in range(19))]
    found = judgement(read_masses(answer_of(*unsure), None), KEY, 0)
    assert found.score is None
    assert found.unscored is not None
    assert "no is not among the 20 visible tokens, so the score may be anything from 0.8" in found.unscored
    assert found.evidence["likeliest"][0] == ["yes", pytest.approx(-0.693)]


def test_neither_side_is_unscored_and_never_zero() -> None:
    found = judgement(read_masses(answer_of(*((f"w{n}", -3.0) for n in range(20))), None), KEY, 0)
    assert found.score is None
    assert found.unscored == "neither yes nor no is among the 20 visible tokens"


@given(st.lists(st.floats(-12, 3), min_size=7, max_size=7), st.integers(2, 20))
def test_bounds_hold_what_the_whole_vocabulary_says(values: list[float], visible: int) -> None:
    """Whatever the model's logits, the score over all spellings lies between the bounds; a kept one is within 0.01."""
    logits = dict(zip((*YES, *NO, "The"), values, strict=True)) | {" yes": -60.0}
    logs = log_softmax(logits)
    shown = sorted(logs.items(), key=lambda item: -item[1])[:visible]
    masses = read_masses(answer_of(*shown), None)
    score = whole(logits)[0]
    if masses.yes + masses.no > 0:
        low, high = masses.bounds
        assert low - 1e-9 <= score <= high + 1e-9
    found = judgement(masses, KEY, 0)
    assert found.score is None or abs(found.score - score) <= 0.01 + 1e-9


@pytest.mark.parametrize(
    "answer",
    [{}, {"choices": []}, {"choices": [{"logprobs": None}]}, answer_of(), {"choices": "x"},
     answer_of(("yes", float("nan"))), answer_of(("yes", 1.0)), answer_of(("yes", True)),
     {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"logprob": -1}]}]}}]},
     {"choices": [{"logprobs": {"content": [{"top_logprobs": [3]}]}}]}],
)  # fmt: skip
def test_answers_that_cannot_be_read_say_why(answer: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswerError, match=r"^(the server answered|expected)"):
        read_masses(answer, None)


def test_asked_for_tokens_that_are_missing_are_named() -> None:
    with pytest.raises(UnreadableAnswerError, match="expected the 2 tokens that were asked for, got 1"):
        read_masses(answer_of(("token_id:7", -1.0)), {7: "yes", 8: "no"})


# Questions and identity


def test_the_question_is_the_templates_and_the_picture_stands_first(server: FakeVLMServer) -> None:
    judge = opened(server, system="Be brief.", question="official")
    ask(judge, 'a {sign} that says ""'[:8])
    body = server.asked[-1]
    assert (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"]) == (1, 0, True, 20)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    picture, text = body["messages"][1]["content"]
    assert picture["type"] == "image_url"
    assert text == {"type": "text", "text": OFFICIAL.ask("a {sign}")}
    assert judge.identity["question"] == {"name": "official", "text": OFFICIAL.text, "system": "Be brief."}
    assert judge.identity["served"] == {"owned_by": "fake", "root": "weights/fake-vlm"}
    ask(judge.asking_no_first(), "a cat")
    assert server.asked[-1]["messages"][1]["content"][1]["text"].endswith("no or yes")


def test_what_changes_no_score_stays_out_of_the_identity(server: FakeVLMServer) -> None:
    options = {"base_url": "http://elsewhere:1/v1", "concurrency": 3, "timeout": 1.0, "question": "paper"}
    kept = effective_options(vlm_server, options)
    assert kept == {"question": "paper", "system": None, "revision": None}
    assert opened(server, question="paper").identity != opened(server).identity
    assert opened(server, concurrency=2).identity == opened(server).identity


def test_one_of_several_models_must_be_named() -> None:
    with FakeVLMServer(models=("a", "b")) as server:
        with pytest.raises(ConfigError, match=r"which model\? \(served: a, b\).*--judge-checkpoint"):
            opened(server)
        with pytest.raises(ConfigError, match="no model 'c'"):
            opened(server, checkpoint="c")
        judge = opened(server, checkpoint="b")
        assert judge.identity["model"] == "b"
        judge.close()


def test_options_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(ConfigError, match=r"concurrency: .*; attempts: .*; timeout: "):
        vlm_server(concurrency=0, attempts=0, timeout=0)
    with pytest.raises(ConfigError, match="base_url"):
        vlm_server(base_url="http://user:word@host/v1")
    with pytest.raises(UnavailableError, match="NO_SUCH_KEY"):
        vlm_server(base_url="http://127.0.0.1:1/v1", key_variable="NO_SUCH_KEY")


# A server that misbehaves


@pytest.mark.parametrize("fault", ["429", "500", "503", "hangup", "nothing", "html", "halfjson", "list", "nochoice",
                                   "nologprobs", "empty", "words", "nan", "positive", "notoken"])  # fmt: skip
def test_what_may_pass_is_tried_again(shared: tuple[FakeVLMServer, VLMServerJudge], fault: str) -> None:
    server, judge = shared
    fine, mended = ask(judge, "a cat", f"<{fault} {fault} ok> a cat")
    assert mended.score == pytest.approx(fine.score)
    assert server.times[f"<{fault} {fault} ok> a cat"] == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", "HTTP 500: no luck"),
        ("429", "HTTP 429: no luck"),
        ("nothing", "expected a JSON object, got ''"),
        ("html", "expected a JSON object, got '<html>busy</html>'"),
        ("nologprobs", "without log-probabilities"),
        ("nan", "expected a number as logprob"),
        ("hangup", "broke off its answer"),
    ],
)
def test_what_does_not_pass_is_unscored_with_its_reason_and_asked_again_another_day(
    shared: tuple[FakeVLMServer, VLMServerJudge], fault: str, reason: str
) -> None:
    server, judge = shared
    fine, lost, other = ask(judge, "a cat", f"<{fault}> a cat", "a dog")
    assert fine.score is not None
    assert other.score is not None
    assert lost.score is None
    assert lost.unscored is not None
    assert reason in lost.unscored
    assert lost.retry
    assert lost.evidence == {"attempts": 3}
    assert server.times[f"<{fault}> a cat"] == 3


def test_a_question_that_the_server_refuses_is_unscored_for_good(server: FakeVLMServer) -> None:
    fine, refused = ask(opened(server), "a cat", "<400> a cat")
    assert fine.score is not None
    assert refused.unscored == "error: HTTP 400: no luck, Bearer none"
    assert not refused.retry
    assert server.times["<400> a cat"] == 1


def test_a_slow_answer_is_waited_for_as_long_as_was_said(server: FakeVLMServer) -> None:
    judge = opened(server, timeout=0.5, attempts=2)
    started = time.monotonic()
    fine, slow = ask(judge, "a cat", "<slow> a cat")
    assert fine.score is not None
    assert slow.unscored is not None
    assert "did not answer in time" in slow.unscored
    assert slow.retry
    assert time.monotonic() - started < 1.5


def test_a_server_that_breaks_for_good_ends_the_step_and_what_came_before_is_kept(server: FakeVLMServer) -> None:
    judge = opened(server, concurrency=1, attempts=1)
    requests = [JudgeRequest(ImageKey(n, 0, 0), (RED,), (Question(0, f"cat {n}", ""),)) for n in range(40)]
    kept: list[Judgement] = []

    def until_it_breaks() -> None:
        for answer in judge.judge(requests):
            kept.append(answer)
            if len(kept) == 5:
                server.broken = "500"

    with pytest.raises(JudgeError, match=r"failed 10 times in a row, last: HTTP 500.*what was finished is kept"):
        until_it_breaks()
    assert sum(answer.score is not None for answer in kept) in (5, 6)  # one was under way


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_what_is_wrong_for_all_ends_the_step_at_once(server: FakeVLMServer, status: str) -> None:
    judge = opened(server)
    with pytest.raises(JudgeError, match=f"HTTP {status}"):
        ask(judge, f"<{status}> a cat")
    assert server.times[f"<{status}> a cat"] == 1


def test_a_server_that_is_not_there_is_named(server: FakeVLMServer) -> None:
    with pytest.raises(JudgeError, match=r"127\.0\.0\.1:9/v1 cannot be reached.*docs/serving\.md"):
        vlm_server(base_url="http://127.0.0.1:9/v1", attempts=2)


def test_a_server_that_shows_too_little_is_named() -> None:
    with FakeVLMServer(most=5) as server, pytest.raises(JudgeError, match=r"at most 5.*show 20 log-probabilities"):
        opened(server)
    with FakeVLMServer() as server:
        server.broken = "nologprobs"
        with pytest.raises(JudgeError, match="without log-probabilities; the server must take pictures"):
            opened(server)


def test_calls_under_way_are_bounded_and_answers_come_as_they_arrive() -> None:
    with FakeVLMServer(seconds=0.05) as server:
        judge = opened(server, concurrency=4)
        server.most_under_way = 0
        requests = [JudgeRequest(ImageKey(n, 0, 0), (RED,), (Question(0, "a", ""), Question(1, "b", "")))
                    for n in range(8)]  # fmt: skip
        started = time.monotonic()
        answers = judge.judge(requests)
        next(answers)
        first = time.monotonic() - started
        rest = list(answers)
        assert len(rest) == 15
        assert len({(answer.key, answer.judged_prompt) for answer in rest}) == 15
        assert 2 <= server.most_under_way <= 4
        assert first < (time.monotonic() - started) / 2


def test_a_key_goes_where_it_belongs_and_into_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-canary")
    with FakeVLMServer(key="sk-canary") as server:
        judge = opened(server, key_variable="JUDGE_KEY")
        fine, refused = ask(judge, "a cat", "<400> a cat")
        assert fine.score is not None
        assert refused.unscored == "error: HTTP 400: no luck, Bearer [key]"
        assert "canary" not in json.dumps(judge.identity)
        monkeypatch.setenv("JUDGE_KEY", "sk-wrong-canary")
        with pytest.raises(JudgeError, match=r"HTTP 401.*\[key\]") as caught:
            opened(server, key_variable="JUDGE_KEY")
        assert "canary" not in str(caught.value)
    with FakeVLMServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
        ask(opened(server), "a cat")
        assert not any("canary" in (key or "") for key in server.keys)


def test_two_pictures_at_once_are_refused(server: FakeVLMServer) -> None:
    (answer,) = opened(server).judge([JudgeRequest(KEY, (RED, BLUE), (Question(0, "a", ""),))])
    assert answer.unscored == "the judge looks at one image at a time, got 2"


# In the harness


def test_a_run_is_judged_and_resumed_through_a_server_that_errs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from paircomp.cli import run

    monkeypatch.chdir(tmp_path)
    pairs = [{"subtask": "color", "prompts": [f"a red {n}", f"<500 500 ok> a red cat {n}"]} for n in range(3)]
    Path("pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    Path("images").mkdir()
    for pair, prompt, sample in [(p, q, s) for p in range(3) for q in range(2) for s in range(2)]:
        RED.save(f"images/{pair}_{prompt}_{sample}.png")
    Path("plugin.py").write_text("from paircomp.judges.vlm_server import vlm_server\nJUDGES = {'served': vlm_server}\n")
    with FakeVLMServer() as server:
        command = ["eval", "--images", "images", "--suite", "pairs.jsonl", "--judge", "served", "--plugin", "plugin.py",
                   "--out", "run", "--json", "-j", f"base_url={server.url}"]  # fmt: skip
        assert run([*command, "-j", "attempts=1"]) == 0
        first = json.loads(capfd.readouterr().out)
        assert first["coverage"]["unscored"] > 0
        assert "HTTP 500: no luck" in first["coverage"]["reasons"][0]["reason"]
        for _ in range(2):  # other options of the transport are the same judge
            assert run([*command, "-j", "attempts=3"]) == 0
            report = json.loads(capfd.readouterr().out)
        assert report["coverage"]["unscored"] == 0
        assert report["subtasks"]["color"]["s_a"] == pytest.approx(whole(by_redness("", RED))[0])
        assert report["judge"]["identity"]["says"]["model"] == "fake-vlm"
        assert run([*command, "-j", "question=paper"]) == 1
        assert "options.question: stored 'official', given 'paper'" in capfd.readouterr().err


def test_a_served_judge_can_be_calibrated() -> None:
    answers = random.Random(0)

    def by_order(prompt: str, image: Image.Image) -> Mapping[str, float]:
        return {"yes": answers.random(), "no": answers.random()}

    with FakeVLMServer(logits=by_order) as server:
        judge = opened(server)
        found = calibrate(judge, embedded_controls(1), name="served", identity=judge.identity)
        judge.close()
    (row,) = (row for row in found["sensitivity"] if row["change"] == "no named before yes")
    assert row["items"] == 24
    assert row["mean_distance"] > 0.01


def test_the_judge_keeps_the_contract(server: FakeVLMServer) -> None:
    checks = list(check_judge(lambda: opened(server)))
    assert checks
    assert [check for check in checks if not check.passed] == []
