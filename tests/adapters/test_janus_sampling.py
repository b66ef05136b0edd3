"""Guidance, truncation and the draw: each against a formula, a count or transformers' own processors."""

from __future__ import annotations

import pytest
import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from paircomp.errors import ConfigError
from paircomp_adapters.janus_sampling import Sampling, draw, guided_logits, kept_codes, pack_codes, unpack_codes


def logits(rows: int, codes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, codes, generator=torch.Generator().manual_seed(seed)) * 2


def uniforms(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(rows, 2, generator=torch.Generator().manual_seed(seed))


def test_the_conventions_are_the_published_ones() -> None:
    given, free = logits(3, 9), logits(3, 9, seed=1)

    sampled = guided_logits(given, free, 5.0)

    torch.testing.assert_close(sampled, free + 5 * (given - free))
    torch.testing.assert_close(guided_logits(given, free, 5.0, convention="official"), sampled / 5)
    assert torch.equal(guided_logits(given, free, 5.0, convention="conditional"), given)
    assert torch.equal(guided_logits(given, None, 1.0), given)
    for convention in ("sampler", "sampler_detached", "official", "conditional"):
        at_one = guided_logits(given, free, 1.0, convention=convention)  # type: ignore[arg-type]
        torch.testing.assert_close(at_one, given)


def test_the_detached_convention_has_no_gradient_through_the_unconditional_rows() -> None:
    given, free = logits(2, 5).requires_grad_(), logits(2, 5, seed=1).requires_grad_()

    guided_logits(given, free, 5.0, convention="sampler_detached").sum().backward()

    assert free.grad is None
    assert given.grad is not None
    assert torch.equal(given.grad, torch.full((2, 5), 5.0))


@pytest.mark.parametrize("top_k", [1, 7, 40])
def test_top_k_keeps_what_transformers_keeps(top_k: int) -> None:
    guided = logits(6, 40)

    keep = kept_codes(guided, guided, Sampling(top_k=top_k))

    expected = TopKLogitsWarper(top_k)(torch.zeros(6, 1, dtype=torch.long), guided).isfinite()
    assert torch.equal(torch.ones_like(expected) if keep is None else keep, expected)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9])
def test_top_p_keeps_what_transformers_keeps(top_p: float) -> None:
    guided = logits(6, 40)

    keep = kept_codes(guided, guided, Sampling(top_p=top_p))

    assert keep is not None
    assert torch.equal(keep, TopPLogitsWarper(top_p)(torch.zeros(6, 1, dtype=torch.long), guided).isfinite())


def test_top_p_follows_top_k_as_in_transformers() -> None:
    guided, none = logits(6, 40), torch.zeros(6, 1, dtype=torch.long)

    keep = kept_codes(guided, guided, Sampling(top_k=8, top_p=0.7, temperature=1.0))

    assert keep is not None
    assert torch.equal(keep, TopPLogitsWarper(0.7)(none, TopKLogitsWarper(8)(none, guided)).isfinite())


def test_min_p_looks_at_the_conditional_distribution_and_nowhere_else() -> None:
    """Guidance turns a code that the prompt finds unlikely into the likeliest; min-p has dropped it before."""
    given = torch.tensor([[0.0, -1.0, -6.0]])
    free = torch.tensor([[0.0, -1.0, -16.0]])
    sampling = Sampling(guidance=5.0, min_p=0.05)
    guided = guided_logits(given, free, 5.0)
    assert guided.argmax().item() == 2

    keep = kept_codes(guided, given, sampling)

    assert keep is not None
    assert keep.tolist() == [[True, True, False]]
    assert all(draw(given, free, uniforms(1, seed), sampling).tokens.item() != 2 for seed in range(50))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(guidance=1), Sampling(guidance=1, top_k=3), Sampling(guidance=1, top_p=0.6),
     Sampling(guidance=1, min_p=0.2), Sampling(guidance=1, temperature=0.5),
     Sampling(guidance=1, top_k=4, top_p=0.8, min_p=0.05, temperature=2)],
)  # fmt: skip
def test_tokens_come_as_often_as_the_truncated_distribution_says(sampling: Sampling) -> None:
    given = logits(1, 8, seed=3)
    many = 40_000
    keep = kept_codes(given, given, sampling)
    masked = given if keep is None else given.masked_fill(~keep, float("-inf"))
    expected = (masked / sampling.temperature).softmax(-1)[0]

    tokens = draw(given.expand(many, -1), None, uniforms(many), sampling).tokens

    counted = torch.bincount(tokens, minlength=8) / many
    assert (counted - expected).abs().max() < 4 * (0.25 / many) ** 0.5
    assert counted[expected == 0].sum() == 0


@pytest.mark.parametrize("sampling", [Sampling(top_k=5), Sampling(min_p=0.1, top_k=3), Sampling(top_p=0.5), Sampling()])
def test_explaining_a_draw_changes_no_token(sampling: Sampling) -> None:
    given, free, random = logits(200, 30), logits(200, 30, seed=1), uniforms(200)

    plain = draw(given, free, random, sampling)
    explained = draw(given, free, random, sampling, explained=True)

    assert torch.equal(plain.tokens, explained.tokens)
    assert explained.log_probs is not None
    guided = guided_logits(given, free, sampling.guidance)
    if explained.keep is not None:
        guided = guided.masked_fill(~explained.keep, float("-inf"))
    expected = guided.log_softmax(-1).gather(-1, explained.tokens[:, None])[:, 0]
    torch.testing.assert_close(explained.log_probs, expected)


def test_a_row_is_drawn_alike_in_every_batch() -> None:
    given, free, random = logits(16, 64), logits(16, 64, seed=1), uniforms(16)
    sampling = Sampling(top_k=6)

    together = draw(given, free, random, sampling).tokens

    alone = [draw(given[[at]], free[[at]], random[[at]], sampling).tokens.item() for at in range(16)]
    assert together.tolist() == alone


def test_the_last_random_number_never_falls_behind_the_last_code() -> None:
    given = torch.full((1, 5), -1e9)
    given[0, 1] = 0.0
    almost_one = torch.full((1, 2), 1 - 2**-24)

    assert draw(given, None, almost_one, Sampling(guidance=1)).tokens.item() == 1
    assert draw(given, None, torch.zeros(1, 2), Sampling(guidance=1)).tokens.item() == 1


def test_temperature_zero_takes_the_likeliest() -> None:
    given, free = logits(9, 20), logits(9, 20, seed=1)

    found = draw(given, free, uniforms(9), Sampling(temperature=0), explained=True)

    assert torch.equal(found.tokens, guided_logits(given, free, 5.0).argmax(-1))
    assert found.log_probs is not None
    assert found.log_probs.tolist() == [0] * 9


def test_masks_are_packed_and_unpacked() -> None:
    keep = logits(3, 21).unsqueeze(1).expand(3, 2, 21) > 0

    packed = pack_codes(keep)

    assert packed.shape == (3, 2, 3)
    assert packed.dtype == torch.uint8
    assert torch.equal(unpack_codes(packed, 21), keep)


def test_every_value_out_of_range_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Sampling(guidance=0.5, temperature=-1, top_k=-1, top_p=0, min_p=1)

    assert len(caught.value.faults) == 5


def test_which_samplers_truncate() -> None:
    assert not Sampling().truncates(64)
    assert not Sampling(top_k=64).truncates(64)
    assert Sampling(top_k=63).truncates(64)
    assert Sampling(top_p=0.9).truncates(64)
    assert Sampling(min_p=0.1).truncates(64)
    assert Sampling(temperature=0).truncates(64)
