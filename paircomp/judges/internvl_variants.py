"""The InternVL judges by name. A name fixes checkpoint, question, view and arithmetic; there are no flags that do.

``internvl2.5-26b`` is the judge that PairComp was published with. A suffix changes one thing:

- none: the published arithmetic (50 likeliest tokens, 4 digits);
- ``-exact``: all tokens, no rounding;
- ``-448px``: exact, and each picture is seen as one tile of 448 pixels, whatever its own resolution;
- ``-reward``: exact, with the question of the published training reward;
- ``-paper``: exact, with the question as the paper prints it;
- ``-edit``: exact, for whole questions about two images, an original and its edit;
- ``-decomposed``: exact, the mean of questions about the parts of the prompt, cut by rules;
- ``-questions``: the same with the questions of a file.

``internvl``, ``internvl-exact`` and so on are the same for any InternVL checkpoint that is named. Importing this module
loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from paircomp.judges.question_templates import EDIT, OFFICIAL, OFFICIAL_REWARD, PAPER, PLAIN, QuestionTemplate
from paircomp.judges.yes_no import EXACT, PUBLISHED, Arithmetic
from paircomp.runtime.capabilities import declares

if TYPE_CHECKING:
    from paircomp.judges.decomposed import DecomposedJudge
    from paircomp.judges.decomposition import Decomposer
    from paircomp.judges.internvl import InternVLJudge

__all__ = ["DECOMPOSED", "VARIANTS", "Decomposed", "Variant"]


@dataclass(frozen=True)
class Variant:
    """What a judge's name stands for.

    Attributes:
        name: the judge's.
        checkpoint: hub id; ``None`` where the user names one.
        template: the question.
        arithmetic: from logits to the score.
        most_tiles: of a picture, the thumbnail not counted; 1 is the whole picture as one tile.
    """

    name: str
    checkpoint: str | None = None
    template: QuestionTemplate = OFFICIAL
    arithmetic: Arithmetic = PUBLISHED
    most_tiles: int = 12


class _Factory(Protocol):
    def __call__(
        self,
        *,
        checkpoint: str | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        device_map: str | None = None,
        tiles_at_once: int | None = None,
    ) -> InternVLJudge: ...


def _kinds(name: str, checkpoint: str | None) -> tuple[Variant, ...]:
    published = Variant(name, checkpoint)
    exact = replace(published, name=f"{name}-exact", arithmetic=EXACT)
    return (
        published,
        exact,
        replace(exact, name=f"{name}-448px", most_tiles=1),
        replace(exact, name=f"{name}-reward", template=OFFICIAL_REWARD),
        replace(exact, name=f"{name}-paper", template=PAPER),
        replace(exact, name=f"{name}-edit", template=EDIT),
    )


def _released() -> tuple[Variant, ...]:
    made = [*_kinds("internvl", None)]
    for size in ("1B", "2B", "4B", "8B", "26B", "38B", "78B"):
        kinds = _kinds(f"internvl2.5-{size.lower()}", f"OpenGVLab/InternVL2_5-{size}")
        made += kinds if size in ("8B", "26B") else kinds[:2]  # the sizes that the published code uses have all
    # No published score was made with these: only the exact arithmetic has a name.
    for family, sizes in (("3", "1B 2B 8B 9B 14B 38B 78B"), ("3_5", "1B 2B 4B 8B 14B 38B")):
        for size in sizes.split():
            name = f"internvl{family.replace('_', '.')}-{size.lower()}"
            made.append(_kinds(name, f"OpenGVLab/InternVL{family}-{size}")[1])
    return tuple(made)


#: Every variant by name.
VARIANTS = {variant.name: variant for variant in _released()}


def _factory(variant: Variant) -> _Factory:
    @declares(requires=("torch", "transformers"), cross_by_default=True, incidental=("device_map", "tiles_at_once"))
    def judge(
        *,
        checkpoint: str | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        device_map: str | None = None,
        tiles_at_once: int | None = None,
    ) -> InternVLJudge:
        from paircomp.judges.internvl import open_internvl

        return open_internvl(
            variant, checkpoint=checkpoint, device=device, dtype=dtype, device_map=device_map,
            tiles_at_once=tiles_at_once,
        )  # fmt: skip

    judge.__name__ = judge.__qualname__ = _identifier(variant.name)
    judge.__doc__ = f"""{_summary(variant)}.

    Args:
        checkpoint: a folder or hub id in place of the judge's own; either layout.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        device_map: ``auto`` spreads the model over all accelerators.
        tiles_at_once: tiles that go through the model together; changes memory and time only.
    """
    return judge


def _summary(variant: Variant) -> str:
    model = (variant.checkpoint or "Any InternVL checkpoint").rpartition("/")[2]
    view = ", one tile of 448 px" if variant.most_tiles == 1 else ""
    way = "published arithmetic" if variant.arithmetic == PUBLISHED else "exact arithmetic"
    return f"{model}, question {variant.template.name}, {way}{view}"


def _identifier(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


@dataclass(frozen=True)
class Decomposed:
    """A judge that asks about the parts of a prompt.

    Attributes:
        name: the judge's.
        variant: answers each question.
        from_file: whether the questions come from a file instead of rules.
    """

    name: str
    variant: Variant
    from_file: bool


def _decomposed() -> tuple[Decomposed, ...]:
    return tuple(
        Decomposed(
            f"{name}-{suffix}", replace(VARIANTS[f"{name}-exact"], name=f"{name}-{suffix}", template=PLAIN), held
        )
        for name in ("internvl", "internvl2.5-8b", "internvl2.5-26b")
        for suffix, held in (("decomposed", False), ("questions", True))
    )


#: Judges that take prompts apart, by name.
DECOMPOSED = {each.name: each for each in _decomposed()}


def _decomposed_factory(kind: Decomposed) -> Callable[..., DecomposedJudge]:
    inner = _factory(kind.variant)

    def opened(decomposer: Decomposer, given: Mapping[str, Any]) -> DecomposedJudge:
        from paircomp.judges.decomposed import DecomposedJudge

        return DecomposedJudge(inner(**given), decomposer)

    # The file's contents are in the identity; where it lies is not.
    mark = declares(requires=("torch", "transformers"), cross_by_default=True,
                    incidental=("device_map", "tiles_at_once", "file"))  # fmt: skip

    @mark
    def by_rules(
        *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, device_map: str | None = None,
        tiles_at_once: int | None = None,
    ) -> DecomposedJudge:  # fmt: skip
        from paircomp.judges.decomposition import RuleDecomposer

        given = {"checkpoint": checkpoint, "device": device, "dtype": dtype, "device_map": device_map}
        return opened(RuleDecomposer(), {**given, "tiles_at_once": tiles_at_once})

    @mark
    def by_file(
        *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, device_map: str | None = None,
        tiles_at_once: int | None = None, file: str,
    ) -> DecomposedJudge:  # fmt: skip
        from paircomp.judges.decomposition import FileDecomposer

        given = {"checkpoint": checkpoint, "device": device, "dtype": dtype, "device_map": device_map}
        return opened(FileDecomposer(Path(file)), {**given, "tiles_at_once": tiles_at_once})

    judge = by_file if kind.from_file else by_rules
    source = "a file of questions" if kind.from_file else "questions cut by rules"
    judge.__doc__ = f"{_summary(kind.variant)}, mean over {source}."
    judge.__name__ = judge.__qualname__ = _identifier(kind.name)
    return judge


_FACTORIES: dict[str, Any] = {_identifier(name): _factory(variant) for name, variant in VARIANTS.items()}
_FACTORIES |= {_identifier(name): _decomposed_factory(kind) for name, kind in DECOMPOSED.items()}


def __getattr__(name: str) -> Any:
    """The factories that entry points name: ``internvl2_5_26b``, ``internvl2_5_26b_exact`` and so on."""
    try:
        return _FACTORIES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
