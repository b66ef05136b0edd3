"""The pairs of `shapes-dev` whose pictures show two kinds of thing, as a suite file on standard output.

python benchmarks/ablation/crowded_suite.py > crowded.jsonl
focusdiff ablate --out DIR --suite crowded.jsonl --set prompts.source=shapes-crowded --arms vanilla,pair --seeds 3
"""

from __future__ import annotations

import json
import sys

from paircomp.shapes import Groups, Scene, Sign, parse_prompt
from paircomp.suites.shapes_suites import shapes_dev_suite


def is_crowded(scene: Scene) -> bool:
    """Whether two kinds of thing are shown."""
    return len(scene.groups) == 2 if isinstance(scene, Groups) else not isinstance(scene, Sign)


def main() -> None:
    """Print them, a pair a line, and how many there are to standard error."""
    pairs = [pair for pair in shapes_dev_suite().pairs if all(map(is_crowded, map(parse_prompt, pair.prompts)))]
    for pair in pairs:
        print(json.dumps({"pair_id": pair.pair_id, "subtask": pair.subtask, "prompts": pair.prompts}))
    print(f"{len(pairs)} pairs", file=sys.stderr)


if __name__ == "__main__":
    main()
