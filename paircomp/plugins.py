"""Finding models, generators, judges, captioners, suites and commands by name.

Built-ins and third parties enter by the same doors: entry-point groups (`paircomp.models`, `paircomp.generators`,
`paircomp.policies`, `paircomp.judges`, `paircomp.captioners`, `paircomp.suites`, `paircomp.commands`) or a Python file
given with ``--plugin``. Nothing is imported before it is asked for. A plugin that cannot be loaded is a warning with
its name, never a crash; two plugins that claim one name are refused when that name is asked for.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from paircomp.errors import AdapterError, ConfigError, PairCompError, UnavailableError, UnknownNameError
from paircomp.protocols import GeneratorFactory, JudgeFactory, PolicyFactory
from paircomp.runtime.requirements import EXTRA_OF_PACKAGE, install_line
from paircomp.types import ModelSpec, Suite

if TYPE_CHECKING:
    import click

__all__ = ["Broken", "Registry"]

Kind = Literal["model", "generator", "policy", "judge", "captioner", "suite", "command"]

# A judge's answers lie in a folder of its name.
_NO_FOLDER = re.compile(r"[/\\\x00]|^\.|^$")


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded."""

    name: str
    origin: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} from {self.origin} is left out: {self.reason}"


@dataclass(frozen=True)
class _Door:
    """One way in: something of a name that `load` brings."""

    name: str
    origin: str
    load: Callable[[], Any]


class Registry:
    """Everything that can be asked for by name.

    Args:
        plugin_files: Python files that may define ``MODELS`` (a sequence of `ModelSpec`), ``GENERATORS``,
            ``POLICIES``, ``JUDGES``, ``CAPTIONERS`` and ``SUITES`` (mappings of name to factory).

    Attributes:
        broken: plugins that could not be loaded so far; commands print them as warnings.

    Raises:
        AdapterError: a plugin file named by the user cannot be loaded.
    """

    def __init__(self, plugin_files: Sequence[Path] = ()) -> None:
        self.broken: list[Broken] = []
        self._files = [(path, _load_file(path)) for path in plugin_files]
        self._models: dict[str, list[tuple[str, ModelSpec]]] | None = None

    @property
    def plugin_files(self) -> tuple[Path, ...]:
        """The Python files that were given."""
        return tuple(path for path, _ in self._files)

    def models(self) -> dict[str, ModelSpec]:
        """The catalogue, by name. A name that two plugins claim is reported as broken and left out."""
        found = {}
        for name, claims in sorted(self._claimed_models().items()):
            if len(claims) == 1:
                found[name] = claims[0][1]
        return found

    def model(self, name: str) -> ModelSpec:
        """One model of the catalogue.

        Raises:
            UnknownNameError: no such model.
            AdapterError: two plugins claim the name.
        """
        claims = self._claimed_models().get(name, [])
        if not claims:
            raise UnknownNameError("model", name, self._claimed_models())
        if len(claims) > 1:
            raise _claimed_twice("model", name, [origin for origin, _ in claims])
        return claims[0][1]

    def generator(self, name: str) -> GeneratorFactory:
        """The factory of a generator.

        Raises:
            UnknownNameError: no such generator.
            UnavailableError: its package is missing.
            AdapterError: it cannot be loaded, or two plugins claim the name.
        """
        return cast(GeneratorFactory, self._load("generator", name))

    def judge(self, name: str) -> JudgeFactory:
        """The factory of a judge; raises as :meth:`generator` does."""
        return cast(JudgeFactory, self._load("judge", name))

    def policy(self, name: str) -> PolicyFactory:
        """The factory of a policy; raises as :meth:`generator` does."""
        return cast(PolicyFactory, self._load("policy", name))

    def captioner(self, name: str) -> Callable[..., Any]:
        """The factory of a captioner (docs/data.md); raises as :meth:`generator` does."""
        return cast("Callable[..., Any]", self._load("captioner", name))

    def suite(self, name: str) -> Suite:
        """A suite by name; raises as :meth:`generator` does; errors of the suite's own factory become one line."""
        factory = self._load("suite", name)
        try:
            suite = factory()
        except PairCompError:
            raise
        except (Exception, SystemExit) as error:
            raise AdapterError(f"suite {name!r} cannot be made: {_one_line(error)}") from error
        if not isinstance(suite, Suite):
            raise AdapterError(f"suite {name!r}: its factory returned {type(suite).__name__}, expected a Suite")
        return suite

    def names(self, kind: Kind) -> list[str]:
        """All names of a kind, sorted, without loading any but the models' light modules."""
        if kind == "model":
            return sorted(self._claimed_models())
        return sorted({door.name for door in self._doors(kind)})

    def load_all(self, kind: Kind) -> Iterator[tuple[str, Any]]:
        """``(name, factory)`` of all that load; the others join `broken`."""
        for name in self.names(kind):
            try:
                yield name, self._load(kind, name)
            except PairCompError as error:
                self._report(Broken(name, self._origins(kind, name), str(error)))

    def command(self, name: str) -> click.Command:
        """A command that a plugin adds to ``paircomp``; raises as :meth:`generator` does."""
        import click

        command = self._load("command", name)
        if not isinstance(command, click.Command):
            raise AdapterError(f"command {name!r}: expected a click command, got {type(command).__name__}")
        return command

    def commands(self, *, built_in: Collection[str]) -> list[str]:
        """Names of the plugins' commands that can be run, sorted; the others join `broken`.

        Args:
            built_in: names that no plugin may take.
        """
        found = []
        for name in self.names("command"):
            try:
                if name in built_in:
                    raise AdapterError(f"command {name!r} is built in; next: uninstall or rename it")
                self.command(name)
            except PairCompError as error:
                self._report(Broken(name, self._origins("command", name), str(error)))
            else:
                found.append(name)
        return found

    def _origins(self, kind: Kind, name: str) -> str:
        return " and ".join(door.origin for door in self._doors(kind) if door.name == name)

    def _report(self, broken: Broken) -> None:
        if broken not in self.broken:
            self.broken.append(broken)

    def _doors(self, kind: Kind) -> Iterator[_Door]:
        for point in entry_points(group=f"paircomp.{_plural(kind)}"):
            yield _Door(point.name, _origin(point), point.load)
        for path, module in self._files:
            for name, factory in _mapping(module, _plural(kind).upper(), path).items():
                yield _Door(name, str(path), functools.partial(_itself, factory))

    def _load(self, kind: Kind, name: str) -> Any:
        doors = [door for door in self._doors(kind) if door.name == name]
        if not doors:
            raise UnknownNameError(kind, name, self.names(kind))
        if len(doors) > 1:
            raise _claimed_twice(kind, name, [door.origin for door in doors])
        if kind == "judge" and _NO_FOLDER.search(name):
            raise AdapterError(f"judge {name!r} from {doors[0].origin}: its name names a folder in each run, so it "
                               "holds no slash and begins with no dot; next: rename it")  # fmt: skip
        return _open(doors[0], kind)

    def _claimed_models(self) -> dict[str, list[tuple[str, ModelSpec]]]:
        if self._models is None:
            self._models = {}
            for origin, spec in self._each_model():
                self._models.setdefault(spec.name, []).append((origin, spec))
            for name, claims in self._models.items():
                if len(claims) > 1:
                    origins = " and ".join(origin for origin, _ in claims)
                    self._report(Broken(name, origins, "claimed more than once"))
        return self._models

    def _each_model(self) -> Iterator[tuple[str, ModelSpec]]:
        for point in entry_points(group="paircomp.models"):
            origin = _origin(point)
            try:
                module = point.load()
                specs = _specs(module, origin)
            except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others must go on
                self._report(Broken(point.name, origin, _one_line(error)))
                continue
            yield from ((origin, spec) for spec in specs)
        for path, module in self._files:
            yield from ((str(path), spec) for spec in _specs(module, str(path)))


def _plural(kind: Kind) -> str:
    return "policies" if kind == "policy" else f"{kind}s"


def _itself(factory: Any) -> Any:
    return factory


def _open(door: _Door, kind: str) -> Any:
    try:
        factory = door.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in EXTRA_OF_PACKAGE:
            what = f"{kind} {door.name!r}"
            raise UnavailableError(what, package=missing, remedy=install_line([missing])) from error
        raise AdapterError(f"{kind} {door.name!r} from {door.origin} cannot be loaded: {_one_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise AdapterError(f"{kind} {door.name!r} from {door.origin} cannot be loaded: {_one_line(error)}") from error
    if kind != "command" and not callable(factory):
        raise AdapterError(f"{kind} {door.name!r} from {door.origin}: expected a factory, got {type(factory).__name__}")
    return factory


def _claimed_twice(kind: str, name: str, origins: Sequence[str]) -> AdapterError:
    return AdapterError(f"{kind} {name!r} is claimed by {' and by '.join(origins)}; next: uninstall or rename one")


def _origin(point: EntryPoint) -> str:
    if point.dist is None:
        return point.value
    return f"{point.dist.name} {point.dist.version}"


def _specs(module: Any, origin: str) -> Sequence[ModelSpec]:
    specs = module if isinstance(module, (list, tuple)) else getattr(module, "MODELS", ())
    if not isinstance(specs, (list, tuple)):
        raise ConfigError([f"MODELS: expected a list of ModelSpec, got {type(specs).__name__}"],
                          where=f"plugin {origin}")  # fmt: skip
    if faults := [fault for spec in specs for fault in _spec_faults(spec)]:
        raise ConfigError(faults, where=f"plugin {origin}")
    return tuple(specs)


def _spec_faults(spec: Any) -> Iterator[str]:
    if not isinstance(spec, ModelSpec):
        yield f"MODELS holds {type(spec).__name__}, expected ModelSpec"
        return
    for name in ("name", "adapter", "suite"):
        if not isinstance(getattr(spec, name), str):
            yield f"model {spec.name!r}: {name}: expected text, got {getattr(spec, name)!r}"
    if not isinstance(spec.recipe, Mapping):
        yield f"model {spec.name!r}: recipe: expected a mapping of options, got {type(spec.recipe).__name__}"


def _mapping(module: ModuleType, name: str, path: Path) -> Mapping[str, Any]:
    found = getattr(module, name, {})
    if not isinstance(found, Mapping):
        raise ConfigError([f"{name}: expected a mapping of names to factories, got {type(found).__name__}"],
                          where=f"plugin {path}")  # fmt: skip
    return found


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise AdapterError(f"plugin {path}: no such file; next: check the path given to --plugin")
    name = f"paircomp_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AdapterError(f"plugin {path}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise AdapterError(f"plugin {path} cannot be loaded: {_one_line(error)}") from error
    return module


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
