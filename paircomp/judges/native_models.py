"""Loading a vision-language model that transformers reads natively, and refusing one that is not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paircomp.runtime.checkpoints import CheckpointError, WeightFiles, settings_fingerprint, torch_dtype
from paircomp.runtime.weights import explained_load

__all__ = ["described_weights", "load_native", "revision_of", "weights_identity"]


def load_native(folder: Path, *, device: str, dtype: str, device_map: str | None, what: str) -> Any:
    """The model in evaluation mode; no remote code is executed.

    Args:
        folder: the checkpoint.
        device: where it goes, unless `device_map` says otherwise.
        dtype: of the weights.
        device_map: ``auto`` spreads it over all accelerators.
        what: who loads, for messages.

    Raises:
        CheckpointError: missing, unexpected or misshapen tensors; all are named.
        AdapterError: anything else that the library says.
    """
    from transformers import AutoModelForImageTextToText

    family: Any = AutoModelForImageTextToText
    with explained_load(what, str(folder)):
        model, found = family.from_pretrained(
            folder, dtype=torch_dtype(dtype), device_map=device_map, output_loading_info=True, trust_remote_code=False,
            local_files_only=True,
        )  # fmt: skip
    faults = [
        f"{name if isinstance(name, str) else name[0]}: {kind}"
        for kind in ("missing", "unexpected", "mismatched")
        for name in sorted(found.get(f"{kind}_keys", ()), key=str)
    ]
    if faults:
        raise CheckpointError(folder, faults)
    model.requires_grad_(requires_grad=False)
    placed = model if device_map else model.to(device)
    return placed.eval()


def weights_identity(folder: Path, model: Any, dtype: str) -> dict[str, Any]:
    """What of a loaded model belongs to a judge's identity."""
    return {
        "weights": described_weights(folder, WeightFiles.of(folder)),
        "dtype": dtype,
        "attention": str(model.config._attn_implementation),
    }


def described_weights(folder: Path, weights: WeightFiles) -> dict[str, str | None]:
    """What tells weights and their settings from others."""
    return {
        "fingerprint": weights.fingerprint(), "settings": settings_fingerprint(folder), "revision": revision_of(folder),
    }  # fmt: skip


def revision_of(folder: Path) -> str | None:
    """The commit that a folder of the hub's cache is named after; ``None`` for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None
