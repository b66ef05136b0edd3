"""The small InternVL that ships: its lessons, its tokens, its checkpoint and its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.stats import rankdata

from paircomp.errors import ConfigError
from paircomp.evaluation import Evaluation
from paircomp.judges.internvl import InternVLJudge
from paircomp.judges.internvl_layout import config_of, load_internvl
from paircomp.judges.internvl_tiny import CHECKPOINT, internvl_tiny
from paircomp.judges.internvl_tiny.batches import Conversation
from paircomp.judges.internvl_tiny.lessons import OWN, draw_lesson
from paircomp.judges.internvl_tiny.model import build_config
from paircomp.judges.internvl_tiny.tokens import SPECIAL, build_tokenizer
from paircomp.judges.internvl_tiny.training import Plan, Student, train
from paircomp.judges.yes_no import NO, YES
from paircomp.plugins import Registry
from paircomp.shapes import canonical, parse_prompt, vocabulary, write_prompt
from paircomp.shapes.renderer import render
from paircomp.suites.shapes_suites import is_held_out, shapes_dev_suite
from paircomp.types import ImageKey, JudgeRequest, Question, Subtask

FIRST = range(60)


@pytest.fixture(scope="module")
def judge() -> Iterator[InternVLJudge]:
    opened = internvl_tiny()
    yield opened
    opened.close()


# Lessons


def test_a_lesson_comes_from_its_number_alone() -> None:
    again, other = draw_lesson(7), draw_lesson(8)

    assert draw_lesson(7).prompts == again.prompts
    assert draw_lesson(7).image.tobytes() == again.image.tobytes()
    assert draw_lesson(7, seed=1).prompts != again.prompts
    assert other.prompts != again.prompts


def test_no_lesson_shows_or_names_a_scene_of_a_fixed_suite() -> None:
    named = [parse_prompt(prompt) for number in FIRST for prompt in draw_lesson(number).prompts]

    assert not [write_prompt(scene) for scene in named if is_held_out(scene)]
    assert is_held_out(parse_prompt(shapes_dev_suite().pairs[0].prompts[0]))


def test_the_first_prompts_say_what_is_drawn_and_the_others_something_else() -> None:
    for number in FIRST:
        own, *others = ({canonical(parse_prompt(prompt)) for prompt in part} for part in _parted(number))
        assert len(own) == 1
        assert not own & set.union(*others)


def _parted(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    prompts = draw_lesson(number).prompts
    return prompts[:OWN], prompts[OWN:]


def test_the_wanted_answers_range_over_fitting_spoilt_and_wrong() -> None:
    own = np.array([draw_lesson(number).scores[0] for number in FIRST])
    others = np.array([draw_lesson(number).scores[OWN:] for number in FIRST])

    assert (own > 0.95).mean() > 0.5
    assert ((own > 0.02) & (own < 0.95)).mean() > 0.15
    assert others.max() < 0.2


# Tokens


def test_words_are_single_tokens_and_any_text_comes_back() -> None:
    tokenizer = build_tokenizer()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    assert [word for word in (*vocabulary(), *YES, *NO, *SPECIAL) if count(word) != 1] == []
    assert count("three blue squares") == 3
    assert count("AT") == 2
    for text in ("Ein Würfel, 3 Kreise", "日本語", 'a "quoted" word\n'):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


# The checkpoint


def test_the_shipped_files_are_those_that_the_code_writes() -> None:
    config = build_config().to_dict()
    shipped = config_of(CHECKPOINT).to_dict()
    unequal = {key for key in config if config[key] != shipped.get(key)} - {"transformers_version"}

    assert (CHECKPOINT / "tokenizer.json").read_text(encoding="utf-8") == build_tokenizer().to_str(pretty=True)
    assert unequal == set()


def test_the_shipped_weights_are_small_and_bfloat16() -> None:
    file = CHECKPOINT / "model.safetensors"

    assert file.stat().st_size < 8_000_000
    with safe_open(file, framework="pt") as opened:
        assert {opened.get_slice(name).get_dtype() for name in opened.keys()} == {"BF16"}  # noqa: SIM118


def test_its_number_format_is_an_option_of_the_judge_and_part_of_its_identity() -> None:
    """`--dtype` is the model's that draws: a judge in its format would give other scores without a word."""
    asked = Evaluation(Registry(), shapes_dev_suite(), "internvl-tiny", judge_options={"dtype": "bfloat16"})
    usual = dataclasses.replace(asked, judge_options={}, dtype="bfloat16", device="cpu")

    opened = {name: each.open_judge() for name, each in {"asked": asked, "usual": usual}.items()}
    formats = {name: each.identity["dtype"] for name, each in opened.items()}  # type: ignore[attr-defined]
    for each in opened.values():
        each.close()

    assert formats == {"asked": "bfloat16", "usual": "float32"}
    with pytest.raises(ConfigError, match="dtype: expected float32, bfloat16, float16, got 'int3'"):
        dataclasses.replace(asked, judge_options={"dtype": "int3"}).open_judge()


def test_training_sees_what_the_judge_sees(judge: InternVLJudge) -> None:
    """The answers that all questions in one row are trained with are those that the judge reads one by one."""
    config = config_of(CHECKPOINT)
    model, _ = load_internvl(CHECKPOINT, config, device="cpu", dtype=torch.float32)
    lessons = [draw_lesson(number) for number in range(6)]
    conversation = Conversation(config)
    with torch.inference_mode():
        trained, _ = Student(model, conversation)(conversation.batch(lessons))

    losses = []
    for number, lesson in enumerate(lessons):
        asked = tuple(Question(place, prompt, "") for place, prompt in enumerate(lesson.prompts))
        for answer in judge.judge([JudgeRequest(ImageKey(number, 0, 0), (lesson.image,), asked)]):
            assert answer.log_yes is not None
            assert answer.log_no is not None
            wanted = lesson.scores[answer.judged_prompt]
            losses.append(-wanted * answer.log_yes - (1 - wanted) * answer.log_no)
    assert float(trained) == pytest.approx(np.mean(losses), abs=5e-3)  # Yes and YES count for the judge alone


@pytest.fixture(scope="module")
def aucs(judge: InternVLJudge) -> dict[str, float]:
    """How well own and one-word-different prompts of unseen scenes are told apart, by subtask."""
    scores: dict[str, list[tuple[float, float]]] = {subtask: [] for subtask in Subtask}
    requests = []
    for pair in [pair for pair in shapes_dev_suite().pairs if pair.pair % 2]:
        asked = tuple(Question(place, prompt, pair.subtask) for place, prompt in enumerate(pair.prompts))
        image = render(parse_prompt(pair.prompts[0]), 1000 + pair.pair)
        requests.append(JudgeRequest(ImageKey(pair.pair, 0, 0), (image,), asked))
    found: dict[int, dict[int, float]] = {request.key.pair: {} for request in requests}
    for answer in judge.judge(requests):
        found[answer.key.pair][answer.judged_prompt] = answer.score or 0.0
    for request in requests:
        scores[request.questions[0].subtask].append((found[request.key.pair][0], found[request.key.pair][1]))

    return {str(subtask): auc(rows) for subtask, rows in scores.items()}


def test_unseen_scenes_are_told_apart(aucs: dict[str, float]) -> None:
    assert {subtask: aucs[subtask] for subtask, wanted in WANTED.items() if aucs[subtask] < wanted} == {}


#: Below what docs/internvl-tiny.md states, because 20 pairs a subtask are few.
WANTED = {**dict.fromkeys(Subtask, 0.97), Subtask.TEXT: 0.9}


def auc(rows: list[tuple[float, float]]) -> float:
    own, other = zip(*rows, strict=True)
    ranks = rankdata([*own, *other])[: len(own)]
    return float((ranks.sum() - len(own) * (len(own) + 1) / 2) / len(own) ** 2)


# Training


def test_training_writes_a_checkpoint_that_the_judge_opens(tmp_path: Path) -> None:
    train(Plan(steps=2, pictures=2), folder=tmp_path / "made")

    opened = internvl_tiny(checkpoint=str(tmp_path / "made"))
    lesson = draw_lesson(0)
    (answer,) = opened.judge([JudgeRequest(ImageKey(0, 0, 0), (lesson.image,), (Question(0, lesson.prompts[0], ""),))])
    opened.close()
    assert answer.score is not None
    assert 0 < answer.score < 1


def test_the_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, warm_up=10, cool_down=0.4)
    rates = [plan.rate_at(step) for step in range(100)]

    assert rates[0] == pytest.approx(plan.rate / 10)
    assert rates[9:60] == [plan.rate] * 51
    assert 0 < rates[99] < rates[80] < rates[65] < plan.rate
