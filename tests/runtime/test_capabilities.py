"""Options are held against the factory's signature before it is called."""

from typing import Any, Literal

import pytest

from paircomp.errors import ConfigError
from paircomp.runtime.capabilities import (
    check_options,
    declares,
    effective_options,
    identity_of,
    missing_packages,
    parse_options,
    summary_of,
)


def factory(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None,
    mistakes: float = 0.25, steps: int | None = None, mode: Literal["fast", "good"] = "good",
) -> None:  # fmt: skip
    """Draws.

    More.
    """


def test_options_read_as_json_or_text() -> None:
    read = parse_options(["a=1", "b=0.5", "c=true", "d=some text", 'e=["x"]', "f=a=b"], where="-o")
    assert read == {"a": 1, "b": 0.5, "c": True, "d": "some text", "e": ["x"], "f": "a=b"}


def test_every_malformed_option_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_options(["oops", "a=1", "a=2", "api_key=x"], where="-o")
    assert len(raised.value.faults) == 3
    assert "expected KEY=VALUE" in str(raised.value)
    assert "environment" in str(raised.value)
    assert "=x" not in str(raised.value)


@pytest.mark.parametrize("word", ["key_variable=sk-proj-abcdefghijkl0123", 'fields={"user": "hf_abcdefghijklmnop"}'])
def test_a_value_that_looks_like_a_key_is_refused_without_being_repeated(word: str) -> None:
    with pytest.raises(ConfigError, match="looks like a key") as refused:
        parse_options([word], where="-o")
    assert "abcdefgh" not in str(refused.value)


def test_fitting_options_pass() -> None:
    check_options(factory, {"mistakes": 1, "steps": None, "mode": "fast"}, where="-o")


def test_every_misfit_is_named_at_once_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as raised:
        check_options(factory, {"mistake": 0.5, "steps": 1.5, "mode": "slow", "device": "cpu"}, where="-o")
    said = str(raised.value)
    assert "did you mean mistakes?" in said
    assert "steps: expected int | None, got 1.5" in said
    assert "'slow'" in said
    assert "device: unknown" in said


def test_a_required_option_is_asked_for() -> None:
    def needs(*, checkpoint: str | None = None, file: str) -> None: ...

    with pytest.raises(ConfigError, match="file: required"):
        check_options(needs, {}, where="-j")


def test_open_ended_factories_take_anything() -> None:
    def open_ended(**options: Any) -> None: ...

    check_options(open_ended, {"anything": 1}, where="-o")


def test_effective_options_fill_in_defaults() -> None:
    assert effective_options(factory, {"steps": 4}) == {"mistakes": 0.25, "steps": 4, "mode": "good"}


def test_options_that_change_nothing_stay_out_of_the_identity() -> None:
    marked = declares(incidental=("steps",))(lambda *, steps=2, mode="good": (steps, mode))
    assert effective_options(marked, {"steps": 4}) == {"mode": "good"}


def test_what_a_factory_declares_is_read_without_calling_it() -> None:
    marked = declares(requires=("json", "surely_not_installed"), cross_by_default=True)(factory)
    assert missing_packages(marked) == ("surely_not_installed",)
    assert marked.cross_by_default is True  # type: ignore[attr-defined]
    assert summary_of(factory) == "Draws"


def test_identity_is_plain_json_and_refuses_nan() -> None:
    class Part:
        identity = {"b": (1, 2), "a": None}

    assert identity_of(Part()) == {"a": None, "b": [1, 2]}
    assert identity_of(object()) == {}
    Part.identity = {"x": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        identity_of(Part())
