"""Whether a model can run here, asked before a suite is read and long before anything is written."""

from __future__ import annotations

from paircomp.errors import NotRunnableError, UnavailableError
from paircomp.plugins import Registry
from paircomp.runtime.capabilities import missing_packages
from paircomp.runtime.machine import this_machine
from paircomp.runtime.requirements import install_line, missing_for
from paircomp.runtime.weights import hub_reachable
from paircomp.types import ModelSpec

__all__ = ["refuse_missing_judge", "refuse_what_cannot_run", "runnable_models"]

_NAMED = 6


def refuse_what_cannot_run(registry: Registry, spec: ModelSpec, *, device: str = "auto") -> None:
    """Say everything that stands between `spec` and this machine at once, and what would run instead.

    Raises:
        NotRunnableError: something does.
    """
    if missing := missing_for(spec, this_machine(), device=device, online=hub_reachable):
        raise NotRunnableError(spec.name, missing=missing, instead=_instead(registry, spec))


def runnable_models(registry: Registry) -> list[ModelSpec]:
    """Models of the catalogue that this machine has everything for; those whose weights must be fetched count."""
    machine = this_machine()
    return [spec for spec in registry.models().values() if not missing_for(spec, machine)]


def _instead(registry: Registry, spec: ModelSpec) -> str:
    # Those that need no weights run in any case; without a network the others might not.
    others = [other for other in runnable_models(registry)
              if other.name != spec.name and (other.checkpoint is None or hub_reachable())]  # fmt: skip
    near = sorted(others, key=lambda other: (other.family != spec.family, other.name))
    names = ", ".join(other.name for other in near[:_NAMED])
    return f"{names + ', ' if names else ''}or images you have: paircomp eval --images DIR --suite {spec.suite}"


def refuse_missing_judge(registry: Registry, name: str) -> None:
    """Say which packages a judge lacks before images are drawn for it.

    Raises:
        UnavailableError: it lacks some.
    """
    if missing := missing_packages(registry.judge(name)):
        raise UnavailableError(f"judge {name!r}", package=", ".join(missing), remedy=install_line(missing))
