"""The page about scale shows what its simulation prints."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_scale", ROOT / "benchmarks" / "scale.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_simulation(scale: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    scale.print_table([scale.simulate(*each) for each in itertools.product(scale.KINDS, scale.SUITES, scale.GPUS)])

    assert capsys.readouterr().out in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_one_gpu_does_everything_one_after_the_other(scale: ModuleType) -> None:
    rates = scale.Rates(draw=2.0, judge=1.0, png=1, generator=10.0, judge_weights=20.0, link=1.0, store=1.0, start=5.0)

    found = scale.Cluster(1, rates).evaluate(2, 3)

    assert found == (2 * (10 + 5 + 12 * 2 + 20 + 5 + 12), 2 * 12 * 3, 2 * (10 + 5 + 20 + 5), 1, 1)


def test_loads_share_the_store_and_shares_their_model(scale: ModuleType) -> None:
    rates = scale.Rates(draw=1.0, judge=1.0, png=1, generator=10.0, judge_weights=0.0, link=10.0, store=1.0, start=0.0)

    found = scale.Cluster(4, rates).evaluate(1, 2)

    assert found.seconds == 4 * 10 + 2 + 2
    judges_wait = (40 - 12) + (40 - 22) + (40 - 32)  # behind the generators of the others
    assert found.loading == 10 + 20 + 30 + 40 + judges_wait
    assert (found.drawing_at_once, found.worked) == (1, 8 + 8)
