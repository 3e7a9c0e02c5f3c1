"""Permanent dropout in spiking neural networks, for the Nengo ecosystem."""

import importlib

from nengo_permadrop.dropout import builder  # registers the builders with Nengo
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.neurons.spiking_twins import spiking
from nengo_permadrop.version import version as __version__  # noqa: F401

__copyright__ = "2026, nengo-permadrop contributors"
__license__ = "GPLv2"

# Imported at first use, so that a network that only needs the transform and the neuron
# type starts as fast as Nengo alone.
_LAZY = {
    "AgreementWarning": "nengo_permadrop.converter.checks",
    "ConversionError": "nengo_permadrop.converter",
    "Converter": "nengo_permadrop.converter",
    "KSProbe": "nengo_permadrop.live.probes",
    "LiveDistribution": "nengo_permadrop.live.probes",
    "PredictiveSamples": "nengo_permadrop.samples.samples",
    "Simulator": "nengo_permadrop.batched",
    "audit": "nengo_permadrop.sampling.audit.auditing",
    "calibrate": "nengo_permadrop.calibration",
    "certify": "nengo_permadrop.sampling.certificate",
    "energy": "nengo_permadrop.accounting",
    "ks_agreement": "nengo_permadrop.metrics.comparison",
    "load_samples": "nengo_permadrop.samples.loading",
    "predict": "nengo_permadrop.study.prediction",
    "read_model": "nengo_permadrop.sources.registry",
    "sample": "nengo_permadrop.sampling.sampler",
    "tune": "nengo_permadrop.sampling.cheapest",
    "tune_window": "nengo_permadrop.sampling.tuning",
}

_LAZY_MODULES = {
    "datasets": "nengo_permadrop.datasets",
    "loihi": "nengo_permadrop.accounting.chip",
    "metrics": "nengo_permadrop.metrics",
    "models": "nengo_permadrop.models",
    "networks": "nengo_permadrop.dropout.networks",
    "plots": "nengo_permadrop.plots",
    "study": "nengo_permadrop.study",
}

__all__ = ["PermanentDropout", "SoftLIF", "builder", "spiking", *_LAZY, *_LAZY_MODULES]


def __getattr__(name):
    if name in _LAZY_MODULES:
        return importlib.import_module(_LAZY_MODULES[name])
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES})
