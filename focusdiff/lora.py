"""Low-rank adapters (LoRA, arXiv 2106.09685) of a policy, through peft: the base stays as it is, small factors train.

The factors lie inside the policy's own layers, so the sampler draws with them. The reference model needs no second copy
of the base: it is the same layers with other factors, zero ones at the start, which are exchanged for its passes.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from paircomp.protocols import Policy

__all__ = ["AdapterReference", "Adapters", "LoraRecipe"]

_NAME = "default"  # peft's own, which its files leave out
_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class LoraRecipe:
    """Whether low-rank adapters are trained in place of the weights. Ours: paper and published code train the weights.

    Attributes:
        rank: of the factors; 0 trains the weights themselves.
        alpha: the product of the factors is multiplied by ``alpha / rank``.
        dropout: share of an adapter's inputs left out in training passes.
        targets: last names of the linear layers that get adapters, among those that would be trained.
    """

    rank: int = 0
    alpha: int = 16
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

    def faults(self) -> Iterator[str]:
        """What does not fit, each in words."""
        if self.rank < 0:
            yield f"rank: expected a count, 0 for none, got {self.rank}"
        if self.alpha <= 0:
            yield f"alpha: expected a number above 0, got {self.alpha}"
        if not 0 <= self.dropout < 1:
            yield f"dropout: expected a share from 0 to below 1, got {self.dropout}"


class Adapters:
    """Puts adapters into a policy's layers; from then on they are all that trains.

    Args:
        policy: with the base's weights; changed.
        recipe: of the adapters.
        seed: of their first factors; the second ones begin at zero, so that the policy is the base.
        base: what the adapters belong to, named in their files.

    Raises:
        UnavailableError: peft is not installed.
        ConfigError: no trainable linear layer has one of the names.
    """

    def __init__(self, policy: Policy, recipe: LoraRecipe, *, seed: int, base: str) -> None:
        if importlib.util.find_spec("peft") is None:
            raise UnavailableError("LoRA ([lora] rank)", package="peft", remedy="pip install 'paircomp[train]'")
        import torch
        from peft import LoraConfig, inject_adapter_in_model

        self.module = policy.module
        self._prefix, model = _outermost(policy.module)
        self._config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout,
                                  target_modules=_targets(model, recipe.targets),
                                  base_model_name_or_path=base)  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(self._config, model)
        policy.module.requires_grad_(requires_grad=False)
        self.weights: Mapping[str, nn.Parameter] = {
            name: weight for name, weight in policy.module.named_parameters() if ".lora_" in name
        }
        for weight in self.weights.values():
            weight.data = weight.data.float()  # small updates are lost in shorter formats
            weight.requires_grad = True

    def merged(self) -> dict[str, Tensor]:
        """The module's state as if it never had adapters: what they add is added to the weights, in float32."""
        state = {name.replace(".base_layer.", "."): tensor for name, tensor in self.module.state_dict().items()
                 if ".lora_" not in name}  # fmt: skip
        for name, layer in self.module.named_modules():
            if hasattr(layer, "base_layer") and hasattr(layer, "get_delta_weight"):
                whole = layer.base_layer.weight.detach()
                added = layer.get_delta_weight(_NAME).detach().to(whole.device)
                state[f"{name}.weight"] = (whole.float() + added.float()).to(whole.dtype)
        return state

    def write(self, folder: Path) -> None:
        """Write the factors as peft does, for ``PeftModel.from_pretrained`` on the base."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self._config.save_pretrained(str(folder))
        tensors = {self._in_file(name): weight.detach().cpu().contiguous() for name, weight in self.weights.items()}
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path) -> None:
        """Take up what :meth:`write` wrote."""
        import torch
        from safetensors.torch import load_file

        held = load_file(folder / _WEIGHTS)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(held[self._in_file(name)])

    def _in_file(self, name: str) -> str:
        return f"base_model.model.{name.removeprefix(self._prefix).replace(f'.{_NAME}.', '.')}"


class AdapterReference:
    """A reference model that shares the policy's base: its passes exchange the factors for its own.

    Args:
        policy: whose layers hold the adapters.
        adapters: of it.

    Attributes:
        module: holds the reference's own factors; they begin as the base, with second factors of zero.
    """

    def __init__(self, policy: Policy, adapters: Adapters) -> None:
        from torch import nn

        self._policy = policy
        self._weights = list(adapters.weights.values())
        self.module = nn.ParameterList(
            nn.Parameter(weight.detach().clone() * (".lora_B." not in name), requires_grad=False)
            for name, weight in adapters.weights.items()
        )

    def log_probs(self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """``[B, L]``; see `paircomp.protocols.Policy`."""
        with self._in_place():
            return self._policy.log_probs(prompts, tokens, keep=keep)

    def log_distributions(self, prompts: Sequence[str], tokens: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """``[B, L, V]``; see `paircomp.protocols.Policy`."""
        with self._in_place():
            return self._policy.log_distributions(prompts, tokens, keep=keep)

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        """Exchange the factors' memory, which copies nothing, and look without dropout."""
        training = self._policy.module.training
        self._exchange()
        self._policy.module.eval()
        try:
            yield
        finally:
            self._exchange()
            self._policy.module.train(training)

    def _exchange(self) -> None:
        for mine, theirs in zip(self.module, self._weights, strict=True):
            mine.data, theirs.data = theirs.data, mine.data


def _outermost(module: nn.Module) -> tuple[str, nn.Module]:
    """The outermost transformers model inside a module and the prefix of its names; the module itself without one."""
    from transformers import PreTrainedModel

    for name, part in module.named_modules():
        if isinstance(part, PreTrainedModel):
            return f"{name}." if name else "", part
    return "", module


def _targets(model: nn.Module, wanted: Sequence[str]) -> list[str]:
    """Full names of the layers that get adapters: other parts of a model may hold layers of the same last name."""
    from torch import nn

    layers: dict[str, Any] = {name: part for name, part in model.named_modules()
                              if isinstance(part, nn.Linear) and part.weight.requires_grad}  # fmt: skip
    if found := [name for name in layers if name.rpartition(".")[2] in wanted]:
        return found
    known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
    raise ConfigError([f"targets: no layer of this policy is called {', '.join(wanted)}; there is: {known}"],
                      where="lora")  # fmt: skip
