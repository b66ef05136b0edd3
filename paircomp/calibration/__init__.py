"""Can this judge be trusted? Its errors on images whose label is certain, and what moves its scores without reason.

`controls` draws the images, `asking` puts the questions, `measures` and `sensitivity` say how well it answers,
`agreement` holds two judges against each other, `calibrate` brings it all together (`docs/calibration.md`).
"""

from paircomp.calibration.calibrate import CALIBRATION_SCHEMA, calibrate
from paircomp.calibration.controls import Case, Probe, embedded_controls
from paircomp.calibration.labels import read_labels

__all__ = ["CALIBRATION_SCHEMA", "Case", "Probe", "calibrate", "embedded_controls", "read_labels"]
