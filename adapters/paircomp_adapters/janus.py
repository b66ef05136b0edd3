"""Janus and its descendants (Janus-Pro, Janus-FocusDiff, Janus-Pro-R1): the ``janus`` generator and policy.

Two layouts of checkpoints load, transformers' own and the original one, without remote code. T2I-R1 is not among them:
it writes a chain of thought before the image, so its weights sampled plainly would not be that model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from paircomp.runtime.capabilities import declares
from paircomp.runtime.checkpoints import checkpoint_folder, resolve_dtype, torch_dtype
from paircomp.types import Generated, GenerationRequest
from paircomp_adapters.janus_checkpoint import JanusCheckpoint, load_janus
from paircomp_adapters.janus_images import decode_tokens
from paircomp_adapters.janus_prompts import TEMPLATE
from paircomp_adapters.janus_sampler import JanusSampler
from paircomp_adapters.janus_sampling import Convention, Sampling
from paircomp_adapters.janus_steps import StepKind

if TYPE_CHECKING:
    from paircomp_adapters.janus_policy import JanusPolicy

__all__ = ["JanusGenerator", "janus", "janus_policy"]

_VERSION = "janus/2"
_PACKAGES = ("torch", "transformers", "safetensors")


@declares(requires=_PACKAGES)
def janus(  # noqa: PLR0913 - each one an option of the command
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    revision: str | None = None,
    guidance: float = 5.0,
    temperature: float = 1.0,
    top_k: int = 4096,
    top_p: float = 1.0,
    min_p: float = 0.0,
    step: Literal["eager", "compiled", "graphed"] = "eager",
) -> JanusGenerator:
    """Autoregressive images by Janus, Janus-Pro and their fine-tunes, from either checkpoint layout.

    Args:
        checkpoint: a folder or hub id.
        device: where it runs.
        dtype: of the weights; bfloat16 on an accelerator and float32 on a CPU unless named.
        revision: of a hub id.
        guidance: scale of classifier-free guidance; 1 is none.
        temperature: of the draw; 0 takes the most likely token.
        top_k: most likely codes kept (the paper's 4096, appendix C; 0 keeps all, as the published script does).
        top_p: probability kept; 1 keeps all.
        min_p: least share of the likeliest code's conditional probability; 0 keeps all.
        step: how a decode step is run; ``compiled`` and ``graphed`` are checked against ``eager`` token for token.

    Raises:
        ConfigError: a value out of range.
        UnavailableError: the checkpoint is not here and cannot be fetched.
        CheckpointError: it is no Janus, or not whole.
    """
    sampling = Sampling(guidance, temperature, top_k, top_p, min_p)
    loaded = _load(checkpoint, revision, device, dtype, what="generator 'janus'")
    return JanusGenerator(loaded, sampling, step=step)


@declares(requires=_PACKAGES)
def janus_policy(  # noqa: PLR0913 - each one an option of a recipe
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    revision: str | None = None,
    guidance: float = 5.0,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    convention: Literal["sampler", "sampler_detached", "official", "conditional"] = "sampler",
    step: Literal["eager", "compiled", "graphed"] = "eager",
) -> JanusPolicy:
    """A Janus to be trained; rollouts are not truncated unless asked for.

    Args:
        checkpoint: a folder or hub id.
        device: where it runs.
        dtype: of the weights.
        revision: of a hub id.
        guidance: scale of classifier-free guidance, in rollouts and log-probabilities.
        temperature: of rollouts and log-probabilities.
        top_k: as for the generator; a truncated rollout stores its masks.
        top_p: likewise.
        min_p: likewise.
        convention: which logits log-probabilities are taken of, see `janus_sampling.Convention`.
        step: as for the generator.

    Raises:
        ConfigError: a value out of range.
        UnavailableError: the checkpoint is not here and cannot be fetched.
        CheckpointError: it is no Janus, or not whole.
    """
    from paircomp_adapters.janus_policy import JanusPolicy

    sampling = Sampling(guidance, temperature, top_k, top_p, min_p)
    loaded = _load(checkpoint, revision, device, dtype, what="policy 'janus'")
    chosen: Convention = convention
    return JanusPolicy(loaded, sampling, convention=chosen, step=step)


def _load(
    checkpoint: str | None, revision: str | None, device: str, dtype: str | None, *, what: str
) -> JanusCheckpoint:
    wanted = torch_dtype(resolve_dtype(dtype, device))
    return load_janus(checkpoint_folder(checkpoint, revision=revision, what=what), device=device, dtype=wanted)


class JanusGenerator:
    """Draws images with a loaded Janus; see :func:`janus`.

    Args:
        loaded: used up: large weights on a CPU are packed for drawing, and good for nothing else afterwards.
        sampling: how tokens are drawn.
        step: how a decode step is run.

    Attributes:
        identity: what the images depend on besides prompt, seed and options. Sums of packed weights are added up in
            another order, so a run is not continued without them.
    """

    supports_seeds = True

    def __init__(self, loaded: JanusCheckpoint, sampling: Sampling, *, step: StepKind = "eager") -> None:
        from paircomp_adapters.janus_products import pack_weights

        self._model: Any = loaded.model
        packed = step == "eager" and pack_weights(self._model)  # torch's compiler cannot read packed weights
        self._sampler = JanusSampler(loaded.model, loaded.prompts, sampling, step=step)
        self.identity: Mapping[str, Any] = {
            "version": _VERSION,
            "weights": loaded.fingerprint,
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "settings": loaded.settings,
            "template": TEMPLATE,
            **({"products": "packed"} if packed else {}),
        }

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        """One image per request; the tokens of all are drawn together, the pictures decoded one by one.

        A prompt that is longer than the model can read is refused.
        """
        reasons = {request.key: self._sampler.too_long(request.prompt) for request in requests}
        yield from (Generated(key, unscored=reason) for key, reason in reasons.items() if reason)
        if fitting := [request for request in requests if not reasons[request.key]]:
            yield from self._drawn(fitting)

    def _drawn(self, requests: Sequence[GenerationRequest]) -> Iterator[Generated]:
        started = time.perf_counter()
        drawn = self._sampler.sample([each.prompt for each in requests], [each.seed for each in requests])
        shared = (time.perf_counter() - started) / len(requests)
        pictures = decode_tokens(self._model, drawn.tokens, at_once=1)
        for request in requests:
            started = time.perf_counter()
            picture = next(pictures)
            yield Generated(request.key, picture, seconds=round(shared + time.perf_counter() - started, 6))

    def close(self) -> None:
        """Free the weights and the cache."""
        import torch

        self._sampler.release()
        del self._model, self._sampler
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
