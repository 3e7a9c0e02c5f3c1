"""A model's values, computed from its graph alone, against Keras's own layers."""

from dataclasses import dataclass

import numpy as np
import pytest
from kmodels import combo, layers, observations
from nengo.exceptions import ValidationError
from scipy import sparse, special

from nengo_permadrop.graph.evaluation import affine, evaluate
from nengo_permadrop.graph.graph import Activation, Affine, Drop, Operation
from nengo_permadrop.graph.writer import GraphWriter
from nengo_permadrop.neurons.activations import activation_names
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras
from nengo_permadrop.sources.masks import forward_masks
from nengo_permadrop.sources.registry import read_model


def softlif(x, gain=2.0, gamma=0.02, tau_rc=0.02, tau_ref=0.002, amplitude=0.01, **_):
    j = gamma * np.logaddexp(0, gain * x / gamma)
    return amplitude / (tau_ref + tau_rc * np.log1p(1 / j))


def relu(x, max_value=np.inf, negative_slope=0.0):
    return np.where(x > 0, np.minimum(x, max_value), negative_slope * x)


def elu(x, alpha=1.0, scale=1.0):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


FUNCTIONS = {
    "elu": elu,
    "gelu": lambda x: x * special.ndtr(x),
    "hard_sigmoid": lambda x, slope: np.clip(slope * x + 0.5, 0, 1),
    "relu": relu,
    "selu": lambda x: elu(x, 1.6732632423543772, 1.0507009873554805),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softlif": softlif,
    "softplus": lambda x: np.logaddexp(0, x),
    "tanh": np.tanh,
}


def activate(operation, x):
    return FUNCTIONS[operation.kind](x, **operation.parameters)


def model_of(shape, build):
    keras.utils.set_random_seed(0)
    inp = keras.Input(shape, name="x")
    model = keras.Model(inp, build(inp))
    rng = np.random.RandomState(0)  # moving averages, too, are what matters
    model.set_weights(
        [w + rng.uniform(0.1, 0.5, size=w.shape) for w in model.get_weights()]
    )
    return model


def with_matrices(x):
    flat = layers.Flatten()(layers.BatchNormalization(axis=1)(x))
    a = SoftLIF(gamma=0.1)(layers.Dense(6)(PermanentDropout(0.4)(flat)))
    b = layers.Activation("tanh")(layers.Dense(6, use_bias=False)(flat))
    both = layers.Concatenate(axis=1)([layers.Reshape((3, 2))(y) for y in (a, b)])
    return layers.Dense(3, activation="sigmoid")(layers.Flatten()(both))


def with_sums(x):
    a = layers.ReLU()(layers.BatchNormalization()(layers.Dense(5)(x)))
    b = layers.Dropout(0.2)(layers.Dense(5, activation="sigmoid")(x))
    summed = PermanentDropout(0.5)(layers.Add()([a, b, layers.Dense(5)(x)]))
    return layers.BatchNormalization()(layers.Average()([summed, a, a]))


def with_activations(x):
    x = layers.PReLU()(layers.LeakyReLU(0.1)(layers.Dense(5)(x)))
    for name in ("elu", "selu", "gelu", "swish", "softplus", "hard_sigmoid"):
        x = layers.Dropout(0.1)(layers.Dense(5, activation=name)(x))
    x = layers.ELU(0.5)(layers.Dense(5)(x))
    outputs = layers.ReLU(0.5, 0.2)(layers.Dense(4)(x)), layers.Softmax()(x)
    return [outputs[0], outputs[1]]


def with_kinds_of_dropout(x):
    x = layers.AlphaDropout(0.3)(layers.Dense(24, activation="tanh")(x))
    x = layers.GaussianDropout(0.2)(layers.Dense(24, activation="relu")(x))
    x = layers.SpatialDropout1D(0.3)(layers.Reshape((8, 3))(x))
    x = layers.SpatialDropout2D(0.3)(layers.Reshape((2, 3, 4))(x))
    x = layers.SpatialDropout3D(0.3)(layers.Reshape((2, 2, 1, 6))(x))
    x = layers.Dropout(0.3, noise_shape=(None, 1, 2, 1, 6))(x)
    return layers.Dense(3)(layers.Flatten()(x))


MODELS = {
    "activations": lambda: model_of((4,), with_activations),
    "kinds of dropout": lambda: model_of((4,), with_kinds_of_dropout),
    "matrices": lambda: model_of((3, 4), with_matrices),
    "sums": lambda: model_of((4,), with_sums),
    "nested, shared, several inputs": combo,
}


@pytest.mark.parametrize("dropped", (False, True))
@pytest.mark.parametrize("name", MODELS)
def test_evaluates_to_keras_forward_pass(name, dropped):
    model = MODELS[name]()
    forward, graph = KerasForward(model), read_model(model)
    X = observations(model, 7)
    rng = np.random.RandomState(1)
    masks = None
    if dropped:
        masks = [rng.rand(7, n) >= rate for _, n, rate in forward.dropouts]
        if name == "kinds of dropout":
            keys = rng.randint(2**63, size=(len(masks), 7), dtype=np.uint64)
            masks = forward_masks(forward, lambda number: keys[number])
        paths = [operation.path for operation in graph.operations if is_drop(operation)]
        assert paths == [path for path, _, _ in forward.dropouts]

    left = iter(masks or ())

    def drop(operation, x):
        mask, p = next(left), operation.rate
        if operation.kind == "gaussian":
            return x * mask
        if operation.kind == "alpha":  # with Keras's constants
            s = -1.7580993408473766
            a = ((1 - p) * (1 + p * s**2)) ** -0.5
            return a * np.where(mask, x, s) - a * s * p
        return x * mask / (1 - p)

    values = evaluate(
        graph, [x.reshape(7, -1) for x in X], activate, drop if dropped else None
    )
    for index, expected in zip(graph.outputs.values(), forward(X, masks)):
        close = {"abs": 2e-6, "rel": 1e-6}
        assert values[index] == pytest.approx(expected.reshape(7, -1), **close)
    assert set(values) == set(range(len(graph.shapes)))


def is_drop(operation):
    return isinstance(operation, Drop)


def test_the_models_above_have_all_kinds_of_activations():
    models = [make() for make in MODELS.values()]
    graphs = [read_model(model) for model in models]
    kinds = {
        operation.kind
        for graph in graphs
        for operation in graph.operations
        if isinstance(operation, Activation)
    }
    assert kinds == set(FUNCTIONS)
    assert kinds >= set(activation_names()) - {"mish"}  # which Keras 2.12 hasn't


def test_what_is_seen_can_be_changed():
    writer = GraphWriter()
    x = writer.input("x", (2,))
    y = writer.affine("y", "Dense", [x], [2 * np.eye(2)], (2,))
    z = writer.affine("z", "Dense", [y], [None], (2,), constant=np.ones(2))
    writer.output("z", z)
    rows = np.arange(6.0).reshape(3, 2)
    seen = []

    def see(index, value):
        seen.append(index)
        return value + 100 if index == y else value

    values = evaluate(writer.graph, [rows], activate, seen=see)
    assert seen == [x, y, z]
    assert np.array_equal(values[z], 2 * rows + 101)


@pytest.mark.parametrize("kind", (np.asarray, sparse.csr_matrix))
def test_affine_maps_and_their_variances(kind):
    rng = np.random.RandomState(0)
    one, other = rng.randn(4, 3), rng.randn(4, 5)
    operation = Affine(
        path="d",
        label="Dense",
        inputs=(0, 1, 2),
        output=3,
        matrices=(kind(one), kind(other), None),
        constant=np.arange(4.0),
    )
    given = [rng.rand(6, n) for n in (3, 5, 4)]
    expected = given[0] @ one.T + given[1] @ other.T + given[2]
    assert affine(operation, given) == pytest.approx(expected + np.arange(4))
    expected = given[0] @ (one**2).T + given[1] @ (other**2).T + given[2]
    assert affine(operation, given, squared=True) == pytest.approx(expected)


def test_unknown_operations_are_named():
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Folded(Operation):
        pass

    writer = GraphWriter()
    x = writer.input("x", (2,))
    writer._add(Folded, "strange", "Fold", [x], (2,))
    with pytest.raises(ValidationError, match=r"layer 'strange' \(Fold\).*Folded"):
        evaluate(writer.graph, [np.ones((1, 2))], activate)


def test_batch_normalisation_says_what_it_has_seen():
    model = model_of(
        (2, 3), lambda x: layers.Flatten()(layers.BatchNormalization(axis=1)(x))
    )
    _, _, mean, variance = model.layers[1].get_weights()
    graph = read_model(model)
    ((value, (known_mean, known_std)),) = graph.statistics.items()
    assert value == graph.inputs["x"]
    assert known_mean == pytest.approx(np.repeat(mean, 3))
    assert known_std == pytest.approx(np.sqrt(np.repeat(variance, 3) + 1e-3))


def test_statistics_have_the_size_of_their_value():
    writer = GraphWriter()
    x = writer.input("x", (2, 3))
    writer.known(x, range(6), np.ones(6))
    mean, std = writer.graph.statistics[x]
    assert mean.dtype == float and std.shape == (6,)
    with pytest.raises(ValidationError, match=r"6 elements.*\(6,\) and \(3,\)"):
        writer.known(x, np.zeros(6), np.ones(3))
