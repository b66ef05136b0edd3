"""``internvl-tiny``: an InternVL of 1.8 million weights that judges pictures of the shapes world.

Its checkpoint lies beside this module and passes through everything that a large one does: the loader, the checked
tokenizer, the question, tiles, shared prefixes and the arithmetic of yes and no. Its weights are trained by
`paircomp.judges.internvl_tiny.training`; docs/internvl-tiny.md says how well. Importing this module loads no torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from paircomp.judges.internvl_variants import Variant
from paircomp.judges.yes_no import EXACT
from paircomp.runtime.capabilities import declares

if TYPE_CHECKING:
    from paircomp.judges.internvl import InternVLJudge

__all__ = ["CHECKPOINT", "internvl_tiny"]

#: The folder that ships with the package.
CHECKPOINT = Path(str(resources.files("paircomp.judges.internvl_tiny") / "checkpoint"))
#: Each picture is one tile: the world's pictures have the size of one, and larger ones are reduced to it.
_VARIANT = Variant("internvl-tiny", arithmetic=EXACT, most_tiles=1)
_TILES_AT_ONCE = 64


@declares(requires=("torch", "transformers"), cross_by_default=True)
def internvl_tiny(
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    tiles_at_once: int = _TILES_AT_ONCE,
) -> InternVLJudge:
    """A small InternVL for the embedded shapes world, question official, exact arithmetic; its weights ship with us.

    Args:
        checkpoint: a folder in place of the shipped one, for instance one that was trained anew.
        device: where the model runs.
        dtype: of the weights; default bfloat16 on accelerators, float32 on a CPU.
        tiles_at_once: pictures that go through the model together; changes memory and time only.
    """
    from paircomp.judges.internvl import open_internvl

    return open_internvl(
        _VARIANT, checkpoint=checkpoint or str(CHECKPOINT), device=device, dtype=dtype, tiles_at_once=tiles_at_once
    )
