"""Every judge that has a name can be asked for by it, and is documented."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from paircomp.judges import internvl_variants, qwen_vl_variants
from paircomp.runtime.capabilities import summary_of

ROOT = Path(__file__).resolve().parents[2]
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][
    "paircomp.judges"
]
NAMES = [*internvl_variants.VARIANTS, *internvl_variants.DECOMPOSED, *qwen_vl_variants.VARIANTS, "image-text-to-text"]


def test_every_variant_has_an_entry_point_of_its_name() -> None:
    assert {name: POINTS.get(name) for name in NAMES} == {
        name: f"paircomp.judges.{module}:{name.replace('.', '_').replace('-', '_')}"
        for name in NAMES
        for module in ["internvl_variants" if name.startswith("internvl") else "qwen_vl_variants"]
    }


@pytest.mark.parametrize("name", POINTS)
def test_every_judge_is_documented(name: str) -> None:
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]

    assert any(f"`{name}`" in page for page in pages)


def test_every_name_says_in_a_line_what_it_is() -> None:
    factories = {name: getattr(module, name) for module in (internvl_variants, qwen_vl_variants)
                 for name in module._FACTORIES}  # fmt: skip
    lines = [summary_of(factory) for factory in factories.values()]

    assert all(lines)
    assert len(set(lines)) == len(lines)
    assert all(factory.cross_by_default for factory in factories.values())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'internvl9'"):
        _ = internvl_variants.internvl9
