"""Small Keras models for the tests, untrained but with weights that do something."""

import h5py
import numpy as np

from nengo_permadrop.sources.keras.layers import PermanentDropout, SoftLIF, keras

layers = keras.layers


def hidden(x, units, rate, activation=None, dropout=PermanentDropout, target="nengo"):
    """Dense with the recipe's initialisation, an activation, and dropout."""
    x = layers.Dense(
        units,
        kernel_initializer="he_normal",
        bias_initializer=keras.initializers.Constant(0.2),
    )(x)
    x = (
        SoftLIF(target=target)(x)
        if activation is None
        else layers.Activation(activation)(x)
    )
    return dropout(rate)(x) if rate is not None else x


def drawn(kmodel, seed=0):
    """The model, with weights that are the same on every Keras and backend of it.

    Each has random numbers of its own; here NumPy's make what the initializers make.
    """
    rng = np.random.RandomState(seed)
    for layer in kmodel.layers:
        if isinstance(layer, keras.Model):
            drawn(layer, rng.randint(2**31))
        elif isinstance(layer, layers.Dense):
            n_in, n_out = shape = tuple(layer.kernel.shape)
            if type(layer.kernel_initializer).__name__ == "HeNormal":
                kernel = rng.normal(scale=np.sqrt(2 / n_in), size=shape)
            else:
                limit = np.sqrt(6 / (n_in + n_out))
                kernel = rng.uniform(-limit, limit, size=shape)
            layer.set_weights([kernel, *layer.get_weights()[1:]])
    return kmodel


def mlp(n_inputs=6, units=(20, 20), rate=0.2, seed=0, **kwargs):
    """One input, hidden layers, one linear output."""
    keras.utils.set_random_seed(seed)
    inp = keras.Input((n_inputs,), name="x")
    x = inp
    for n in units:
        x = hidden(x, n, rate, **kwargs)
    return drawn(keras.Model(inp, layers.Dense(1, name="y")(x), name="mlp"), seed)


def combo(rate=0.2, seed=0):
    """Combo's shape: three inputs, one drug encoder for both drugs, residual sums."""
    keras.utils.set_random_seed(seed)

    def encoder(n_inputs, name):
        inp = keras.Input((n_inputs,))
        x = hidden(inp, 12, rate)
        x = layers.add([hidden(x, 12, rate), x])
        return keras.Model(inp, x, name=name)

    cell = keras.Input((5,), name="cell")
    drugs = [keras.Input((4,), name=f"drug{i}") for i in (1, 2)]
    drug_encoder = encoder(4, "drug_encoder")
    x = layers.concatenate(
        [encoder(5, "cell_encoder")(cell), *(drug_encoder(drug) for drug in drugs)]
    )
    x = hidden(x, 16, rate)
    return drawn(keras.Model([cell, *drugs], layers.Dense(1, name="growth")(x)), seed)


def save_weights(kmodel, path):
    """In the newer or the older format, as its name says; Keras 3 has no older one."""
    if keras.__version__.startswith("2.") or path.name.endswith(".weights.h5"):
        kmodel.save_weights(str(path))
        return
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, kmodel)


def values(tensor):
    """A tensor of any backend of Keras, as an array."""
    if keras.__version__.startswith("2."):
        return np.asarray(tensor)
    return keras.ops.convert_to_numpy(tensor)


def observations(kmodel, n, seed=0):
    """Random rows for each input of a model."""
    rng = np.random.RandomState(seed)
    return [rng.randn(n, *tensor.shape[1:]) for tensor in kmodel.inputs]
