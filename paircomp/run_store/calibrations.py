"""A judge's calibration, kept in a run beside the judge's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paircomp.errors import RunError, RunMismatchError
from paircomp.run_store.addresses import storable
from paircomp.run_store.run import Run, differences
from paircomp.runtime.files import disk_faults, write_json
from paircomp.runtime.json_text import parse_json

__all__ = ["hold_against_run", "read_calibration", "store_calibration"]

_FILE = "calibration.json"


def hold_against_run(run: Run, judge: str, identity: Mapping[str, Any]) -> None:
    """Refuse a judge of another identity than the one that judged the run.

    Raises:
        RunError: the judge has not judged this run.
        RunMismatchError: it did, with other settings.
    """
    folder = run.judge(judge)
    if changed := differences(storable(folder.identity), storable(identity)):
        raise RunMismatchError(folder.path, changed)


def store_calibration(run: Run, judge: str, calibration: Mapping[str, Any]) -> None:
    """Write ``judges/<judge>/calibration.json``; the next report shows it.

    Raises:
        RunError: the judge has not judged this run, or the disk refuses.
        RunMismatchError: another judge of that name judged it.
    """
    hold_against_run(run, judge, calibration["judge"]["identity"])
    file = run.judge(judge).path / _FILE
    with disk_faults(file):
        write_json(file, dict(calibration))


def read_calibration(run: Run, judge: str) -> dict[str, Any] | None:
    """The stored calibration; ``None`` where there is none.

    Raises:
        RunError: the file is damaged, or speaks of a judge of another identity.
    """
    folder = run.judge(judge)
    file = folder.path / _FILE
    if not file.is_file():
        return None
    with disk_faults(file):
        try:
            said: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
            changed = differences(storable(folder.identity), storable(said["judge"]["identity"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(file, "not a calibration (damaged); next: paircomp calibrate, or delete it") from error
    if changed:
        raise RunError(file, f"the calibration of another judge ({changed[0][0]} differs); next: paircomp calibrate")
    return said
