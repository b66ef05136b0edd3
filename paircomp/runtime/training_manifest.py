"""What a trained checkpoint says of its training: ``training.json`` beside its weights, written by the trainer."""

from __future__ import annotations

from pathlib import Path

from paircomp.errors import ConfigError
from paircomp.runtime.json_text import parse_json
from paircomp.runtime.packaged import packaged_folder

__all__ = ["TRAINING_MANIFEST", "trained_with_judge"]

TRAINING_MANIFEST = "training.json"


def trained_with_judge(checkpoint: str | None) -> str | None:
    """The judge whose score rewarded this checkpoint in training.

    Args:
        checkpoint: hub id or path; only a local folder (or a file in one) can hold a manifest.

    Returns:
        the judge's name; ``None`` where there is no manifest or it names none.

    Raises:
        ConfigError: the manifest cannot be read: a mark that cannot be read must not be taken for no mark.
    """
    if checkpoint is None:
        return None
    place = packaged_folder(checkpoint) or Path(checkpoint)
    file = (place if place.is_dir() else place.parent) / TRAINING_MANIFEST
    if not place.exists() or not file.is_file():
        return None
    try:
        said = parse_json(file.read_text(encoding="utf-8"))
        name = said.get("trained_with_judge")
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError([f"expected a JSON object, got {type(error).__name__}: {error}"], where=str(file)) from error
    if name is not None and not isinstance(name, str):
        raise ConfigError([f"trained_with_judge: expected a judge's name or null, got {name!r}"], where=str(file))
    return name
