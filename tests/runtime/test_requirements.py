"""What a model needs and a machine lacks: said of machines that are described, not simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paircomp.runtime.machine import Accelerator, Machine
from paircomp.runtime.requirements import install_line, missing_for, missing_imports, weights_memory, weights_state
from paircomp.types import ModelSpec

GIB = 2**30


def machine(*accelerators: int, memory: int = 64, apple: bool = False) -> Machine:
    """A machine by its GiB."""
    gpus = tuple(Accelerator("GPU", size * GIB) for size in accelerators)
    return Machine("Linux x86_64", "3.11", 8, memory * GIB, gpus, apple)


def model(**given: Any) -> ModelSpec:
    wanted: dict[str, Any] = {"name": "m", "adapter": "diffusers", "checkpoint": "owner/name", "packages": ("torch",),
                              "memory": 20 * GIB, "download": 20 * 10**9}  # fmt: skip
    return ModelSpec(**{**wanted, **given})


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def torch_there() -> None:
    pytest.importorskip("torch", reason="needs the extra paircomp[models]")


def online() -> bool:
    return True


def offline() -> bool:
    return False


def cached(hub: Path, name: str, *, commit: str = "c0ffee", branch: str = "main") -> Path:
    """A snapshot as the hub's client lays it down."""
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit / "unet"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    (repository / "refs").mkdir()
    (repository / "refs" / branch).write_text(commit, encoding="utf-8")
    return repository


@pytest.mark.usefixtures("torch_there")
class TestMemory:
    @pytest.mark.parametrize(
        ("there", "lacks"),
        [
            (machine(80), None),
            (machine(16), "20.0 GiB of accelerator memory for its weights (there are 16.0 GiB; next: -o offload"),
            (machine(8, 24), None),
            (machine(), "an accelerator with more than 20.0 GiB (there is none; --device cpu insists"),
            (machine(memory=64, apple=True), None),
            (machine(memory=16, apple=True), "20.0 GiB of accelerator memory"),
        ],
        ids=["fits", "too small", "the largest counts", "none", "apple", "small apple"],
    )  # fmt: skip
    def test_weights_must_fit(self, there: Machine, lacks: str | None) -> None:
        said = missing_for(model(), there, online=online)

        assert said == [] if lacks is None else lacks in said[0]

    def test_offload_and_a_device_map_need_less_of_one_device(self) -> None:
        assert missing_for(model(recipe={"offload": "model"}), machine(16), online=online) == []
        assert missing_for(model(recipe={"device_map": "balanced"}), machine(12, 12), online=online) == []
        assert missing_for(model(recipe={"device_map": "balanced"}), machine(8, 8), online=online)

    def test_the_cpu_is_taken_where_it_is_asked_for_and_holds_the_weights(self) -> None:
        assert missing_for(model(), machine(), device="cpu", online=online) == []
        (said,) = missing_for(model(), machine(memory=8), device="cpu", online=online)
        assert said == "20.0 GiB of main memory for its weights (this machine has 8.0 GiB)"

    def test_small_and_unknown_models_are_worth_a_try_anywhere(self) -> None:
        assert missing_for(model(memory=GIB), machine(memory=4), online=online) == []
        assert missing_for(model(memory=None), machine(memory=4), online=online) == []

    def test_weights_of_unstated_size_are_two_bytes_each(self) -> None:
        assert weights_memory(model(memory=None, parameters=7 * 10**9)) == 14 * 10**9
        assert weights_memory(model(memory=5, parameters=7)) == 5
        assert weights_memory(model(memory=None)) is None


@pytest.mark.usefixtures("torch_there")
class TestWeights:
    def test_out_of_reach_names_size_and_page(self) -> None:
        (said,) = missing_for(model(), machine(80), online=offline)

        assert "the weights of 20.0 GB, which are not on this machine while the hub cannot be reached" in said
        assert "https://huggingface.co/owner/name" in said

    def test_in_the_cache_they_need_no_network(self, empty_cache: Path) -> None:
        cached(empty_cache, "owner/name")

        assert missing_for(model(), machine(80), online=offline) == []
        assert weights_state(model()) == "here"
        assert weights_state(model(revision="other")) == "20.0 GB to fetch"

    def test_a_fetch_that_broke_off_does_not_count(self, empty_cache: Path) -> None:
        repository = cached(empty_cache, "owner/name")
        (repository / "blobs").mkdir()
        (repository / "blobs" / "abc.incomplete").write_bytes(b"")

        assert weights_state(model()) == "20.0 GB to fetch"

    def test_a_gate_needs_a_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (said,) = missing_for(model(gated=True), machine(80), online=online)
        assert "accept it at https://huggingface.co/owner/name, then `hf auth login`" in said

        monkeypatch.setenv("HF_TOKEN", "any")
        assert missing_for(model(gated=True), machine(80), online=online) == []

    def test_the_disk_must_hold_them(self) -> None:
        (said,) = missing_for(model(download=10**18), machine(80), online=online)

        assert "1000000000.0 GB of disk for its weights" in said

    def test_a_folder_is_taken_as_it_is_and_must_exist(self, tmp_path: Path) -> None:
        assert missing_for(model(checkpoint=str(tmp_path)), machine(80), online=offline) == []
        (said,) = missing_for(model(checkpoint=str(tmp_path / "no")), machine(80), online=offline)
        assert "which does not exist" in said

    def test_without_asking_for_the_network_a_fetch_is_no_fault(self) -> None:
        assert missing_for(model(), machine(80)) == []


def test_everything_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = model(packages=("torch", "no_such_package"), environment=("SOME_KEY",), gated=True, setup="a program")

    said = " | ".join(missing_for(spec, machine(), online=offline))

    for part in ("a program", "SOME_KEY in the environment", "no_such_package", "an accelerator", "20.0 GB"):
        assert part in said


def test_never_published_says_what_can_be_done() -> None:
    (said,) = missing_for(model(published=False), machine(80))

    assert "never published" in said
    assert "--images DIR" in said


def test_a_retired_model_says_since_when_unless_another_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    spec = model(retired="2026-05-12", packages=())

    (said,) = missing_for(spec, machine())

    assert "2026-05-12" in said
    assert "--images DIR" in said
    assert missing_for(spec.overridden(options={"base_url": "http://127.0.0.1:1/v1"}), machine()) == []
    assert missing_for(spec.overridden(checkpoint="another"), machine()) == []
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert missing_for(spec, machine()) == []


def test_own_weights_and_options_lift_what_was_said_of_the_catalogues() -> None:
    spec = model(published=False, gated=True, revision="abc", setup="a program", recipe={"steps": 4})

    changed = spec.overridden(checkpoint="here", options={"program": "draw"})

    assert (changed.published, changed.gated, changed.revision, changed.memory, changed.download) == (
        True, False, None, None, None,
    )  # fmt: skip
    assert changed.setup == ""
    assert changed.recipe == {"steps": 4, "program": "draw"}
    assert spec.overridden() == spec


def test_a_server_of_ones_own_needs_no_key_of_the_service() -> None:
    spec = ModelSpec("m", "openai-images", packages=("json",), environment=("OPENAI_API_KEY",))

    assert missing_for(spec, machine()) == ["OPENAI_API_KEY in the environment"]
    assert missing_for(spec.overridden(options={"base_url": "http://127.0.0.1:1"}), machine()) == []


def test_pip_lines_name_the_extras_that_bring_the_packages() -> None:
    assert install_line(["torch", "bs4", "ftfy"]) == "python -m pip install 'paircomp[diffusion]'"
    assert install_line(["openai", "torch"]) == "python -m pip install 'paircomp[api,models]'"
    assert install_line(["other"]) == "python -m pip install other"
    assert missing_imports(["json", "no_such_package"]) == ["no_such_package"]
