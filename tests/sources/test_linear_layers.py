"""Linear layers against Keras, over their options, in memory and from files."""

import itertools

import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import drawn_weights, saved
from test_file_reading import edited, marker, rows, same_graphs

import nengo_permadrop as npd
from nengo_permadrop.sources.forward import GraphForward
from nengo_permadrop.sources.keras.layers import keras
from nengo_permadrop.sources.registry import get_source

L = keras.layers
KERAS2 = keras.__version__.startswith("2.")
# TensorFlow's kernels for processors want the channels last
FORMATS = ["channels_last"]
if keras.backend.backend() == "jax":
    FORMATS.append("channels_first")


def shape(grid, channels, data_format="channels_last"):
    """Shape of a grid with channels."""
    first = data_format == "channels_first"
    return (channels, *grid) if first else (*grid, channels)


def convolutions():
    """(shape of input, layer) of convolutions, over their options."""
    for data_format in FORMATS:
        options = dict(data_format=data_format)
        x1, x2, x3 = (shape(grid, 4, data_format) for grid in ((9,), (7, 6), (4, 5, 3)))
        for padding, (strides, dilation) in itertools.product(
            ("valid", "same"), ((1, 1), (2, 1), (3, 1), (1, 2))
        ):
            steps = dict(
                strides=strides, dilation_rate=dilation, padding=padding, **options
            )
            yield x1, L.Conv1D(3, 3, **steps)
            yield x2, L.Conv2D(3, (3, 2), **steps)
            if strides == 1 or padding == "same":
                yield x3, L.Conv3D(2, (2, 3, 1), **steps)
            yield x2, L.DepthwiseConv2D(3, depth_multiplier=2, **steps)
            yield x1, L.DepthwiseConv1D(2, depth_multiplier=3, **steps)
            yield x1, L.SeparableConv1D(3, 3, depth_multiplier=2, **steps)
            yield x2, L.SeparableConv2D(3, 3, **steps)
        yield x2, L.Conv2D(3, 3, strides=(2, 1), use_bias=False, **options)
        yield x2, L.Conv2D(3, 2, dilation_rate=(1, 3), activation="relu", **options)
        yield x2, L.Conv2D(3, 8, padding="same", **options)  # wider than the input
        yield x2, L.Conv2D(6, 3, groups=2, padding="same", **options)
        yield x1, L.Conv1D(8, 3, groups=4, **options)
        yield x1, L.Conv1D(4, 2, groups=4, strides=2, activation="tanh", **options)
    for strides, dilation in ((1, 1), (2, 1), (1, 3)):
        steps = dict(strides=strides, dilation_rate=dilation)
        yield (9, 2), L.Conv1D(3, 3, padding="causal", **steps)
    yield (7, 6, 3), L.DepthwiseConv2D(2, use_bias=False, activation="relu")
    yield (7, 6, 3), L.SeparableConv2D(2, 2, use_bias=False, activation="relu")


def transposed():
    """(shape of input, layer) of transposed convolutions, over their options."""
    for data_format in FORMATS:
        options = dict(data_format=data_format)
        x1, x2, x3 = (shape(grid, 2, data_format) for grid in ((5,), (4, 3), (2, 3, 2)))
        for padding, strides, size in itertools.product(
            ("valid", "same"), (1, 2, 3), (1, 2, 3, 4)
        ):
            steps = dict(strides=strides, padding=padding, **options)
            yield x1, L.Conv1DTranspose(3, size, **steps)
        for padding in ("valid", "same"):
            steps = dict(padding=padding, **options)
            yield x2, L.Conv2DTranspose(3, (3, 2), strides=(2, 3), **steps)
            yield x3, L.Conv3DTranspose(2, 3, strides=2, **steps)
            yield x2, L.Conv2DTranspose(3, 3, dilation_rate=2, **steps)
            for extra in (0, 1):
                more = dict(strides=2, output_padding=extra, **steps)
                yield x2, L.Conv2DTranspose(3, 3, **more)
        yield x2, L.Conv2DTranspose(3, 3, activation="relu", use_bias=False, **options)


def pooling():
    """(shape of input, layer) of pooling by averages, over their options."""
    for data_format in FORMATS:
        options = dict(data_format=data_format)
        layers = zip(
            ((7,), (7, 5), (4, 3, 5)),
            (L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D),
            (
                L.GlobalAveragePooling1D,
                L.GlobalAveragePooling2D,
                L.GlobalAveragePooling3D,
            ),
        )
        for grid, local, everywhere in layers:
            x = shape(grid, 3, data_format)
            for padding, strides in itertools.product(("valid", "same"), (None, 1, 3)):
                yield x, local(2, strides=strides, padding=padding, **options)
            yield x, local(3, padding="same", **options)
            yield x, everywhere(**options)
            yield x, everywhere(keepdims=True, **options)
        x = shape((7, 5), 3, data_format)
        yield x, L.AveragePooling2D((3, 1), strides=(1, 2), **options)


def shapes():
    """(shape of input, layer) of layers that put elements elsewhere."""
    for data_format in ("channels_last", "channels_first"):
        options = dict(data_format=data_format)
        x2, x3 = (shape(grid, 2, data_format) for grid in ((4, 3), (3, 4, 2)))
        yield x2, L.ZeroPadding2D(((1, 2), (0, 3)), **options)
        yield x2, L.ZeroPadding2D((2, 1), **options)
        yield x3, L.ZeroPadding3D(((1, 2), (0, 1), (3, 0)), **options)
        yield x3, L.ZeroPadding3D(2, **options)
        yield x2, L.Cropping2D(((1, 2), (0, 1)), **options)
        yield x2, L.Cropping2D(1, **options)
        yield x3, L.Cropping3D(((1, 1), (0, 2), (1, 0)), **options)
        yield x2, L.UpSampling2D((3, 2), **options)
        yield x3, L.UpSampling3D((2, 1, 3), **options)
        yield x2, L.Flatten(**options)
        yield x3, L.Flatten(**options)
        yield (5,), L.Flatten(**options)
    yield (5, 2), L.ZeroPadding1D(2)
    yield (5, 2), L.ZeroPadding1D((1, 3))
    yield (5, 2), L.Cropping1D((1, 2))
    yield (5, 2), L.UpSampling1D(3)
    yield (5, 2), L.Permute((2, 1))
    yield (3, 4, 2), L.Permute((3, 1, 2))
    yield (4,), L.RepeatVector(3)
    yield (3, 4), L.Reshape((2, -1))
    yield (3, 4), L.ActivityRegularization(l2=0.1)
    if not KERAS2:
        yield (3, 4), L.Identity()


def steps():
    """(shape of input, layer) of layers that map each step in the same way."""
    yield (4,), L.Dense(3)
    yield (5, 4), L.Dense(3)
    yield (2, 3, 4), L.Dense(3, activation="relu")
    yield (2, 3, 4), L.Dense(3, use_bias=False)
    yield (5, 4), L.TimeDistributed(L.Dense(3))
    yield (5, 4), L.TimeDistributed(L.Dense(3, activation="relu", use_bias=False))
    yield (2, 3, 4), L.TimeDistributed(L.Dense(3))
    yield (2, 6, 5, 3), L.TimeDistributed(L.Conv2D(4, 3, padding="same"))
    yield (2, 6, 3), L.TimeDistributed(L.SeparableConv1D(4, 3))
    yield (2, 6, 5, 3), L.TimeDistributed(L.AveragePooling2D(2))
    yield (2, 6, 3), L.TimeDistributed(L.Flatten())
    yield (2, 6), L.TimeDistributed(L.BatchNormalization())
    yield (2, 6), L.TimeDistributed(L.Activation("relu"))


FAMILIES = {
    each.__name__: each for each in (convolutions, transposed, pooling, shapes, steps)
}


def model_of(cases, seed=0):
    """A model with an input and an output for each layer."""
    inputs, outputs = [], []
    for given, layer in cases:
        inputs.append(keras.Input(given))
        outputs.append(layer(inputs[-1]))
    return drawn_weights(keras.Model(inputs, outputs), seed)


def family(name, seed=0):
    """The model of a family of layers."""
    return model_of(FAMILIES[name](), seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_are_what_keras_computes(name):
    model = family(name)
    X = rows(model, 3)
    conv = npd.Converter(model, seed=0)
    assert len(conv.outputs) == len(model.outputs) > 10
    error = conv.verify(X)
    assert error < 1e-5
    for y in conv.model(X) if KERAS2 else conv.model(X, training=False):
        assert np.std(y) > 0.01
    # another model's answers aren't these
    other = get_source("keras").forward(family(name, seed=1))(X)
    own = get_source("keras").forward(model)(X)
    weighted = [
        np.abs(a - b).max() > 0.01
        for a, b, tensor in zip(own, other, model.outputs)
        if tensor._keras_history[0].weights
    ]
    assert all(weighted)


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_are_the_same_in_files(name, tmp_path):
    model = family(name)
    expected = npd.read_model(model)
    files = saved(model, tmp_path)
    for path, weights in (files[0], files[-2], files[-1]):
        same_graphs(npd.read_model(path, weights=weights), expected)
    if any(layer.weights for layer in model.layers):
        with pytest.raises(AssertionError):
            same_graphs(npd.read_model(family(name, seed=1)), expected)


def first(x):
    """An array with its channels before its grid."""
    return np.moveaxis(x, -1, 1)


@pytest.mark.parametrize("name", ("convolutions", "transposed", "pooling"))
def test_channels_first_are_channels_last_elsewhere(name):
    cases = [
        (given, layer)
        for given, layer in FAMILIES[name]()
        if layer.get_config()["data_format"] == "channels_last"
        and layer.get_config().get("padding") != "causal"
    ]
    assert len(cases) > 20
    model = model_of(cases)
    moved = model_of(
        (
            (given[-1], *given[:-1]),
            type(layer).from_config(
                {**layer.get_config(), "data_format": "channels_first"}
            ),
        )
        for given, layer in cases
    )
    moved.set_weights(model.get_weights())
    X = rows(model, 2)
    forward = GraphForward(npd.read_model(moved))
    found = forward([first(x) for x in X])
    expected = get_source("keras").forward(model)(X)
    for y, wanted in zip(found, expected, strict=True):
        wanted = np.asarray(wanted)
        assert y.shape == (first(wanted) if wanted.ndim > 2 else wanted).shape
        assert np.allclose(y, first(wanted) if wanted.ndim > 2 else wanted, atol=1e-4)


def image_network():
    """Dropout between, before and behind layers of all kinds."""
    x = inputs = keras.Input((6, 6, 2))
    x = L.Dropout(0.1)(x)
    x = L.Conv2D(4, 3, activation="relu", padding="same")(x)
    x = L.AveragePooling2D(2)(L.Dropout(0.2)(x))
    x = L.Dropout(0.2)(x)  # of averages, which aren't elements of one neuron
    x = L.DepthwiseConv2D(2)(L.ZeroPadding2D(1)(x))
    x = L.Dropout(0.3)(L.Activation("relu")(x))
    x = L.Conv2DTranspose(3, 2, strides=2, activation="relu")(x)
    x = L.Cropping2D(1)(L.Dropout(0.2)(L.UpSampling2D(2)(x)))
    x = L.Dropout(0.1)(L.Conv2D(4, 2, strides=2, activation="relu")(x))
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))


def test_dropout_around_convolutions_and_pools():
    model = drawn_weights(image_network())
    X = rows(model, 3)
    for seed in (0, 1):
        conv = npd.Converter(model, seed=seed)
        sizes = [dropout.size for dropout in conv.dropouts]
        assert sizes == [72, 144, 36, 64, 768, 7 * 7 * 4]
        assert conv.verify(X) < 1e-5
        assert all(0 < dropout.keep().mean() < 1 for dropout in conv.dropouts)
    samples = npd.sample(conv, X[0][:1], n_draws=2, progress=False)
    assert np.abs(np.diff(samples.values, axis=0)).min() > 0


def test_matrices_have_only_what_is_used():
    model = model_of(
        [
            ((9, 9, 2), L.Conv2D(4, 3)),
            ((9, 9, 8), L.Conv2D(4, 3, groups=4, padding="same")),
            ((9, 9, 8), L.DepthwiseConv2D(2, strides=2)),
            ((9, 9, 8), L.AveragePooling2D(2)),
            ((9, 8), L.Dense(3)),
        ]
    )
    found = [operation.matrices[0] for operation in npd.read_model(model).operations]
    # the edges of a padded image have 2 of 3 elements of a window on each axis
    expected = [7 * 7 * 9 * 2 * 4, 25 * 25 * 2 * 4, 16 * 4 * 8, 16 * 4 * 8, 9 * 8 * 3]
    assert [matrix.nnz for matrix in found] == expected
    assert all(matrix.format == "csr" for matrix in found)
    assert all(matrix.has_sorted_indices for matrix in found)
    assert [str(matrix.dtype) for matrix in found[:3]] == ["float32"] * 3


@pytest.mark.parametrize(
    "given, layer, found",
    [
        ((4, 4, 2), lambda: L.UpSampling2D(2, interpolation="bilinear"), "bilinear"),
        ((4, 4), lambda: L.TimeDistributed(L.Dropout(0.2)), "dropout layer by itself"),
        ((4, 4, 2), lambda: L.TimeDistributed(L.LSTM(2)), "LSTM"),
        pytest.param(
            (3, 20, 20, 2),
            lambda: L.Conv2D(2, 2),
            "takes a value of shape",
            marks=pytest.mark.skipif(
                not keras.__version__.startswith("2."),
                reason="Keras 3 refuses it itself",
            ),
        ),
        ((4,), lambda: L.RepeatVector(10**8), "more than"),
        ((512, 512, 1), lambda: L.Conv2D(8, 33), "connections, more than"),
    ],
)
def test_what_is_not_supported_is_named(given, layer, found):
    inputs = keras.Input(given)
    model = keras.Model(inputs, layer()(inputs))
    with pytest.raises(npd.ConversionError, match=found) as info:
        npd.read_model(model)
    assert "layer '" in str(info.value)


def test_time_distributed_class_of_others_is_refused(tmp_path, monkeypatch):
    ran = marker(monkeypatch, tmp_path)
    model = drawn_weights(
        keras.Sequential([keras.Input((3, 4)), L.TimeDistributed(L.Dense(2))])
    )

    def change(layers):
        layers[-1]["config"]["layer"].update(module="npd_marker")

    path = edited(saved(model, tmp_path)[-1][0], tmp_path / "edited.keras", change)
    with pytest.raises(npd.ConversionError, match="class of yours, 'Dense'"):
        npd.read_model(path)
    assert not ran.exists()
