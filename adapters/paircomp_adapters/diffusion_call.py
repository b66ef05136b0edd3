"""What a pipeline's call takes: our options under its names, its own defaults on record, what it ignores by name."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paircomp.errors import ConfigError, UnavailableError

__all__ = ["CallPlan", "instruction_digest", "plan_call"]

#: Our option, and what diffusers pipelines call it.
OPTION_NAMES: Mapping[str, str] = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "width": "width",
    "height": "height",
    "max_sequence_length": "max_sequence_length",
    "negative_prompt": "negative_prompt",
    "clean_caption": "clean_caption",
    "resolution_binning": "use_resolution_binning",
    "instruction": "complex_human_instruction",
}

# The request decides these, or they say nothing about the picture.
_OURS = {
    "self": "", "prompt": "it is the request's", "generator": "the seeds are the run's",
    "num_images_per_prompt": "the suite states how many images a prompt gets, and each has a seed of its own",
    "latents": "the noise is drawn from the request's seed", "output_type": "", "return_dict": "",
    "callback": "", "callback_steps": "", "callback_on_step_end": "", "callback_on_step_end_tensor_inputs": "",
}  # fmt: skip


@dataclass(frozen=True)
class CallPlan:
    """What every call of the pipeline is given.

    Attributes:
        arguments: passed as they are; the prompts and generators come on top.
        negative_prompt: repeated for every prompt of a batch; ``None`` leaves it to the pipeline.
        recorded: JSON values of all that shapes the picture, the pipeline's own defaults included.
        ignored: our options that this pipeline has no use for.
    """

    arguments: Mapping[str, Any]
    negative_prompt: str | None
    recorded: Mapping[str, Any]
    ignored: tuple[str, ...]


def plan_call(
    call: Callable[..., Any], options: Mapping[str, Any], further: Mapping[str, Any], *, who: str
) -> CallPlan:
    """Fit options to the signature of a pipeline's ``__call__``.

    Args:
        call: the pipeline.
        options: ours by our names; ``None`` leaves a value to the pipeline.
        further: any other arguments of the call by its own names.
        who: the pipeline's class, for messages.

    Raises:
        ConfigError: no text-to-image call, or `further` names what the call does not take or what is not the user's.
        UnavailableError: captions shall be cleaned and the packages for it are missing.
    """
    parameters = inspect.signature(call).parameters
    _refuse_faults(parameters, further, who)
    wanted = {name: value for name, value in options.items() if value is not None}
    ignored = [name for name in wanted if OPTION_NAMES[name] not in parameters]
    arguments = {OPTION_NAMES[name]: value for name, value in wanted.items() if name not in ignored}
    if "complex_human_instruction" in arguments:
        default = parameters["complex_human_instruction"].default
        arguments["complex_human_instruction"] = _instruction(arguments["complex_human_instruction"], default, who)
    arguments |= further
    recorded = {**_own_defaults(parameters), **arguments}
    _require_cleaning_packages(recorded, who)
    if "negative_prompt" in arguments and _has_no_negative_branch(recorded):
        ignored.append("negative_prompt")
    return CallPlan(
        arguments={name: value for name, value in arguments.items() if name != "negative_prompt"},
        negative_prompt=arguments.get("negative_prompt"),
        recorded={name: _as_json(name, value) for name, value in sorted(recorded.items())},
        ignored=tuple(ignored),
    )


def _refuse_faults(parameters: Mapping[str, inspect.Parameter], further: Mapping[str, Any], who: str) -> None:
    faults = []
    if "prompt" not in parameters or "generator" not in parameters:
        faults.append(f"{who} draws no pictures from prompts; expected a text-to-image pipeline")
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if required and name not in further and name not in _OURS:
            faults.append(f"{who} also needs {name}; next: -o 'call={{\"{name}\": ...}}'")
    faults += [_unfit(name, parameters, who) for name in further if name in _OURS or name not in parameters]
    if faults:
        raise ConfigError(faults, where="option -o of generator 'diffusers'")


def _unfit(name: str, parameters: Mapping[str, inspect.Parameter], who: str) -> str:
    if name in _OURS:
        return f"call.{name}: not an option here" + (f", {_OURS[name]}" if _OURS[name] else "")
    near = difflib.get_close_matches(name, parameters, n=1)
    takes = ", ".join(sorted(set(parameters) - set(_OURS)))
    return f"call.{name}: {who} does not take it" + (f", did you mean {near[0]}?" if near else f"; it takes {takes}")


def _own_defaults(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Defaults that are plain values: a later diffusers may have others, and then it is another recipe."""
    plain = (str, int, float, bool, list)
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in _OURS and isinstance(parameter.default, plain)
    }


def instruction_digest(lines: list[str]) -> str:
    """The digest by which a recipe pins the instruction that a pipeline puts before the prompt."""
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _instruction(wanted: str, default: object, who: str) -> list[str] | None:
    """``none`` switches it off, a digest demands the pipeline's own text, anything else is the text itself."""
    if wanted == "none":
        return None
    if not wanted.startswith("sha256:"):
        return wanted.splitlines()
    own = list(default) if isinstance(default, list) else []
    if instruction_digest(own) != wanted:
        raise ConfigError(
            [f"instruction: expected the text with digest {wanted}, but the installed {who} brings "
             f"{instruction_digest(own)}; next: install the diffusers version that docs/models.md names"],
            where="option -o of generator 'diffusers'",
        )  # fmt: skip
    return own


def _require_cleaning_packages(recorded: Mapping[str, Any], who: str) -> None:
    """Without them diffusers warns and only lowercases: another prompt than the recipe's."""
    if not recorded.get("clean_caption"):
        return
    missing = [name for name in ("bs4", "ftfy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"clean_caption of {who}", package=" and ".join(missing),
                               remedy="python -m pip install 'paircomp[diffusion]'")  # fmt: skip


def _has_no_negative_branch(recorded: Mapping[str, Any]) -> bool:
    """Models of distilled guidance look at a negative prompt only above a true guidance scale of 1."""
    scale = recorded.get("true_cfg_scale", recorded.get("guidance_scale"))
    return isinstance(scale, (int, float)) and scale <= 1


def _as_json(name: str, value: Any) -> Any:
    if name == "complex_human_instruction" and value:
        return instruction_digest(value)
    return value
