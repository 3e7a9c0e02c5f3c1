"""Models as users write them, to be saved: one of each kind that a file can hold."""

import numpy as np

from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras

L = keras.layers


class MCDropout(L.Dropout):
    """The dropout of textbooks that stays on."""

    def call(self, inputs):
        return super().call(inputs, training=True)


class MCAlphaDropout(L.AlphaDropout):
    """Another one of textbooks."""

    def call(self, inputs):
        return super().call(inputs, training=True)


class MCSpatialDropout2D(L.SpatialDropout2D):
    """The dropout of feature maps, that stays on."""

    def call(self, inputs):
        return super().call(inputs, training=True)


def _candles():
    """CANDLE's class, which has the name of ours and is not registered."""

    def call(self, inputs, mask=None):
        return super(cls, self).call(inputs, training=True)

    cls = type("PermanentDropout", (L.Dropout,), {"call": call})
    return cls


def _encoder(name, n_inputs=4, units=6):
    x = inputs = keras.Input((n_inputs,))
    for _ in range(2):
        x = L.BatchNormalization()(L.Dense(units, "relu")(x))
        x = L.Dropout(0.2)(x)
    return keras.Model(inputs, x, name=name)


def flat():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8, "relu"),
            L.Dropout(0.2),
            L.Dense(6),
            SoftLIF(gamma=0.05),
            PermanentDropout(0.3),
            L.Dense(2),
        ]
    )


def nested():
    inputs = keras.Input((4,))
    tail = keras.Sequential(
        [keras.Input((6,)), L.Dense(5, "relu"), L.BatchNormalization(), L.Dense(3)]
    )
    return keras.Model(inputs, L.Dense(1)(tail(_encoder("encoder")(inputs))))


def partly_frozen():
    model = nested()
    model.layers[1].trainable = False
    model.layers[2].layers[0].trainable = False
    return model


def shared_twice():
    cell, first, second = (keras.Input((n,)) for n in (3, 4, 4))
    drug = _encoder("drug")
    parts = [L.Dense(5, "relu")(cell), drug(first), drug(second)]
    x = L.Dropout(0.1)(L.Dense(4, "relu")(L.Concatenate()(parts)))
    return keras.Model([cell, first, second], L.Dense(1)(x))


def residual():
    inputs = keras.Input((4,))
    x = L.Dense(6, "relu")(inputs)
    return keras.Model(
        inputs, L.Dense(1)(L.Add()([L.Dense(6, "relu")(L.Dropout(0.2)(x)), x]))
    )


def batch_normalization():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.BatchNormalization(),
            L.Dense(8),
            L.BatchNormalization(scale=False),
            L.Activation("relu"),
            L.Dropout(0.2),
            L.BatchNormalization(center=False),
            L.Dense(1, use_bias=False),
        ]
    )


def inputs_and_outputs():
    first, second = keras.Input((3,)), keras.Input((2,))
    x = L.Dropout(0.2)(L.Dense(6, "tanh")(L.Concatenate()([first, second])))
    outputs = [L.Dense(1)(x), L.Dense(2, name="second")(L.Dropout(0.4)(x))]
    return keras.Model([first, second], outputs)


def mc_dropout():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8, "relu"),
            MCDropout(0.2),
            L.Dense(8, "sigmoid"),
            MCDropout(0.3),
            L.Dense(1),
        ]
    )


def candles_dropout():
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(1)(_candles()(0.3)(L.Dense(7, "relu")(inputs))))


def training_given():
    inputs = keras.Input((4,))
    x = L.Dropout(0.2)(L.Dense(6, "relu")(inputs), training=True)
    x = L.Dropout(0.4)(L.Dense(6, "relu")(x))
    return keras.Model(inputs, L.Dense(1)(x))


def mixed_precision():
    inputs, half = keras.Input((4,)), {"dtype": "mixed_bfloat16"}
    x = L.Dropout(0.3, **half)(L.Dense(7, "relu", **half)(inputs))
    return keras.Model(inputs, L.Dense(1, dtype="float32")(x))


def layers_called_twice():
    inputs = keras.Input((4,))
    dense, dropout = L.Dense(4, "relu"), L.Dropout(0.2)
    x = dropout(dense(dropout(dense(inputs))))
    return keras.Model(inputs, L.Dense(1)(L.Flatten()(L.Reshape((2, -1))(x))))


def sequential_in_sequential():
    def block(n_inputs):
        return keras.Sequential(
            [keras.Input((n_inputs,)), L.Dense(5, "relu"), L.Dropout(0.2)]
        )

    return keras.Sequential([keras.Input((4,)), block(4), block(5), L.Dense(1)])


def sums_of_neurons():
    """Activations that several neurons a unit compute."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8),
            L.LeakyReLU(0.2),
            L.Dropout(0.2),
            L.Dense(7),
            L.ReLU(max_value=1.5, negative_slope=0.25),
            L.Dense(6),
            L.PReLU(),
            L.Dropout(0.3),
            L.Dense(5, "hard_sigmoid"),
            L.Dense(4, L.ReLU(6.0)),
            L.Reshape((2, 2)),
            L.PReLU(shared_axes=[1]),
            L.Flatten(),
            L.Dropout(0.3),
            L.Dense(2),
        ]
    )


def smooth_activations():
    """Activations that several neurons a unit compute nearly."""
    x = inputs = keras.Input((4,))
    for name in ("elu", "selu", "gelu", "swish", "softplus"):
        x = L.Dropout(0.1)(L.Dense(6, name)(x))
    x = L.ELU(0.5)(L.Dense(5)(x))
    return keras.Model(inputs, L.Dense(2)(x))


def softmax_at_the_end():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8, "relu"),
            L.Dropout(0.2),
            L.Dense(3, activation="softmax"),
        ]
    )


def links():
    """Of each kind, by a Dense layer or by one of their own."""
    inputs = keras.Input((4,))
    x = L.Dropout(0.3)(L.Dense(8, "sigmoid")(inputs))
    outputs = [
        L.Dense(2, "exponential", name="exp")(x),
        L.Activation("softplus", name="softplus")(L.Dense(2)(x)),
        L.Softmax(name="softmax")(L.Reshape((2, 3))(L.Dense(6)(x))),
        keras.Sequential([keras.Input((8,)), L.Dense(1, "sigmoid")], name="sigmoid")(x),
        L.Dense(2, "tanh", name="none")(x),
    ]
    return keras.Model(inputs, outputs)


def spatial_dropout():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(24, "relu"),
            L.Reshape((8, 3)),
            L.SpatialDropout1D(0.3),
            L.Reshape((2, 3, 4)),
            L.SpatialDropout2D(0.2),
            L.Reshape((2, 2, 2, 3)),
            L.SpatialDropout3D(0.2),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def noise_shapes():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(12, "relu"),
            L.Reshape((4, 3)),
            L.Dropout(0.3, noise_shape=(None, 4, 1)),
            L.Flatten(),
            L.Dense(12, "relu"),
            L.Reshape((2, 2, 3)),
            PermanentDropout(0.3, noise_shape=(None, 1, 2, None)),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def noise_dropout():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(8, "relu"),
            L.GaussianDropout(0.2),
            L.Dense(8, "tanh"),
            L.AlphaDropout(0.3),
            L.Dense(2),
        ]
    )


def forced_kinds():
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(12, "relu"),
            MCAlphaDropout(0.2),
            L.Dense(12, "relu"),
            L.Reshape((2, 2, 3)),
            MCSpatialDropout2D(0.3),
            L.Flatten(),
            L.Dense(2),
        ]
    )


MODELS = {
    make.__name__: make
    for make in (
        flat,
        nested,
        partly_frozen,
        shared_twice,
        residual,
        batch_normalization,
        inputs_and_outputs,
        mc_dropout,
        candles_dropout,
        training_given,
        mixed_precision,
        layers_called_twice,
        sequential_in_sequential,
        sums_of_neurons,
        smooth_activations,
        softmax_at_the_end,
        links,
        spatial_dropout,
        noise_shapes,
        noise_dropout,
        forced_kinds,
    )
}


def made(name, seed=0):
    """A model of `MODELS`, with weights of which no two are alike."""
    return drawn_weights(MODELS[name](), seed)


def drawn_weights(model, seed=0):
    """Give a model weights of which no two are alike; returns it."""
    rng = np.random.RandomState(seed)

    def drawn(weight, name):
        if weight.ndim > 1 and "variance" not in name:
            n_inputs = weight[..., 0].size
            return rng.normal(size=weight.shape) * 1.4 / np.sqrt(n_inputs)
        return rng.uniform(0.3, 1.3, size=weight.shape)

    model.set_weights(
        [
            (
                drawn(each, known.name).astype(each.dtype)
                if each.dtype.kind == "f"
                else each
            )
            for each, known in zip(model.get_weights(), model.weights)
        ]
    )
    for layer in model.layers:
        if isinstance(layer, L.Normalization):  # which keeps a copy of them
            layer.finalize_state()
    return model


def saved(model, folder):
    """
    Save a model in all ways that this Keras has.

    Returns a list of (path, path of weights or None).
    """
    model.save(folder / "model.h5")
    model.save_weights(folder / "apart.weights.h5")
    (folder / "model.json").write_text(model.to_json())
    apart = folder / "apart.weights.h5"
    files = [
        (folder / "model.h5", None),
        (folder / "model.json", apart),
        (folder / "model.h5", apart),
    ]
    if keras.__version__.startswith("2."):
        model.save(folder / "hdf5.keras", save_format="h5")
        model.save(folder / "model.keras", save_format="keras_v3")
        model.save_weights(folder / "older.h5")
        files += [
            (folder / "hdf5.keras", None),
            (folder / "model.json", folder / "older.h5"),
        ]
    else:
        model.save(folder / "model.keras")
    return [*files, (folder / "model.keras", None)]
