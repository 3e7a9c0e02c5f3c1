"""A generated Combo data set that is small enough for tests."""

SIZES = dict(
    n_cells=6,
    n_drugs=5,
    n_genes=9,
    n_descriptors=11,
    n_set_samples=4,
    n_set_drugs=4,
    measured=0.9,
    n_doses=2,
    n_replicates=2,
)


def small_model(n_features, dropout=None, rate=0.3, seed=0):
    """A Combo network without residuals, untrained, with weights that do something."""
    from kmodels import hidden, keras

    from nengo_permadrop.sources.keras.layers import PermanentDropout

    keras.utils.set_random_seed(seed)
    options = {"dropout": dropout or PermanentDropout}

    def encoder(n, name):
        inputs = keras.Input((n,))
        return keras.Model(inputs, hidden(inputs, 10, rate, **options), name=name)

    # the names that CANDLE gives its inputs
    names = "cell.expression", "drug1.descriptors", "drug2.descriptors"
    inputs = [
        keras.Input((n,), name=f"input.{name}")
        for name, n in zip(names, n_features.values())
    ]
    cell = encoder(n_features["cell"], "cell.expression")
    drug = encoder(n_features["drug1"], "drug.descriptors")
    x = keras.layers.concatenate([cell(inputs[0]), drug(inputs[1]), drug(inputs[2])])
    x = hidden(x, 8, rate, **options)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def save_candle_weights(kmodel, path):
    """
    Write weights as CANDLE's files hold them, with any version of Keras.

    They are in the format of Keras's ``.h5`` files, under a name (``.weights.h5``) that
    Keras 2.12 and later take for a newer one. Keras 3 writes it as a part of a model.
    """
    import h5py

    whole = path.with_name("whole.h5")
    kmodel.save(whole)
    with h5py.File(whole) as model, h5py.File(path, "w") as weights:
        weights.attrs.update(model["model_weights"].attrs)
        for name in model["model_weights"]:
            model.copy(f"model_weights/{name}", weights)
    whole.unlink()


def write_candle_model(folder):
    """
    Write a small model as CANDLE's training leaves it, in its two files.

    Those in ``tests/combo/candle`` were written by it with Python 3.11 and Keras 2.12.

    Parameters
    ----------
    folder : Path
    """
    from kmodels import keras

    class PermanentDropout(keras.layers.Dropout):
        def call(self, x, mask=None):
            return keras.backend.dropout(x, self.rate)

    def dense(x, units):
        bias = keras.initializers.RandomUniform(0, 0.4)
        x = keras.layers.Dense(units, "relu", bias_initializer=bias)(x)
        return PermanentDropout(0.2)(x)

    def encoder(n, name):
        inputs = x = keras.Input((n,))
        for units in (12, 10):
            x = dense(x, units)
        return keras.Model(inputs, x, name=name)

    def model(seed):
        keras.utils.set_random_seed(seed)
        cell, drug = encoder(8, "cell.expression"), encoder(10, "drug.descriptors")
        inputs = [
            keras.Input((n,), name=f"input.{name}")
            for n, name in (
                (8, "cell.expression"),
                (10, "drug1.descriptors"),
                (10, "drug2.descriptors"),
            )
        ]
        x = keras.layers.concatenate([cell(inputs[0]), *map(drug, inputs[1:])])
        x = keras.layers.add([dense(x, 30), x])  # its option --residual
        return keras.Model(inputs, keras.layers.Dense(1)(x))

    model(0).save(folder / "saved.uq.model.h5")
    # "loading model file alone sometimes does not work", as its infer.py says
    save_candle_weights(model(1), folder / "saved.uq.weights.h5")
