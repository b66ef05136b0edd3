"""What a Python function or object does, as bytes: its code and every plain value that it carries or names.

Two processes give the same bytes for the same code and values, whatever their hash seed and addresses. What cannot be
read this way (weights in an extension type, an open file) gets a random token, so that it never equals anything.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import secrets
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["fingerprint"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


class _Object:
    """What an instance of a plain Python class takes; objects of extension types, which hide state, take more."""


def fingerprint(value: Any) -> str:
    """Hex SHA-256 of what `value` is and does; another one at every call where it cannot be read.

    Read are numbers, text, bytes, paths, collections of these, functions (code, defaults, closure, and the globals
    they name: plain values, and functions and classes of the same module), bound methods, `functools.partial`, and
    objects of plain Python classes (their classes' functions and their attributes). An object may carry ``identity``,
    a mapping of plain values, which then stands for all of its attributes.
    """
    return _Reader().read(value).hex()


class _Reader:
    """Reads one value; knows what it is inside of, because functions and objects may refer to themselves."""

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}

    def read(self, value: Any) -> bytes:
        """SHA-256 of the value."""
        if type(value) in _PLAIN:
            return _digest(type(value).__name__, repr(value).encode())
        if id(value) in self._inside:
            return _digest("itself", str(self._inside[id(value)]).encode())
        self._inside[id(value)] = len(self._inside)
        try:
            return _digest(type(value).__qualname__, *self._parts(value))
        finally:
            del self._inside[id(value)]

    def _parts(self, value: Any) -> Iterator[bytes]:
        if type(value) in (list, tuple):
            yield from map(self.read, value)
        elif type(value) in (set, frozenset):
            yield from sorted(map(self.read, value))
        elif type(value) in (dict, types.MappingProxyType):
            for key, item in value.items():
                yield from (self.read(key), self.read(item))
        elif isinstance(value, PurePath):
            yield str(value).encode()
        elif isinstance(value, types.ModuleType):
            yield value.__name__.encode()
        elif inspect.iscode(value):
            yield value.co_code
            yield from map(self.read, (value.co_consts, value.co_names, value.co_freevars))
        elif callable(value):
            yield from self._callable(value)
        else:
            yield from self._object(value)

    def _callable(self, value: Callable[..., Any]) -> Iterator[bytes]:
        if isinstance(value, types.FunctionType):
            yield from self._function(value)
        elif isinstance(value, types.MethodType):
            yield from map(self.read, (value.__func__, value.__self__))
        elif isinstance(value, functools.partial):
            yield from map(self.read, (value.func, value.args, value.keywords))
        elif isinstance(value, type):
            yield _name_of(value)
            yield from self._class(value)
        elif isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType | None):
            yield _name_of(value)
        else:
            yield from self._object(value)

    def _function(self, function: types.FunctionType) -> Iterator[bytes]:
        yield from map(self.read, (function.__code__, function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                yield self.read(cell.cell_contents)
            except ValueError:  # a cell that nothing has been put into yet
                yield b"empty"
        for name in sorted(_globals_named(function.__code__) & function.__globals__.keys()):
            found = function.__globals__[name]
            elsewhere = isinstance(found, type | types.FunctionType) and found.__module__ != function.__module__
            yield name.encode()
            yield _name_of(found) if elsewhere else self.read(found)

    def _class(self, cls: type) -> Iterator[bytes]:
        """The functions of a class and of its bases in the same module; those of libraries go by their name."""
        for base in cls.__mro__:
            yield _name_of(base)
            for name, member in vars(base).items() if base.__module__ == cls.__module__ else ():
                bare = member.__func__ if isinstance(member, staticmethod | classmethod) else member
                bare = bare.fget if isinstance(bare, property) else bare
                if isinstance(bare, types.FunctionType) or type(bare) in _PLAIN:
                    yield name.encode()
                    yield self.read(bare)

    def _object(self, value: Any) -> Iterator[bytes]:
        cls = type(value)
        yield from self._class(cls) if cls.__module__ != "builtins" else ()
        identity = getattr(value, "identity", None)
        if isinstance(identity, Mapping):
            yield self.read(dict(identity))
        elif hasattr(value, "__dict__") and cls.__basicsize__ <= _Object.__basicsize__:
            yield self.read(vars(value))
        else:
            yield secrets.token_bytes()


def _digest(kind: str, *parts: bytes) -> bytes:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.digest()


def _name_of(value: Any) -> bytes:
    return f"{getattr(value, '__module__', None)}.{value.__qualname__}".encode()


def _globals_named(code: types.CodeType) -> set[str]:
    """Names of globals that `code` and the functions within it look up; names of attributes are not among them."""
    named = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return named.union(*(_globals_named(inner) for inner in code.co_consts if inspect.iscode(inner)))
