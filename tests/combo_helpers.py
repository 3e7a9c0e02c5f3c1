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
