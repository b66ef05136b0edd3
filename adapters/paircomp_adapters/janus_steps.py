"""One step of the decode loop: image tokens in, logits of the next ones out; eager, compiled, or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from paircomp.errors import ConfigError
from paircomp_adapters.janus_decoding import CachedDecoder, head_logits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from paircomp_adapters.janus_products import Rows

__all__ = ["Step", "StepKind", "StepMaker", "step_maker"]

StepKind = Literal["eager", "compiled", "graphed"]

#: Compiled and graphed steps read a whole multiple of this many slots, so that few shapes occur.
_FIXED_SPAN = 256
_WARM_UP = 3


class Step:
    """The eager step, and what the others share.

    Args:
        model: transformers' Janus.
        decoder: the cache; its rows are conditional, then unconditional, then filling.

    Attributes:
        trusted: whether it needs no comparison with the eager step.
    """

    def __init__(self, model: Any, decoder: CachedDecoder) -> None:
        self.model = model
        self.decoder = decoder
        self.trusted = True

    def fits(self, model: Any, rows: int, slots: int, together: Rows) -> bool:
        """Whether a batch of this shape can use it; weights that moved or changed format cannot."""
        weight = model.model.language_model.embed_tokens.weight
        mine = self.decoder
        same = (mine.device, mine.dtype, mine.together) == (weight.device, weight.dtype, together)
        return same and (mine.wanted, mine.slots) == (rows, slots)

    def __call__(self, tokens: Tensor, slots: Tensor, used: int) -> Tensor:
        """Logits behind one more image token of each image.

        Args:
            tokens: ``[B]``.
            slots: ``[rows]``, where they stand.
            used: one more than the highest slot.

        Returns:
            ``[rows, V]``.
        """
        return self.compute(self.spread(tokens), slots, self.decoder.span(used))

    def spread(self, tokens: Tensor) -> Tensor:
        """``[rows]``: the tokens for the conditional rows, again for the unconditional ones, and the filling."""
        from torch.nn import functional

        twice = tokens.repeat(self.decoder.wanted // tokens.shape[0])
        spare = self.decoder.rows - self.decoder.wanted
        return functional.pad(twice, (0, spare)) if spare else twice

    def compute(self, tokens: Tensor, slots: Tensor, span: int) -> Tensor:
        """The pass itself: ``[rows]`` tokens and slots to ``[rows, V]`` logits."""
        inputs = self.inputs(tokens)
        hidden = self.decoder.extend(inputs, slots[:, None], span)[:, 0]
        return head_logits(self.model.model.generation_head, self.decoder.finish(hidden), self.decoder.together)

    def inputs(self, tokens: Tensor) -> Tensor:
        """``[rows, 1, H]``: what the language model gets for image tokens."""
        core = self.model.model
        return self.decoder.together.apply(core.generation_aligner, core.generation_embeddings(tokens))[:, None]

    def fixed_span(self, used: int) -> int:
        """The span of a step whose shapes must not change at every token."""
        return min(self.decoder.slots, -(-used // _FIXED_SPAN) * _FIXED_SPAN)


class CompiledStep(Step):
    """``torch.compile`` of the pass: takes its time once per shape."""

    def __init__(self, model: Any, decoder: CachedDecoder) -> None:
        super().__init__(model, decoder)
        import torch

        self.trusted = False
        self._compiled = torch.compile(self.compute, dynamic=False)

    def __call__(self, tokens: Tensor, slots: Tensor, used: int) -> Tensor:
        """See :meth:`Step.__call__`."""
        logits: Tensor = self._compiled(self.spread(tokens), slots, self.fixed_span(used))
        return logits


class GraphedStep(Step):
    """The pass as a CUDA graph per span: one launch for all its kernels. Not yet run on a GPU."""

    def __init__(self, model: Any, decoder: CachedDecoder) -> None:
        super().__init__(model, decoder)
        import torch

        self.trusted = False
        self._tokens = torch.zeros(decoder.rows, dtype=torch.long, device=decoder.device)
        self._slots = torch.zeros(decoder.rows, dtype=torch.long, device=decoder.device)
        self._graphs: dict[int, tuple[Any, Tensor]] = {}

    def __call__(self, tokens: Tensor, slots: Tensor, used: int) -> Tensor:
        """See :meth:`Step.__call__`."""
        span = self.fixed_span(used)
        self._tokens.copy_(self.spread(tokens))
        self._slots.copy_(slots)
        if span not in self._graphs:
            self._graphs[span] = self._captured(span)
        graph, logits = self._graphs[span]
        graph.replay()
        return logits

    def _captured(self, span: int) -> tuple[Any, Tensor]:
        import torch

        # The pass writes the same keys and values to the same place however often it runs.
        cuda: Any = torch.cuda
        aside = cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                self.compute(self._tokens, self._slots, span)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self.compute(self._tokens, self._slots, span)
        return graph, logits


#: What builds a step from a model and a cache.
StepMaker = Callable[[Any, CachedDecoder], Step]


def step_maker(kind: str, device: torch.device) -> StepMaker:
    """What builds steps of a kind.

    Raises:
        ConfigError: no such kind, or one that needs another device.
    """
    makers: dict[str, StepMaker] = {"eager": Step, "compiled": CompiledStep, "graphed": GraphedStep}
    if kind not in makers:
        raise ConfigError([f"step: expected {', '.join(makers)}, got {kind!r}"], where="janus")
    if kind == "graphed" and device.type != "cuda":
        raise ConfigError([f"step: graphed needs a CUDA device, got {device}; next: step=eager"], where="janus")
    return makers[kind]
