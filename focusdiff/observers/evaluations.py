"""Evaluation in the loop: each checkpoint is drawn from and judged by the harness itself, as anybody would do it later.

What is evaluated is the checkpoint's own files, read by the generator of the policy's name: the model in training is
not touched, and no random stream is shared with it. One line per checkpoint and judge goes to ``evaluations.jsonl``;
the pictures stay in ``evaluations/000050``, a run folder like any other.
"""

from __future__ import annotations

import gc
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focusdiff.observers.silent import SilentObserver
from paircomp.errors import ConfigError, PairCompError
from paircomp.evaluation import EvaluatedRun, Evaluation
from paircomp.plugins import Registry
from paircomp.run_store import Selection
from paircomp.runtime.capabilities import takes
from paircomp.suites import load_suite
from paircomp.types import ModelSpec

if TYPE_CHECKING:
    from focusdiff.recipe import RLRecipe
    from paircomp.report.schema import Report
    from paircomp.types import Suite

__all__ = ["Evaluations"]

_LOG = logging.getLogger(__name__)
_SCHEMA = "focusdiff-evaluation/1"

#: Told of a finished evaluation: finished steps, and its numbers by name (``evaluation/pixels/s_g``).
Told = Callable[[int, Mapping[str, float]], None]


class Evaluations(SilentObserver):
    """Evaluates checkpoints.

    An evaluation that fails does not end the training: it is logged, noted in ``evaluations.jsonl``, and tried again
    when the run is taken up.

    Args:
        recipe: of the run.
        run: its folder.
        device: where pictures are drawn and judged.
        told: each is told of every finished evaluation.
        registry: where names are looked up.

    Raises:
        PairCompError: no such suite or judge, or options that do not fit, before anything starts.
    """

    def __init__(
        self, recipe: RLRecipe, run: Path, *, device: str, told: Sequence[Told] = (), registry: Registry | None = None
    ) -> None:
        self._recipe = recipe
        self._run = run
        self._device = device
        self._told = told
        self._registry = registry or Registry()
        self._suite: Suite = load_suite(self._registry, recipe.tracking.evaluate_suite)
        self._judges = recipe.tracking.evaluate_judges or _own_judge(self._suite)
        for judge in self._judges:
            self._evaluation(judge, recipe.policy.checkpoint, run / "evaluations").check()

    def on_checkpoint(self, step: int, folder: Path) -> None:
        """Evaluate the checkpoint where that is due and was not done before."""
        if step % self._recipe.tracking.evaluate_every and step != self._recipe.loop.steps:
            return
        done = {line["judge"] for line in self._lines() if line["step"] == step and self._same(line)}
        if not (left := [judge for judge in self._judges if judge not in done]):
            return
        place = self._run / "evaluations" / f"{step:06d}"
        shutil.rmtree(place, ignore_errors=True)  # what a killed evaluation left
        try:
            for judge, report in self._evaluated(left, folder / "model", place):
                self._note(step, judge, report)
        except (PairCompError, OSError) as error:  # a server that is gone, a full disk
            self._append({"step": step, "judge": None, "failed": str(error)})
            _LOG.warning("evaluation of step %d failed, training goes on: %s", step, error)
        finally:
            _free_memory()

    def _evaluated(self, judges: Sequence[str], model: Path, place: Path) -> Iterator[tuple[str, Report]]:
        evaluation = self._evaluation(judges[0], str(model.resolve()), place)
        run = evaluation.open_run()
        drawn = evaluation.generate(run)
        for judge in judges:
            asked = self._evaluation(judge, str(model.resolve()), place)
            asked.judge_run(run, images=drawn.images)
            yield judge, EvaluatedRun(run, self._suite, asked.selection).report(judge)

    def _evaluation(self, judge: str, checkpoint: str, place: Path) -> Evaluation:
        asked = self._recipe.tracking
        return Evaluation(
            registry=self._registry, suite=self._suite, judge=judge, spec=self._spec(checkpoint),
            seed=self._recipe.loop.seed, device=self._device, cross=False, out=place,
            selection=Selection(asked.evaluate_pairs or None),
        )  # fmt: skip

    def _spec(self, checkpoint: str) -> ModelSpec:
        """The checkpoint as a model: drawn as the policy draws, unless the recipe says otherwise."""
        policy = self._recipe.policy
        factory = self._registry.generator(policy.name)
        shared = {name: value for name, value in policy.options.items() if takes(factory, name)}
        return ModelSpec(
            name=self._run.name, adapter=policy.name, checkpoint=checkpoint, dtype=policy.dtype or None,
            recipe={**shared, **self._recipe.tracking.evaluate_options},
            trained_with_judge=self._recipe.reward.judge,
        )  # fmt: skip

    def _note(self, step: int, judge: str, report: Report) -> None:
        average, coverage = report["average"], report["coverage"]
        subtasks = {name: {key: each[key] for key in ("pairs", "s_a", "s_g", "gap")}
                    for name, each in report["subtasks"].items()}  # fmt: skip
        self._append({
            "step": step, "judge": judge, "held_out": judge != self._recipe.reward.judge,
            **{key: average[key] for key in ("s_a", "s_g", "gap", "full_pass", "ci")},
            "subtasks": subtasks, "scored": coverage["scored"], "images": coverage["images"],
        })  # fmt: skip
        numbers = {f"evaluation/{judge}/{name}": value for name in ("s_a", "s_g", "gap")
                   if (value := average[name]) is not None}  # fmt: skip
        for tell in self._told:
            tell(step, numbers)

    # The file

    def _asked(self) -> dict[str, Any]:
        """What a result depends on beside the checkpoint."""
        spec = self._spec("")
        return {"suite": self._suite.name, "pairs": self._recipe.tracking.evaluate_pairs or None,
                "options": dict(spec.recipe)}  # fmt: skip

    def _same(self, line: Mapping[str, Any]) -> bool:
        return line["asked"] == json.loads(json.dumps(self._asked())) and "failed" not in line

    def _append(self, line: Mapping[str, Any]) -> None:
        path = self._run / "evaluations.jsonl"
        torn = path.exists() and not path.read_bytes().endswith(b"\n")  # a kill cut the last line in half
        with path.open("a", encoding="utf-8") as file:
            file.write(
                "\n" * torn + json.dumps({"schema": _SCHEMA, **line, "asked": self._asked()}, allow_nan=False) + "\n"
            )

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Whole lines."""
        file = self._run / "evaluations.jsonl"
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _own_judge(suite: Suite) -> tuple[str, ...]:
    if suite.default_judge is None:
        said = f"evaluate_judges: expected at least one, suite {suite.name!r} names none of its own"
        raise ConfigError([said], where="tracking")
    return (suite.default_judge,)


def _free_memory() -> None:
    """Give back what the second model took before training goes on."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
