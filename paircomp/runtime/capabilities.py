"""Reading what a generator, a judge or a factory says of itself, and checking options before a factory is called."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib.util
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from paircomp.errors import AdapterError, ConfigError, PairCompError
from paircomp.runtime.json_text import parse_json

__all__ = [
    "JUDGE_OPTIONS",
    "build",
    "call_factory",
    "check_options",
    "closing_part",
    "declares",
    "effective_options",
    "identity_of",
    "missing_packages",
    "option_types",
    "parse_options",
    "summary_of",
    "takes",
]

Factory = TypeVar("Factory", bound=Callable[..., Any])
Part = TypeVar("Part")

_CALLER_ARGUMENTS = frozenset({"checkpoint", "device", "dtype"})
#: ``--dtype`` is of the model that draws; a judge's number format changes its scores and is an option like any other.
JUDGE_OPTIONS = ("dtype",)
# Names that end in such a word: `hf_token` is a secret, `max_tokens` and `image_tokenizer.steps` are none.
_SECRET = re.compile(
    r"(api[_-]?key|(?<![a-z])token|(?-i:Token)|secrets?|passwd|passwords?|credentials?)$", re.IGNORECASE
)
# How the keys of common services begin; given by mistake where the name of a variable was asked for, for instance.
_LOOKS_SECRET = re.compile(r"\b(sk-|hf_|ghp_|github_pat_|xai-|AIza|AKIA)[A-Za-z0-9_-]{12,}")


def declares(
    *, requires: tuple[str, ...] = (), cross_by_default: bool = False, incidental: tuple[str, ...] = ()
) -> Callable[[Factory], Factory]:
    """Mark a factory with what can be known of it without calling it.

    Args:
        requires: import names of packages it needs.
        cross_by_default: whether its judge should also be asked about the pair's other prompt.
        incidental: options that change no picture and no score (a timeout, a price); they stay out of the identity, so
            that a run can be resumed with others.

    Example:
        >>> @declares(requires=("torch",))
        ... def factory(): ...
        >>> factory.requires
        ('torch',)
    """

    def mark(factory: Factory) -> Factory:
        factory.requires = requires  # type: ignore[attr-defined]
        factory.cross_by_default = cross_by_default  # type: ignore[attr-defined]
        factory.incidental = incidental  # type: ignore[attr-defined]
        return factory

    return mark


def build(factory: Callable[..., Part], who: str, method: str, /, **arguments: Any) -> Part:
    """What `factory` makes of `arguments`, with whatever stands in its way told in one line.

    Args:
        factory: of a generator or judge.
        who: names it in messages, for instance ``generator 'sketch'``.
        method: what the made part must offer beside ``close``: ``generate`` or ``judge``.
        arguments: checkpoint, device, dtype and options.

    Raises:
        AdapterError: the factory raised something, or returned nothing that has both methods.
    """
    part = call_factory(factory, who, **arguments)
    missing = [name for name in (method, "close") if not callable(getattr(part, name, None))]
    if missing:
        said = " and ".join(f"{name}()" for name in missing)
        raise AdapterError(f"{who}: its factory returned {type(part).__name__}, which lacks {said}")
    return part


def call_factory(factory: Callable[..., Part], who: str, /, **arguments: Any) -> Part:
    """What `factory` returns, unchecked; whatever it raises becomes one line.

    Raises:
        AdapterError: the factory raised something.
    """
    try:
        return factory(**arguments)
    except PairCompError:
        raise
    except (Exception, SystemExit) as error:  # third parties may fail in any way
        raise AdapterError(f"{who} cannot be made: {_one_line(error)}; next: check its options and weights") from error


@contextlib.contextmanager
def closing_part(part: Part, who: str) -> Iterator[Part]:
    """Close a generator or judge at the end; an error of the work itself goes before one of closing.

    Raises:
        AdapterError: ``close`` raised something.
    """
    try:
        yield part
    except BaseException as error:
        try:
            _close(part, who)
        except AdapterError as second:
            error.add_note(str(second))
        raise
    _close(part, who)


def _close(part: object, who: str) -> None:
    try:
        part.close()  # type: ignore[attr-defined]
    except PairCompError:
        raise
    except (Exception, SystemExit) as error:
        raise AdapterError(f"{who} cannot be closed: {_one_line(error)}; what was finished is kept") from error


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def identity_of(part: object) -> dict[str, Any]:
    """The ``identity`` mapping of a generator or judge, as plain JSON values; empty where it has none.

    Raises:
        AdapterError: it holds what JSON cannot.
    """
    said = getattr(part, "identity", None)
    if not isinstance(said, Mapping):
        return {}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(said), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AdapterError(f"{type(part).__name__}.identity: expected JSON values without NaN, got "
                           f"{dict(said)!r:.200} ({error})") from error  # fmt: skip
    return plain


def missing_packages(factory: object) -> tuple[str, ...]:
    """Import names that `factory.requires` lists and this machine lacks; nothing is imported."""
    return tuple(name for name in getattr(factory, "requires", ()) if importlib.util.find_spec(name) is None)


def summary_of(factory: object) -> str:
    """First line of the factory's docstring, for listings."""
    lines = (inspect.getdoc(factory) or "").splitlines()
    return lines[0].rstrip(".") if lines else ""


def parse_options(assignments: tuple[str, ...] | list[str], *, where: str) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` words into a mapping; a value that reads as JSON is taken as such, else as text.

    Raises:
        ConfigError: a word without ``=``, a repeated key, or what names or looks like a secret: secrets come from the
            environment, because options are written into the run folder.

    Example:
        >>> parse_options(["mistakes=0.5", "mode=fast"], where="-o")
        {'mistakes': 0.5, 'mode': 'fast'}
    """
    options: dict[str, Any] = {}
    faults = []
    for word in assignments:
        key, separator, value = word.partition("=")
        if not separator or not key:
            faults.append(f"{word!r}: expected KEY=VALUE")
        elif key in options:
            faults.append(f"{key}: given twice")
        elif _SECRET.search(key):
            faults.append(f"{key}: secrets are taken from the environment only, because options are stored in the run")
        elif _LOOKS_SECRET.search(value):
            faults.append(f"{key}: this looks like a key; secrets are taken from the environment only")
        else:
            options[key] = _value(value)
    if faults:
        raise ConfigError(faults, where=where)
    return options


def _value(text: str) -> Any:
    try:
        return parse_json(text, nan=True)
    except ValueError:
        return text


def check_options(
    factory: Callable[..., Any], options: Mapping[str, Any], *, where: str, also: tuple[str, ...] = ()
) -> None:
    """Hold `options` against the factory's keyword arguments.

    Args:
        factory: of a generator or judge.
        options: as the user gave them.
        where: for the message.
        also: which of checkpoint, device and dtype may be given as options; :data:`JUDGE_OPTIONS` for a judge.

    Raises:
        ConfigError: names every unknown option (with the nearest known one), every wrong type and every missing
            option at once.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(factory).parameters.items()
        if name not in _CALLER_ARGUMENTS or name in also
    }
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {name: p for name, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    faults = [_unknown(name, named) for name in options if name not in named and not open_ended]
    faults += [f"{name}: required" for name, p in named.items() if p.default is p.empty and name not in options]
    hints = option_types(factory)
    for name, value in options.items():
        if name in named and name in hints and not _fits(value, hints[name]):
            faults.append(f"{name}: expected {_type_name(hints[name])}, got {value!r}{_quoted(name, hints[name])}")
    if faults:
        raise ConfigError(faults, where=where)


def takes(factory: Callable[..., Any], name: str) -> bool:
    """Whether the factory has a keyword argument of that name."""
    return name in inspect.signature(factory).parameters


def _unknown(name: str, named: Mapping[str, inspect.Parameter]) -> str:
    near = difflib.get_close_matches(name, named, n=1)
    if near:
        return f"{name}: unknown, did you mean {near[0]}?"
    return f"{name}: unknown, known: {', '.join(sorted(named)) or 'none'}"


def option_types(factory: Callable[..., Any]) -> dict[str, Any]:
    """The type of each argument of a factory; without those whose annotation cannot be read.

    Each is read by itself: a name that exists only while type checking spoils no other.
    """
    known = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.annotation is not parameter.empty:
            alone = types.SimpleNamespace(__annotations__={name: parameter.annotation})
            with contextlib.suppress(Exception):  # an annotation may be any expression
                known[name] = typing.get_type_hints(alone, globalns=_names_of(factory))[name]
    return known


def _names_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """The names that a factory's annotations were written with."""
    plain = inspect.unwrap(factory)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    made_by = plain if hasattr(plain, "__globals__") or isinstance(plain, type) else type(plain)
    names: dict[str, Any] = getattr(made_by, "__globals__", None) or vars(sys.modules[made_by.__module__])
    return names


def _quoted(name: str, hint: Any) -> str:
    """How a text is given that reads as a number or the like."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    takes_text = hint is str or (union and str in typing.get_args(hint))
    return f"; next: quote it, such as '{name}=\"1024\"'" if takes_text else ""


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if (origin or hint) in (str, bool, type(None), dict, list):
        return isinstance(value, origin or hint)
    return True  # structured options are the factory's own business


def _type_name(hint: Any) -> str:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_type_name, choices))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, choices))}"
    plain = {bool: "true or false", dict: "a JSON object", list: "a JSON list", type(None): "null"}
    if (origin or hint) in plain:
        return plain[origin or hint]
    return getattr(hint, "__name__", None) or str(hint).replace("typing.", "")


def effective_options(factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with the factory's own defaults filled in, so that a run states what it was really made with.

    Options that the factory declares ``incidental`` are left out.
    """
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(factory).parameters.items()
        if name not in _CALLER_ARGUMENTS and parameter.default is not parameter.empty
    }
    incidental = getattr(factory, "incidental", ())
    return {name: value for name, value in {**defaults, **options}.items() if name not in incidental}
