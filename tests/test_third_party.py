"""A package of somebody else adds units by entry points, without touching ours."""

import os
import subprocess
import sys
from textwrap import dedent

CODE = """
import contextlib

import nengo
import numpy as np
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.backends import Backend
from nengo_permadrop.datasets.base import Split, random_parts, standardised
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.neurons import register_spiking
from nengo_permadrop.neurons.activations import ActivationNeurons
from nengo_permadrop.sources.base import Source
from nengo_permadrop.targets.base import Target


class Matrices(Source):
    name, title = "matrices", "the matrices"

    def takes(self, model):
        return isinstance(model, list)

    def read(self, model):
        writer = GraphWriter()
        value = writer.input("x", model[0].shape[1:])
        for i, matrix in enumerate(model):
            named = f"layer{i}", "matrix"
            value = writer.affine(*named, [value], [matrix], matrix.shape[:1])
            if i < len(model) - 1:
                value = writer.activation(*named, value, "relu_above", threshold=0.1)
                value = writer.drop(*named, value, rate=0.5, when="always")
        writer.output("y", value)
        return writer.graph


def doubled(writer, call, value):
    matrix = 2 * np.eye(writer.size(value))
    return writer.affine(*call.named, [value], [matrix], writer.shape(value))


def relu_above(rate, threshold):
    return ActivationNeurons(
        neuron_type=nengo.RectifiedLinear(amplitude=1 / rate),
        gain=rate,
        bias=-rate * threshold,
        scale=1.0,
        scalable=True,
    )


class Sums(Backend):
    name, target = "sums", "slow"

    def version(self):
        return "1.0"

    @contextlib.contextmanager
    def session(self, problem):
        yield lambda replicas: (replicas.mask_seeds % 7).astype(float)[:, np.newaxis]


class Slow(Target):
    name = "slow"
    default_synapse = nengo.Lowpass(0.02)

    def check_synapse(self, synapse):
        if synapse != self.default_synapse:
            raise ValidationError("has Lowpass(0.02) only", attr="synapse")


@register_spiking(nengo.RectifiedLinear, target="slow")
def slow_twin(neuron_type):
    return npd.spiking(neuron_type)


def parabola(seed=0, n_rows=30):
    x = np.random.RandomState(seed).uniform(-1, 1, size=(n_rows, 1))
    rows = Split({"input": x}, x**2, {"Row": np.arange(n_rows)})
    parts = random_parts(n_rows, 5, 5, np.random.RandomState(seed))
    return standardised("parabola", rows, parts, "y", "made here")
"""

ENTRY_POINTS = """
[nengo_permadrop.sources]
matrices = other_package:Matrices
[nengo_permadrop.keras_layers]
Doubled = other_package:doubled
[nengo_permadrop.activations]
relu_above = other_package:relu_above
[nengo_permadrop.backends]
sums = other_package:Sums
[nengo_permadrop.targets]
slow = other_package:Slow
[nengo_permadrop.datasets]
parabola = other_package:parabola
"""

USE = """
import numpy as np
import nengo
import nengo_permadrop as npd
from nengo_permadrop import datasets
from nengo_permadrop.backends import backend_names

rng = np.random.RandomState(0)
model = [rng.randn(5, 3), rng.randn(2, 5)]
conv = npd.Converter(model, target="slow", scale_firing_rates=100)
assert conv.synapse == nengo.Lowpass(0.02), conv.synapse
assert isinstance(conv.all_ensembles[0].neuron_type, nengo.SpikingRectifiedLinear)
assert np.allclose(conv.all_ensembles[0].bias, -10), conv.all_ensembles[0].bias
assert len(npd.read_model(model).operations) == 4
X = rng.randn(4, 3)
samples = npd.sample(conv, X, n_draws=5, backend="sums", progress=False)
assert samples.values.shape == (5, 4, 1)
assert npd.sample(conv, X, n_draws=5, progress=False).values.std(axis=0).max() > 0
assert {"sums", "batched"} <= set(backend_names())
assert len(datasets.load("parabola").test) == 5

from nengo_permadrop.keras_layers import keras


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


kmodel = keras.Sequential([keras.Input((3,)), Doubled(), keras.layers.Dense(2)])
assert npd.Converter(kmodel).verify(X) < 1e-4
print("all found")
"""


def test_a_package_adds_units_by_entry_points(tmp_path):
    (tmp_path / "other_package.py").write_text(dedent(CODE))
    information = tmp_path / "other_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: other-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", USE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.strip() == "all found", done.stderr
