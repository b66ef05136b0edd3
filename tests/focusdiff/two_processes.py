"""One of two processes that train together; the tests start it twice, as torchrun would, without an agent between."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from paircomp.errors import PairCompError
from tests.focusdiff.training_parts import Brightness, small_recipe, trained


def run(base: Path, asked: dict[str, Any]) -> None:
    breaks = asked.get("breaks", {}).get(os.environ["RANK"])
    reward = Brightness(stop_after=breaks) if breaks is not None else Brightness()
    trained(small_recipe(base, **asked["values"]), Path(asked["out"]), reward=reward)


def main() -> None:
    """``BASE TRAININGS``: a checkpoint, and a JSON list of what to train, one after another."""
    from torch import distributed

    distributed.init_process_group("gloo")
    for asked in json.loads(sys.argv[2]):
        told = Path(f"{asked['out']}.{os.environ['RANK']}")
        try:
            run(Path(sys.argv[1]), asked)
            told.write_text("done")
        except (PairCompError, ConnectionError) as error:
            told.write_text(f"{type(error).__name__}: {error}")
        except Exception:
            told.write_text(traceback.format_exc())
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
