"""Checkpoints that ship inside a package are named, not found by a path."""

from __future__ import annotations

import json
import sys

import pytest

from paircomp.errors import UnavailableError
from paircomp.runtime.checkpoints import checkpoint_folder
from paircomp.runtime.packaged import packaged_folder
from paircomp.runtime.requirements import weights_state
from paircomp.runtime.training_manifest import trained_with_judge
from paircomp.types import ModelSpec


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "some_package" / "weights" / "small"
    folder.mkdir(parents=True)
    (tmp_path / "some_package" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "training.json").write_text(json.dumps({"trained_with_judge": "pixels"}))
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_folder_is_found_without_importing_the_package(package):
    assert packaged_folder("package:some_package/weights/small") == package
    assert checkpoint_folder("package:some_package/weights/small", what="a model") == package
    assert "some_package" not in sys.modules


def test_its_mark_of_training_is_read_and_its_weights_count_as_here(package):
    assert trained_with_judge("package:some_package/weights/small") == "pixels"
    spec = ModelSpec("m", "janus", checkpoint="package:some_package/weights/small")
    assert weights_state(spec) == "here"


@pytest.mark.parametrize(
    "name", ["package:some_package/weights/none", "package:nowhere/x", "package:some_package/../x", "package:"]
)
def test_what_is_not_there_is_said(package, name):
    assert packaged_folder(name) is None
    with pytest.raises(UnavailableError, match="check the path"):
        checkpoint_folder(name, what="a model")
