"""What a model of the catalogue needs and this machine lacks, found before anything is loaded or written.

Sizes are the catalogue's. A model is refused only for what surely stands in its way: its weights alone exceed the
memory, its packages are missing, its weights are neither here nor within reach. Everything is asked in milliseconds,
but for the hub, which gets a second.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from paircomp.runtime.machine import Machine
from paircomp.runtime.weights import hub_cache, hub_page, is_hub_id, local_folder
from paircomp.types import ModelSpec

__all__ = ["EXTRA_OF_PACKAGE", "install_line", "missing_for", "missing_imports", "weights_memory", "weights_state"]

#: Which extra of this package brings what is imported under these names.
EXTRA_OF_PACKAGE: Mapping[str, str] = {
    "torch": "models", "transformers": "models", "diffusers": "models", "accelerate": "models",
    "safetensors": "models", "openai": "api", "peft": "train", "matplotlib": "train", "pyarrow": "data",
    "datasets": "data", "ray": "ray", "sentencepiece": "diffusion", "ftfy": "diffusion", "bs4": "diffusion",
}  # fmt: skip

# A model smaller than this draws on a processor in bearable time, and needs no accelerator to be worth a try.
_SMALL = 2 * 10**9


def missing_for(
    spec: ModelSpec, machine: Machine, *, device: str = "auto", online: Callable[[], bool] | None = None
) -> list[str]:
    """What `machine` lacks to draw with `spec`, each with what would bring it; empty where nothing does.

    Args:
        spec: the model, with the user's own options in its recipe.
        machine: this machine.
        device: what was asked for; ``cpu`` stands for the will to wait.
        online: whether the hub can be reached; ``None`` does not ask, and weights that must be fetched are no fault.
    """
    if not spec.published:
        return ["weights, which were never published (next: --checkpoint FOLDER with weights of your own, or judge "
                "existing images: paircomp eval --images DIR)"]  # fmt: skip
    if spec.retired and not _own_server(spec):
        return [f"the service, which has not served it since {spec.retired} (next: --checkpoint NAME with a model "
                "that it serves, or judge existing images: paircomp eval --images DIR)"]  # fmt: skip
    faults = [f"{spec.setup} (docs/models.md)"] if spec.setup else []
    if not spec.recipe.get("base_url"):  # a server of the user's own may need none
        faults += [f"{name} in the environment" for name in spec.environment if not os.environ.get(name)]
    if absent := missing_imports(spec.packages):
        faults.append(f"{', '.join(absent)} ({install_line(absent)})")
    if "torch" in spec.packages:  # others draw elsewhere, or with a program that sees to its own weights
        faults += [*_missing_memory(spec, machine, device), *_missing_weights(spec, online)]
    return faults


def _own_server(spec: ModelSpec) -> bool:
    """Whether the user named another address, where a retired model may still be served."""
    return bool(spec.recipe.get("base_url") or os.environ.get("OPENAI_BASE_URL"))


def missing_imports(names: Iterable[str]) -> list[str]:
    """Those of `names` that cannot be imported here; nothing is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def install_line(packages: Iterable[str]) -> str:
    """The pip line that brings packages by their import names: our extras where they have them."""
    extras = sorted({EXTRA_OF_PACKAGE[name] for name in packages if name in EXTRA_OF_PACKAGE})
    if "diffusion" in extras and "models" in extras:
        extras.remove("models")  # the one brings the other
    others = [name for name in packages if name not in EXTRA_OF_PACKAGE]
    wanted = ([f"'paircomp[{','.join(extras)}]'"] if extras else []) + others
    return f"python -m pip install {' '.join(wanted)}"


def weights_memory(spec: ModelSpec) -> int | None:
    """Bytes that the weights take once loaded: the catalogue's figure, else two bytes for each known weight."""
    if spec.memory is not None:
        return spec.memory
    return None if spec.parameters is None else 2 * spec.parameters


def _missing_memory(spec: ModelSpec, machine: Machine, device: str) -> Iterator[str]:
    needed = weights_memory(spec)
    if needed is None or needed < _SMALL:
        return
    if device == "cpu":
        if machine.memory is not None and machine.memory < needed:
            yield f"{_gib(needed)} of main memory for its weights (this machine has {_gib(machine.memory)})"
        return
    if not (machine.accelerators or machine.apple):
        yield f"an accelerator with more than {_gib(needed)} (there is none; --device cpu insists, and takes its time)"
        return
    there = _accelerator_memory(spec, machine)
    if there is not None and there < needed and spec.recipe.get("offload", "none") == "none":
        hint = "; next: -o offload=model" if spec.adapter == "diffusers" else ""
        yield f"{_gib(needed)} of accelerator memory for its weights (there are {_gib(there)}{hint})"


def _accelerator_memory(spec: ModelSpec, machine: Machine) -> int | None:
    if not machine.accelerators:
        return machine.memory  # Apple's accelerator shares the main memory
    sizes = [accelerator.memory for accelerator in machine.accelerators]
    return sum(sizes) if spec.recipe.get("device_map") else max(sizes)


def weights_state(spec: ModelSpec) -> str:
    """Where a model's weights are, for the catalogue: ``none``, ``here``, or what a first use fetches."""
    if spec.checkpoint is None:
        return "none"
    if Path(spec.checkpoint).exists() or local_folder(spec.checkpoint, spec.revision) is not None:
        return "here"
    if not is_hub_id(spec.checkpoint):
        return "none"
    fetched = _download(spec)
    return f"{_gb(fetched)} to fetch" if fetched else "to fetch"


def _download(spec: ModelSpec) -> int | None:
    return spec.download or (2 * spec.parameters if spec.parameters else None)


def _missing_weights(spec: ModelSpec, online: Callable[[], bool] | None) -> Iterator[str]:
    checkpoint = spec.checkpoint
    if checkpoint is None or weights_state(spec) == "here":
        return
    if not is_hub_id(checkpoint):
        if os.sep in checkpoint:
            yield f"the folder {checkpoint}, which does not exist"
        return
    fetched = _download(spec)
    size = f" of {_gb(fetched)}" if fetched else ""
    if online is not None and not online():
        yield (f"the weights{size}, which are not on this machine while the hub cannot be reached (next: fetch "
               f"{hub_page(checkpoint)} elsewhere, then --checkpoint FOLDER)")  # fmt: skip
        return
    if spec.gated and not _has_token():
        yield f"the weights{size}, behind a licence (accept it at {hub_page(checkpoint)}, then `hf auth login`)"
    if fetched is not None and (free := _free_disk(hub_cache())) < fetched:
        yield f"{_gb(fetched)} of disk for its weights ({hub_cache()} has {_gb(free)}; HF_HOME names another)"


def _has_token() -> bool:
    named = os.environ.get("HF_TOKEN_PATH")
    home = hub_cache().parent
    return bool(os.environ.get("HF_TOKEN")) or (Path(named).expanduser() if named else home / "token").is_file()


def _free_disk(folder: Path) -> int:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
