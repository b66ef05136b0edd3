"""Which judges count as the one that trained a model."""

import pytest

from paircomp.scoring.training_judges import trained_on


@pytest.mark.parametrize(
    ("trained", "judge", "same"),
    [
        ("pixels", "pixels", True),
        (None, "pixels", False),
        ("internvl2.5-26b", "internvl2.5-26b-exact", True),
        ("internvl2.5-26b-448px", "internvl2.5-26b-reward", True),
        ("internvl2.5-26b", "internvl", True),
        ("internvl2.5-26b", "internvl-exact", True),
        ("internvl-decomposed", "internvl3.5-8b-exact", True),
        ("internvl2.5-26b", "internvl2.5-2b", False),
        ("internvl3-8b-exact", "internvl3.5-8b-exact", False),
        ("internvl", "internvl-tiny", False),
        ("internvl-tiny", "internvl2.5-26b", False),
        ("qwen2.5-vl-7b", "qwen2.5-vl-7b-edit", True),
        ("qwen3-vl-8b", "qwen-vl", True),
        ("qwen3-vl-8b", "internvl", False),
        ("internvl2.5-26b", "qwen3-vl-8b", False),
    ],
)
def test_judges_of_the_same_weights_count_as_one(trained: str | None, judge: str, same: bool) -> None:
    assert trained_on(trained, judge) is same
    if trained is not None:
        assert trained_on(judge, trained) is same
