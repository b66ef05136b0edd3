"""Janus checkpoints in both layouts: whole ones load, round trips are exact, faults are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from paircomp.errors import ConfigError
from paircomp.runtime.checkpoints import CheckpointError
from paircomp_adapters.janus_checkpoint import JanusCheckpoint, load_janus, save_janus
from paircomp_adapters.janus_layout import ORIGINAL
from paircomp_adapters.janus_sampler import JanusSampler
from paircomp_adapters.janus_sampling import Sampling
from tests.adapters.tiny_janus import save_tiny_janus

PROMPTS = ("two red circles", "a blue square left of a green circle")


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    save_tiny_janus(folder)
    return folder


@pytest.fixture(scope="module")
def original(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original layout as it is published: with pooling and code counter, and a config of few words."""
    folder = tmp_path_factory.mktemp("original")
    save_janus(load(native), folder, layout="original")
    tensors = load_file(folder / "model.safetensors")
    tensors["vision_model.vision_tower.attn_pool.latent"] = torch.randn(1, 1, 64)
    tensors["vision_model.vision_tower.attn_pool.q.weight"] = torch.randn(64, 64)
    tensors["gen_vision_model.quantize.codebook_used"] = torch.zeros(65536)
    save_file(tensors, folder / "model.safetensors")
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32) -> JanusCheckpoint:
    return load_janus(folder, device="cpu", dtype=dtype)


def greedy(loaded: JanusCheckpoint) -> torch.Tensor:
    return JanusSampler(loaded.model, loaded.prompts, Sampling(temperature=0)).sample(PROMPTS, [0, 0]).tokens


def same_state(one: JanusCheckpoint, other: JanusCheckpoint) -> bool:
    first, second = one.model.state_dict(), other.model.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to


def change_config(folder: Path, change: dict[str, Any]) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


def test_the_original_layout_is_the_same_model(native: Path, original: Path) -> None:
    ours, theirs = load(native), load(original)

    assert (ours.layout, theirs.layout) == ("transformers", "original")
    assert same_state(ours, theirs)
    assert torch.equal(greedy(ours), greedy(theirs))
    buffers = dict(theirs.model.named_buffers())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in ours.model.named_buffers())
    assert not theirs.model.training


def test_the_original_layout_has_the_published_names(original: Path) -> None:
    """A sample of every part, as deepseek-ai/Janus names them."""
    names = set(load_file(original / "model.safetensors"))

    assert names > {
        "language_model.model.embed_tokens.weight", "language_model.lm_head.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight", "language_model.model.norm.weight",
        "vision_model.vision_tower.pos_embed", "vision_model.vision_tower.patch_embed.proj.bias",
        "vision_model.vision_tower.blocks.0.attn.qkv.weight", "vision_model.vision_tower.blocks.0.attn.proj.weight",
        "vision_model.vision_tower.blocks.0.mlp.fc1.weight", "vision_model.vision_tower.blocks.0.norm2.bias",
        "vision_model.vision_tower.norm.weight", "aligner.layers.0.weight", "aligner.layers.2.weight",
        "gen_aligner.layers.0.bias", "gen_aligner.layers.2.bias", "gen_embed.weight",
        "gen_head.output_mlp_projector.weight", "gen_head.vision_head.bias",
        "gen_vision_model.encoder.conv_in.weight", "gen_vision_model.encoder.conv_blocks.0.res.0.norm1.weight",
        "gen_vision_model.encoder.conv_blocks.0.downsample.conv.weight",
        "gen_vision_model.encoder.conv_blocks.2.attn.0.q.weight", "gen_vision_model.encoder.mid.0.conv1.weight",
        "gen_vision_model.encoder.mid.1.proj_out.weight", "gen_vision_model.decoder.mid.2.conv2.weight",
        "gen_vision_model.decoder.conv_blocks.0.upsample.conv.weight",
        "gen_vision_model.decoder.conv_blocks.0.res.1.conv1.weight", "gen_vision_model.quantize.embedding.weight",
        "gen_vision_model.quant_conv.weight", "gen_vision_model.post_quant_conv.bias",
    }  # fmt: skip
    pos = load_file(original / "model.safetensors")["vision_model.vision_tower.pos_embed"]
    assert pos.shape == (1, 16, 64)


@pytest.mark.parametrize("form", ["safetensors shards", "bin", "bin shards"])
def test_the_original_layout_loads_from_every_kind_of_file(original: Path, tmp_path: Path, form: str) -> None:
    folder = copied(original, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    halves = [names[:100], names[100:]] if form.endswith("shards") else [names]
    places = {}
    for at, half in enumerate(halves):
        part = {name: tensors[name] for name in half}
        if form.startswith("bin"):
            file = f"pytorch_model-{at}.bin" if len(halves) > 1 else "pytorch_model.bin"
            torch.save(part, folder / file)
        else:
            file = f"model-{at}.safetensors"
            save_file(part, folder / file)
        places |= dict.fromkeys(half, file)
    if len(halves) > 1:
        index = "pytorch_model.bin.index.json" if form.startswith("bin") else "model.safetensors.index.json"
        (folder / index).write_text(json.dumps({"weight_map": places}))

    assert same_state(load(folder), load(original))


def test_the_original_layout_comes_back_whole(original: Path, tmp_path: Path) -> None:
    """Also what transformers has no place for, so that the original code can load it strictly."""
    save_janus(load(original), tmp_path, layout="original")

    before, after = load_file(original / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "multi_modality"
    assert same_state(load(tmp_path), load(original))


def test_the_layout_of_transformers_loads_there(original: Path, tmp_path: Path) -> None:
    from transformers import JanusForConditionalGeneration

    loaded = load(original)
    save_janus(loaded, tmp_path)

    model: Any = JanusForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    batch = loaded.prompts.batch(PROMPTS)
    tokens = model.generate(batch.ids, attention_mask=batch.mask, generation_mode="image", do_sample=False)
    assert torch.equal(tokens, greedy(loaded))  # guidance and begin-of-image travelled with it
    assert same_state(load(tmp_path), loaded)


def test_sizes_that_a_resaved_config_leaves_out_are_read_from_the_tensors(original: Path, tmp_path: Path) -> None:
    folder = copied(original, tmp_path)
    heads = {"model_type": "llama", "num_attention_heads": 4, "max_position_embeddings": 2048}
    change_config(folder, {"language_config": heads, "vision_config": {"params": {}}, "gen_vision_config": {}})

    loaded = load(folder)

    assert same_state(loaded, load(original))
    assert torch.equal(greedy(loaded), greedy(load(original)))
    assert loaded.model.config.text_config.num_key_value_heads == 2


@pytest.mark.parametrize("layout", ["native", "original"])
def test_a_missing_tensor_is_refused_by_name(layout: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = copied(request.getfixturevalue(layout), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    lost = next(name for name in tensors if name.endswith("layers.1.mlp.up_proj.weight"))
    del tensors[lost]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=r"model\.language_model\.layers\.1\.mlp\.up_proj\.weight: missing"):
        load(folder)


@pytest.mark.parametrize("layout", ["native", "original"])
def test_an_unexpected_tensor_is_refused_by_name(layout: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = copied(request.getfixturevalue(layout), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["text_to_thought.weight"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=r"text_to_thought\.weight: unexpected"):
        load(folder)


@pytest.mark.parametrize("layout", ["native", "original"])
def test_a_misshapen_tensor_is_refused(layout: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = copied(request.getfixturevalue(layout), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layers.1.mlp.up_proj.weight"))
    tensors[name] = torch.zeros(3, 3)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        load(folder)


@pytest.mark.parametrize("layout", ["native", "original"])
def test_a_truncated_file_is_refused(layout: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = copied(request.getfixturevalue(layout), tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(CheckpointError):
        load(folder)


def test_another_model_is_named(native: Path, tmp_path: Path) -> None:
    folder = copied(native, tmp_path)
    change_config(folder, {"model_type": "llama"})

    with pytest.raises(CheckpointError, match="expected janus or multi_modality, got 'llama'"):
        load(folder)


def test_a_relative_of_the_original_layout_is_named(original: Path, tmp_path: Path) -> None:
    """JanusFlow calls itself multi_modality too, and has no image tokens."""
    folder = copied(original, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["gen_embed.weight"]
    save_file(tensors, folder / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"gen_embed\.weight: missing"):
        load(folder)


def test_a_tokenizer_that_lacks_something_is_named(native: Path, tmp_path: Path) -> None:
    folder = copied(native, tmp_path)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**said, "boi_token": "<nowhere>"}))
    with pytest.raises(CheckpointError, match="no boi_token"):
        load(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not readable"):
        load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: missing"):
        load(folder)


def test_a_grid_that_does_not_fit_its_tokens_is_named(native: Path, tmp_path: Path) -> None:
    folder = copied(native, tmp_path)
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    change_config(folder, {"vision_config": {**vision, "num_image_tokens": 17}})

    with pytest.raises(CheckpointError, match="expected 16 for a grid of 4, got 17"):
        load(folder)


def test_a_layout_that_does_not_exist_is_refused(native: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'gguf'"):
        save_janus(load(native), tmp_path, layout="gguf")  # type: ignore[arg-type]


def test_the_format_asked_for_is_that_of_every_weight(original: Path) -> None:
    loaded = load(original, torch.bfloat16)

    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.model.model.language_model.rotary_emb.inv_freq.dtype == torch.float32


def test_the_key_map_makes_every_tensor_of_the_model_once(native: Path) -> None:
    state = load(native).model.state_dict()

    back = dict(ORIGINAL.invert(state))

    assert ORIGINAL.faults(back, state) == []
