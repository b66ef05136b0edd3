"""From nothing to a Janus that can be trained: weights that begin, an image tokenizer that is fitted, a folder."""

from __future__ import annotations

import logging
from pathlib import Path

from focusdiff.janus_tiny.image_tokens import fit_image_tokenizer
from focusdiff.janus_tiny.model import LENGTH, build_model
from focusdiff.janus_tiny.plans import ImageTokenizerPlan
from focusdiff.janus_tiny.tokens import write_processor
from paircomp.runtime.files import write_json
from paircomp.shapes.layout import SIDE

__all__ = ["begin_checkpoint"]

_LOG = logging.getLogger(__name__)
_FIT = "image_tokenizer.json"


def begin_checkpoint(folder: Path, *, seed: int, plan: ImageTokenizerPlan) -> None:
    """Write a checkpoint whose image tokenizer is fitted and whose language model knows nothing.

    What the fit came to is written last, as ``image_tokenizer.json``; a folder that has it is whole and left alone.

    Args:
        folder: made when absent.
        seed: of the first weights.
        plan: of the image tokenizer.
    """
    if (folder / _FIT).exists():
        return
    model = build_model(seed)
    fit = fit_image_tokenizer(model, plan)
    _LOG.info("image tokenizer: %s", fit)
    model.save_pretrained(folder)
    write_processor(folder, side=SIDE, image_tokens=LENGTH)
    write_json(folder / _FIT, fit)
