"""The pairs of `shapes-dev` whose pictures show two kinds of thing, as a suite file on standard output.

python benchmarks/ablation/crowded_suite.py > crowded.jsonl
focusdiff ablate --out DIR --suite crowded.jsonl --set prompts.source=shapes-crowded --arms vanilla,pair --seeds 3
"""

from __future__ import annotations

import json

from paircomp.shapes import Groups, Scene, Sign, parse_prompt
from paircomp.suites.shapes_suites import shapes_dev_suite


def is_crowded(scene: Scene) -> bool:
    """Whether two kinds of thing are shown."""
    return len(scene.groups) == 2 if isinstance(scene, Groups) else not isinstance(scene, Sign)


def main() -> None:
    """Print them, a pair a line."""
    for pair in shapes_dev_suite().pairs:
        if all(is_crowded(parse_prompt(prompt)) for prompt in pair.prompts):
            print(json.dumps({"pair_id": pair.pair_id, "subtask": pair.subtask, "prompts": pair.prompts}))


if __name__ == "__main__":
    main()
