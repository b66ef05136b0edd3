"""Drive a target with atheris, which looks for bytes that reach code not reached before.

    python -m tests.fuzz TARGET [-max_total_time=60] [CORPUS_FOLDER] [further options of libFuzzer]

It stops at the first fault and leaves the bytes that led there in a file ``crash-...``. Needs ``pip install atheris``.
"""

from __future__ import annotations

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["paircomp", "paircomp_adapters", "paircomp_leaderboard"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run one target until libFuzzer's options end it."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"python -m tests.fuzz TARGET, one of: {', '.join(TARGETS)}")
    warnings.simplefilter("error")
    target = TARGETS[sys.argv.pop(1)]
    target(b"")  # builds what the target spoils, once and before it is watched
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
