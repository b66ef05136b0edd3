"""Drawing image tokens with a Janus: batches over prompts and samples, one random stream per image.

An image's tokens depend on its prompt, its seed and the sampling alone. Each image spends the numbers of its own
generator, two per token, drawn on the CPU before the loop starts; texts that occur several times in a batch (samples of
one prompt, unconditional twins of equal length) are read once and copied.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from paircomp.errors import GenerationError
from paircomp_adapters.janus_decoding import CachedDecoder, head_logits
from paircomp_adapters.janus_prompts import JanusPrompts
from paircomp_adapters.janus_sampling import Sampling, draw, pack_codes
from paircomp_adapters.janus_steps import Step, StepKind, StepMaker, step_maker

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["JanusSampler", "Rollout"]

#: Slots are allocated in multiples of this, so that batches of other prompts find the same cache.
_SLOTS = 64


@dataclass(frozen=True)
class Rollout:
    """Image tokens that were drawn.

    Attributes:
        tokens: ``[B, L]``.
        log_probs: ``[B, L]`` float32 under the sampler's own distribution, only where asked for. Training recomputes
            them: one token at a time and all at once round differently.
        keep: ``[B, L, ceil(V / 8)]`` bytes, see `pack_codes`: the codes that had a chance; ``None`` where all had.
    """

    tokens: Tensor
    log_probs: Tensor | None = None
    keep: Tensor | None = None


class _Texts(NamedTuple):
    """What the rows of a batch begin with.

    Attributes:
        texts: the different ones.
        row: which of them each row begins with: B conditional rows, then B unconditional ones if guided.
    """

    texts: list[tuple[int, ...]]
    row: list[int]

    @property
    def longest(self) -> int:
        return max(map(len, self.texts))


class JanusSampler:
    """Draws image tokens from the current weights of a model.

    Args:
        model: transformers' Janus.
        prompts: its tokenizer.
        sampling: how tokens are drawn.
        step: ``eager``, ``compiled`` (``torch.compile``) or ``graphed`` (a CUDA graph); the latter two are compared
            with eager token for token on the first batch of each shape, and dropped with a warning where they differ.

    Raises:
        ConfigError: no such step, or one this device cannot do.
    """

    def __init__(self, model: Any, prompts: JanusPrompts, sampling: Sampling, *, step: StepKind = "eager") -> None:
        self._model = model
        self._prompts = prompts
        self.sampling = sampling
        self.length: int = model.config.vision_config.num_image_tokens
        self.step_kind: StepKind = step
        self._make_step: StepMaker = step_maker(step, model.device)
        self._step: Step | None = None

    def sample(self, prompts: Sequence[str], seeds: Sequence[int], *, explained: bool = False) -> Rollout:
        """Draw one image's tokens per prompt.

        Args:
            prompts: B texts; samples of one prompt repeat it.
            seeds: B seeds, one per image.
            explained: also return log-probabilities, and the kept codes where the sampling truncates.

        Raises:
            GenerationError: a prompt for which :meth:`too_long` has a reason.
        """
        if reasons := list(filter(None, map(self.too_long, prompts))):
            raise GenerationError(f"janus: {reasons[0]}; next: leave such prompts out")
        import torch

        with torch.no_grad():
            texts = self._texts(prompts)
            uniforms = self._uniforms(seeds)
            step = self._step_for(texts)
            if not step.trusted:
                return self._compared(step, texts, uniforms, explained=explained)
            return self._loop(step, texts, uniforms, explained=explained)

    def too_long(self, prompt: str) -> str | None:
        """Why a prompt cannot be drawn: it and the image together are longer than the model was made for."""
        room = self._language_model.config.max_position_embeddings - self.length
        needed = len(self._prompts.tokens(prompt))
        return (
            f"refused: the prompt has {needed} tokens, at most {room} leave room for the image"
            if needed > room
            else None
        )

    def release(self) -> None:
        """Free the cache."""
        self._step = None

    def _texts(self, prompts: Sequence[str]) -> _Texts:
        rows = [self._prompts.tokens(prompt) for prompt in prompts]
        if self.sampling.guided:
            rows += [self._prompts.unconditional(row) for row in rows]
        places: dict[tuple[int, ...], int] = {}
        row = [places.setdefault(tuple(ids), len(places)) for ids in rows]
        return _Texts(list(places), row)

    def _uniforms(self, seeds: Sequence[int]) -> Tensor:
        """``[B, L, 2]``; drawn on the CPU, so that an image's numbers do not depend on the device."""
        import torch

        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [torch.rand(self.length, 2, generator=stream) for stream in streams]
        return torch.stack(drawn).to(self._model.device)

    def _step_for(self, texts: _Texts) -> Step:
        from paircomp_adapters.janus_products import steady_rows

        rows, slots = len(texts.row), -(-(texts.longest + self.length) // _SLOTS) * _SLOTS
        together = steady_rows(self._model)
        if self._step is None or not self._step.fits(self._model, rows, slots, together):
            self._step = None  # free the old cache before the new one is allocated
            decoder = CachedDecoder(self._language_model, rows=rows, slots=slots, together=together)
            self._step = self._make_step(self._model, decoder)
        return self._step

    @property
    def _language_model(self) -> Any:
        return self._model.model.language_model

    def _compared(self, step: Step, texts: _Texts, uniforms: Tensor, *, explained: bool) -> Rollout:
        """What the eager step draws; the step is used from then on if it draws the same, else the eager one for good.

        All tokens are compared: each span of the cache is another compilation or graph.
        """
        import torch

        eager = Step(self._model, step.decoder)
        expected = self._loop(eager, texts, uniforms, explained=explained)
        step.trusted = torch.equal(expected.tokens, self._loop(step, texts, uniforms).tokens)
        if not step.trusted:
            warnings.warn(f"the {self.step_kind} decode step draws other tokens than the eager one here; eager is used",
                          RuntimeWarning, stacklevel=3)  # fmt: skip
            self.step_kind, self._make_step, self._step = "eager", Step, eager
        return expected

    def _loop(self, step: Step, texts: _Texts, uniforms: Tensor, *, explained: bool = False) -> Rollout:
        import torch

        images, length = uniforms.shape[:2]
        hidden, slots = self._read(step.decoder, texts)
        logits = head_logits(self._model.model.generation_head, step.decoder.finish(hidden), step.decoder.together)
        drawn = []
        for position in range(length):
            unconditional = logits[images : 2 * images] if self.sampling.guided else None
            drawn.append(
                draw(logits[:images], unconditional, uniforms[:, position], self.sampling, explained=explained)
            )
            if position + 1 < length:
                logits = step(drawn[-1].tokens, slots, texts.longest + position + 1)
                slots = slots + 1
        tokens = torch.stack([each.tokens for each in drawn], 1)
        if not explained:
            return Rollout(tokens)
        log_probs = torch.stack([each.log_probs for each in drawn if each.log_probs is not None], 1)
        keep = [pack_codes(each.keep) for each in drawn if each.keep is not None]
        return Rollout(tokens, log_probs, torch.stack(keep, 1) if keep else None)

    def _read(self, decoder: CachedDecoder, texts: _Texts) -> tuple[Tensor, Tensor]:
        """Read the texts once each, and copy what is remembered to the rows that begin with them.

        Texts are read together with those that fill as many slots: how far attention reaches can change the last bit of
        a text, and must not depend on what else is in the batch.

        Returns:
            ``[rows, H]`` behind the last token of each row's text, and ``[rows]``, the slot of its first image token.
        """
        import torch

        alike: dict[int, list[int]] = {}
        for place, text in enumerate(texts.texts):
            alike.setdefault(decoder.span(len(text)), []).append(place)
        lengths = torch.zeros(decoder.rows, dtype=torch.long, device=decoder.device)
        last = decoder.empty_states(decoder.rows)
        for slots, places in alike.items():
            hidden, reader = self._read_together(decoder, [texts.texts[place] for place in places], slots)
            inside = {place: source for source, place in enumerate(places)}
            rows = [row for row, place in enumerate(texts.row) if place in inside]
            source = [inside[texts.row[row]] for row in rows]
            ends = [len(texts.texts[texts.row[row]]) for row in rows]
            where, whence, behind = (torch.tensor(each, device=decoder.device) for each in (rows, source, ends))
            decoder.copy_from(reader, where, whence)
            last[where], lengths[where] = hidden[whence, behind - 1], behind
        return last, lengths

    def _read_together(
        self, decoder: CachedDecoder, texts: Sequence[tuple[int, ...]], slots: int
    ) -> tuple[Tensor, CachedDecoder]:
        import torch

        reader = CachedDecoder(self._language_model, rows=len(texts), slots=slots, together=decoder.together)
        padded = [[*text, *[self._prompts.pad] * (reader.slots - len(text))] for text in texts]
        ids = torch.tensor(padded, device=decoder.device)
        return reader.read(self._language_model.embed_tokens(ids)), reader
