"""Options are held against the factory's signature before it is called."""

import functools
import sys
from typing import Any, Literal

import pytest

from paircomp.errors import AdapterError, ConfigError
from paircomp.runtime.capabilities import (
    JUDGE_OPTIONS,
    build,
    check_options,
    closing_part,
    declares,
    effective_options,
    identity_of,
    missing_packages,
    option_types,
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
    assert "steps: expected int or null, got 1.5" in said
    assert "mode: expected one of fast, good, got 'slow'" in said
    assert "device: unknown" in said


def test_a_judges_number_format_is_an_option_of_it_and_a_generators_is_not() -> None:
    check_options(factory, {"dtype": "bfloat16"}, where="-j", also=JUDGE_OPTIONS)
    with pytest.raises(ConfigError, match="dtype: expected str"):
        check_options(factory, {"dtype": 16}, where="-j", also=JUDGE_OPTIONS)
    with pytest.raises(ConfigError, match="dtype: unknown"):
        check_options(factory, {"dtype": "bfloat16"}, where="-o")


def test_an_annotation_that_cannot_be_read_leaves_the_others_checked() -> None:
    def typed(
        *,
        loud: bool = False,
        fields: dict[str, int] | None = None,
        odd: "OnlyWhileChecking" = 1,  # type: ignore[name-defined]  # noqa: F821
    ) -> "OnlyWhileChecking": ...  # type: ignore[name-defined]  # noqa: F821

    assert set(option_types(typed)) == {"loud", "fields"}
    with pytest.raises(
        ConfigError, match=r"loud: expected true or false, got 'yes'; fields: expected a JSON object or"
    ):
        check_options(typed, {"loud": "yes", "fields": "abc", "odd": "anything"}, where="-o")
    assert set(option_types(functools.partial(factory, steps=2))) >= {"mistakes", "mode"}


def test_a_text_that_reads_as_a_number_is_asked_for_in_quotes() -> None:
    def sized(*, size: str | None = None, names: list[str] | None = None) -> None: ...

    with pytest.raises(
        ConfigError, match=r"""size: expected str or null, got 1024; next: quote it, such as 'size="1024"'"""
    ):
        check_options(sized, parse_options(["size=1024"], where="-o"), where="-o")
    check_options(sized, parse_options(['size="1024"'], where="-o"), where="-o")


def test_a_list_is_not_asked_for_in_quotes() -> None:
    def listed(*, names: list[str]) -> None: ...

    with pytest.raises(ConfigError, match=r"names: expected a JSON list, got 'foo'$"):
        check_options(listed, {"names": "foo"}, where="-o")


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
    with pytest.raises(AdapterError, match=r"Part\.identity: expected JSON values without NaN"):
        identity_of(Part())


class Part:
    def judge(self) -> None: ...
    def close(self) -> None: ...


def test_a_part_is_built_with_options_of_any_name() -> None:
    made: list[dict[str, Any]] = []

    def factory(**options: Any) -> Part:
        made.append(options)
        return Part()

    assert isinstance(build(factory, "judge 'x'", "judge", who=1, method=2, factory=3), Part)
    assert made == [{"who": 1, "method": 2, "factory": 3}]


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (lambda: 1 / 0, r"judge 'x' cannot be made: ZeroDivisionError: division by zero; next: "),
        (lambda: sys.exit(3), r"judge 'x' cannot be made: SystemExit: 3"),
        (lambda: None, r"judge 'x': its factory returned NoneType, which lacks judge\(\) and close\(\)"),
        (ConfigError, r"judge 'x' cannot be made: TypeError"),
    ],
)
def test_a_factory_that_fails_is_one_line(factory: Any, said: str) -> None:
    with pytest.raises(AdapterError, match=said):
        build(factory, "judge 'x'", "judge")


def test_what_a_factory_says_in_our_own_words_stays_as_it_is() -> None:
    def factory() -> Part:
        raise ConfigError(["steps: expected 4"])

    with pytest.raises(ConfigError, match="steps: expected 4"):
        build(factory, "judge 'x'", "judge")


def test_an_error_of_the_work_goes_before_one_of_closing() -> None:
    class CannotClose(Part):
        def close(self) -> None:
            raise OSError("gone")

    with (
        pytest.raises(AdapterError, match=r"judge 'x' cannot be closed: OSError: gone"),
        closing_part(CannotClose(), "judge 'x'"),
    ):
        pass
    with pytest.raises(KeyError) as raised, closing_part(CannotClose(), "judge 'x'"):
        raise KeyError("work")
    assert "cannot be closed" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    "name", ["token", "hf_token", "accessToken", "API-KEY", "openai.api_key", "password", "credentials"]
)
def test_a_name_that_ends_in_a_word_for_secrets_is_refused(name):
    with pytest.raises(ConfigError, match="secrets are taken from the environment only"):
        parse_options([f"{name}=x"], where="-o")


@pytest.mark.parametrize("name", ["max_tokens", "tokens", "start.image_tokenizer.steps", "secretary", "token_count"])
def test_a_name_that_only_holds_such_a_word_is_none(name):
    assert parse_options([f"{name}=3"], where="-o") == {name: 3}
