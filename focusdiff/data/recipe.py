"""Who answers the questions of a build: names and options, and the parts that they become, opened when first needed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from focusdiff.data.asking import CaptionAsker, JudgeAsker
from focusdiff.data.questions import questions_identity
from focusdiff.data.screening import JudgeScreener, NoScreener, PixelScreener, Screener
from focusdiff.data.structure import structure_factory
from focusdiff.data.verification import Verifier
from paircomp.errors import ConfigError
from paircomp.plugins import Registry
from paircomp.runtime.capabilities import build, check_options, effective_options, identity_of
from paircomp.runtime.machine import resolve_device

__all__ = ["PARTS", "Crew", "Recipe"]

#: The parts that take options: ``-o PART.KEY=VALUE``.
PARTS = ("screener", "captioner", "structure", "verifier")
_SCREENERS: Mapping[str, Callable[[], Screener]] = {"pixel-difference": PixelScreener, "none": NoScreener}
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the verdicts. It can be pickled: each worker opens its own parts.

    Attributes:
        screener: ``pixel-difference`` (shapes), ``none``, or a judge that looks at two pictures.
        captioner: a captioner's name.
        structure: ``token-edit`` or ``language-model``.
        verifier: a judge's name.
        options: by part; ``checkpoint`` stands for the weights.
        threshold: the least score of a screening question that is a yes.
        aligned: the least score of a caption on its own picture.
        unaligned: the score that a caption stays below on the other picture.
        device: for the parts with weights.
        batch_size: largest batch; ``None`` is found while working.
        plugins: Python files with more judges and captioners.
    """

    screener: str
    captioner: str
    verifier: str
    structure: str = "token-edit"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    threshold: float = 0.5
    aligned: float = 0.5
    unaligned: float = 0.5
    device: str = "auto"
    batch_size: int | None = None
    plugins: tuple[Path, ...] = ()

    def check(self, registry: Registry) -> None:
        """Hold names, options and thresholds against what there is, without loading anything.

        Raises:
            ConfigError: all faults of the options at once.
            UnknownNameError: a name that nothing has.
        """
        faults = [
            f"{each}: expected a score in [0, 1], got {getattr(self, each)}"
            for each in ("threshold", "aligned", "unaligned")
            if not 0 <= getattr(self, each) <= 1
        ]
        faults += [
            f"-o {part}.…: expected one of source, {', '.join(PARTS)}" for part in self.options if part not in PARTS
        ]
        for part in PARTS:
            options = {key: value for key, value in self._options(part).items() if key != "checkpoint"}
            factory = self._factory(registry, part)
            if factory is None:
                faults += [f"screener {self.screener!r} takes no options"] if options else []
                continue
            try:
                check_options(factory, options, where="")
            except ConfigError as error:
                faults += [f"{part} {getattr(self, part)!r}: {fault}" for fault in error.faults]
        if faults:
            raise ConfigError(faults)

    def _options(self, part: str) -> Mapping[str, Any]:
        return self.options.get(part, _NOTHING)

    def _factory(self, registry: Registry, part: str) -> Any:
        if part == "structure":
            return structure_factory(self.structure)
        if part == "captioner":
            return registry.captioner(self.captioner)
        if part == "screener" and self.screener in _SCREENERS:
            return None
        return registry.judge(getattr(self, part))

    def identity(self, registry: Registry) -> dict[str, Any]:
        """What must agree for a build to be resumed, as far as it is known before anything is loaded."""
        said: dict[str, Any] = {"questions": questions_identity()}
        for part in PARTS:
            factory = self._factory(registry, part)
            options = dict(self._options(part))
            checkpoint = options.pop("checkpoint", None)
            effective = {} if factory is None else effective_options(factory, options)
            said[part] = {"name": getattr(self, part), "checkpoint": checkpoint, "options": effective}
        return said | {"screening": {"threshold": self.threshold},
                       "alignment": {"aligned": self.aligned, "unaligned": self.unaligned}}  # fmt: skip


def _other_look(part: str, says: Mapping[str, Any]) -> str | None:
    """What is wrong with a judge for a part, as far as its question template tells how many images it looks at."""
    template = says.get("template") or says.get("question")
    if not isinstance(template, Mapping) or "text" not in template:
        return None
    if part == "screener" and "look" not in template:
        return "it looks at one image; next: take a judge of edits (names ending in -edit, -o screener.question=edit)"
    if part == "verifier" and "look" in template:
        return "it looks at an original and its edit; next: take a judge that looks at one image"
    return None


class Crew:
    """The parts of a recipe, each opened when it is first asked for and closed at the end.

    Args:
        recipe: their names and options.
        settle: hears what an opened part says of itself, before its first answer.
    """

    def __init__(self, recipe: Recipe, settle: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._recipe = recipe
        self._settle = settle
        self._registry = Registry(recipe.plugins)
        self._closing = contextlib.ExitStack()

    @functools.cached_property
    def screener(self) -> Screener:
        """What screens edits."""
        recipe = self._recipe
        if recipe.screener in _SCREENERS:
            return _SCREENERS[recipe.screener]()
        return JudgeScreener(self._judge("screener", recipe.screener), threshold=recipe.threshold)

    @functools.cached_property
    def captioner(self) -> CaptionAsker:
        """What writes captions."""
        name = self._recipe.captioner
        captioner = self._build("captioner", name, self._registry.captioner(name), f"captioner {name!r}", "caption")
        return CaptionAsker(captioner, name=name, batch_size=self._recipe.batch_size)

    @functools.cached_property
    def verifier(self) -> Verifier:
        """What verifies captions."""
        recipe = self._recipe
        asker = self._judge("verifier", recipe.verifier)
        structure = structure_factory(recipe.structure)(**recipe.options.get("structure", {}))
        self._closing.callback(structure.close)
        self._settle("structure", {"name": recipe.structure, "says": dict(structure.identity)})
        return Verifier(structure, asker, aligned=recipe.aligned, unaligned=recipe.unaligned)

    def close(self) -> None:
        """Free everything."""
        self._closing.close()

    def _build(self, part: str, name: str, factory: Callable[..., Any], who: str, method: str) -> Any:
        recipe = self._recipe
        options = dict(recipe.options.get(part, {}))
        checkpoint = options.pop("checkpoint", None)
        made = build(
            factory, who, method, checkpoint=checkpoint, device=resolve_device(recipe.device), dtype=None, **options
        )
        self._closing.callback(made.close)
        says = identity_of(made)
        if fault := _other_look(part, says):
            raise ConfigError([f"{part} {name!r}: {fault}"])
        self._settle(part, {"name": name, "says": says})
        return made

    def _judge(self, part: str, name: str) -> JudgeAsker:
        judge = self._build(part, name, self._registry.judge(name), f"judge {name!r}", "judge")
        return JudgeAsker(judge, name=name, batch_size=self._recipe.batch_size)
