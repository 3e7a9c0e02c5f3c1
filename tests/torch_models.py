"""Thirty small PyTorch modules, and their twins in Keras with the same weights."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nengo_permadrop.sources.keras.layers import PermanentDropout, keras

layers = keras.layers
FIRST = {"data_format": "channels_first"}

# Layers of modules that are sequences of them: what they are in PyTorch, and in Keras.
# Those of Keras take the module's weights
_RANKS = {
    "conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "transposed": (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    "pool": (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    "norm": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
}
_ACTIVATIONS = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hard_sigmoid": nn.Hardsigmoid,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
_KERAS_ACTIVATIONS = {"leaky": "leaky_relu"}


def sequence(*parts):
    """
    A Sequential module and its twin.

    Parameters
    ----------
    *parts : tuple
        A name of a layer, and what it is made with.

    Returns
    -------
    module : `torch.nn.Sequential`
    twin : callable
        Makes a `keras.Sequential` of the shape of the module's input.
    """
    made = [_PARTS[name](*options) for name, *options in parts]
    module = nn.Sequential(*(each for each, _ in made))

    def twin(*shapes):
        inp = x = keras.Input(shapes[0])
        for part, keras_layer in made:
            x = keras_layer(part)(x)
        return keras.Model(inp, x)

    return randomised(module), twin


def randomised(module):
    """A module whose batch normalisation has seen something."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_()
    return module


def with_weights(layer, *arrays):
    """A layer of Keras that has weights when it is called."""
    arrays = [np.asarray(each.detach()) for each in arrays if each is not None]

    def call(x):
        result = layer(x)
        layer.set_weights(arrays)
        return result

    return call


def dense(part):
    layer = layers.Dense(part.out_features, use_bias=part.bias is not None)
    return with_weights(layer, part.weight.T, part.bias)


def _linear(n_in, n_out):
    return nn.Linear(n_in, n_out), dense


def _convolution(n_in, n_out, size, rank=2, options=None):
    options = dict(options or {})
    same = options.pop("same", False)
    padding = {"padding": size // 2} if same else {}
    part = _RANKS["conv"][rank - 1](n_in, n_out, size, **options, **padding)

    def keras_layer(part):
        layer = getattr(layers, f"Conv{rank}D")(
            part.out_channels,
            part.kernel_size,
            strides=part.stride,
            padding="same" if same else "valid",
            dilation_rate=part.dilation,
            groups=part.groups,
            **FIRST,
        )
        kernel = torch.movedim(part.weight, (0, 1), (-1, -2))
        return with_weights(layer, kernel, part.bias)

    return part, keras_layer


def _transposed(n_in, n_out, size, rank=2, stride=1):
    part = _RANKS["transposed"][rank - 1](n_in, n_out, size, stride=stride)

    def keras_layer(part):
        layer = getattr(layers, f"Conv{rank}DTranspose")(
            part.out_channels, part.kernel_size, strides=part.stride, **FIRST
        )
        kernel = torch.movedim(part.weight, (0, 1), (-1, -2))
        return with_weights(layer, kernel, part.bias)

    return part, keras_layer


def _pool(size, rank=2):
    def keras_layer(part):
        return getattr(layers, f"AveragePooling{rank}D")(size, **FIRST)

    return _RANKS["pool"][rank - 1](size), keras_layer


def _norm(channels, rank=1):
    part = _RANKS["norm"][rank - 1](channels)

    def keras_layer(part):
        layer = layers.BatchNormalization(axis=1, epsilon=part.eps)
        return with_weights(
            layer, part.weight, part.bias, part.running_mean, part.running_var
        )

    return part, keras_layer


def _activation(name):
    def keras_layer(part):
        return layers.Activation(_KERAS_ACTIVATIONS.get(name, name))

    return _ACTIVATIONS[name](), keras_layer


def _dropout(rate):
    return nn.Dropout(rate), lambda part: layers.Dropout(rate)


def _channel_dropout(rate, rank):
    part = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)[rank - 1](rate)
    if rank == 1:  # Keras has its channels last
        return part, lambda part: layers.Dropout(rate, noise_shape=(None, None, 1))
    kind = getattr(layers, f"SpatialDropout{rank}D")
    return part, lambda part: kind(rate, **FIRST)


def _alpha_dropout(rate):
    return nn.AlphaDropout(rate), lambda part: layers.AlphaDropout(rate)


def _flatten():
    # in PyTorch's order, other than that of Keras's own layer
    return nn.Flatten(), lambda part: layers.Reshape((-1,))


_PARTS = {
    "linear": _linear,
    "conv": _convolution,
    "transposed": _transposed,
    "pool": _pool,
    "norm": _norm,
    "act": _activation,
    "dropout": _dropout,
    "channels": _channel_dropout,
    "alpha": _alpha_dropout,
    "flatten": _flatten,
}


class Residual(nn.Module):
    """Sums around layers, in place and not."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 8)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.25)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        x = self.drop(self.relu(self.first(x)))
        h = self.second(x)
        h += x
        return self.out(functional.dropout(functional.relu(h), 0.1, self.training))

    def twin(self, shape):
        inp = keras.Input(shape)
        x = layers.Dropout(0.25)(layers.Activation("relu")(dense(self.first)(inp)))
        h = layers.Activation("relu")(layers.Add()([dense(self.second)(x), x]))
        return keras.Model(inp, dense(self.out)(layers.Dropout(0.1)(h)))


class Shared(nn.Module):
    """One encoder for two inputs."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.3))
        self.out = nn.Linear(12, 1)

    def forward(self, a, b):
        return self.out(torch.cat([self.encoder(a), self.encoder(b)], dim=1))

    def twin(self, *shapes):
        inputs = [keras.Input(shape) for shape in shapes]
        part, given = self.encoder[0], keras.Input(shapes[0])
        x = layers.Activation("tanh")(dense(part)(given))
        encoder = keras.Model(given, layers.Dropout(0.3)(x))
        joined = layers.Concatenate()([encoder(each) for each in inputs])
        return keras.Model(inputs, dense(self.out)(joined))


class MCDropout(nn.Dropout):
    """Always on, as in textbooks."""

    def forward(self, x):
        return functional.dropout(x, self.p, training=True)


class Always(nn.Module):
    """Dropout that is on whatever the mode, and one that never is."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 7), nn.Linear(7, 7)
        self.drop, self.out = MCDropout(0.2), nn.Linear(7, 2)

    def forward(self, x):
        x = self.drop(torch.relu(self.first(x)))
        x = functional.dropout(torch.sigmoid(self.second(x)), 0.4)
        return self.out(functional.dropout(x, 0.5, training=False))

    def twin(self, shape):
        inp = keras.Input(shape)
        x = PermanentDropout(0.2)(layers.Activation("relu")(dense(self.first)(inp)))
        x = layers.Activation("sigmoid")(dense(self.second)(x))
        return keras.Model(inp, dense(self.out)(PermanentDropout(0.4)(x)))


class Arithmetic(nn.Module):
    """Constants, slices and reductions."""

    def __init__(self):
        super().__init__()
        self.linear, self.out = nn.Linear(6, 9), nn.Linear(3, 2)
        self.register_buffer("mean", torch.linspace(-1, 1, 6))
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        x = (x - self.mean) / 1.5
        h = self.drop(torch.relu(self.linear(x))).view(-1, 3, 3)
        h = 0.5 * h.transpose(1, 2)[:, :, :2] + 1
        return self.out(h.mean(dim=2) - h.sum(dim=2) * 0.25)

    def twin(self, shape):
        inp = keras.Input(shape)
        x = layers.Rescaling(1 / 1.5, offset=-self.mean.numpy() / 1.5)(inp)
        x = layers.Dropout(0.3)(layers.Activation("relu")(dense(self.linear)(x)))
        h = layers.Permute((2, 1))(layers.Reshape((3, 3))(x))
        h = 0.5 * h[:, :, :2] + 1
        ops = keras.ops
        return keras.Model(
            inp, dense(self.out)(ops.mean(h, axis=2) - ops.sum(h, axis=2) * 0.25)
        )


class Classifier(nn.Module):
    """A softmax at the end."""

    def __init__(self, rate=0.2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Dropout(rate))
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        return torch.softmax(self.head(self.net(x)), dim=-1)

    def twin(self, shape):
        inp = keras.Input(shape)
        x = layers.Activation("relu")(dense(self.net[0])(inp))
        x = dense(self.head)(layers.Dropout(0.2)(x))
        return keras.Model(inp, layers.Softmax()(x))


class Several(nn.Module):
    """Two outputs, by name."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5))
        self.mean, self.spread = nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, x):
        h = self.body(x)
        return {"mean": self.mean(h), "spread": functional.softplus(self.spread(h))}

    def twin(self, shape):
        inp = keras.Input(shape)
        x = layers.Activation("relu")(dense(self.body[0])(inp))
        x = layers.Dropout(0.5)(x)
        spread = layers.Activation("softplus")(dense(self.spread)(x))
        return keras.Model(inp, [dense(self.mean)(x), spread])


def of_class(kind):
    def make():
        module = randomised(kind())
        return module, module.twin

    return make


def of_sequence(*parts):
    return lambda: sequence(*parts)


def mlp(activation, *more):
    return of_sequence(
        ("linear", 6, 12),
        ("act", activation),
        ("dropout", 0.3),
        *more,
        ("linear", 12, 2),
    )


HEAD = (("flatten",), ("dropout", 0.5))
GRID = (2, 6, 6)

# Makers of modules with their twins, and the shapes of their inputs
MODELS = {
    **{f"mlp_{name}": (mlp(name), [(6,)]) for name in _ACTIVATIONS},
    "norm": (mlp("relu", ("norm", 12)), [(6,)]),
    "alpha": (
        of_sequence(
            ("linear", 6, 12), ("act", "selu"), ("alpha", 0.1), ("linear", 12, 1)
        ),
        [(6,)],
    ),
    "deep": (
        of_sequence(
            *[
                part
                for _ in range(4)
                for part in (("linear", 8, 8), ("act", "relu"), ("dropout", 0.1))
            ]
        ),
        [(8,)],
    ),
    "sequence": (
        of_sequence(
            ("linear", 4, 5), ("act", "relu"), ("dropout", 0.2), ("linear", 5, 2)
        ),
        [(3, 4)],
    ),
    "conv1d": (
        of_sequence(
            ("conv", 3, 4, 3, 1),
            ("act", "relu"),
            ("channels", 0.3, 1),
            *HEAD,
            ("linear", 24, 2),
        ),
        [(3, 8)],
    ),
    "conv2d": (
        of_sequence(
            ("conv", 2, 4, 3),
            ("norm", 4, 2),
            ("act", "relu"),
            ("channels", 0.25, 2),
            ("pool", 2),
            *HEAD,
            ("linear", 16, 3),
        ),
        [GRID],
    ),
    "conv3d": (
        of_sequence(
            ("conv", 1, 2, 2, 3),
            ("act", "tanh"),
            ("channels", 0.2, 3),
            ("pool", 2, 3),
            *HEAD,
            ("linear", 2, 1),
        ),
        [(1, 4, 4, 3)],
    ),
    "transposed": (
        of_sequence(
            ("transposed", 2, 3, 3, 2, 2), ("act", "relu"), *HEAD, ("linear", 147, 1)
        ),
        [(2, 3, 3)],
    ),
}


for _name, _channels, _size, _options in (
    ("strides", (2, 4), 16, {"stride": 2}),
    ("dilation", (2, 4), 16, {"dilation": 2}),
    ("groups", (4, 4), 64, {"groups": 2}),
    ("same", (2, 3), 108, {"same": True}),
):
    MODELS[_name] = (
        of_sequence(
            ("conv", *_channels, 3, 2, _options),
            ("act", "relu"),
            *HEAD,
            ("linear", _size, 2),
        ),
        [(_channels[0], 6, 6)],
    )

for _kind, _shapes in (
    (Residual, [(5,)]),
    (Shared, [(4,), (4,)]),
    (Always, [(4,)]),
    (Arithmetic, [(6,)]),
    (Classifier, [(5,)]),
    (Several, [(4,)]),
):
    MODELS[_kind.__name__.lower()] = of_class(_kind), _shapes


def made(name):
    """A module by its name, its twin's maker, and the shapes of its inputs."""
    torch.manual_seed(sum(map(ord, name)))
    maker, shapes = MODELS[name]
    module, twin = maker()
    return module, twin, shapes


def rows(shapes, n=4, seed=0):
    rng = np.random.RandomState(seed)
    return [rng.normal(size=(n, *shape)).astype(np.float32) for shape in shapes]
