"""Example reports as fixtures: `example("full")` builds one, `any_report` runs a test over all of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from paircomp.report.schema import Report

_SPEC = importlib.util.spec_from_file_location("report_examples", Path(__file__).with_name("examples.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
EXAMPLES: dict[str, Callable[[], dict[str, Any]]] = _MODULE.EXAMPLES


@pytest.fixture(params=sorted(EXAMPLES))
def any_report(request: pytest.FixtureRequest) -> Report:
    return cast(Report, EXAMPLES[request.param]())


@pytest.fixture
def example() -> Callable[[str], Report]:
    return lambda name: cast(Report, EXAMPLES[name]())


@pytest.fixture
def hostile_text() -> str:
    return cast(str, _MODULE.HOSTILE)
