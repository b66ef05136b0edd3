"""The Janus sampler and generator, on tiny random models of transformers' own classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import JanusProcessor
from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil

from focusdiff.threads import processor_threads
from paircomp.cli import run
from paircomp.errors import ConfigError, GenerationError
from paircomp.plugins import Registry
from paircomp.testing import check_generator
from paircomp.types import GenerationRequest, ImageKey
from paircomp_adapters import janus_steps
from paircomp_adapters.janus import JanusGenerator, janus
from paircomp_adapters.janus_checkpoint import JanusCheckpoint, load_janus
from paircomp_adapters.janus_images import decode_tokens, encode_pictures, picture_tensor
from paircomp_adapters.janus_products import pack_weights
from paircomp_adapters.janus_sampler import JanusSampler
from paircomp_adapters.janus_sampling import Sampling
from paircomp_adapters.janus_steps import Step
from tests.adapters.tiny_janus import TEMPLATE, byte_tokenizer, save_tiny_janus

PROMPTS = (
    "two red circles",
    "three red circles on a light plain background",
    "a blue square left of a green circle on a dark plain background",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("janus")
    save_tiny_janus(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder: Path) -> JanusCheckpoint:
    return load_janus(folder, device="cpu", dtype=torch.float32)


def sampler(loaded: JanusCheckpoint, **how: Any) -> JanusSampler:
    return JanusSampler(loaded.model, loaded.prompts, Sampling(**how))


def theirs(loaded: JanusCheckpoint, prompts: tuple[str, ...], **how: Any) -> torch.Tensor:
    batch = loaded.prompts.batch(prompts)
    tokens: torch.Tensor = loaded.model.generate(
        batch.ids, attention_mask=batch.mask, generation_mode="image", do_sample=False, **how
    )
    return tokens


# The prompt


def test_prompts_are_those_of_the_processor_of_transformers(folder: Path, loaded: JanusCheckpoint) -> None:
    tokenizer = byte_tokenizer()
    processor = JanusProcessor(JanusImageProcessorPil(), tokenizer, chat_template=TEMPLATE, num_image_tokens=16)
    texts = [
        processor.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        for text in PROMPTS
    ]

    expected = processor(text=texts, generation_mode="image", padding=True, return_tensors="pt")

    batch = loaded.prompts.batch(PROMPTS)
    assert torch.equal(batch.ids, expected["input_ids"])
    assert torch.equal(batch.mask, expected["attention_mask"])


def test_the_unconditional_twin_keeps_the_frame_alone(loaded: JanusCheckpoint) -> None:
    prompts = loaded.prompts
    ids = prompts.tokens("ab")

    twin = prompts.unconditional(ids)

    assert twin == [prompts.begin, *[prompts.pad] * (len(ids) - 2), prompts.begin_of_image]


# Tokens


@pytest.mark.parametrize("guidance", [5.0, 1.5])
def test_greedy_tokens_are_those_of_transformers(loaded: JanusCheckpoint, guidance: float) -> None:
    ours = sampler(loaded, temperature=0, guidance=guidance).sample(PROMPTS, [0, 0, 0]).tokens

    assert torch.equal(ours, theirs(loaded, PROMPTS, guidance_scale=guidance))
    assert len(set(map(tuple, ours.tolist()))) == 3


@pytest.mark.parametrize(("heads", "key_value_heads"), [(4, 4), (4, 1)])
def test_greedy_tokens_with_shared_and_own_key_value_heads(tmp_path: Path, heads: int, key_value_heads: int) -> None:
    save_tiny_janus(tmp_path, seed=3, heads=heads, key_value_heads=key_value_heads)
    loaded = load_janus(tmp_path, device="cpu", dtype=torch.float32)

    ours = sampler(loaded, temperature=0).sample(PROMPTS, [0, 0, 0]).tokens

    assert torch.equal(ours, theirs(loaded, PROMPTS, guidance_scale=5.0))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_a_batch_is_its_images_drawn_one_by_one_to_the_bit(tmp_path: Path, threads: int, packed: bool) -> None:
    """With heads of a real size; five texts of five lengths, in batches of every shape."""
    save_tiny_janus(tmp_path, width=64, heads=2, key_value_heads=2, codes=256)
    loaded = load_janus(tmp_path, device="cpu", dtype=torch.float32)
    if packed:
        pack_weights(loaded.model, smallest=0)
    with processor_threads(threads):
        compare_batches(sampler(loaded, top_k=100))


def compare_batches(drawing: JanusSampler) -> None:
    texts = [f"{PROMPTS[at % 3]} {'and more ' * at}" for at in range(5)]

    together = drawing.sample(texts, range(5), explained=True)

    assert together.log_probs is not None
    for at in range(5):
        alone = drawing.sample([texts[at]], [at], explained=True)
        assert alone.log_probs is not None
        assert torch.equal(alone.tokens[0], together.tokens[at])
        assert torch.equal(alone.log_probs[0], together.log_probs[at])
    pairs = drawing.sample(texts[3:], [3, 4]).tokens
    assert torch.equal(pairs, together.tokens[3:])


def test_long_texts_of_several_lengths_have_the_same_bits_alone(tmp_path: Path) -> None:
    """Texts beyond a hundred tokens: there the length that attention reaches over changes a CPU's sums."""
    save_tiny_janus(tmp_path, width=256, heads=2, key_value_heads=2, codes=256, layers=2)
    loaded = load_janus(tmp_path, device="cpu", dtype=torch.float32)
    drawing = sampler(loaded, top_k=100)
    texts = [f"two red {'and more ' * repeats}" for repeats in (1, 9, 20, 41)]
    together = drawing.sample(texts, range(4), explained=True)
    assert together.log_probs is not None

    for at, text in enumerate(texts):
        alone = drawing.sample([text], [at], explained=True)

        assert alone.log_probs is not None
        assert torch.equal(alone.log_probs[0], together.log_probs[at])


def test_every_seed_is_reproducible_in_any_batch(loaded: JanusCheckpoint) -> None:
    drawing = sampler(loaded)
    texts, seeds = [PROMPTS[at % 3] for at in range(12)], [2**53 - 1 - at for at in range(12)]
    together = drawing.sample(texts, seeds).tokens

    backwards = drawing.sample(texts[::-1], seeds[::-1]).tokens.flip(0)
    parts = torch.cat([drawing.sample(texts[at : at + 5], seeds[at : at + 5]).tokens for at in (0, 5, 10)])

    assert torch.equal(together, backwards)
    assert torch.equal(together, parts)
    assert len(set(map(tuple, together.tolist()))) == 12


def test_drawing_leaves_the_global_random_state_alone(loaded: JanusCheckpoint) -> None:
    before = torch.random.get_rng_state()

    sampler(loaded).sample(PROMPTS, [1, 2, 3])

    assert torch.equal(before, torch.random.get_rng_state())


def test_guidance_of_one_computes_no_unconditional_rows(loaded: JanusCheckpoint) -> None:
    plain, guided = sampler(loaded, guidance=1.0), sampler(loaded, guidance=1.0001, temperature=0)
    widths: list[int] = []
    hook = loaded.model.model.language_model.layers[0].mlp.register_forward_hook(
        lambda _module, inputs, _output: widths.append(inputs[0].shape[0])
    )
    texts = [PROMPTS[0]] * 20
    try:
        plain.sample(texts, range(20))
        without, widths = set(widths), []
        guided.sample(texts, range(20))
    finally:
        hook.remove()

    assert max(without) == 20
    assert max(widths) == 40
    assert min(without) == 1  # the different texts are read once each
    assert min(widths) == 2
    greedy = sampler(loaded, guidance=1.0, temperature=0).sample(PROMPTS, [0, 0, 0]).tokens
    assert torch.equal(greedy, theirs(loaded, PROMPTS, guidance_scale=1.0001))


def test_bfloat16_runs_and_agrees_at_first(folder: Path, loaded: JanusCheckpoint) -> None:
    small = load_janus(folder, device="cpu", dtype=torch.bfloat16)

    found = sampler(small).sample(PROMPTS, [1, 2, 3], explained=True)

    reference = sampler(loaded).sample(PROMPTS, [1, 2, 3], explained=True)
    assert found.log_probs is not None
    assert reference.log_probs is not None
    assert found.log_probs.dtype == torch.float32
    assert found.log_probs.isfinite().all()
    same = found.tokens[:, 0] == reference.tokens[:, 0]
    assert same.any()
    assert (found.log_probs[:, 0] - reference.log_probs[:, 0])[same].abs().max() < 0.3


def test_the_cache_is_allocated_once_and_freed(loaded: JanusCheckpoint) -> None:
    drawing = sampler(loaded)
    drawing.sample(PROMPTS[:2], [1, 2])
    first = drawing._step
    assert first is not None
    place = first.decoder._keys.data_ptr()

    drawing.sample(PROMPTS[1:], [3, 4])

    assert drawing._step is first
    assert first.decoder._keys.data_ptr() == place
    drawing.release()
    assert drawing._step is None


def test_the_sampler_follows_weights_that_change(folder: Path) -> None:
    loaded = load_janus(folder, device="cpu", dtype=torch.float32)
    drawing = sampler(loaded, temperature=0)
    before = drawing.sample(PROMPTS, [0, 0, 0]).tokens
    with torch.no_grad():
        loaded.model.model.generation_head.vision_head.bias.add_(torch.randn(64) * 3)

    after = drawing.sample(PROMPTS, [0, 0, 0]).tokens

    assert not torch.equal(before, after)
    assert torch.equal(after, theirs(loaded, PROMPTS, guidance_scale=5.0))


# Steps


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own compiler uses what torch deprecates
def test_a_compiled_step_draws_the_same(loaded: JanusCheckpoint) -> None:
    eager = sampler(loaded, top_k=30)
    compiled = JanusSampler(loaded.model, loaded.prompts, eager.sampling, step="compiled")

    found = compiled.sample(PROMPTS, [1, 2, 3]).tokens

    assert torch.equal(found, eager.sample(PROMPTS, [1, 2, 3]).tokens)
    assert compiled.step_kind == "compiled"


class WrongStep(Step):
    """A step that a broken compiler might have made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trusted = False

    def compute(self, tokens: torch.Tensor, slots: torch.Tensor, span: int) -> torch.Tensor:
        return super().compute(tokens, slots, span).flip(-1)


def test_a_step_that_draws_other_tokens_is_dropped(loaded: JanusCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janus_steps, "CompiledStep", WrongStep)
    drawing = JanusSampler(loaded.model, loaded.prompts, Sampling(), step="compiled")

    with pytest.warns(RuntimeWarning, match="draws other tokens"):
        found = drawing.sample(PROMPTS, [1, 2, 3]).tokens

    assert drawing.step_kind == "eager"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(drawing.sample(PROMPTS, [1, 2, 3]).tokens, found)
    assert torch.equal(found, sampler(loaded).sample(PROMPTS, [1, 2, 3]).tokens)


def test_a_step_that_goes_wrong_only_late_is_dropped_too(
    loaded: JanusCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateStep(WrongStep):
        """A step whose last graph is broken."""

        calls = 0

        def compute(self, tokens: torch.Tensor, slots: torch.Tensor, span: int) -> torch.Tensor:
            self.calls += 1
            logits = super().compute(tokens, slots, span)
            return logits if self.calls == loaded.model.config.vision_config.num_image_tokens - 1 else logits.flip(-1)

    monkeypatch.setattr(janus_steps, "CompiledStep", LateStep)
    drawing = JanusSampler(loaded.model, loaded.prompts, Sampling(), step="compiled")

    with pytest.warns(RuntimeWarning, match="draws other tokens"):
        found = drawing.sample(PROMPTS, [1, 2, 3], explained=True)

    expected = sampler(loaded).sample(PROMPTS, [1, 2, 3], explained=True)
    assert torch.equal(found.tokens, expected.tokens)
    assert found.log_probs is not None
    assert expected.log_probs is not None
    assert torch.equal(found.log_probs, expected.log_probs)


def test_steps_that_cannot_be_done_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="graphed needs a CUDA device"):
        janus(checkpoint=str(folder), step="graphed")
    with pytest.raises(ConfigError, match="got 'quick'"):
        janus(checkpoint=str(folder), step="quick")  # type: ignore[arg-type]


# Pictures


def test_pictures_are_made_as_transformers_makes_them(loaded: JanusCheckpoint) -> None:
    tokens = torch.randint(0, 64, (3, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pixels = loaded.model.decode_image_tokens(tokens)
    processor = JanusImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    processed = processor.postprocess([pixel.permute(2, 0, 1) for pixel in pixels], return_tensors="np")

    ours = [np.asarray(picture) for picture in decode_tokens(loaded.model, tokens)]

    expected = [np.asarray(picture).transpose(1, 2, 0) for picture in processed["pixel_values"]]
    np.testing.assert_array_equal(np.stack(ours), np.stack(expected))


def test_one_by_one_a_picture_is_the_same_in_every_batch(loaded: JanusCheckpoint) -> None:
    tokens = torch.randint(0, 64, (5, 16), generator=torch.Generator().manual_seed(0))

    together = list(decode_tokens(loaded.model, tokens, at_once=1))

    alone = [next(decode_tokens(loaded.model, tokens[[at]])) for at in range(5)]
    assert [picture.tobytes() for picture in together] == [picture.tobytes() for picture in alone]


def test_encoding_searches_codes_among_unit_vectors(loaded: JanusCheckpoint) -> None:
    """The rows of this codebook are of many lengths: transformers' own encode finds other codes."""
    pictures = list(
        decode_tokens(loaded.model, torch.randint(0, 64, (6, 16), generator=torch.Generator().manual_seed(1)))
    )
    quantizer = loaded.model.model.vqmodel
    pixels = picture_tensor(pictures, 16)
    with torch.no_grad():
        latent = quantizer.quant_conv(quantizer.encoder(pixels)).permute(0, 2, 3, 1)  # [6, 4, 4, 8]
        unit = torch.nn.functional.normalize(latent, dim=-1).flatten(0, 2)
        rows = torch.nn.functional.normalize(quantizer.quantize.embedding.weight, dim=-1)
        expected = torch.cdist(unit, rows).argmin(-1).view(6, 16)
        native = quantizer.encode(pixels).image_tokens.view(6, 16)

    tokens = encode_pictures(loaded.model, pictures)

    assert torch.equal(tokens, expected)
    assert not torch.equal(tokens, native)


def test_pictures_of_any_shape_are_cropped_to_their_centre() -> None:
    from PIL import Image

    wide = Image.new("RGB", (48, 16), "blue")
    wide.paste("red", (16, 0, 32, 16))

    pixels = picture_tensor([wide, wide.convert("L")], 16)

    assert pixels.shape == (2, 3, 16, 16)
    assert pixels[0, 0].min() == 1
    assert pixels[0, 2].max() == -1


# The generator


def request(sample: int, prompt: str = PROMPTS[0], seed: int = 7) -> GenerationRequest:
    return GenerationRequest(ImageKey(0, 0, sample), prompt, seed + sample)


def test_the_generator_keeps_its_contract_to_the_bit(folder: Path) -> None:
    checks = list(check_generator(lambda: janus(checkpoint=str(folder)), exact=True))

    assert [str(check) for check in checks if not check.passed] == []
    assert len(checks) > 7


def test_the_command_checks_it_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(
        ["adapter", "check", "janus", "--checkpoint", str(folder), "--device", "cpu", "--exact", "-o", "top_k=9"]
    )

    assert code == 0
    assert "FAILED" not in capsys.readouterr().out


def test_an_evaluation_runs_from_end_to_end(folder: Path, tmp_path: Path) -> None:
    command = ["eval", "--adapter", "janus", "--checkpoint", str(folder), "--suite", "shapes", "--limit", "2",
               "--out", str(tmp_path / "run"), "--device", "cpu", "--json"]  # fmt: skip

    assert run(command) == 0
    assert len(list((tmp_path / "run" / "images").glob("*.png"))) == 8


def test_the_identity_follows_weights_and_format(folder: Path, tmp_path: Path) -> None:
    save_tiny_janus(tmp_path, seed=1)

    identities = [
        janus(checkpoint=str(folder)).identity,
        janus(checkpoint=str(tmp_path)).identity,
        janus(checkpoint=str(folder), dtype="bfloat16").identity,
    ]

    assert janus(checkpoint=str(folder)).identity == identities[0]
    assert identities[0]["weights"] != identities[1]["weights"]
    assert [identity["dtype"] for identity in identities] == ["float32", "float32", "bfloat16"]


def test_no_requests_no_images(folder: Path) -> None:
    generator: JanusGenerator = janus(checkpoint=str(folder))

    assert list(generator.generate([])) == []
    (answer,) = generator.generate([request(0)])
    assert answer.image is not None
    assert answer.image.size == (16, 16)
    assert answer.seconds is not None
    assert answer.seconds > 0
    generator.close()


def test_values_out_of_range_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match=r"(?=.*guidance)(?=.*top_p)"):
        janus(checkpoint="no/where", guidance=0, top_p=2)


def test_the_catalogue_holds_the_four_models() -> None:
    models = Registry().models()
    names = {"janus-pro-1b", "janus-pro-7b", "janus-focusdiff-7b", "janus-pro-r1-7b"}

    assert names <= set(models)
    for name in names:
        assert models[name].recipe == {"guidance": 5.0, "temperature": 1.0, "top_k": 4096}
        assert models[name].resolution == (384, 384)
    assert models["janus-focusdiff-7b"].trained_with_judge == "internvl2.5-26b"
    assert models["janus-pro-7b"].trained_with_judge is None
    assert "t2i-r1" not in names


def test_a_prompt_that_is_too_long_is_refused_alone(folder: Path) -> None:
    long = request(1, "a red circle " * 200)
    generator = janus(checkpoint=str(folder))

    answers = {answer.key: answer for answer in generator.generate([request(0), long, request(2)])}

    assert answers[long.key].image is None
    assert "at most 2032" in str(answers[long.key].unscored)
    assert answers[request(0).key].image is not None
    with pytest.raises(GenerationError, match="at most 2032"):
        generator._sampler.sample([long.prompt], [1])


def test_a_long_prompt_is_read_in_parts(loaded: JanusCheckpoint) -> None:
    texts = ("a red circle " * 50, *PROMPTS)

    ours = sampler(loaded, temperature=0).sample(texts, range(4)).tokens

    assert torch.equal(ours, theirs(loaded, texts, guidance_scale=5.0))
