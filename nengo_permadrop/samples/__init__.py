"""
Samples of predictive distributions: what every backend returns, and its files.

A new summary is a method of `PredictiveSamples`; a new file format is a module beside
`io`.
"""

from nengo_permadrop.samples.loading import load_samples
from nengo_permadrop.samples.samples import MASKS, PredictiveSamples

__all__ = ["MASKS", "PredictiveSamples", "load_samples"]
