"""Janus as a policy: what is sampled, what is scored and what is trained are one distribution."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from paircomp.errors import ConfigError
from paircomp.protocols import Policy
from paircomp_adapters import janus_teacher_forcing
from paircomp_adapters.janus import janus_policy
from paircomp_adapters.janus_checkpoint import load_janus
from paircomp_adapters.janus_policy import JanusPolicy
from paircomp_adapters.janus_sampling import unpack_codes
from tests.adapters.tiny_janus import save_tiny_janus

PROMPTS = ("two red circles", "three red circles on a light plain background", "a sign", "two red circles")
SEEDS = (1, 2, 3, 4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("janus")
    save_tiny_janus(path, sharpness=0.3)
    return path


def policy(folder: Path, **how: Any) -> JanusPolicy:
    return janus_policy(checkpoint=str(folder), **how)


def test_it_is_a_policy(folder: Path) -> None:
    found: Policy = policy(folder)

    assert isinstance(found, Policy)
    assert (found.length, found.codes) == (16, 64)


@pytest.mark.parametrize(
    "how",
    [{}, {"guidance": 1.0}, {"temperature": 0.7}, {"top_k": 9}, {"top_p": 0.8}, {"min_p": 0.05, "top_k": 20}],
)
def test_sampler_and_teacher_forcing_agree(folder: Path, how: dict[str, Any]) -> None:
    drawing = policy(folder, **how)

    rollout = drawing.sample(PROMPTS, seeds=SEEDS)
    scored = drawing.log_probs(PROMPTS, rollout.tokens, keep=rollout.keep)

    assert rollout.log_probs is not None
    assert scored.shape == rollout.tokens.shape == (4, 16)
    assert scored.dtype == torch.float32
    assert (scored - rollout.log_probs).abs().max() < 1e-5
    assert (rollout.keep is None) == (not set(how) & {"top_k", "top_p", "min_p"})


def test_a_mask_holds_the_token_that_was_drawn_and_shuts_others_out(folder: Path) -> None:
    drawing = policy(folder, top_k=5)

    rollout = drawing.sample(PROMPTS, seeds=SEEDS)

    assert rollout.keep is not None
    keep = unpack_codes(rollout.keep, 64)
    assert keep.gather(-1, rollout.tokens[..., None]).all()
    assert keep.sum(-1).max() == 5
    everything = drawing.log_distributions(PROMPTS, rollout.tokens, keep=rollout.keep)
    assert torch.equal(everything.isfinite(), keep)


def test_a_truncated_sampler_without_its_mask_is_refused(folder: Path) -> None:
    for how in ({"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}):
        drawing = policy(folder, **how)
        with pytest.raises(ConfigError, match=r"keep=rollout\.keep"):
            drawing.log_probs(PROMPTS, torch.zeros(4, 16, dtype=torch.long))
    with pytest.raises(ConfigError, match="temperature"):
        policy(folder, temperature=0)


def test_the_conventions_are_scores_of_the_same_tokens(folder: Path) -> None:
    sampled = policy(folder)
    tokens = sampled.sample(PROMPTS, seeds=SEEDS).tokens
    scores = {
        name: policy(folder, convention=name).log_probs(PROMPTS, tokens).detach()
        for name in ("sampler", "sampler_detached", "official", "conditional")
    }

    plain = sampled.plain_log_probs(PROMPTS, tokens)
    torch.testing.assert_close(scores["sampler"], scores["sampler_detached"])
    torch.testing.assert_close(scores["conditional"], plain)
    assert not torch.allclose(scores["official"], scores["sampler"])
    # The published convention is the sampler's distribution at five times its temperature.
    hot = policy(folder, temperature=5.0).log_probs(PROMPTS, tokens)
    torch.testing.assert_close(scores["official"], hot, rtol=1e-4, atol=1e-5)


def test_the_detached_convention_trains_the_conditional_rows_alone(folder: Path) -> None:
    tokens = policy(folder).sample(PROMPTS, seeds=SEEDS).tokens
    gradients = {}
    for convention in ("sampler", "sampler_detached"):
        trained = policy(folder, convention=convention)
        trained.log_probs(PROMPTS, tokens).mean().backward()
        pad = trained._loaded.prompts.pad
        gradients[convention] = trained._loaded.model.model.language_model.embed_tokens.weight.grad[pad]

    assert gradients["sampler"].abs().sum() > 0
    assert gradients["sampler_detached"].abs().sum() == 0  # only unconditional texts hold the pad token


def test_gradients_reach_what_draws_and_nothing_else(folder: Path) -> None:
    trained = policy(folder)
    tokens = trained.sample(PROMPTS, seeds=SEEDS).tokens

    trained.log_probs(PROMPTS, tokens).mean().backward()

    reached = {name for name, weight in trained.module.named_parameters() if weight.grad is not None}
    trainable = {name for name, weight in trained.module.named_parameters() if weight.requires_grad}
    assert reached == trainable
    parts = {name.removeprefix("model.").removeprefix("model.").split(".")[0] for name in trainable}
    assert parts == {"language_model", "generation_head", "generation_aligner", "generation_embeddings"}


def test_scores_and_gradients_do_not_depend_on_the_parts_they_are_computed_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = policy(folder).sample(PROMPTS, seeds=SEEDS).tokens
    found = []
    for at_once in (1 << 24, 4 * 64 * 3):
        monkeypatch.setattr(janus_teacher_forcing, "_LOGITS_AT_ONCE", at_once)
        trained = policy(folder)
        scores = trained.log_probs(PROMPTS, tokens)
        scores.mean().backward()
        found.append((scores.detach(), trained._loaded.model.model.generation_head.vision_head.weight.grad))

    torch.testing.assert_close(found[0], found[1])


def test_every_code_together_has_probability_one(folder: Path) -> None:
    scored = policy(folder)
    tokens = scored.sample(PROMPTS, seeds=SEEDS).tokens

    everything = scored.log_distributions(PROMPTS, tokens)

    torch.testing.assert_close(everything.exp().sum(-1), torch.ones(4, 16))
    torch.testing.assert_close(everything.gather(-1, tokens[..., None])[..., 0], scored.log_probs(PROMPTS, tokens))


def test_dropped_prompts_are_scored_as_if_nothing_had_been_said(folder: Path) -> None:
    scored = policy(folder, guidance=1.0)
    tokens = scored.sample(PROMPTS, seeds=SEEDS).tokens

    mixed = scored.plain_log_probs(PROMPTS, tokens, unconditional=[True, False, False, True])
    plain = scored.plain_log_probs(PROMPTS, tokens)

    torch.testing.assert_close(mixed[1:3], plain[1:3])
    assert not torch.allclose(mixed[0], plain[0])
    # Only the length of a dropped prompt is left.
    other = scored.plain_log_probs(["xyz red circles"], tokens[:1], unconditional=[True])
    torch.testing.assert_close(other[0], mixed[0])


def test_fine_tuning_on_images_makes_them_likelier(folder: Path) -> None:
    trained = policy(folder)
    targets = torch.randint(0, 64, (4, 16), generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW([w for w in trained.module.parameters() if w.requires_grad], lr=3e-3)
    losses = []
    for _ in range(8):
        loss = -trained.plain_log_probs(PROMPTS, targets).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] - 0.5
    rollout = trained.sample(PROMPTS, seeds=SEEDS)
    assert rollout.log_probs is not None
    scored = trained.log_probs(PROMPTS, rollout.tokens)
    assert (scored - rollout.log_probs).abs().max() < 2e-5  # the sampler draws from the weights as they are now


def test_a_wrapped_module_is_used_in_its_place(folder: Path) -> None:
    class Wrapper(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner
            self.calls = 0

        def forward(self, *arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return self.inner(*arguments, **named)

    scored = policy(folder)
    tokens = scored.sample(PROMPTS, seeds=SEEDS).tokens
    wrapper = Wrapper(scored.module)

    through = scored.log_probs(PROMPTS, tokens, module=wrapper)
    scored.plain_log_probs(PROMPTS, tokens, module=wrapper)

    assert torch.equal(through, scored.log_probs(PROMPTS, tokens))
    assert wrapper.calls == 2


def test_gradient_checkpointing_changes_no_gradient(folder: Path) -> None:
    tokens = policy(folder).sample(PROMPTS, seeds=SEEDS).tokens
    gradients = []
    for saving in (False, True):
        trained = policy(folder)
        model = trained._loaded.model
        if saving:
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        trained.module.train()
        trained.log_probs(PROMPTS, tokens).mean().backward()
        gradients.append(model.model.language_model.layers[0].mlp.up_proj.weight.grad)

    torch.testing.assert_close(gradients[0], gradients[1])


def test_sampling_leaves_the_module_in_its_mode(folder: Path) -> None:
    drawing = policy(folder)
    drawing.module.train()

    drawing.sample(PROMPTS[:1], seeds=[1])

    assert drawing.module.training


def test_a_frozen_copy_stays_as_it_was(folder: Path) -> None:
    trained = policy(folder)
    tokens = trained.sample(PROMPTS, seeds=SEEDS).tokens
    reference = trained.frozen_copy()
    before = reference.log_probs(PROMPTS, tokens)
    assert torch.equal(before, trained.log_probs(PROMPTS, tokens))
    assert not any(weight.requires_grad for weight in reference.module.parameters())

    with torch.no_grad():
        for weight in trained.module.parameters():
            weight.add_(0.05)

    assert torch.equal(before, reference.log_probs(PROMPTS, tokens))
    assert not torch.allclose(before, trained.log_probs(PROMPTS, tokens))


@pytest.mark.parametrize("layout", ["transformers", "original"])
def test_a_trained_policy_is_saved_and_drawn_from(folder: Path, tmp_path: Path, layout: Any) -> None:
    trained = policy(folder)
    with torch.no_grad():
        trained._loaded.model.model.generation_head.vision_head.bias.normal_(0, 1)

    trained.save(tmp_path, layout=layout)

    again = policy(tmp_path)
    assert load_janus(tmp_path, device="cpu", dtype=torch.float32).layout == layout
    expected = trained.sample(PROMPTS, seeds=SEEDS).tokens
    assert torch.equal(again.sample(PROMPTS, seeds=SEEDS).tokens, expected)


def test_pictures_go_in_and_out(folder: Path) -> None:
    drawing = policy(folder)
    tokens = drawing.sample(PROMPTS, seeds=SEEDS).tokens

    pictures = drawing.decode(tokens)
    back = drawing.encode(pictures)

    assert [picture.size for picture in pictures] == [(16, 16)] * 4
    assert back.shape == tokens.shape
    assert back.dtype == torch.long
    assert torch.equal(back, drawing.encode(pictures))


def test_the_example_of_the_documentation_runs(folder: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "janus.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    exec(compile(block, "docs/janus.md", "exec"), {"FOLDER": str(folder), "OUT": tmp_path})

    assert load_janus(tmp_path, device="cpu", dtype=torch.float32).layout == "original"
