"""A generated Combo data set that is small enough for tests."""

import numpy as np
import pandas as pd

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


def write_candle_folder(folder):
    """
    Write a small model as CANDLE's training leaves it, and what its infer.py reads.

    Two samples of GDSC and three drugs of NCI_IOA_AOA, with a gene and a descriptor
    that are nowhere known, values that are absent, and one gene that doesn't vary.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    model, weights : Path
    """
    rng = np.random.RandomState(0)

    def write(name, corner, rows, columns, absent):
        values = pd.DataFrame(rng.normal(size=(len(rows), len(columns))))
        values.columns, values[corner] = columns, rows
        values.loc[0, columns[0]] = np.nan
        values[columns[1]] = -4
        values[columns[absent]] = np.nan
        values[[corner, *columns]].to_csv(folder / name, sep="\t", index=False)

    genes = [f"GENE{number:04}" for number in range(1, 10)]
    descriptors = [f"D{number:04}" for number in range(1, 12)]
    samples = [f"GDSC.S{number:03}" for number in range(1, 4)]
    drugs = [f"NSC.{number}" for number in (478767, 87863, 49501, 890934)]
    write("combined_rnaseq_data", "Sample", samples, genes, 4)
    write("NCI_IOA_AOA_drug_descriptors_dragon7", "NAME", drugs, descriptors, 3)
    write("pan_drugs_dragon7_descriptors.tsv", "NAME", drugs, descriptors, 3)
    model, weights = folder / "saved.uq.model.h5", folder / "saved.uq.weights.h5"
    _candle_model(0).save(model)
    # "loading model file alone sometimes does not work", as its infer.py says
    save_candle_weights(_candle_model(1), weights)
    return model, weights


def _candle_model(seed):
    """CANDLE's network: its class of dropout, and one encoder for both drugs."""
    from kmodels import keras

    def call(self, x, mask=None):
        return super(permanent, self).call(x, training=True)

    permanent = type("PermanentDropout", (keras.layers.Dropout,), {"call": call})

    def dense(x, units):
        bias = keras.initializers.RandomUniform(0, 0.4)
        x = keras.layers.Dense(units, "relu", bias_initializer=bias)(x)
        return permanent(0.2)(x)

    def encoder(n, name):
        inputs = x = keras.Input((n,))
        for units in (12, 10):
            x = dense(x, units)
        return keras.Model(inputs, x, name=name)

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
