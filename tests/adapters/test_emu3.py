"""The ``emu3`` generator on a tiny random model of the real classes, built and saved here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra paircomp[models]")
pytest.importorskip("transformers", reason="needs the extra paircomp[models]")

from safetensors.torch import load_file, save_file  # noqa: E402

from paircomp.errors import AdapterError, ConfigError, UnavailableError  # noqa: E402
from paircomp.testing import check_generator  # noqa: E402
from paircomp.types import GenerationRequest, ImageKey  # noqa: E402
from paircomp_adapters.emu3 import emu3  # noqa: E402
from paircomp_adapters.emu3_models import BLEMISHES, MODELS, QUALITY  # noqa: E402
from paircomp_adapters.emu3_sampler import uniforms_of  # noqa: E402
from tests.adapters import tiny_emu3  # noqa: E402

PROMPTS = ("two red circles", "three red circles on a light plain background", "a cat")
SMALL: dict[str, Any] = {"width": 40, "height": 24, "top_k": 20}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_emu3.save(tmp_path_factory.mktemp("emu3"))


def requests(seed: int = 0) -> list[GenerationRequest]:
    return [GenerationRequest(ImageKey(n, 0, 0), prompt, seed + n) for n, prompt in enumerate(PROMPTS)]


def test_it_keeps_the_contract(folder: Path) -> None:
    checks = list(check_generator(lambda: emu3(checkpoint=str(folder), **SMALL), prompts=PROMPTS))

    assert [str(check) for check in checks if check.passed is False] == []


def test_greedy_tokens_equal_those_of_transformers(folder: Path) -> None:
    """The reference: `generate` with its own guidance and a prefix constraint that spells out the grammar."""
    generator = emu3(checkpoint=str(folder), **{**SMALL, "temperature": 0.0}, guidance=3.0)
    model, processor = generator._model, generator._processor
    height, width = 3, 5
    words = model.model.vocabulary_mapping
    size = {"ratio": f"{40}:{24}", "image_area": 40 * 24, "return_for_image_generation": True,
            "return_tensors": "pt", "padding": True}  # fmt: skip
    expected = []
    for request in requests():
        asked = processor(text=[request.prompt + QUALITY], **size)
        against = processor(text=[BLEMISHES], **size)
        length = asked["input_ids"].shape[1]

        def grammar(batch: int, ids: Any, start: int = length) -> list[int]:
            place = len(ids) - start + 1
            return [words.eol_token_id] if place % (width + 1) == 0 else list(words.image_tokens)

        drawn = model.generate(
            input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], do_sample=False, guidance_scale=3.0,
            max_new_tokens=height * (width + 1), prefix_allowed_tokens_fn=grammar, eos_token_id=None,
            negative_prompt_ids=against["input_ids"], negative_prompt_attention_mask=against["attention_mask"],
        )  # fmt: skip
        expected.append(drawn[0, length:])

    tokens = generator._tokens(requests())

    assert torch.equal(tokens, torch.stack(expected))


def test_rows_hold_visual_tokens_and_end_with_a_line_token(folder: Path) -> None:
    generator = emu3(checkpoint=str(folder), **SMALL)
    words = generator._model.model.vocabulary_mapping

    rows = generator._tokens(requests()).view(3, 3, 6)

    assert (rows[..., -1] == words.eol_token_id).all()
    assert set(rows[..., :-1].flatten().tolist()) <= set(words.image_tokens)


def test_pictures_are_brought_back_by_the_mean_and_deviation_of_the_checkpoint(folder: Path) -> None:
    generator = emu3(checkpoint=str(folder), **SMALL)
    tokens = generator._tokens(requests())

    with torch.inference_mode():
        ours = generator._decode(tokens)
        decoded = generator._model.decode_image_tokens(
            image_tokens=torch.nn.functional.pad(tokens, (0, 3)), height=3, width=5
        )
    stated = generator._processor.image_processor
    pixels = decoded.permute(0, 2, 3, 1).numpy() * np.array(stated.image_std) + np.array(stated.image_mean)
    expected = np.clip(pixels * 255, 0, 255)

    for one, other in zip(ours, expected, strict=True):
        assert one.size == (40, 24)
        assert np.abs(np.asarray(one) - other).max() <= 1


def test_random_numbers_depend_on_the_seed_alone() -> None:
    together = uniforms_of([3, 5, 9], 7)

    assert together.shape == (3, 7, 2)
    assert torch.equal(uniforms_of([5], 7)[0], together[1])


def test_without_guidance_the_negative_prompt_is_not_read(folder: Path) -> None:
    one, other = (
        list(emu3(checkpoint=str(folder), guidance=1.0, negative_prompt=text, **SMALL).generate(requests()))
        for text in ("blurry", "sharp")
    )
    guided = list(emu3(checkpoint=str(folder), guidance=3.0, **SMALL).generate(requests()))

    same = [np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True)]
    assert all(same)
    assert not all(np.array_equal(a.image, b.image) for a, b in zip(one, guided, strict=True))


def test_the_suffix_is_recorded_and_shows(folder: Path) -> None:
    plain = list(emu3(checkpoint=str(folder), suffix="", **SMALL).generate(requests()))
    dressed = list(emu3(checkpoint=str(folder), **SMALL).generate(requests()))

    assert [answer.prompt_sent for answer in plain] == [None] * 3
    assert [answer.prompt_sent for answer in dressed] == [prompt + QUALITY for prompt in PROMPTS]
    assert not all(np.array_equal(a.image, b.image) for a, b in zip(plain, dressed, strict=True))


def test_bfloat16_runs_with_a_decoder_in_float32(folder: Path) -> None:
    generator = emu3(checkpoint=str(folder), dtype="bfloat16", **SMALL)

    assert len(list(generator.generate(requests()))) == 3
    assert generator.identity["dtype"] == "bfloat16"
    assert next(generator._model.model.vqmodel.parameters()).dtype == torch.float32


def test_the_identity_is_plain_and_the_defaults_are_the_catalogues_recipe(folder: Path) -> None:
    import inspect

    identity = emu3(checkpoint=str(folder), **SMALL).identity
    defaults = {name: parameter.default for name, parameter in inspect.signature(emu3).parameters.items()}

    assert json.loads(json.dumps(identity)) == identity
    assert identity["weights"].startswith("fingerprint ")
    assert {name: defaults[name] for name in MODELS[0].recipe} == dict(MODELS[0].recipe)


def test_every_fault_of_the_options_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        emu3(width=33, height=0, guidance=0.5, top_p=2.0)

    for part in ("checkpoint: needed", "width: expected", "height: expected", "guidance: expected", "top_p: expected"):
        assert part in str(raised.value)


def test_weights_that_lack_a_tensor_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "copy")
    weights = tmp_path / "copy" / "model.safetensors"
    tensors = load_file(weights)
    del tensors[next(name for name in tensors if "layers.1" in name)]
    save_file(tensors, weights, metadata={"format": "pt"})

    with pytest.raises(AdapterError, match="missing keys"):
        emu3(checkpoint=str(tmp_path / "copy"), **SMALL)


def test_weights_out_of_reach_name_the_page() -> None:
    with pytest.raises(UnavailableError, match="which is not available here"):
        emu3(checkpoint="nobody/nothing")


@pytest.mark.parametrize("reachable", [True, False])
def test_a_hub_ids_identity_is_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reachable: bool
) -> None:
    repository = tmp_path / "models--maker--drawer"
    shutil.copytree(folder, repository / "snapshots" / "c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("paircomp.runtime.weights.hub_reachable", lambda: reachable)
    loaded = emu3(checkpoint=str(folder), **SMALL)
    monkeypatch.setattr("paircomp_adapters.emu3._load", lambda *given: (loaded._model, loaded._processor))

    assert emu3(checkpoint="maker/drawer", **SMALL).identity["weights"] == "commit c0ffee"
