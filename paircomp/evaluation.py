"""Evaluating a model from Python: generate, judge and report in one call; `EvaluatedRun` is what comes of it.

The command line is a thin layer over this module. It is called ``evaluation`` because a module named ``evaluate`` would
take the place of the function ``paircomp.evaluate`` after its first import.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from paircomp.errors import ConfigError, MissingImagesError
from paircomp.evaluated_run import EvaluatedRun, load_run
from paircomp.model_choice import default_run_path, resolve_model, training_judge
from paircomp.pipeline import Progress, StepCount, generate_images, import_images, judge_held_out, judge_images
from paircomp.pipeline.judge import Arrival
from paircomp.pipeline.readiness import refuse_missing_judge, refuse_what_cannot_run
from paircomp.plugins import Registry
from paircomp.protocols import ImageGenerator, Judge, JudgeFactory
from paircomp.run_store import ImageIndex, Run, Selection
from paircomp.runtime.callables import CallableGenerator, callable_spec
from paircomp.runtime.capabilities import JUDGE_OPTIONS, build, check_options, effective_options, takes
from paircomp.runtime.feed import Pause
from paircomp.runtime.machine import resolve_device
from paircomp.runtime.shards import ALL, Shard
from paircomp.runtime.source_files import changed_code, code_digests
from paircomp.suites import checked_suite, load_suite
from paircomp.types import ImageKey, ModelSpec, Suite

__all__ = ["EvaluatedRun", "Evaluation", "default_run_path", "evaluate", "load_run", "resolve_model"]


@dataclass
class Evaluation:
    """One model (or folder of images), one suite, one judge: the three steps, each of which can be repeated.

    Attributes:
        registry: where names are looked up.
        suite: the pairs.
        judge: the judge's name; ``None`` where only images are to be drawn.
        spec: the model; ``None`` where the images already exist.
        images: the folder of existing images.
        name: what tables call the model; default the spec's name.
        judge_checkpoint: weights of the judge, where it takes any.
        judge_options: options of the judge's factory.
        seed: the run's seed.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        dtype: of the generator's weights; ``None`` leaves it to the adapter. The judge's is ``judge_options["dtype"]``.
        batch_size: largest batch; ``None`` is ``auto``.
        cross: ask about the pair's other prompt; ``None`` leaves it to the judge.
        selection: which pairs.
        out: the run folder.
        store: URL of a bucket for the images; ``None`` keeps them in the run folder.
        shard: which share of the work this process does.
        overlap: draw and judge at the same time; ``None`` does so where both fit on this machine.
        generator: a ready generator instead of one by name, for callables.
    """

    registry: Registry
    suite: Suite
    judge: str | None
    spec: ModelSpec | None = None
    images: Path | None = None
    name: str | None = None
    judge_checkpoint: str | None = None
    judge_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    dtype: str | None = None
    batch_size: int | None = None
    cross: bool | None = None
    selection: Selection = field(default_factory=Selection)
    out: Path | None = None
    store: str | None = None
    shard: Shard = ALL
    overlap: bool | None = None
    generator: ImageGenerator | None = None
    # Two threads that import the same large packages at once can fail, so parts are loaded one at a time.
    _loading: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def model_name(self) -> str:
        """What tables call the model."""
        if self.name:
            return self.name
        if self.spec is not None:
            return self.spec.name
        return (self.images.resolve().name if self.images else "") or "images"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.out or default_run_path(self.model_name, self.suite.name, self.seed)

    def check(self) -> None:
        """Find every fault that can be found before anything is loaded or written.

        Raises:
            ConfigError: options that the factories do not take.
            UnknownNameError: no such generator or judge.
            NotRunnableError: the model needs what this machine lacks.
            UnavailableError: the judge does.
        """
        self.selection.pairs(self.suite)
        if self.images is not None and not self.images.is_dir():
            raise MissingImagesError(self.images, "expected a folder of images named {pair}_{prompt}_{sample}.png, got "
                                     + ("a file" if self.images.exists() else "nothing"))  # fmt: skip
        if self.judge is not None:
            factory = self.registry.judge(self.judge)
            where = f"option -j of judge {self.judge!r}"
            check_options(factory, self.judge_options, where=where, also=JUDGE_OPTIONS)
            refuse_missing_judge(self.registry, self.judge)
        if self.spec is not None and self.generator is None:
            if not (self.path / "run.json").is_file():  # a run whose images are drawn is judged where that suits
                refuse_what_cannot_run(self.registry, self.spec, device=self.device)
            maker = self.registry.generator(self.spec.adapter)
            check_options(maker, self.spec.recipe, where=f"option -o of generator {self.spec.adapter!r}")

    def open_run(self) -> Run:
        """Make or resume the run folder.

        Raises:
            RunMismatchError: it was made with other settings.
        """
        said = self.spec.trained_with_judge if self.spec else None
        checkpoint = self.spec.checkpoint if self.spec else None
        trained = said or training_judge(self.registry, model=self.model_name, checkpoint=checkpoint)
        return Run.create(
            self.path, suite=self.suite, identity=self._identity(), trained_with_judge=trained,
            images=self.images.resolve() if self.images else None, store=self.store,
        )  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        if self.spec is None:
            folder = str(self.images.resolve()) if self.images else None
            return {"model": self.model_name, "adapter": "images", "checkpoint": folder, "revision": None,
                    "recipe": {}, "dtype": None, "run_seed": self.seed}  # fmt: skip
        recipe = dict(self.spec.recipe)
        if self.generator is None:
            recipe = effective_options(self.registry.generator(self.spec.adapter), recipe)
        spec = self.spec
        return {"model": self.model_name, "adapter": spec.adapter, "checkpoint": spec.checkpoint,
                "revision": spec.revision, "recipe": recipe, "dtype": self.dtype or spec.dtype,
                "run_seed": self.seed}  # fmt: skip

    def generate(
        self, run: Run, progress: Progress | None = None, *,
        settled: Callable[[ImageKey, Mapping[str, Any]], None] = lambda key, record: None,
    ) -> StepCount:  # fmt: skip
        """Draw what is missing, or take in the existing images.

        Args:
            run: where they go.
            progress: hears of each image.
            settled: called with each image that is drawn and its record.
        """
        if self.spec is None:
            begin = partial(self._begin, run, "import", device=None)
            return import_images(run, self.suite, self.selection, begin=begin, shard=self.shard, progress=progress)
        code = self._code()
        if progress is not None and (changed := changed_code(run.manifest["invocations"], code)):
            progress.say(f"{', '.join(changed)} changed since images of this run were drawn; those are kept; "
                         "next: another --out draws all of them anew")  # fmt: skip
        begin = partial(
            self._begin, run, "generate", device=resolve_device(self.device), **({"code": code} if code else {})
        )
        return generate_images(
            run, self.suite, self.open_generator, self.selection,
            who=self.spec.adapter, begin=begin, settled=settled, shard=self.shard, batch_size=self.batch_size,
            progress=progress,
        )  # fmt: skip

    def import_again(self, run: Run, progress: Progress | None = None) -> None:
        """Record anew what changed in the folder of images that `run` judges in place; nothing where it drew them.

        Only pairs that were taken in before are looked at.
        """
        if run.manifest.get("images") and run.images_folder.is_dir():
            for selection in sorted(run.selections(), key=str):
                import_images(run, self.suite, selection, shard=self.shard, progress=progress)

    def _code(self) -> dict[str, str]:
        """Digests of the user's own code that draws."""
        if self.spec is None or self.generator is not None:  # a function's code is part of its name
            return {}
        return code_digests(self.registry.generator(self.spec.adapter), self.spec.recipe)

    def _begin(self, run: Run, step: str, **said: Any) -> None:
        if not self.shard.whole:
            said["shard"] = str(self.shard)
        run.begin(step, selection=self.selection, **said)

    def open_generator(self) -> ImageGenerator:
        """Load the generator."""
        if self.generator is not None:
            return self.generator
        if self.spec is None:
            raise ConfigError(["no model to draw with"], where="generate")
        factory = self.registry.generator(self.spec.adapter)
        device = resolve_device(self.device)
        # An adapter of hub weights names a parameter for their revision; -o revision=... goes before the catalogue's.
        pinned = {"revision": self.spec.revision} if self.spec.revision and takes(factory, "revision") else {}
        dtype = self.dtype or self.spec.dtype
        with self._loading:
            generator: ImageGenerator = build(
                factory, f"generator {self.spec.adapter!r}", "generate",
                checkpoint=self.spec.checkpoint, device=device, dtype=dtype, **{**pinned, **self.spec.recipe},
            )  # fmt: skip
        return generator

    def open_judge(self) -> Judge:
        """Load the judge."""
        factory = self.registry.judge(self.judge_name)
        with self._loading:
            judge: Judge = build(
                factory, f"judge {self.judge_name!r}", "judge",
                checkpoint=self.judge_checkpoint, device=resolve_device(self.device), **self.judge_options,
            )  # fmt: skip
        return judge

    @property
    def judge_name(self) -> str:
        """The judge's name, or the suite's own judge.

        Raises:
            ConfigError: none was named and the suite has none.
        """
        return self.judge or default_judge(self.suite)

    def asks_cross(self) -> bool:
        """Whether the judge is asked about the other prompts of the pair too."""
        if self.cross is not None:
            return self.cross
        return bool(getattr(self.registry.judge(self.judge_name), "cross_by_default", False))

    def judge_run(
        self, run: Run, progress: Progress | None = None, *, images: ImageIndex | None = None,
        arriving: Iterable[Arrival | Pause] | None = None,
    ) -> StepCount:  # fmt: skip
        """Ask the judge what it has not been asked.

        Args:
            run: holds the images.
            progress: hears of each answer.
            images: what the generate step of this process left (`StepCount.images`), to save a second reading.
            arriving: images as a generate step that goes on now settles them.
        """
        name = self.judge_name
        identity = judge_identity(self.registry.judge(name), name, self.judge_checkpoint, self.judge_options)
        device = resolve_device(self.device)
        begin = partial(self._begin, run, "judge", device=device, judge=name)
        return judge_images(
            run, self.suite, self.open_judge, self.selection, name=name, identity=identity, cross=self.asks_cross(),
            begin=begin, images=images, arriving=arriving, shard=self.shard, batch_size=self.batch_size,
            progress=progress,
        )  # fmt: skip

    def judge_held_out(self, run: Run, progress: Progress | None = None) -> StepCount | None:
        """Ask the suite's held-out judge too, where the model was trained with a judge; what fails is told, not raised.

        Options and weights given for the judge are the other one's; this one runs as its name says.
        """

        def ask(name: str) -> StepCount:
            refuse_missing_judge(self.registry, name)
            return replace(self, judge=name, judge_checkpoint=None, judge_options={}).judge_run(run, progress)

        return judge_held_out(run, self.suite, self.judge_name, ask, progress)


def evaluate(  # noqa: PLR0913 - each one an option of the command, all but two keyword-only
    model: str | Callable[..., Any],
    suite: str | Path | Suite = "shapes",
    *,
    judge: str | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    subtasks: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    judge_options: Mapping[str, Any] | None = None,
    plugin_files: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> EvaluatedRun:
    """Generate, judge and report; run it again to resume.

    Args:
        model: a name of the catalogue, or a function ``(prompt)`` or ``(prompt, seed)`` that returns a Pillow image.
        suite: a suite by name, a file of pairs, or a `Suite`.
        judge: default the suite's own.
        out: the run folder; default ``runs/<model>--<suite>--seed<seed>``.
        limit: at most so many pairs, spread over the subtasks.
        subtasks: only these.
        seed: the run's seed.
        device: ``auto`` takes cuda, mps or cpu.
        batch_size: largest batch; default automatic.
        options: of the generator.
        judge_options: of the judge.
        plugin_files: Python files with further models, generators, judges or suites.
        progress: hears of each item.

    Raises:
        PairCompError: whatever stands in the way, in one line.

    Example:
        >>> evaluate("sketch", limit=12).report()["average"]["s_a"] > 0.5  # doctest: +SKIP
        True
    """
    from paircomp.steps import draw_and_judge

    registry = Registry([Path(file) for file in plugin_files])
    pairs = checked_suite(suite) if isinstance(suite, Suite) else load_suite(registry, str(suite))
    generator: ImageGenerator | None = None
    if callable(model):
        spec = callable_spec(model)
        generator = CallableGenerator(model)
    else:
        spec = resolve_model(registry, model=model, options=options)
    evaluation = Evaluation(
        registry=registry, suite=pairs, judge=judge or default_judge(pairs), spec=spec, generator=generator, seed=seed,
        device=device, batch_size=batch_size, judge_options=judge_options or {},
        selection=Selection(limit, tuple(subtasks) if subtasks else None), out=Path(out) if out else None,
    )  # fmt: skip
    evaluation.check()
    run = evaluation.open_run()
    draw_and_judge(evaluation, run, progress)
    evaluation.judge_held_out(run, progress)
    return EvaluatedRun(run, pairs, evaluation.selection)


def judge_identity(
    factory: JudgeFactory, name: str, checkpoint: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known of a judge's identity before it is loaded: name, weights, and the options its scores hang on.

    Where the factory says so, also the SHA-256 of files that its options name; one that cannot be read is told when the
    judge is loaded.
    """
    known: dict[str, Any] = {"name": name, "checkpoint": checkpoint, "options": effective_options(factory, options)}
    files = {option: _file_sha256(options.get(option)) for option in getattr(factory, "evidence", ())}
    evidence = {option: digest for option, digest in files.items() if digest is not None}
    return {**known, "evidence": evidence} if evidence else known


def _file_sha256(file: object) -> str | None:
    try:
        return hashlib.sha256(Path(str(file)).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def default_judge(suite: Suite) -> str:
    """The suite's own judge.

    Raises:
        ConfigError: it has none.
    """
    if suite.default_judge is None:
        raise ConfigError([f"suite {suite.name!r} names no judge; next: --judge NAME (list them: paircomp judges)"],
                          where="judge")  # fmt: skip
    return suite.default_judge
