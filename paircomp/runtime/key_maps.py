"""Renaming the tensors of one checkpoint layout to another, by rules whose completeness is asserted.

A checkpoint written by other code holds the same tensors under other names, sometimes fused (``qkv``) or with a spare
dimension. A :class:`KeyMap` says so rule by rule, and is held against the shapes of both sides, on meta tensors, before
a single weight is read: nothing may be missing, left over or of another shape.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KeyMap", "Rule"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Rule:
    """What becomes of the keys of one form.

    Attributes:
        source: name in the foreign checkpoint; ``{name}`` stands for one part between dots, ``{rest}`` for any number.
        targets: names in our model, with the same placeholders; none drops the tensor.
        split: makes the targets' tensors from the source's; needed where there are several.
        join: the way back.

    Example:
        >>> Rule("gen_embed.{leaf}", ("model.generation_embeddings.{leaf}",)).renamed("gen_embed.weight")
        ('model.generation_embeddings.weight',)
    """

    source: str
    targets: tuple[str, ...] = ()
    split: Callable[[Tensor], Sequence[Tensor]] | None = None
    join: Callable[[Sequence[Tensor]], Tensor] | None = None

    def renamed(self, key: str) -> tuple[str, ...] | None:
        """The names that `key` gets; empty where it is dropped, ``None`` where the rule is not about it."""
        match = _pattern(self.source).fullmatch(key)
        return tuple(target.format(**match.groupdict()) for target in self.targets) if match else None

    def original(self, key: str) -> tuple[str, int] | None:
        """The foreign name of our `key`, and which part of it; ``None`` where the rule is not about it."""
        for part, target in enumerate(self.targets):
            if match := _pattern(target).fullmatch(key):
                return self.source.format(**match.groupdict()), part
        return None

    def parts(self, tensor: Tensor) -> Sequence[Tensor]:
        """The targets' tensors."""
        return self.split(tensor) if self.split else (tensor,)

    def whole(self, parts: Sequence[Tensor]) -> Tensor:
        """The source's tensor."""
        return self.join(parts) if self.join else parts[0]


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    pieces = _PLACEHOLDER.split(template)
    fixed, names = pieces[::2], pieces[1::2]
    groups = [f"(?P<{name}>{'.+' if name == 'rest' else '[^.]+'})" for name in names]
    return re.compile("".join(re.escape(text) + group for text, group in zip(fixed, [*groups, ""], strict=True)))


@dataclass(frozen=True)
class KeyMap:
    """Rules of one layout; the first that fits a key decides.

    Attributes:
        name: of the layout, for messages.
        rules: in order.
    """

    name: str
    rules: tuple[Rule, ...]

    def convert(self, key: str, tensor: Tensor) -> dict[str, Tensor] | None:
        """Our names and tensors of one foreign tensor; empty where it is dropped, ``None`` where no rule knows it."""
        for rule in self.rules:
            names = rule.renamed(key)
            if names is not None:
                return dict(zip(names, rule.parts(tensor), strict=True)) if names else {}
        return None

    def faults(self, foreign: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
        """Why the tensors of a checkpoint do not fill a model exactly; empty where they do.

        Args:
            foreign: the checkpoint's tensors, on the meta device: only shapes are looked at.
            ours: the model's, likewise.
        """
        made: dict[str, Tensor] = {}
        faults = []
        for key, tensor in foreign.items():
            try:
                converted = self.convert(key, tensor)
            except (RuntimeError, ValueError) as error:
                faults.append(f"{key}: shape {list(tensor.shape)} does not fit layout {self.name} ({_one_line(error)})")
                continue
            if converted is None:
                faults.append(f"{key}: unexpected in layout {self.name}")
                continue
            made |= converted
        faults += [f"{key}: missing" for key in ours if key not in made]
        faults += [f"{key}: unexpected, the model has no such tensor" for key in made if key not in ours]
        faults += [
            f"{key}: expected shape {list(ours[key].shape)}, got {list(tensor.shape)}"
            for key, tensor in made.items()
            if key in ours and ours[key].shape != tensor.shape
        ]
        return faults

    def invert(self, ours: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """The foreign names and tensors of a model's; dropped ones cannot come back.

        Raises:
            ValueError: a tensor that no rule makes, or a foreign one of which parts are absent.
        """
        gathered: dict[str, dict[int, Tensor]] = {}
        made_by: dict[str, Rule] = {}
        for key, tensor in ours.items():
            source, part, rule = self._original(key)
            gathered.setdefault(source, {})[part] = tensor
            made_by[source] = rule
        for source, parts in gathered.items():
            rule = made_by[source]
            if len(parts) != len(rule.targets):
                raise ValueError(f"{source}: {len(parts)} of its {len(rule.targets)} parts are there")
            yield source, rule.whole([parts[part] for part in range(len(parts))])

    def _original(self, key: str) -> tuple[str, int, Rule]:
        for rule in self.rules:
            if found := rule.original(key):
                return *found, rule
        raise ValueError(f"{key}: no rule of layout {self.name} makes it")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:150]
