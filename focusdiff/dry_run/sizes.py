"""The sizes of a Janus, read from the shapes of its tensors without reading a number of them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paircomp.errors import PairCompError
from paircomp.plugins import Registry
from paircomp.runtime.checkpoints import WeightFiles
from paircomp.runtime.weights import local_folder

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ModelSizes", "sizes_of"]

#: Tensors of parts that no image token depends on, in transformers' layout and in the original one.
_FROZEN = re.compile(
    r"(model\.)?(vision_model|aligner|vqmodel)\.|lm_head\.|gen_vision_model\.|language_model\.lm_head\."
)
_LAYER = re.compile(r"language_model\.(?:model\.)?layers\.(\d+)\.")


@dataclass(frozen=True)
class ModelSizes:
    """What memory and operations of a training depend on.

    Attributes:
        layers: of the language model.
        width: of its states.
        key_width: of keys, and of values: all their heads together.
        inner: width inside its feed-forward parts.
        codes: V, size of the codebook.
        tokens: L, image tokens of a picture.
        trained: parameters that take gradients.
        frozen: the others.
        passed: parameters that each token is multiplied with, the head that names codes left out.
        head: parameters of that head.
        dtype_bytes: of a stored parameter.
    """

    layers: int
    width: int
    key_width: int
    inner: int
    codes: int
    tokens: int
    trained: int
    frozen: int
    passed: int
    head: int

    def adapters(self, rank: int, targets: Collection[str]) -> int:
        """Parameters of low-rank adapters in the language model's layers.

        Args:
            rank: of their factors.
            targets: last names of the layers that have them.
        """
        sides = {
            "q_proj": 2 * self.width, "k_proj": self.width + self.key_width, "v_proj": self.width + self.key_width,
            "o_proj": 2 * self.width, **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), self.width + self.inner),
        }  # fmt: skip
        return self.layers * rank * sum(sides.get(target, 0) for target in targets)


def _released(layers: int, width: int, inner: int, parameters: int) -> ModelSizes:
    """Sizes of a released Janus-Pro: full attention, 102,400 words, 16,384 codes of width 8, 576 tokens."""
    codes, words = 16384, 102400
    passed = layers * (4 * width * width + 3 * width * inner)
    head = width * (width + codes)
    trained = passed + head + words * width + codes * 8 + width * (width + 8)
    return ModelSizes(layers, width, width, inner, codes, 576, trained, parameters - trained, passed, head)


#: What the released configs say (layers, width, inner), so that a run can be planned where their weights are not.
_RELEASED: Mapping[str, tuple[int, int, int]] = {
    "deepseek-community/Janus-Pro-1B": (24, 2048, 5632),
    "deepseek-community/Janus-Pro-7B": (30, 4096, 11008),
}


def sizes_of(checkpoint: str) -> ModelSizes | None:
    """The sizes of a checkpoint of Janus; ``None`` where it is not on this machine and not one of the released ones.

    Raises:
        CheckpointError: its files cannot be read.
    """
    folder = local_folder(checkpoint)
    if folder is not None:
        return _from_tensors(WeightFiles.of(folder).shapes())
    parameters = {spec.checkpoint: spec.parameters for spec in Registry().models().values()}.get(checkpoint)
    if checkpoint not in _RELEASED or parameters is None:
        return None
    return _released(*_RELEASED[checkpoint], parameters)


def _from_tensors(tensors: Mapping[str, Tensor]) -> ModelSizes:
    def shape(*ends: str) -> tuple[int, ...]:
        found = next((tensor.shape for name, tensor in tensors.items() if name.endswith(ends)), None)
        if found is None:
            raise PairCompError(f"expected a tensor {' or '.join(ends)}, found none; next: --checkpoint of a Janus")
        return tuple(found)

    numbers = [_LAYER.search(name) for name in tensors]
    layers = 1 + max((int(found[1]) for found in numbers if found), default=-1)
    in_layers = sum(math.prod(tensor.shape) for name, tensor in tensors.items()
                    if _LAYER.search(name) and tensor.ndim == 2)  # fmt: skip
    head = sum(math.prod(tensor.shape) for name, tensor in tensors.items()
               if name.startswith(("model.generation_head.", "gen_head.")) and tensor.ndim == 2)  # fmt: skip
    frozen = sum(math.prod(tensor.shape) for name, tensor in tensors.items() if _FROZEN.match(name))
    every = sum(math.prod(tensor.shape) for tensor in tensors.values())
    inner, width = shape("layers.0.mlp.gate_proj.weight")
    return ModelSizes(
        layers=layers, width=width, key_width=shape("layers.0.self_attn.k_proj.weight")[0], inner=inner,
        codes=shape("generation_embeddings.weight", "gen_embed.weight")[0],
        tokens=shape("embeddings.position_embedding.weight", "vision_tower.pos_embed")[-2],
        trained=every - frozen, frozen=frozen, passed=in_layers, head=head,
    )  # fmt: skip
