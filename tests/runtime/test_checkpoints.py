"""Checkpoints are found, read without running anything, renamed completely, and refused when they do not fit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from paircomp.errors import ConfigError, UnavailableError
from paircomp.runtime.checkpoints import (
    CheckpointError,
    WeightFiles,
    checkpoint_folder,
    fill_model,
    read_json,
    resolve_dtype,
)
from paircomp.runtime.key_maps import KeyMap, Rule


class Turning(nn.Module):
    """Owns a buffer that no file holds, as rotary embeddings do."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.frequencies: torch.Tensor
        self.register_buffer("frequencies", torch.arange(config.size, dtype=torch.float32), persistent=False)


class Small(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, size, bias=False) for _ in range(3))
        self.head = nn.Linear(size, 2)
        self.turning = Turning(SimpleNamespace(size=size))


FUSED = KeyMap(
    "fused",
    (
        Rule("attn.qkv", ("query.weight", "key.weight", "value.weight"),
             lambda whole: whole.chunk(3, 0), lambda parts: torch.cat(list(parts))),
        Rule("out.{leaf}", ("head.{leaf}",)),
        Rule("counter.{rest}"),
    ),
)  # fmt: skip


def foreign() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"attn.qkv": torch.randn(12, 4), "out.weight": torch.randn(2, 4), "out.bias": torch.randn(2),
            "counter.a.b": torch.arange(3)}  # fmt: skip


def on_meta() -> Small:
    with torch.device("meta"):
        return Small()


def fill(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Small, dict[str, torch.Tensor]]:
    model = on_meta()
    dropped = fill_model(model, WeightFiles.of(folder), FUSED, device="cpu", dtype=dtype)
    return model, dropped


def write_sharded(folder: Path, tensors: dict[str, torch.Tensor], *, kind: str) -> None:
    names = list(tensors)
    suffix = "safetensors" if kind == "safetensors" else "bin"
    stem = "model" if kind == "safetensors" else "pytorch_model"
    places = {}
    for at, part in enumerate((names[:2], names[2:])):
        file = f"{stem}-{at + 1:05}-of-00002.{suffix}"
        chosen = {name: tensors[name] for name in part}
        save_file(chosen, folder / file) if kind == "safetensors" else torch.save(chosen, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("sharded", [False, True])
def test_every_kind_of_file_fills_the_model(tmp_path: Path, kind: str, sharded: bool) -> None:
    tensors = foreign()
    if sharded:
        write_sharded(tmp_path, tensors, kind=kind)
    elif kind == "safetensors":
        save_file(tensors, tmp_path / "model.safetensors")
    else:
        torch.save(tensors, tmp_path / "pytorch_model.bin")

    model, dropped = fill(tmp_path)

    assert torch.equal(torch.cat([model.query.weight, model.key.weight, model.value.weight]), tensors["attn.qkv"])
    assert torch.equal(model.head.bias, tensors["out.bias"])
    assert list(dropped) == ["counter.a.b"]
    assert torch.equal(dropped["counter.a.b"], tensors["counter.a.b"])


def test_parts_of_one_tensor_share_no_memory(tmp_path: Path) -> None:
    save_file(foreign(), tmp_path / "model.safetensors")

    model, _ = fill(tmp_path)

    starts = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    assert len(starts) == len(list(model.parameters()))


def test_weights_take_the_format_asked_for_and_frequencies_keep_theirs(tmp_path: Path) -> None:
    save_file(foreign(), tmp_path / "model.safetensors")

    model, _ = fill(tmp_path, torch.bfloat16)

    assert model.query.weight.dtype == torch.bfloat16
    assert model.turning.frequencies.tolist() == [0, 1, 2, 3]
    assert model.turning.frequencies.dtype == torch.float32


def test_filling_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    save_file(foreign(), tmp_path / "model.safetensors")
    before = torch.random.get_rng_state()

    fill(tmp_path)

    assert torch.equal(before, torch.random.get_rng_state())


def test_every_fault_is_named_at_once_and_nothing_is_filled(tmp_path: Path) -> None:
    tensors = foreign()
    del tensors["out.bias"]
    tensors["surprise"] = torch.zeros(1)
    tensors["out.weight"] = torch.zeros(2, 5)
    tensors["attn.qkv"] = torch.zeros(11, 4)
    save_file(tensors, tmp_path / "model.safetensors")

    with pytest.raises(CheckpointError) as caught:
        fill(tmp_path)

    said = str(caught.value)
    for expected in ("surprise: unexpected", "head.bias: missing", "head.weight: expected shape [2, 4], got [2, 5]",
                     "value.weight: expected shape [4, 4], got [3, 4]"):  # fmt: skip
        assert expected in said
    assert "\n" not in said


def test_a_buffer_that_nobody_can_make_is_refused(tmp_path: Path) -> None:
    class Orphan(Small):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("lost", torch.zeros(1), persistent=False)

    save_file(foreign(), tmp_path / "model.safetensors")
    with torch.device("meta"):
        model = Orphan()

    with pytest.raises(CheckpointError, match="lost: no value"):
        fill_model(model, WeightFiles.of(tmp_path), FUSED, device="cpu", dtype=torch.float32)


def test_the_way_back_gives_the_foreign_tensors(tmp_path: Path) -> None:
    tensors = foreign()
    save_file(tensors, tmp_path / "model.safetensors")
    model, dropped = fill(tmp_path)

    back = dict(FUSED.invert(model.state_dict())) | dropped

    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_the_way_back_refuses_what_it_cannot_place() -> None:
    with pytest.raises(ValueError, match=r"stranger: no rule"):
        list(FUSED.invert({"stranger": torch.zeros(1)}))
    with pytest.raises(ValueError, match=r"attn\.qkv: 1 of its 3 parts"):
        list(FUSED.invert({"key.weight": torch.zeros(1)}))


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trap-was-sprung"),))


def test_a_pickle_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save({"out.bias": Trap()}, folder / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match="not readable as weights"):
        fill(folder)
    assert not (tmp_path / "trap-was-sprung").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
        ("pytorch_model.bin", b"PK\x03\x04 but no zip"),
        ("pytorch_model.bin", pickle.dumps({"a": 1})),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CheckpointError, match=name):
        WeightFiles.of(tmp_path).shapes()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    save_file(foreign(), tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-20])

    with pytest.raises(CheckpointError, match="fetch it again"):
        fill(tmp_path)


def test_a_checkpoint_of_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"nested": torch.zeros(1)}}, tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match="names to tensors"):
        WeightFiles.of(tmp_path).shapes()


def test_shards_that_an_index_names_must_be_there(tmp_path: Path) -> None:
    write_sharded(tmp_path, foreign(), kind="safetensors")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: named by"):
        WeightFiles.of(tmp_path)


def test_an_index_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))

    with pytest.raises(CheckpointError, match="outside the folder"):
        WeightFiles.of(tmp_path)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        WeightFiles.of(tmp_path)


def test_the_fingerprint_follows_the_contents(tmp_path: Path) -> None:
    tensors = foreign()
    save_file(tensors, tmp_path / "model.safetensors")
    first = WeightFiles.of(tmp_path).fingerprint()
    copy = tmp_path / "copy"
    copy.mkdir()
    save_file(tensors, copy / "model.safetensors")
    assert WeightFiles.of(copy).fingerprint() == first

    tensors["out.bias"] += 1e-3
    save_file(tensors, tmp_path / "model.safetensors")

    assert WeightFiles.of(tmp_path).fingerprint() != first


def test_json_that_is_missing_broken_or_no_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: missing"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="expected an object"):
        read_json(tmp_path / "config.json")


def test_checkpoints_that_cannot_be_had_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="a folder or a hub id"):
        checkpoint_folder(None, what="generator 'janus'")
    with pytest.raises(UnavailableError, match="no/such/folder"):
        checkpoint_folder("no/such/folder", what="generator 'janus'")
    with pytest.raises(UnavailableError, match=r"(?=.*nobody/nothing)(?=.*give its folder as the checkpoint)"):
        checkpoint_folder("nobody/nothing", what="generator 'janus'")
    assert checkpoint_folder(str(tmp_path), what="generator 'janus'") == tmp_path


def test_number_formats() -> None:
    assert resolve_dtype(None, "cpu") == "float32"
    assert resolve_dtype(None, "cuda") == "bfloat16"
    assert resolve_dtype("float16", "cpu") == "float16"
    with pytest.raises(ConfigError, match="int8"):
        resolve_dtype("int8", "cpu")
