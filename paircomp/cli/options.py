"""Options that several commands share, and what they become."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from paircomp.evaluation import Evaluation
    from paircomp.plugins import Registry
    from paircomp.runtime.shards import Shard

__all__ = [
    "common_options",
    "engine_options",
    "evaluation_of",
    "judge_options",
    "model_options",
    "registry_of",
    "shard_of",
    "shard_option",
    "store_option",
    "suite_options",
    "verbose_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])


def _complete(kind: Any) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from paircomp.plugins import Registry

        return [name for name in Registry().names(kind) if name.startswith(incomplete)]

    return names


class BatchSize(click.ParamType[int | None]):
    """A positive number, or ``auto``."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """``None`` stands for auto."""
        if value is None or value == "auto":
            return None
        text = str(value)
        if text.isascii() and text.isdecimal() and int(text) >= 1:  # isdigit alone takes superscripts
            return int(text)
        return self.fail(f"expected 'auto' or a whole number from 1, got {value!r}", param, ctx)


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


model_options = _together(
    click.option("--model", metavar="NAME", shell_complete=_complete("model"),
                 help="A model of the catalogue (paircomp models)."),
    click.option("--adapter", metavar="NAME", shell_complete=_complete("generator"),
                 help="Draw any checkpoint through this generator; --model then only names it."),
    click.option("--checkpoint", metavar="PATH|ID", help="Weights for --adapter, or in place of the model's own."),
    click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="Option of the generator."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the run."),
    click.option("--dtype", metavar="NAME", help="Number format of the model's weights; default its own."),
)  # fmt: skip

judge_options = _together(
    click.option("--judge", metavar="NAME", shell_complete=_complete("judge"),
                 help="Who scores the images; default the suite's own judge."),
    click.option("--judge-checkpoint", metavar="PATH|ID", help="Weights of the judge, in place of its own."),
    click.option("-j", "--judge-option", "judge_options", multiple=True, metavar="KEY=VALUE",
                 help="Option of the judge; dtype=NAME: format of its weights."),
    click.option("--cross/--no-cross", default=None,
                 help="Also ask about the pair's other prompt (contrast); default where that is nearly free."),
)  # fmt: skip

suite_options = _together(
    click.option("--suite", metavar="NAME|FILE", shell_complete=_complete("suite"),
                 help="A suite (paircomp suites) or a JSON or JSONL file of pairs; default the model's own."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N",
                 help="Only N pairs, spread over the subtasks; a larger N later continues."),
    click.option("--subtask", "subtasks", multiple=True, metavar="NAME", help="Only this subtask; may be repeated."),
)  # fmt: skip

common_options = _together(
    click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto takes cuda, mps or cpu."),
    click.option("--batch-size", type=BatchSize(), default=None, help="Largest batch.  [default: auto]"),
    click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
                 help="A Python file with more models, generators, judges or suites."),
    click.option("-v", "--verbose", is_flag=True, help="Say more, and show where an error came from."),
)  # fmt: skip


shard_option = click.option(
    "--shard", metavar="I/N|auto",
    help="Do share I of N (from 0 to N - 1); other processes on the same run do the others. auto takes it from a SLURM "
         "job array or a launcher; under torchrun, accelerate launch and srun the launcher's is the default.",
)  # fmt: skip


store_option = click.option(
    "--store", metavar="URL", help="A bucket for the images, such as s3://bucket/run; default the run folder.",
)  # fmt: skip

engine_options = _together(
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                 help="local is this process; ray spreads the work over actors (pip install 'paircomp[ray]')."),
    click.option("--generators", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
                 help="Generator actors of --engine ray."),
    click.option("--judges", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
                 help="Judge actors of --engine ray."),
    click.option("--generator-gpus", type=click.FloatRange(min=0), metavar="X",
                 help="GPUs of each generator actor, also parts of one; default 1 where it uses torch."),
    click.option("--judge-gpus", type=click.FloatRange(min=0), metavar="X", help="GPUs of each judge actor, likewise."),
    click.option("--actor-cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="X",
                 help="CPUs of each actor."),
    click.option("--ray-address", metavar="ADDRESS",
                 help="An existing cluster; default RAY_ADDRESS, else a cluster of this machine alone."),
)  # fmt: skip


# The group reads it off the arguments when a command fails; the commands themselves need not.
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")


def registry_of(plugins: tuple[Path, ...]) -> Registry:
    """Where names are looked up; plugins that cannot be loaded are named on stderr at the end of the command."""
    from paircomp.plugins import Registry

    registry = Registry(plugins)
    click.get_current_context().call_on_close(functools.partial(_warn_of_broken, registry))
    return registry


def _warn_of_broken(registry: Registry) -> None:
    for broken in registry.broken:
        click.echo(f"Warning: {broken}", err=True)


def shard_of(text: str | None) -> Shard:
    """The share that ``--shard`` names, or that a launcher gave; where it was read from is told on stderr.

    Raises:
        ConfigError: it names no share, or there is nothing to read one from.
    """
    from paircomp.errors import ConfigError
    from paircomp.runtime.shards import ALL, launched_shard, parse_shard, scheduled_shard

    if text not in (None, "auto"):
        return parse_shard(text)
    array = scheduled_shard(os.environ) if text == "auto" else None
    found = array or launched_shard(os.environ)
    if found is None and text == "auto":
        raise ConfigError(["found neither SLURM_ARRAY_TASK_ID nor RANK and WORLD_SIZE in the environment; "
                           "next: --shard I/N"], where="--shard auto")  # fmt: skip
    if found is not None and not found.shard.whole:
        click.echo(f"shard {found.shard} (counted from 0), taken from {found.said}; --shard 0/1 does all", err=True)
    if text is None and int(os.environ.get("SLURM_ARRAY_TASK_COUNT", "1")) > 1:
        click.echo("Note: each task of this job array does all of the work; --shard auto divides it", err=True)
    return found.shard if found else ALL


def evaluation_of(given: dict[str, Any]) -> Evaluation:
    """What the options of `eval`, `generate` and `judge` ask for; checked, with nothing written yet.

    Args:
        given: the command's parameters by name.

    Raises:
        PairCompError: names and options that do not fit.
    """
    from paircomp.evaluation import Evaluation, default_judge, default_run_path, resolve_model
    from paircomp.pipeline.readiness import refuse_what_cannot_run
    from paircomp.run_store import Selection
    from paircomp.runtime.capabilities import parse_options
    from paircomp.suites import load_suite

    registry = registry_of(given.get("plugins", ()))
    images: Path | None = given.get("images")
    spec = None
    if images is None:
        options = parse_options(given["options"], where="option -o")
        spec = resolve_model(registry, model=given["model"], adapter=given["adapter"],
                             checkpoint=given["checkpoint"], options=options)  # fmt: skip
    suite_name = given["suite"] or (spec.suite if spec else None)
    if suite_name is None:
        raise click.UsageError("--images needs --suite: which prompts were these images drawn from?")
    if spec is not None and not (given["out"] or default_run_path(spec.name, suite_name, given["seed"])).is_dir():
        # Before the suite is read: one that must be fetched first would hide what else is missing.
        refuse_what_cannot_run(registry, spec, device=given["device"])
    suite = load_suite(registry, suite_name)
    judge = (given["judge"] or default_judge(suite)) if "judge" in given else None
    evaluation = Evaluation(
        registry=registry, suite=suite, judge=judge, spec=spec, images=images,
        name=given["model"], judge_checkpoint=given.get("judge_checkpoint"),
        judge_options=parse_options(given.get("judge_options", ()), where="option -j"), seed=given.get("seed", 0),
        device=given["device"], dtype=given.get("dtype"), batch_size=given["batch_size"], cross=given.get("cross"),
        selection=Selection(given["limit"], tuple(given["subtasks"]) or None), out=given["out"],
        shard=shard_of(given.get("shard")), overlap=given.get("overlap"), store=given.get("store"),
    )  # fmt: skip
    evaluation.check()
    return evaluation
