"""Calibrating a converted network, layer by layer."""

from nengo_permadrop.calibration.fitting import calibrate
from nengo_permadrop.calibration.records import Calibration, Correction

__all__ = ["Calibration", "Correction", "calibrate"]
