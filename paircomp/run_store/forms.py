"""The form of a run's files, which anybody may have sent: what readers rely on is looked at when a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from paircomp.errors import RunError
from paircomp.runtime.json_schema import schema_faults

__all__ = ["IDENTITY_FORM", "PAIR_FORM", "RUN_FORM", "refuse_other_form"]

_MOST_SHOWN = 5
_TEXT: Final = {"type": "string", "pattern": r"^[^\x00]*$"}
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": r"^[^\x00]*$"}
_NAME_OR_NONE: Final = {"oneOf": [{"type": "null"}, _NAME]}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 10_000_000}

_MOMENT: Final = r"^[12]\d{3}-[01]\d-[0-3]\dT[0-2]\d(:[0-5]\d){2}([+-][01]\d:[0-5]\d|Z)?$"

_SELECTION: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["limit", "subtasks"],
    "properties": {
        "limit": {"oneOf": [{"type": "null"}, {**_COUNT, "minimum": 1}]},
        "subtasks": {"oneOf": [{"type": "null"}, {"type": "array", "items": _NAME}]},
    },
}

_INVOCATION: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["step", "started", "selection"],
    "properties": {
        "step": _NAME,
        "started": {
            "type": "string",
            "pattern": r"^[12]\d{3}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d([+-][01]\d:[0-5]\d|Z)?$",
        },
        "selection": _SELECTION,
        "judge": _NAME_OR_NONE,
        "device": _NAME_OR_NONE,
        "versions": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "machine": {"oneOf": [{"type": "null"}, {"type": "object"}]},
    },
}

#: ``run.json`` (schema ``paircomp-run/1``). Fields may be added; those that nobody reads are not looked at.
RUN_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["schema", "identity", "suite", "invocations"],
    "properties": {
        "identity": {
            "type": "object",
            "required": ["suite", "model", "adapter", "checkpoint", "revision", "recipe", "run_seed"],
            "properties": {
                "suite": {
                    "type": "object",
                    "required": ["name", "digest", "samples"],
                    "properties": {
                        "name": _NAME, "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                        "samples": {"type": "integer", "minimum": 1, "maximum": 1000},
                    },
                },
                "model": _NAME,
                "adapter": _NAME,
                "checkpoint": _NAME_OR_NONE,
                "revision": _NAME_OR_NONE,
                "recipe": {"type": "object"},
                "dtype": _NAME_OR_NONE,
                "run_seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63},
            },
        },
        "suite": {
            "type": "object",
            "required": ["default_judge", "held_out_judge", "prompts_public", "source"],
            "properties": {
                "pairs": _COUNT, "default_judge": _NAME_OR_NONE, "held_out_judge": _NAME_OR_NONE,
                "prompts_public": {"type": "boolean"}, "source": _TEXT,
            },
        },
        "images": _NAME_OR_NONE,
        "trained_with_judge": _NAME_OR_NONE,
        "invocations": {"type": "array", "items": _INVOCATION},
    },
}  # fmt: skip

#: One line of ``suite.jsonl``.
PAIR_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["pair_id", "subtask", "prompts"],
    "properties": {
        "pair_id": {"type": "string"},
        "subtask": {"type": "string", "minLength": 1},
        "prompts": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": "string"}},
        "metadata": {"type": "object"},
    },
}

#: ``judge.json`` and ``generator.json``.
IDENTITY_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["identity"],
    "properties": {"identity": {"type": "object"}},
}


def refuse_other_form(value: object, form: Mapping[str, Any], file: Path, *, what: str, remedy: str) -> None:
    """Hold what was read from `file` against its form.

    Args:
        value: the JSON value.
        form: a JSON Schema in the words of `paircomp.runtime.json_schema`.
        file: named in the message.
        what: what was expected there, for instance ``a run manifest``.
        remedy: the next step.

    Raises:
        RunError: it has another form; the first few faults are named.
    """
    if faults := schema_faults(value, form):
        shown = "; ".join(" ".join(fault.split()) for fault in faults[:_MOST_SHOWN])
        more = f"; and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
        raise RunError(file, f"not {what} (damaged): {shown}{more}; next: {remedy}")
