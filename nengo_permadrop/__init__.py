"""Permanent dropout in spiking neural networks, for the Nengo ecosystem."""

import importlib

from nengo_permadrop import builder  # registers the builders with Nengo
from nengo_permadrop.neurons import SoftLIF, spiking
from nengo_permadrop.transforms import PermanentDropout
from nengo_permadrop.version import version as __version__  # noqa: F401

__copyright__ = "2026, nengo-permadrop contributors"
__license__ = "GPLv2"

# Imported at first use, so that a network that only needs the transform and the neuron
# type starts as fast as Nengo alone.
_LAZY = {
    "ConversionError": "nengo_permadrop.converter",
    "Converter": "nengo_permadrop.converter",
    "KSProbe": "nengo_permadrop.probes",
    "LiveDistribution": "nengo_permadrop.probes",
    "PredictiveSamples": "nengo_permadrop.samples",
    "Simulator": "nengo_permadrop.batched",
    "energy": "nengo_permadrop.accounting",
    "ks_agreement": "nengo_permadrop.stats",
    "load_samples": "nengo_permadrop.samples_io",
    "sample": "nengo_permadrop.sampler",
    "tune_window": "nengo_permadrop.tuning",
}

_LAZY_MODULES = ("loihi", "metrics", "networks")

__all__ = ["PermanentDropout", "SoftLIF", "builder", "spiking", *_LAZY, *_LAZY_MODULES]


def __getattr__(name):
    if name in _LAZY_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES})
