"""Foreign files of every kind, spoilt at random: each is read or refused in a line, never met with a traceback."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

pytest.importorskip("openai", reason="needs the extra paircomp[api]")

#: Of each target: what the plain suite has time for. PAIRCOMP_FUZZ_EXAMPLES multiplies it.
EXAMPLES = {"suite": 150, "run": 12, "entry": 25, "bundle": 25, "server": 150, "image-server": 150, "picture": 100,
            "scores": 100}  # fmt: skip
#: What was found once is looked at always: a verification whose checks are null.
FOUND = b"\x08\x02\x00\x01\xd4\x01\x00\x01"
TIMES = int(os.environ.get("PAIRCOMP_FUZZ_EXAMPLES", "1"))


def test_every_target_is_driven() -> None:
    assert EXAMPLES.keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_foreign_bytes_are_read_or_refused_in_a_line(name: str) -> None:
    @settings(
        max_examples=EXAMPLES[name] * TIMES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.binary(min_size=4, max_size=64))
    @example(b"")
    @example(FOUND)
    def driven(data: bytes) -> None:
        TARGETS[name](data)

    driven()


@pytest.mark.parametrize("name", TARGETS)
def test_long_random_bytes_too(name: str) -> None:
    """Hypothesis favours small examples; these decide every choice at random."""
    random_bytes = random.Random(name)
    for _ in range(EXAMPLES[name] * TIMES):
        data = random_bytes.randbytes(48)
        try:
            TARGETS[name](data)
        except BaseException as error:
            error.add_note(f"target {name}, data {data!r}")
            raise
