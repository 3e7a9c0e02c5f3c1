"""
The Keras networks of the study: building and training them.

They follow the recipe for which the spiking network's distribution was found to match
(see "When they don't agree" in the documentation): SoftLIF with ``gain=2``,
``amplitude=0.01`` and ``gamma=0.02``, so that an activation of 1 is about 100 spikes a
second, far from the tail of SoftLIF under the threshold that LIF neurons lack; He
initialisation and a bias of 0.2, which keep the activations near 1 in every layer.
"""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.masks import derive_seed
from nengo_permadrop.optional import require

SOFTLIF = {"gain": 2.0, "amplitude": 0.01, "gamma": 0.02}
BIAS = 0.2
COMBO_INPUTS = ("cell", "drug1", "drug2")


def mlp(n_inputs, units=(100, 100), rate=0.1, seed=0, target="nengo", n_outputs=1):
    """
    A network of dense SoftLIF layers, each followed by permanent dropout.

    Parameters
    ----------
    n_inputs : int
        Features of its one input, "input".
    units : sequence of int, optional
        Units of each hidden layer.
    rate : float, optional
        Dropout rate, in [0, 1).
    seed : int, optional
        Decides the initial weights.
    target : {"nengo", "loihi"}, optional
        What the spiking network will run on: the curve of the SoftLIF layers.
    n_outputs : int, optional
        Elements of its one output.

    Returns
    -------
    model : `keras.Model`
        Functional, with one linear output; not compiled.
    """
    keras = require("keras")
    layers = _Layers(rate, seed, target)
    x = inputs = keras.Input((n_inputs,), name="input")
    for i, n_units in enumerate(units):
        x = layers.hidden(x, n_units, f"hidden{i + 1}")
    return keras.Model(inputs, layers.output(x, n_outputs), name="mlp")


def combo_small(
    n_genes,
    n_descriptors,
    units=200,
    rate=0.1,
    seed=0,
    target="nengo",
    n_outputs=1,
):
    """
    CANDLE's Combo network with fewer units.

    An encoder of the cell line's expression and one drug encoder that both drugs share,
    of three dense layers each; what they give is concatenated and goes through three
    more.

    Parameters
    ----------
    n_genes, n_descriptors : int
        Features of the input "cell", and of each of "drug1" and "drug2".
    units : int, optional
        Units of every hidden layer.
    rate, seed, target : optional
        As in `mlp`.
    n_outputs : int, optional
        Elements of its one output.

    Returns
    -------
    model : `keras.Model`
        Functional, with the encoders as nested models and one linear output; not
        compiled.
    """
    keras = require("keras")
    layers = _Layers(rate, seed, target)

    def encoder(n_features, name):
        x = inputs = keras.Input((n_features,), name=f"{name}_features")
        for i in range(3):
            x = layers.hidden(x, units, f"{name}_hidden{i + 1}")
        return keras.Model(inputs, x, name=name)

    cell_encoder = encoder(n_genes, "cell_encoder")
    drug_encoder = encoder(n_descriptors, "drug_encoder")
    cell, drug1, drug2 = (
        keras.Input((n,), name=name)
        for n, name in zip((n_genes, n_descriptors, n_descriptors), COMBO_INPUTS)
    )
    x = keras.layers.Concatenate(name="encoded")(
        [cell_encoder(cell), drug_encoder(drug1), drug_encoder(drug2)]
    )
    for i in range(3):
        x = layers.hidden(x, units, f"hidden{i + 1}")
    return keras.Model(
        [cell, drug1, drug2], layers.output(x, n_outputs), name="combo_small"
    )


class _Layers:
    """Adds layers of the recipe to functional models; every layer has its own seed."""

    def __init__(self, rate, seed, target):
        self.rate = rate
        self.seed = seed
        self.target = target
        self.n_dense = 0

    def hidden(self, x, units, name):
        from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF

        x = self._dense(units, name, BIAS)(x)
        x = SoftLIF(name=f"{name}_softlif", target=self.target, **SOFTLIF)(x)
        return PermanentDropout(self.rate, name=f"{name}_dropout")(x)

    def output(self, x, units):
        return self._dense(units, "output", 0.0)(x)

    def _dense(self, units, name, bias):
        keras = require("keras")
        self.n_dense += 1
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.HeNormal(
                seed=derive_seed(self.seed, self.n_dense)
            ),
            bias_initializer=keras.initializers.Constant(bias),
            name=name,
        )


def for_dataset(dataset, seed=0, **options):
    """
    The network of the study for a data set.

    Parameters
    ----------
    dataset : `.datasets.Dataset`
        With one input, or with those of the Combo problem ("cell", "drug1", "drug2").
    seed : int, optional
        Decides the initial weights.
    **options
        Passed to `mlp` or `combo_small`.

    Returns
    -------
    model : `keras.Model`

    Raises
    ------
    nengo.exceptions.ValidationError
        If no network is known for the data set's inputs.
    """
    features = dataset.n_features
    options = {"n_outputs": len(dataset.output_names), **options}
    if tuple(features) == COMBO_INPUTS:
        return combo_small(features["cell"], features["drug1"], seed=seed, **options)
    if tuple(features) == ("input",):
        return mlp(features["input"], seed=seed, **options)
    raise ValidationError(
        f"no network is known for the inputs {', '.join(features)} of data set "
        f"{dataset.name!r}; name its one input 'input', or its three inputs "
        f"{', '.join(COMBO_INPUTS)}, or train a network yourself",
        attr="dataset",
    )


def train(
    model,
    dataset,
    epochs,
    patience=15,
    batch_size=32,
    learning_rate=1e-3,
    seed=0,
    progress=False,
):
    """
    Train a network with Adam on the mean squared error, stopping early.

    The weights of the epoch with the smallest validation loss are kept. Permanent
    dropout is on during validation too, so that loss is of single draws.

    Parameters
    ----------
    model : `keras.Model`
        Trained in place.
    dataset : `.datasets.Dataset`
        Its training and validation rows are used.
    epochs : int
        Stop after so many at the latest.
    patience : int, optional
        Stop after so many epochs without a smaller validation loss.
    batch_size : int, optional
    learning_rate : float, optional
        Of Adam.
    seed : int, optional
        Decides order of the rows and dropout masks. It is set as the global seed of
        TensorFlow, NumPy and ``random``, because Keras takes its randomness there.
    progress : bool, optional
        Show a bar of the epochs, with the losses, and the time that is left if
        training doesn't stop early.

    Returns
    -------
    history : {str: list of float}
        The losses, "loss" and "val_loss", of each epoch.
    """
    from tqdm.auto import tqdm

    keras = require("keras")
    keras.utils.set_random_seed(seed)
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate))
    stop = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    with tqdm(total=epochs, desc="Training", unit="epoch", disable=not progress) as bar:

        def tell(epoch, logs):
            bar.set_postfix(logs, refresh=False)
            bar.update()

        history = model.fit(
            dataset.train.inputs,
            dataset.train.target,
            validation_data=(dataset.validation.inputs, dataset.validation.target),
            epochs=epochs,
            batch_size=batch_size,
            callbacks=[stop, keras.callbacks.LambdaCallback(on_epoch_end=tell)],
            verbose=0,
        )
    return history.history


def anneal(model, dataset, gamma=0.002, learning_rate=3e-4, **options):
    """
    Train a trained network on, with a sharper SoftLIF.

    Under the threshold SoftLIF gives what LIF neurons don't, and the more so the larger
    its gamma is; but a larger gamma trains more easily. So train with a large one, and
    end with a small one: what is learned last is learned with the curve that the
    spiking neurons have.

    Parameters
    ----------
    model : `keras.Model`
        Changed in place: the gamma of all its SoftLIF layers, and the weights.
    dataset : `.datasets.Dataset`
        As in `train`.
    gamma : float, optional
        What the SoftLIF layers get.
    learning_rate : float, optional
        Of Adam; smaller than in `train`, since the slope of a sharper curve is larger
        near the threshold.
    **options
        Passed to `train`; ``epochs`` is needed.

    Returns
    -------
    history : {str: list of float}
        As of `train`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If gamma isn't greater than 0, or the model has no SoftLIF layer.
    """
    if not gamma > 0:
        raise ValidationError(f"must be > 0, got {gamma}", attr="gamma")
    layers = list(_softlif_layers(model))
    if not layers:
        raise ValidationError(
            f"{model.name!r} has no SoftLIF layer, whose gamma could be made smaller",
            attr="model",
        )
    for layer in layers:
        layer.gamma = float(gamma)
    # train compiles the model, which makes Keras trace the layers anew
    return train(model, dataset, learning_rate=learning_rate, **options)


def _softlif_layers(model):
    from nengo_permadrop.keras_layers import SoftLIF

    for layer in model.layers:
        if isinstance(layer, SoftLIF):
            yield layer
        elif hasattr(layer, "layers"):  # a nested model
            yield from _softlif_layers(layer)


def r2(model, split, n_draws=20, seed=0):
    """
    Coefficient of determination of the mean of the predictive distribution.

    Parameters
    ----------
    model : `keras.Model`
        With permanent dropout.
    split : `.datasets.Split`
    n_draws : int, optional
        Passes that the mean is taken over.
    seed : int, optional
        Set as TensorFlow's global seed, as in `train`.

    Returns
    -------
    r2 : float
        1 for perfect predictions, 0 for those that are as good as the mean.
    """
    require("keras").utils.set_random_seed(seed)
    predict = [
        model.predict(split.inputs, batch_size=1024, verbose=0) for _ in range(n_draws)
    ]
    residual = np.sum((split.target - np.mean(predict, axis=0)) ** 2)
    return float(1 - residual / np.sum((split.target - split.target.mean(axis=0)) ** 2))
