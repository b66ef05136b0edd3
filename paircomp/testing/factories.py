"""The contract of a factory: what can be known of a generator or judge before it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paircomp.runtime.capabilities import option_types, summary_of, takes
from paircomp.testing.checks import Check, is_plain_json

__all__ = ["check_factory"]

_ALWAYS_GIVEN = ("checkpoint", "device", "dtype")


def check_factory(factory: Callable[..., Any]) -> Iterator[Check]:
    """Hold a factory against ``(*, checkpoint, device, dtype, **options)``; nothing is built.

    Args:
        factory: as it is registered under an entry point.
    """
    parameters = inspect.signature(factory).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    missing = [name for name in _ALWAYS_GIVEN if not takes(factory, name) and not open_ended]
    yield Check("the factory takes checkpoint, device and dtype", passed=not missing,
                detail=f"missing: {', '.join(missing)}" if missing else "")  # fmt: skip
    options = {name: parameter for name, parameter in parameters.items()
               if name not in _ALWAYS_GIVEN and parameter.kind is not parameter.VAR_KEYWORD}  # fmt: skip
    yield _by_name(options)
    yield _typed(options, option_types(factory))
    yield _storable(options)
    yield _misspelt(open_ended=open_ended)
    summary = summary_of(factory)
    yield Check("its docstring says in one line what it is", passed=bool(summary), detail=summary)


def _by_name(options: Mapping[str, inspect.Parameter]) -> Check:
    wrong = [name for name, p in options.items() if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    return Check("options are given by name", passed=not wrong, detail=", ".join(wrong))


def _typed(options: Mapping[str, inspect.Parameter], types: Mapping[str, Any]) -> Check:
    bare = [name for name, parameter in options.items() if parameter.annotation is parameter.empty]
    unread = [name for name in options if name not in types and name not in bare]
    faults = [f"{said}: {', '.join(names)}" for said, names in
              (("without", bare), ("with one that cannot be read when it runs", unread)) if names]  # fmt: skip
    return Check("options have types, by which they are checked", passed=not faults,
                 detail="; ".join(faults) or ", ".join(options))  # fmt: skip


def _storable(options: Mapping[str, inspect.Parameter]) -> Check:
    odd = [name for name, p in options.items() if p.default is not p.empty and not is_plain_json(p.default)]
    return Check("defaults can be stored in a run, as JSON", passed=not odd, detail=", ".join(odd))


def _misspelt(*, open_ended: bool) -> Check:
    name = "a misspelt option is refused"
    if open_ended:
        return Check(name, passed=None, detail="the factory takes any option (**), so misspelt ones are its to find")
    return Check(name, passed=True)
