"""
Whether samples agree with each other, and with what was observed.

`comparison` and `agreement` test two sets of samples against each other, by the exact
distribution in `ks`; `certificate` predicts how often such tests would reject, by
`differences` and `power`; `scores`, `coverage` and `recalibration` hold one set against
the targets. A new metric is a function of `.PredictiveSamples` and targets in one of
these modules, or in one of its own, that is named below.
"""

from nengo_permadrop.metrics.agreement import Agreement, Verdict
from nengo_permadrop.metrics.certificate import Certificate, certificate_of
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.metrics.coverage import (
    LEVELS,
    calibration_curve,
    coverage,
    highest_level,
    interval,
)
from nengo_permadrop.metrics.recalibration import Recalibration, recalibrate
from nengo_permadrop.metrics.scores import crps, nll, register_score, score

__all__ = [
    "LEVELS",
    "Agreement",
    "Certificate",
    "Recalibration",
    "Verdict",
    "calibration_curve",
    "certificate_of",
    "coverage",
    "crps",
    "highest_level",
    "interval",
    "ks_agreement",
    "nll",
    "recalibrate",
    "register_score",
    "score",
]
