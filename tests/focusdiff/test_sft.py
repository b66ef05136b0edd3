"""Supervised training of a small Janus: it learns, resumes to the bit, and refuses what it cannot do."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from focusdiff.examples import CleanPairs, open_examples
from focusdiff.recipe import PolicyRecipe
from focusdiff.recipe_reading import read_recipe
from focusdiff.sft_plan import SftPlan
from focusdiff.sft_recipe import ExamplesRecipe, SftRecipe, SftTrackingRecipe
from focusdiff.shapes_pairs import ShapesPairs
from paircomp.errors import ConfigError, RunError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PLAN = SftPlan(steps=6, examples=4, rate=1e-3, warm_up=2, optimiser="muon", prompt_dropout=0.3, ema=0.5)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A checkpoint of the real classes whose image tokenizer was hardly fitted: quick, and enough to train on."""
    from focusdiff.janus_tiny.building import begin_checkpoint
    from focusdiff.janus_tiny.plans import ImageTokenizerPlan, Stretch

    folder = tmp_path_factory.mktemp("begun")
    begin_checkpoint(folder, seed=0, plan=ImageTokenizerPlan(*[Stretch(1, 2, 1e-3)] * 4))
    return folder


def policy_of(folder):
    from focusdiff.policies import load_policy

    return load_policy("janus", str(folder), options={"guidance": 1.0}, dtype="float32")


def trained(begun, out, plan=PLAN, **options):
    from focusdiff.sft import train

    policy = policy_of(begun)
    train(policy, CleanPairs(0), plan, out, report_every=1, **options)
    return policy


def weights_of(policy):
    return {name: weight.detach().clone() for name, weight in policy.module.named_parameters()}


def test_the_rate_rises_stays_below_its_peak_and_falls_to_the_stated_share():
    plan = SftPlan(steps=100, examples=1, rate=1.0, warm_up=10, last_rate=0.1)
    assert [plan.rate_at(step) for step in (0, 9, 10)] == pytest.approx([0.1, 1.0, 1.0])
    assert plan.rate_at(55) == pytest.approx(0.55)
    assert plan.rate_at(100) == pytest.approx(0.1)


def test_the_loss_is_the_mean_over_examples_whatever_their_lengths(begun):
    from focusdiff.sft import _gradients

    policy, examples = policy_of(begun), CleanPairs(1)
    prompts, pictures = zip(*(examples.example(number) for number in range(0, 72, 9)), strict=True)
    assert len({len(prompt.split()) for prompt in prompts}) > 1
    plan = dataclasses.replace(PLAN, prompt_dropout=0.0)
    tokens = policy.encode(pictures)
    expected = -policy.plain_log_probs(prompts, tokens).mean()
    expected.backward()
    wanted = {name: weight.grad.clone() for name, weight in policy.module.named_parameters() if weight.grad is not None}
    policy.module.zero_grad()
    assert _gradients(policy, prompts, tokens, plan, 0) == pytest.approx(expected.item(), abs=1e-5)
    for name, weight in policy.module.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(weight.grad, wanted[name], atol=1e-5), name


def test_a_run_cut_between_checkpoints_continues_to_the_same_bits(begun, tmp_path):
    whole = weights_of(trained(begun, tmp_path / "whole", checkpoint_every=2))

    class KilledError(Exception):
        pass

    def kill(done):
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        trained(begun, tmp_path / "cut", checkpoint_every=2, evaluate=kill)
    continued = weights_of(trained(begun, tmp_path / "cut", checkpoint_every=2))
    assert all(torch.equal(whole[name], continued[name]) for name in whole)
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_averaged_weights_are_what_is_left_and_frozen_ones_stay(begun, tmp_path):
    before = weights_of(policy_of(begun))
    last = weights_of(trained(begun, tmp_path / "last", dataclasses.replace(PLAN, ema=0.0)))
    average = weights_of(trained(begun, tmp_path / "average"))
    name = "model.model.language_model.layers.0.mlp.up_proj.weight"
    assert (last[name] - before[name]).norm() > (average[name] - before[name]).norm() > 0
    frozen = [name for name in before if "vqmodel" in name or "vision_model" in name]
    assert frozen
    assert all(torch.equal(before[name], last[name]) for name in frozen)


def test_another_plan_in_the_same_folder_is_refused_by_field(begun, tmp_path):
    trained(begun, tmp_path, dataclasses.replace(PLAN, steps=1))
    with pytest.raises(RunError, match=r"rate 0.001 there, 0.5 given.*another --out"):
        trained(begun, tmp_path, dataclasses.replace(PLAN, steps=1, rate=0.5))


def test_a_loss_that_is_not_finite_stops_and_says_what_to_lower(begun, tmp_path):
    from focusdiff.sft import train

    policy = policy_of(begun)
    with torch.no_grad():
        policy.module.get_parameter("model.model.generation_head.vision_head.weight").fill_(math.nan)
    with pytest.raises(
        RunError, match=r"step 0: expected finite numbers, got loss nan.*lower training.rate than 0.001"
    ):
        train(policy, CleanPairs(0), PLAN, tmp_path)


def test_a_state_that_was_cut_off_is_named(begun, tmp_path):
    trained(begun, tmp_path, dataclasses.replace(PLAN, steps=1))
    file = tmp_path / "state.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"state.pt: cannot be read"):
        trained(begun, tmp_path, dataclasses.replace(PLAN, steps=1))


def test_clean_pairs_come_in_the_order_of_reinforcement_learning_and_repeat_when_told():
    drawn = ShapesPairs(5).draw(0, 6)
    examples = CleanPairs(5)
    assert [examples.example(number)[0] for number in range(12)] == [
        prompt for pair in drawn for prompt in pair.prompts
    ]
    repeated = CleanPairs(5, pairs=2)
    assert repeated.example(4)[0] == repeated.example(0)[0] != repeated.example(2)[0]


def test_clean_pairs_of_crowded_scenes_are_those_of_reinforcement_learning():
    (drawn,) = ShapesPairs(5, crowded=True).draw(0, 1)
    examples = open_examples(ExamplesRecipe("shapes-crowded", seed=5))
    assert (examples.example(0)[0], examples.example(1)[0]) == drawn.prompts


def test_a_source_that_is_neither_a_name_nor_a_path_is_refused():
    with pytest.raises(ConfigError, match=r"expected shapes-skewed, shapes, shapes-crowded, or a path, got 'nowhere'"):
        open_examples(ExamplesRecipe("nowhere"))


def test_the_shipped_recipe_reads_and_wrong_ones_name_all_their_faults(tmp_path):
    recipe = read_recipe(SftRecipe, "shapes", folder="sft")
    assert (recipe.start.model, recipe.run.threads, recipe.training.optimiser) == ("janus-tiny", 1, "muon")
    with pytest.raises(ConfigError) as raised:
        read_recipe(SftRecipe, "shapes", folder="sft", values={"training.stepz": 3, "training.rate": "high"})
    assert "stepz" in str(raised.value)
    assert "rate: expected a number" in str(raised.value)


def test_the_command_makes_a_checkpoint_that_its_generator_loads(tmp_path):
    from focusdiff.commands import run
    from paircomp_adapters.janus import janus

    tokenizer = [f"start.image_tokenizer.{name}.steps=1" for name in ("encoder", "sharpen", "decoder", "finish")]
    small = ["training.steps=2", "training.examples=2", "run.threads=1", *tokenizer]
    settings = [word for each in small for word in ("--set", each)]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    assert run(["sft", "--recipe", "shapes", "--out", str(tmp_path), "--device", "cpu", *settings]) == 0
    assert torch.get_num_threads() == 3  # the recipe's one is the run's alone
    torch.set_num_threads(threads)
    generator = janus(checkpoint=str(tmp_path / "model"), guidance=1.0)
    assert generator.identity["dtype"] == "float32"
    manifest = json.loads((tmp_path / "model" / "training.json").read_text())
    assert manifest["trained_with_judge"] is None
    assert manifest["recipe"]["training"]["steps"] == 2


def test_trackers_get_each_line_of_metrics_and_the_manifest_does_not_name_them(begun, tmp_path):
    from focusdiff.sft_run import run_sft
    from paircomp_adapters.janus import janus

    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = SftRecipe(
        ExamplesRecipe("shapes"), PLAN, PolicyRecipe("janus", checkpoint=str(begun), dtype="float32"),
        tracking=SftTrackingRecipe(trackers=("tensorboard",)),
    )  # fmt: skip
    model = run_sft(recipe, tmp_path)

    found = events.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [PLAN.steps]
    for name in ("loss", "gradient_norm", "rate"):
        assert [(each.step, each.value) for each in found.Scalars(name)] == [
            (line["step"], pytest.approx(line[name])) for line in lines
        ], name
    assert "tracking" not in json.loads((model / "training.json").read_text())["recipe"]
    assert janus(checkpoint=str(model)).identity["dtype"] == "float32"


def test_a_tracker_named_twice_is_refused():
    with pytest.raises(ConfigError, match=r"trackers: expected different names, got \['wandb', 'wandb'\]"):
        read_recipe(SftRecipe, "shapes", folder="sft", values={"tracking.trackers": ["wandb", "wandb"]})


def test_drawn_pictures_train_a_model_made_here_on_the_tokens_that_they_were_drawn_from(begun, tmp_path):
    from focusdiff.janus_tiny.image_tokens import PatchCodes
    from focusdiff.sft import train

    asked = []

    def encode(pictures):
        asked.extend(pictures)
        return PatchCodes().encode(pictures)

    examples = open_examples(ExamplesRecipe("shapes-skewed"))
    told, found = policy_of(begun), policy_of(begun)
    found.encode = PatchCodes().encode
    train(told, examples, PLAN, tmp_path / "told", encode=encode)
    train(found, examples, PLAN, tmp_path / "found")
    assert [len(asked), asked[0].size] == [PLAN.steps * PLAN.examples, (32, 32)]
    for name, weight in weights_of(told).items():
        assert torch.equal(weight, weights_of(found)[name]), name
