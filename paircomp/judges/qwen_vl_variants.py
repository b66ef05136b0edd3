"""The Qwen-VL judges by name, and the judge for any other model with a chat template. Loads no torch.

Each name fixes checkpoint, question and arithmetic (exact). They are held-out judges: no model of the catalogue was
trained with them. ``qwen-vl`` takes any Qwen2.5-VL or Qwen3-VL checkpoint, ``image-text-to-text`` any checkpoint that
transformers can load as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from paircomp.judges.question_templates import EDIT, PAPER, QuestionTemplate
from paircomp.runtime.capabilities import declares

if TYPE_CHECKING:
    from paircomp.judges.image_text import ImageTextJudge
    from paircomp.judges.qwen_vl import QwenVLJudge

__all__ = ["VARIANTS", "QwenVariant", "image_text_to_text", "image_text_to_text_edit"]


@dataclass(frozen=True)
class QwenVariant:
    """What a judge's name stands for.

    Attributes:
        name: the judge's.
        checkpoint: hub id; ``None`` where the user names one.
        template: the question.
    """

    name: str
    checkpoint: str | None = None
    template: QuestionTemplate = PAPER


class _Factory(Protocol):
    def __call__(
        self,
        *,
        checkpoint: str | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        device_map: str | None = None,
        tokens_at_once: int = 8192,
    ) -> QwenVLJudge: ...


def _released() -> tuple[QwenVariant, ...]:
    any_checkpoint = QwenVariant("qwen-vl")
    old = [QwenVariant(f"qwen2.5-vl-{size}b", f"Qwen/Qwen2.5-VL-{size}B-Instruct") for size in (3, 7, 32, 72)]
    new = [QwenVariant(f"qwen3-vl-{size}b", f"Qwen/Qwen3-VL-{size}B-Instruct") for size in (2, 4, 8, 32)]
    edits = [QwenVariant(f"{each.name}-edit", each.checkpoint, EDIT) for each in (any_checkpoint, old[1], old[3])]
    return (any_checkpoint, *old, *new, *edits)


#: Every variant by name.
VARIANTS = {variant.name: variant for variant in _released()}


def _factory(variant: QwenVariant) -> _Factory:
    @declares(requires=("torch", "transformers"), cross_by_default=True, incidental=("device_map", "tokens_at_once"))
    def judge(
        *,
        checkpoint: str | None = None,
        device: str = "cpu",
        dtype: str | None = None,
        device_map: str | None = None,
        tokens_at_once: int = 8192,
    ) -> QwenVLJudge:
        from paircomp.judges.qwen_vl import open_qwen_vl

        return open_qwen_vl(
            variant, checkpoint=checkpoint, device=device, dtype=dtype, device_map=device_map,
            tokens_at_once=tokens_at_once,
        )  # fmt: skip

    judge.__name__ = judge.__qualname__ = _identifier(variant.name)
    judge.__doc__ = f"""{_summary(variant)}.

    Args:
        checkpoint: a folder or hub id in place of the judge's own.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        device_map: ``auto`` spreads the model over all accelerators.
        tokens_at_once: image tokens that go through the model together; changes memory and time only.
    """
    return judge


def _summary(variant: QwenVariant) -> str:
    model = (variant.checkpoint or "Any Qwen2.5-VL or Qwen3-VL checkpoint").rpartition("/")[2]
    return f"{model}, question {variant.template.name}, exact arithmetic"


def _identifier(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


@declares(requires=("torch", "transformers"), incidental=("device_map",))
def image_text_to_text(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, device_map: str | None = None
) -> ImageTextJudge:
    """Any image-text-to-text model of transformers with a chat template, question paper, exact arithmetic.

    Args:
        checkpoint: a folder or hub id.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        device_map: ``auto`` spreads the model over all accelerators.
    """
    from paircomp.judges.image_text import open_image_text

    return open_image_text(PAPER, checkpoint=checkpoint, device=device, dtype=dtype, device_map=device_map)


@declares(requires=("torch", "transformers"), incidental=("device_map",))
def image_text_to_text_edit(
    *, checkpoint: str | None = None, device: str = "cpu", dtype: str | None = None, device_map: str | None = None
) -> ImageTextJudge:
    """Any image-text-to-text model that takes several images, question edit (about two images), exact arithmetic.

    Args:
        checkpoint: a folder or hub id.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        device_map: ``auto`` spreads the model over all accelerators.
    """
    from paircomp.judges.image_text import open_image_text

    return open_image_text(EDIT, checkpoint=checkpoint, device=device, dtype=dtype, device_map=device_map)


_FACTORIES: dict[str, Any] = {_identifier(name): _factory(variant) for name, variant in VARIANTS.items()}


def __getattr__(name: str) -> _Factory:
    """The factories that entry points name: ``qwen2_5_vl_7b`` and so on."""
    try:
        factory: _Factory = _FACTORIES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return factory
