"""The ``diffusers`` generator on tiny random pipelines of the real classes, built and saved here."""

from __future__ import annotations

import gc
import json
import shutil
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra paircomp[diffusion]")
pytest.importorskip("diffusers", reason="needs the extra paircomp[diffusion]")

from diffusers import DiffusionPipeline  # noqa: E402

from paircomp.cli import run as paircomp  # noqa: E402
from paircomp.errors import AdapterError, ConfigError, GenerationError, UnavailableError  # noqa: E402
from paircomp.protocols import ImageGenerator  # noqa: E402
from paircomp.runtime.capabilities import effective_options  # noqa: E402
from paircomp.testing import check_generator  # noqa: E402
from paircomp.types import Generated, GenerationRequest, ImageKey  # noqa: E402
from paircomp_adapters.diffusion import diffusers_pipeline  # noqa: E402
from paircomp_adapters.diffusion_call import instruction_digest  # noqa: E402
from tests.adapters import tiny_pipelines  # noqa: E402

# diffusers' schedulers hand tensors to numpy 2 in its older way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SMALL: dict[str, Any] = {"width": 32, "height": 32, "steps": 2}
EXTRA: dict[str, dict[str, Any]] = {
    "sd3": {"max_sequence_length": 32},
    "flux": {"max_sequence_length": 32},
    "sana": {"resolution_binning": False, "max_sequence_length": 64, "instruction": "none"},
    "pixart": {"resolution_binning": False},
}
FAMILIES = ("sd3", "flux", "sana", "pixart", "sdxl")
PROMPTS = ("a red cat", "a red car", "two RED cats")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each family, as `save_pretrained` writes it."""
    folders = {}
    for name in tiny_pipelines.PIPELINES:
        folders[name] = tmp_path_factory.mktemp(name)
        tiny_pipelines.build(name).save_pretrained(folders[name])
    return folders


def opened(saved: dict[str, Path], name: str, **options: Any) -> Any:
    return diffusers_pipeline(checkpoint=str(saved[name]), **{**SMALL, **EXTRA.get(name, {}), **options})


def requests(*prompts: str, seed: int = 7) -> list[GenerationRequest]:
    return [GenerationRequest(ImageKey(n, 0, 0), prompt, seed + n) for n, prompt in enumerate(prompts or PROMPTS)]


def pixels(answers: Any) -> list[Any]:
    return [np.asarray(answer.image).astype(int) for answer in answers]


def largest(one: list[Any], other: list[Any]) -> int:
    return max(int(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_the_contract(saved: dict[str, Path], name: str) -> None:
    checks = list(check_generator(lambda: opened(saved, name), prompts=PROMPTS))

    assert [str(check) for check in checks if check.passed is False] == []
    assert any("one by one" in check.name and check.passed for check in checks)


@pytest.mark.parametrize("name", FAMILIES)
def test_pictures_are_those_of_the_bare_pipeline_called_for_one_prompt(saved: dict[str, Path], name: str) -> None:
    """An independent reference: diffusers' own call with its own conversion to pictures."""
    generator = opened(saved, name)
    bare = DiffusionPipeline.from_pretrained(saved[name], dtype=torch.float32)
    bare.set_progress_bar_config(disable=True)
    arguments = dict(generator._plan.arguments)

    expected = [
        bare(prompt=r.prompt, generator=torch.Generator("cpu").manual_seed(r.seed), **arguments).images[0]
        for r in requests()
    ]

    drawn = pixels(generator.generate(requests()))
    assert largest(drawn, [np.asarray(picture).astype(int) for picture in expected]) <= 1
    assert largest(drawn[:1], drawn[1:2]) > 0


def test_one_letter_of_the_prompt_and_the_seed_both_show(saved: dict[str, Path]) -> None:
    generator = opened(saved, "sd3")
    cat, car = (pixels(generator.generate([GenerationRequest(ImageKey(0, 0, 0), prompt, 5)])) for prompt in PROMPTS[:2])
    other = pixels(generator.generate([GenerationRequest(ImageKey(0, 0, 0), PROMPTS[0], 6)]))

    assert largest(cat, car) > 10
    assert largest(cat, other) > 10


def test_sana_draws_several_samples_of_several_prompts_like_single_ones(saved: dict[str, Path]) -> None:
    """The case in which `num_images_per_prompt` of diffusers pairs prompts with each other's masks."""
    generator = opened(saved, "sana")
    asked = [
        GenerationRequest(ImageKey(n, 0, k), prompt, 10 * n + k)
        for n, prompt in enumerate(("a", "a much longer prompt with many words")) for k in range(2)
    ]  # fmt: skip

    together = pixels(generator.generate(asked))
    alone = [pixels(generator.generate([request]))[0] for request in asked]

    assert largest(together, alone) <= 2


def test_number_formats_run_and_are_on_record(saved: dict[str, Path]) -> None:
    for dtype in ("bfloat16", "float16"):
        generator = opened(saved, "pixart", dtype=dtype)
        assert generator.identity["dtype"] == dtype
        assert all(answer.image.size == (32, 32) for answer in generator.generate(requests("a cat")))
    with pytest.raises(ConfigError, match="float32, bfloat16, float16"):
        opened(saved, "pixart", dtype="int3")


# What is on record


def test_the_identity_holds_recipe_defaults_and_weights(saved: dict[str, Path]) -> None:
    identity = opened(saved, "sdxl", guidance=3.0).identity

    assert identity["pipeline"] == "StableDiffusionXLPipeline"
    assert identity["scheduler"] == "EulerDiscreteScheduler"
    assert identity["call"] == {
        "eta": 0.0, "guidance_rescale": 0.0, "guidance_scale": 3.0, "height": 32, "num_inference_steps": 2, "width": 32,
    }  # fmt: skip
    assert identity["weights"].startswith("fingerprint ")
    assert json.loads(json.dumps(identity)) == identity


def test_replaced_weights_are_another_identity(saved: dict[str, Path], tmp_path: Path) -> None:
    first = opened(saved, "sd15").identity
    pipeline = tiny_pipelines.build("sd15")
    with torch.no_grad():
        next(pipeline.unet.parameters()).add_(0.5)
    pipeline.save_pretrained(tmp_path)

    changed = diffusers_pipeline(checkpoint=str(tmp_path), **SMALL).identity

    assert changed["weights"] != first["weights"]
    assert {**changed, "weights": ""} == {**first, "weights": ""}


def test_another_schedule_is_another_identity(saved: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(saved["sd15"], tmp_path / "model")
    first = diffusers_pipeline(checkpoint=str(tmp_path / "model"), **SMALL).identity
    file = tmp_path / "model" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "beta_end": 0.02}))

    changed = diffusers_pipeline(checkpoint=str(tmp_path / "model"), **SMALL).identity

    (tmp_path / "model" / "notes.json").write_text("{}")
    assert changed["weights"] != first["weights"]
    assert diffusers_pipeline(checkpoint=str(tmp_path / "model"), **SMALL).identity == changed


def test_what_waits_where_is_not_part_of_the_recipe() -> None:
    stated = effective_options(diffusers_pipeline, {"steps": 4, "offload": "model"})

    assert stated["steps"] == 4
    assert not {"offload", "device_map", "vae_slicing"} & set(stated)
    assert "vae_tiling" in stated


def test_rewritten_prompts_are_recorded(saved: dict[str, Path]) -> None:
    answers = list(opened(saved, "pixart", clean_caption=True).generate(requests("two RED <b>cats</b>", "plain")))

    assert answers[0].prompt_sent is not None
    assert "red" in answers[0].prompt_sent
    assert "<b>" not in answers[0].prompt_sent
    assert answers[1].prompt_sent is None


def test_sanas_instruction_is_pinned_by_its_digest(saved: dict[str, Path]) -> None:
    with_own = opened(saved, "sana", instruction="sha256:48290080bb4fd4a2")
    without = opened(saved, "sana")
    of_mine = opened(saved, "sana", instruction="Draw this:\nplease")

    assert with_own.identity["call"]["complex_human_instruction"] == "sha256:48290080bb4fd4a2"
    assert without.identity["call"]["complex_human_instruction"] is None
    assert of_mine.identity["call"]["complex_human_instruction"] == instruction_digest(["Draw this:", "please"])
    one, other = (pixels(generator.generate(requests("a cat"))) for generator in (without, of_mine))
    assert largest(one, other) > 0
    with pytest.raises(ConfigError, match="expected the text with digest sha256:0000"):
        opened(saved, "sana", instruction="sha256:0000")


# Options


def test_ignored_options_are_named(saved: dict[str, Path]) -> None:
    with pytest.warns(UserWarning, match="StableDiffusionXLPipeline has no use for max_sequence_length, clean_caption"):
        generator = opened(saved, "sdxl", max_sequence_length=5, clean_caption=True)

    assert generator.identity["ignored"] == ["max_sequence_length", "clean_caption"]


def test_a_negative_prompt_without_a_negative_branch_is_ignored_by_name(saved: dict[str, Path]) -> None:
    with pytest.warns(UserWarning, match="no use for negative_prompt"):
        opened(saved, "flux", negative_prompt="blurry")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steered = opened(saved, "flux", negative_prompt="blurry", call={"true_cfg_scale": 4.0})
    assert steered.identity["call"]["true_cfg_scale"] == 4.0


@pytest.mark.parametrize("name", ["sd3", "sana", "pixart", "sdxl", "sd15"])
def test_a_negative_prompt_steers_every_image_of_a_batch(saved: dict[str, Path], name: str) -> None:
    plain = pixels(opened(saved, name).generate(requests()))
    steered = pixels(opened(saved, name, negative_prompt="purple").generate(requests()))

    assert all(int(np.abs(a - b).max()) > 0 for a, b in zip(plain, steered, strict=True))


def test_parts_can_be_left_out(saved: dict[str, Path]) -> None:
    generator = opened(saved, "sd3", without=["text_encoder_3", "tokenizer_3"])

    assert generator._pipeline.text_encoder_3 is None
    assert len(pixels(generator.generate(requests()))) == 3


def test_the_decoder_can_work_in_tiles_and_slices(saved: dict[str, Path]) -> None:
    plain = pixels(opened(saved, "sd3").generate(requests()))
    sliced = pixels(opened(saved, "sd3", vae_slicing=True).generate(requests()))
    tiled = opened(saved, "sd3", vae_tiling=True)

    assert largest(plain, sliced) <= 1
    assert tiled._pipeline.vae.use_tiling


def test_what_the_run_decides_is_no_option_of_the_call(saved: dict[str, Path]) -> None:
    with pytest.raises(ConfigError) as raised:
        opened(saved, "sdxl", call={"num_images_per_prompt": 4, "guidance_rescal": 0.5, "generator": 1})

    said = str(raised.value)
    assert "call.num_images_per_prompt: not an option here, the suite states how many" in said
    assert "did you mean guidance_rescale?" in said
    assert "call.generator: not an option here" in said


@pytest.mark.parametrize("options", [{"offload": "model"}, {"device_map": "balanced"}])
def test_offload_without_an_accelerator_says_so(saved: dict[str, Path], options: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError, match="an accelerator"):
        opened(saved, "sd15", **options)


def test_offload_and_device_map_exclude_each_other(saved: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        opened(saved, "sd15", device="cuda", offload="model", device_map="balanced")


def test_a_variant_that_the_folder_was_not_saved_in_is_let_go(saved: dict[str, Path]) -> None:
    """The catalogue's recipe with a folder of one's own: `--model sdxl --checkpoint FOLDER`."""
    assert len(pixels(opened(saved, "sdxl", variant="fp16").generate(requests()))) == 3


def test_a_variant_is_read_where_there_is_one(saved: dict[str, Path], tmp_path: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(saved["sd15"], dtype=torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")

    generator = diffusers_pipeline(checkpoint=str(tmp_path), variant="fp16", dtype="float16", **SMALL)

    assert generator.identity["dtype"] == "float16"


# What can go wrong


def test_no_checkpoint_no_folder_and_no_pipeline_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkpoint: needed"):
        diffusers_pipeline()
    with pytest.raises(AdapterError, match="no such folder and no hub id"):
        diffusers_pipeline(checkpoint=str(tmp_path / "absent"))
    with pytest.raises(AdapterError, match=r"no model_index\.json"):
        diffusers_pipeline(checkpoint=str(tmp_path))


def test_weights_out_of_reach_name_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="nobody/nothing, which is not available here"):
        diffusers_pipeline(checkpoint="nobody/nothing")


def test_a_missing_component_is_an_error_and_not_a_random_one(saved: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(saved["sd15"], tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "unet")

    with pytest.raises(AdapterError, match="cannot be loaded"):
        diffusers_pipeline(checkpoint=str(tmp_path / "copy"), **SMALL)


OWN_CODE = """from pathlib import Path

from diffusers import StableDiffusionPipeline

Path(__file__).with_name("was_run").touch()


class OwnPipeline(StableDiffusionPipeline):
    pass
"""


def test_code_of_a_checkpoint_runs_only_where_it_was_allowed_to(
    saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "checkpoint"
    shutil.copytree(saved["sd15"], folder)
    (folder / "own.py").write_text(OWN_CODE, encoding="utf-8")
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": ["own", "OwnPipeline"]}))

    with pytest.raises(AdapterError):
        diffusers_pipeline(checkpoint=str(folder), **SMALL)
    assert not list(tmp_path.rglob("was_run"))

    generator = diffusers_pipeline(checkpoint=str(folder), remote_code=True, **SMALL)
    assert list(tmp_path.rglob("was_run"))
    assert len(list(generator.generate(requests("a cat")))) == 1


def test_whether_code_may_run_is_in_the_recipe() -> None:
    assert effective_options(diffusers_pipeline, {})["remote_code"] is False
    assert effective_options(diffusers_pipeline, {"remote_code": True})["remote_code"] is True


def test_numbers_that_are_not_finite_are_unscored_with_the_reason(saved: dict[str, Path]) -> None:
    """float16 that overflows would be stored as a black picture and scored."""
    generator = opened(saved, "sdxl")
    with torch.no_grad():
        generator._pipeline.vae.decoder.conv_out.weight.fill_(float("inf"))

    answers = list(generator.generate(requests()))

    assert all(answer.image is None and "not finite" in answer.unscored for answer in answers)


def test_a_blackened_picture_of_a_safety_checker_is_a_refusal(saved: dict[str, Path], tmp_path: Path) -> None:
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPVisionConfig

    vision = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                              image_size=32, patch_size=16, projection_dim=8)  # fmt: skip
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision.to_dict(), projection_dim=8))
    checker.concept_embeds_weights.data.fill_(-2.0)  # every picture is closer to a concept than that
    pipeline = tiny_pipelines.build("sd15")
    pipeline.register_modules(safety_checker=checker, feature_extractor=CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}))  # fmt: skip
    generator = diffusers_pipeline(checkpoint=str(saved["sd15"]), **SMALL)
    generator._pipeline = pipeline
    pipeline.set_progress_bar_config(disable=True)

    answers = list(generator.generate(requests()))

    assert [answer.unscored for answer in answers] == ["refused: the pipeline's safety checker"] * 3


def test_a_pipeline_that_draws_something_else_is_named(saved: dict[str, Path]) -> None:
    generator = opened(saved, "sd15")
    generator._pipeline = FilmsInsteadOfPictures()

    with pytest.raises(GenerationError, match="FilmsInsteadOfPictures drew no images for 3 prompts"):
        list(generator.generate(requests()))


class FilmsInsteadOfPictures:
    """What a text-to-video pipeline answers, for the message alone."""

    def __call__(self, **arguments: Any) -> Any:
        return type("Films", (), {"frames": []})()


def test_close_frees_every_weight(saved: dict[str, Path]) -> None:
    generator = opened(saved, "sd3")
    held = weakref.ref(generator._pipeline.transformer)
    list(generator.generate(requests()))

    generator.close()
    gc.collect()

    assert held() is None


def test_a_first_answer_is_lazy_and_typed(saved: dict[str, Path]) -> None:
    generator = opened(saved, "sd15")

    assert isinstance(generator, ImageGenerator)
    assert isinstance(next(iter(generator.generate(requests()))), Generated)
    assert list(generator.generate([])) == []


# Through the command line


def test_any_checkpoint_is_evaluated_from_the_command_line(
    saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--adapter", "diffusers", "--checkpoint", str(saved["sd15"]), "-o", "width=32", "-o",
               "height=32", "-o", "steps=1", "--suite", "shapes", "--limit", "6", "--batch-size", "5",
               "--json"]  # fmt: skip

    assert paircomp(command) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["coverage"]["scored"] == 24
    (run,) = (tmp_path / "runs").iterdir()
    identity = json.loads((run / "run.json").read_text(encoding="utf-8"))["identity"]
    assert identity["recipe"]["steps"] == 1


def test_a_model_of_the_catalogue_draws_with_weights_of_ones_own(
    saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue's sizes and revision are not said of other weights; its recipe holds."""
    monkeypatch.chdir(tmp_path)
    command = ["generate", "--model", "sdxl", "--checkpoint", str(saved["sdxl"]), "-o", "width=32", "-o", "height=32",
               "-o", "steps=1", "--suite", "shapes", "--limit", "1"]  # fmt: skip

    assert paircomp(command) == 0

    (run,) = (tmp_path / "runs").iterdir()
    identity = json.loads((run / "run.json").read_text(encoding="utf-8"))["identity"]
    assert identity["dtype"] == "float16"
    assert identity["revision"] is None
    assert identity["recipe"]["guidance"] == 5.0
