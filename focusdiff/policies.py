"""Policies by name: the door through which a model family enters training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from paircomp.errors import ConfigError
from paircomp.plugins import Registry
from paircomp.runtime.capabilities import call_factory, check_options

if TYPE_CHECKING:
    from focusdiff.lora import AdapterReference, Adapters
    from paircomp.protocols import Policy

__all__ = ["Models", "load_policy"]


class Models(NamedTuple):
    """What a reinforcement-learning run holds.

    Attributes:
        policy: to be trained.
        reference: what it must not stray from; ``None`` only where beta is 0.
        adapters: what trains, where it is not the policy's weights.
    """

    policy: Policy
    reference: Policy | AdapterReference | None
    adapters: Adapters | None = None


def load_policy(
    name: str, checkpoint: str | None, *, options: Mapping[str, Any], device: str = "cpu", dtype: str | None = None
) -> Policy:
    """A policy with its weights.

    Args:
        name: of a policy (entry-point group ``paircomp.policies``).
        checkpoint: a folder or hub id.
        options: of its factory.
        device: where it runs.
        dtype: of the weights; the policy's own default when not given.

    Raises:
        ConfigError: no checkpoint, or options that do not fit.
        UnknownNameError: no such policy.
        AdapterError: it cannot be made.
    """
    factory = Registry().policy(name)
    check_options(factory, options, where=f"options of policy {name!r}")
    if not checkpoint:
        raise ConfigError([f"policy {name!r}: no checkpoint; next: --checkpoint FOLDER"], where="checkpoint")
    return call_factory(factory, f"policy {name!r}", checkpoint=checkpoint, device=device, dtype=dtype, **options)
