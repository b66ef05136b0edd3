"""What this machine is and what it can run, read without importing torch."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from paircomp.errors import UnavailableError
from paircomp.runtime.shards import local_rank

__all__ = ["Accelerator", "Machine", "gpus_seen", "package_versions", "resolve_device", "this_machine"]

_NVIDIA_SECONDS = 3.0
_RECORDED = ("paircomp", "numpy", "scipy", "pillow", "torch", "transformers", "diffusers", "openai")


@dataclass(frozen=True)
class Accelerator:
    """One GPU: its name and memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Machine:
    """Where a run happens.

    Attributes:
        system: operating system and processor.
        python: version.
        cores: usable ones.
        memory: bytes of main memory; ``None`` where the system does not tell.
        accelerators: GPUs that ``nvidia-smi`` or the platform names.
        apple: whether Apple's Metal can run here.
    """

    system: str
    python: str
    cores: int
    memory: int | None
    accelerators: tuple[Accelerator, ...]
    apple: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@functools.lru_cache(maxsize=1)
def this_machine() -> Machine:
    """Describe this machine; takes milliseconds, and at most a few seconds where ``nvidia-smi`` hangs."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1),
        memory=_memory(),
        accelerators=_nvidia(),
        apple=sys.platform == "darwin" and platform.machine() == "arm64",
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _nvidia() -> tuple[Accelerator, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        said = subprocess.run(  # noqa: S603 - a fixed command found on the PATH
            [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_NVIDIA_SECONDS, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = (line.rsplit(",", 1) for line in said.splitlines() if "," in line)
    return tuple(Accelerator(name.strip(), int(size) << 20) for name, size in rows if size.strip().isdigit())


def package_versions(names: Iterable[str] = _RECORDED) -> dict[str, str]:
    """Installed versions by distribution name; absent ones are left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def resolve_device(wanted: str) -> str:
    """``auto`` becomes cuda, mps or cpu, in that order; anything else is returned as it is.

    Of several GPUs, a process that torchrun, ``accelerate launch`` or srun started takes the one of its own
    number. torch is imported only where it is installed and could answer; a machine without it has only ``cpu``.

    Raises:
        UnavailableError: a named accelerator that is not there.
    """
    if wanted == "cpu":
        return wanted
    there = _torch_devices()
    if wanted == "auto":
        return _own_gpu() if there[0] == "cuda" else there[0]
    if wanted.split(":", maxsplit=1)[0] not in there:
        raise UnavailableError(f"device {wanted!r}", package=f"{wanted} (there is: {', '.join(there)})",
                               remedy="--device auto")  # fmt: skip
    return wanted


def gpus_seen() -> int:
    """How many GPUs torch can use here; 0 where there is no torch."""
    if "cuda" not in _torch_devices():
        return 0
    import torch

    return int(torch.cuda.device_count())


def _own_gpu() -> str:
    rank, count = local_rank(os.environ), gpus_seen()
    return "cuda" if rank is None or count < 2 else f"cuda:{rank % count}"


@functools.lru_cache(maxsize=1)
def _torch_devices() -> tuple[str, ...]:
    machine = this_machine()
    if importlib.util.find_spec("torch") is None or not (machine.accelerators or machine.apple):
        return ("cpu",)
    import torch

    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")
