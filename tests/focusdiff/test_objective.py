"""The objective: advantages, clip, KL and normalisation, against independent computations."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from focusdiff.objective import (
    Objective,
    clipped_surrogate,
    exact_kl,
    group_advantages,
    has_spread,
    k3,
    normalised,
)

NAN = float("nan")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=18))
def test_advantages_are_what_the_statistics_module_says(rewards: list[float]) -> None:
    got = group_advantages(torch.tensor([rewards]))[0]

    spread = statistics.stdev(rewards) if len(set(rewards)) > 1 else 0
    mean = statistics.mean(rewards)
    expected = [(reward - mean) / (spread + 1e-4) if spread else 0.0 for reward in rewards]
    assert got.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_unscored_members_and_padding_change_nothing_of_the_others() -> None:
    alone = group_advantages(torch.tensor([[0.9, 0.1, 0.4]]))
    among = group_advantages(torch.tensor([[0.9, NAN, 0.1, 0.4, NAN]]))

    assert among[0, [0, 2, 3]].tolist() == alone[0].tolist()
    assert among[0, [1, 4]].tolist() == [0, 0]


@pytest.mark.parametrize("rewards", [[0.3, 0.3, 0.3], [NAN, NAN, NAN], [0.7, NAN, NAN]])
def test_a_group_with_nothing_to_compare_has_no_advantage(rewards: list[float]) -> None:
    assert group_advantages(torch.tensor([rewards])).tolist() == [[0, 0, 0]]
    assert not has_spread(torch.tensor([rewards])).item()


def test_the_first_update_after_a_rollout_has_the_gradient_of_the_policy_gradient() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-0.5, -3.0]], requires_grad=True)
    advantages = torch.tensor([0.7, -1.2])

    clipped_surrogate(log_probs, log_probs.detach(), advantages, epsilon=0.2).sum().backward()

    assert log_probs.grad is not None
    assert torch.equal(log_probs.grad, advantages[:, None].expand(2, 2))


def test_the_clip_stops_a_good_token_that_has_already_become_likelier() -> None:
    log_probs = torch.tensor([[-1.0], [-1.0]], requires_grad=True)
    old = torch.tensor([[-1.5], [-1.5]])  # ratio 1.65, outside 1.2

    clipped_surrogate(log_probs, old, torch.tensor([1.0, -1.0]), epsilon=0.2).sum().backward()

    assert log_probs.grad is not None
    assert log_probs.grad[0].item() == 0
    assert log_probs.grad[1].item() == pytest.approx(-torch.tensor(0.5).exp().item())


def test_k3_over_samples_estimates_the_exact_kl() -> None:
    torch.manual_seed(0)
    policy, reference = (torch.randn(1, 1, 16).log_softmax(-1) for _ in range(2))
    drawn = torch.multinomial(policy[0, 0].exp(), 200_000, replacement=True)

    estimated = k3(policy[0, 0, drawn][None], reference[0, 0, drawn][None]).mean()

    assert estimated.item() == pytest.approx(exact_kl(policy, reference).item(), rel=0.02)


def test_k3_pulls_a_token_that_became_unlikely_back_however_far_it_went() -> None:
    log_probs = torch.tensor([[-30.0]], requires_grad=True)

    k3(log_probs, torch.tensor([[-5.0]])).sum().backward()

    assert log_probs.grad is not None
    assert log_probs.grad.item() < -1e9  # minimising raises it; a clamped exponent would push it further down


def test_exact_kl_leaves_out_codes_that_the_sampler_dropped() -> None:
    logits = torch.tensor([[[1.0, 2.0, float("-inf")]]])
    other = torch.tensor([[[2.0, 1.0, float("-inf")]]])

    got = exact_kl(logits.log_softmax(-1), other.log_softmax(-1))

    assert got.item() == pytest.approx(exact_kl(logits[..., :2].log_softmax(-1), other[..., :2].log_softmax(-1)).item())


@pytest.mark.parametrize("kind", ["token", "sequence"])
def test_shares_of_micro_batches_sum_to_the_mean_of_the_step(kind: str) -> None:
    values = torch.rand(6, 4)

    parts = [normalised(part, images=6, kind=kind) for part in values.split([1, 3, 2])]  # type: ignore[arg-type, no-untyped-call]

    assert sum(parts).item() == pytest.approx(values.mean().item())  # type: ignore[union-attr]


def test_members_that_only_belong_to_the_statistics_have_no_gradient() -> None:
    log_probs = torch.full((3, 2), -1.0, requires_grad=True)
    objective = Objective(
        torch.tensor([1.0, 1.0, -2.0]), torch.tensor([True, True, False]), torch.tensor([True, False, False])
    )

    objective.loss(log_probs, k3(log_probs, torch.full((3, 2), -2.0)), beta=0.5, epsilon=0.2).sum().backward()

    assert log_probs.grad is not None
    assert log_probs.grad[2].tolist() == [0, 0]
    assert log_probs.grad[1].tolist() == [-1, -1]  # ground truth pays no KL
    assert log_probs.grad[0, 0].item() == pytest.approx(-1 + 0.5 * (1 - torch.tensor(-1.0).exp().item()))


def test_a_token_left_far_behind_spoils_no_gradient_that_it_has_no_part_in() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-1.0, -200.0]], requires_grad=True)
    reference = torch.tensor([[-1.5, -2.5], [-1.0, -1.0]])
    sampled = torch.tensor([True, False])
    objective = Objective(torch.tensor([0.5, -0.5]), torch.tensor([True, True]), sampled)
    for beta, regularised in ((0.04, objective), (0.0, objective._replace(regularised=~sampled))):
        log_probs.grad = None
        loss = regularised.loss(log_probs, k3(log_probs, reference), beta=beta, epsilon=0.2).sum()
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(log_probs.grad).all(), beta
