"""Checkpoints: finding them, reading them without executing anything, and filling a model exactly.

Weights come from safetensors files or from ``.bin`` files read with ``weights_only=True``, whole or in shards. A model
is built on the meta device and filled tensor by tensor, so that a 7B model takes its own size in memory and no more.
A tensor that is missing, left over or of another shape is refused before anything is read: nothing is ever left at its
random start.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paircomp.errors import AdapterError, ConfigError, UnavailableError
from paircomp.runtime.json_text import parse_json
from paircomp.runtime.key_maps import KeyMap
from paircomp.runtime.packaged import packaged_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "CheckpointError",
    "WeightFiles",
    "checkpoint_folder",
    "fill_model",
    "read_json",
    "resolve_dtype",
    "settings_fingerprint",
    "torch_dtype",
]

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.jinja"]
_WEIGHTS = ("model.safetensors", "*.safetensors", "pytorch_model.bin", "pytorch_model*.bin", "*.bin")
_SETTINGS = re.compile(
    r"(.*config|tokenizer|vocab|special_tokens_map|added_tokens|chat_template|model_index)\.json"
    r"|(merges|vocab)\.txt|.*\.(model|jinja)"
)
_DTYPES = ("float32", "bfloat16", "float16")
_FAULTS_SHOWN = 8
_SAMPLED = 1 << 16


class CheckpointError(AdapterError):
    """A checkpoint that cannot be loaded as it is.

    Args:
        path: the folder or file.
        faults: every fault found in it.
    """

    def __init__(self, path: Path, faults: list[str]) -> None:
        self.path = path
        self.faults = tuple(faults)
        shown = "; ".join(faults[:_FAULTS_SHOWN])
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        super().__init__(f"checkpoint {path}: {shown}{more}")


def checkpoint_folder(checkpoint: str | None, *, revision: str | None = None, what: str) -> Path:
    """The local folder of a checkpoint: a folder as it is, a package's own, a hub id fetched or from the cache.

    Args:
        checkpoint: a folder, ``package:IMPORT_NAME/FOLDER``, or ``ORGANISATION/NAME``.
        revision: of a hub id.
        what: the part that needs it, for messages.

    Raises:
        ConfigError: no checkpoint was named.
        UnavailableError: it is not on this machine and cannot be fetched.
    """
    if checkpoint is None:
        raise ConfigError([f"{what} needs weights; next: give a folder or a hub id"], where="checkpoint")
    if (shipped := packaged_folder(checkpoint)) is not None:
        return shipped
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(checkpoint):
        raise UnavailableError(what, package=f"checkpoint folder {checkpoint}", remedy="check the path")
    return _from_hub(checkpoint, revision, what)


def _from_hub(name: str, revision: str | None, what: str) -> Path:
    from paircomp.runtime.weights import cached_snapshot, explained_load  # it reads WeightFiles from here

    if (cached := cached_snapshot(name, revision)) is not None:
        return cached
    with explained_load(what, name):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, allow_patterns=_HUB_FILES))


def resolve_dtype(dtype: str | None, device: str) -> str:
    """The number format of the weights: the one named, else bfloat16 on an accelerator and float32 on a CPU.

    Raises:
        ConfigError: no such format.
    """
    if dtype is None:
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in _DTYPES:
        raise ConfigError([f"dtype: expected {', '.join(_DTYPES)}, got {dtype!r}"], where="weights")
    return dtype


def torch_dtype(name: str) -> torch.dtype:
    """The object of torch for a name that :func:`resolve_dtype` returned."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint folder.

    Raises:
        CheckpointError: absent, unreadable, or something else than an object.
    """
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(path.parent, [f"{path.name}: missing; next: check that the download is whole"]) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(path.parent, [f"{path.name}: not readable as JSON ({_one_line(error)})"]) from error
    if not isinstance(said, dict):
        raise CheckpointError(path.parent, [f"{path.name}: expected an object, got {type(said).__name__}"])
    return said


@dataclass(frozen=True)
class WeightFiles:
    """The files that hold a checkpoint's tensors.

    Attributes:
        folder: where they are.
        files: all of one kind, sorted by name.
    """

    folder: Path
    files: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> WeightFiles:
        """The weight files of a folder: those that an index names, else safetensors before ``.bin``.

        Raises:
            CheckpointError: none there, or an index that names files which are not.
        """
        for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
            if (folder / index).is_file():
                return cls(folder, _indexed(folder, read_json(folder / index), index))
        for pattern in _WEIGHTS:
            if files := tuple(sorted(folder.glob(pattern))):
                return cls(folder, files)
        raise CheckpointError(folder, ["no weights: expected *.safetensors or pytorch_model*.bin"])

    def shapes(self) -> dict[str, Tensor]:
        """Every tensor on the meta device, without reading its numbers.

        Raises:
            CheckpointError: a file that is damaged, or that holds more than tensors.
        """
        return {key: tensor for file in self.files for key, tensor in _opened(file, meta=True)}

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, file by file."""
        for file in self.files:
            yield from _opened(file, meta=False)

    def fingerprint(self) -> str:
        """Sixteen hex digits that stand for the weights: names, sizes and samples of the contents, in milliseconds.

        Weights that were trained further under the same path get another one. It is no proof against a forger.
        """
        digest = hashlib.sha256()
        for file in self.files:
            size = file.stat().st_size
            digest.update(f"{file.name}:{size}".encode())
            with file.open("rb") as opened:
                for part in range(16):
                    opened.seek(part * max(0, size - _SAMPLED) // 15)
                    digest.update(opened.read(_SAMPLED))
        return digest.hexdigest()[:16]


def settings_fingerprint(folder: Path) -> str:
    """Sixteen hex digits that stand for what decides the numbers besides weights: configurations, tokenizer, templates.

    A longer context, another schedule or another chat template makes another model of the same weights. Everything else
    in a folder, such as a card or a log, is left out.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if _SETTINGS.fullmatch(path.name) and path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}:{content}\n".encode())
    return digest.hexdigest()[:16]


def _indexed(folder: Path, index: dict[str, Any], name: str) -> tuple[Path, ...]:
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(folder, [f"{name}: expected a weight_map of tensor names to files"])
    files = [folder / str(file) for file in sorted(set(places.values()))]
    if outside := [file.name for file in files if file.parent != folder]:
        raise CheckpointError(folder, [f"{name}: names files outside the folder ({', '.join(outside)})"])
    if absent := [f"{file.name}: named by {name}, but missing" for file in files if not file.is_file()]:
        raise CheckpointError(folder, absent)
    return tuple(files)


def _opened(file: Path, *, meta: bool) -> Iterator[tuple[str, Tensor]]:
    reader = _safetensors if file.suffix == ".safetensors" else _pickled
    try:
        yield from reader(file, meta=meta)
    except CheckpointError:
        raise
    except Exception as error:  # each format has its own ways to say that a file is damaged
        raise CheckpointError(file, [f"not readable as weights ({_one_line(error)}); next: fetch it again"]) from error


def _safetensors(file: Path, *, meta: bool) -> Iterator[tuple[str, Tensor]]:
    import torch
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118 - the object is no mapping
            yield key, torch.empty(opened.get_slice(key).get_shape(), device="meta") if meta else opened.get_tensor(key)


def _pickled(file: Path, *, meta: bool) -> Iterator[tuple[str, Tensor]]:
    import torch

    where = "meta" if meta else "cpu"
    # weights_only refuses any pickle that would run code.
    held = torch.load(file, map_location=where, weights_only=True, mmap=None if meta else _is_zip(file))
    if not isinstance(held, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in held.values()):
        raise CheckpointError(file, ["expected a mapping of names to tensors and nothing else"])
    yield from held.items()


def _is_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"  # the older format cannot be mapped into memory


def fill_model(
    model: nn.Module, weights: WeightFiles, key_map: KeyMap, *, device: str, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Fill a model that stands on the meta device.

    Buffers outside the state dict (rotary frequencies, position ids) are made anew by building the module that owns
    them from its own config, on the CPU, in float32 where they were so.

    Args:
        model: every parameter and buffer on the meta device.
        weights: the checkpoint.
        key_map: from its layout to the model's names.
        device: where the weights go.
        dtype: of all floating-point weights.

    Returns:
        The tensors that the key map drops, on the CPU as they are, for whoever writes that layout again.

    Raises:
        CheckpointError: a missing, unexpected or misshapen tensor, or a damaged file; every fault is named.
    """
    wanted = model.state_dict()
    if faults := key_map.faults(weights.shapes(), wanted):
        raise CheckpointError(weights.folder, faults)
    dropped: dict[str, Tensor] = {}
    for key, tensor in weights.tensors():
        converted = key_map.convert(key, tensor)
        if not converted:
            dropped[key] = tensor.clone()
            continue
        for name, part in converted.items():
            _assign(model, name, _placed(part, device, dtype))
    _rebuild_buffers(model, weights.folder, device)
    return dropped


def _placed(tensor: Tensor, device: str, dtype: torch.dtype) -> Tensor:
    # A copy: parts of one tensor must not share memory, and a mapped file may be replaced while the model lives.
    wanted = dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(device=device, dtype=wanted, copy=True).contiguous()


def _assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    from torch import nn

    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
    else:
        module._buffers[leaf] = tensor


def _rebuild_buffers(model: nn.Module, folder: Path, device: str) -> None:
    import torch

    for module in model.modules():
        missing = [name for name, buffer in module.named_buffers(recurse=False) if buffer.is_meta]
        config: Any = getattr(module, "config", None)
        if missing and config is not None:
            with torch.random.fork_rng(devices=[]):  # building a module draws its first weights
                fresh = type(module)(config)
            for name in missing:
                module._buffers[name] = getattr(fresh, name).to(device)
    left = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise CheckpointError(folder, [f"{name}: no value for it" for name in left])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
