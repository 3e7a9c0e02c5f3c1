"""
The Keras networks of the study: building and training them.

Their layers are those of `nengo_permadrop.recipe`.
"""

import os
import warnings

from nengo.exceptions import ValidationError

from nengo_permadrop import combo
from nengo_permadrop.combo.saved import TrainingFiles, fingerprint, read_record
from nengo_permadrop.datasets.combo.rows import INPUTS as COMBO_INPUTS
from nengo_permadrop.evaluation import mean_scores
from nengo_permadrop.generators import generators_kept
from nengo_permadrop.loading import load_model, load_weights
from nengo_permadrop.optional import require
from nengo_permadrop.recipe import RecipeLayers

# Epochs are an upper limit, as training stops early. With its few rows, diabetes needs
# more patience than the drug pairs.
TRAINING = {
    "diabetes": {"epochs": 200, "patience": 15, "batch_size": 32},
    "combo-small": {"epochs": 30, "patience": 5, "batch_size": 64},
}
DEFAULT_TRAINING = {"epochs": 100, "patience": 10, "batch_size": 32}

# Most epochs of training on with a smaller gamma
ANNEALING_EPOCHS = {"combo-small": 5, "combo": 2}
DEFAULT_ANNEALING_EPOCHS = 20


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
    layers = RecipeLayers(rate, seed, target)
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
    CANDLE's Combo network with fewer units; see `nengo_permadrop.combo.model`.

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
        Functional, with the encoders as nested models; not compiled.
    """
    return combo.model(
        n_genes,
        n_descriptors,
        dense=(units,) * 3,
        dense_feature_layers=(units,) * 3,
        rate=rate,
        seed=seed,
        target=target,
        n_outputs=n_outputs,
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
        Passed to `mlp` or `combo_small`; for the data set named "combo" to
        `nengo_permadrop.combo.model`, the network at its full size.

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
        build = combo.model if dataset.name == "combo" else combo_small
        return build(features["cell"], features["drug1"], seed=seed, **options)
    if tuple(features) == ("input",):
        return mlp(features["input"], seed=seed, **options)
    raise ValidationError(
        f"no network is known for the inputs {', '.join(features)} of data set "
        f"{dataset.name!r}; name its one input 'input', or its three inputs "
        f"{', '.join(COMBO_INPUTS)}, or train a network yourself",
        attr="dataset",
    )


def trained(model, weights=None, trust=False):
    """
    A network that was trained before.

    Parameters
    ----------
    model : `keras.Model`, str or path-like
        A network or its file.
    weights : str or path-like, optional
        File of other weights for it.
    trust : bool, optional
        Load the network whatever code that runs, as in `.load_model`.

    Returns
    -------
    model : `keras.Model`
    record : dict
        How ``combo-train`` trained it, see `.read_record`; empty if it didn't.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    nengo.exceptions.ValidationError
        If a file isn't what it should be, a `.DamagedFileError`, or may run code.
    """
    record = {}
    if isinstance(model, (str, os.PathLike)):
        record = read_record(model) or {}
        model = load_model(model, trust=trust)
    if weights is not None:
        load_weights(model, weights)
    return model, record


def warn_of_other_rows(record, dataset):
    """
    Warn if a network was trained on other rows than those of a data set.

    Parameters
    ----------
    record : dict
        From `trained`.
    dataset : `.datasets.Dataset`
    """
    if record and record["data"] != fingerprint(dataset):
        warnings.warn(
            f"the model was not trained on the training rows of this data set "
            f"({dataset.name!r}): it may know some of the test rows, or its features "
            "may be scaled otherwise. Use the files and options it was trained with",
            stacklevel=3,
        )


def train_for_dataset(
    model,
    dataset,
    epochs=None,
    seed=0,
    progress=False,
    learning_rate=None,
    prefix=None,
):
    """
    Train a network as suits the data set.

    Parameters
    ----------
    model : `keras.Model`
        Trained in place.
    dataset : `.datasets.Dataset`
        The one named "combo" is trained on as CANDLE does, by `.combo.training.train`;
        others with `train`.
    epochs : int, optional
        Other than the data set's own number.
    seed : int, optional
        Decides order of the rows and dropout masks.
    progress : bool, optional
        Tell on standard error how a long training goes.
    learning_rate : float, optional
        Of the optimizer, other than the data set's own.
    prefix : path-like, optional
        Where the training on "combo" keeps its state, and goes on if there is one.

    Returns
    -------
    history : {str: list of float}
    """
    given = {"epochs": epochs, "learning_rate": learning_rate}
    given = {name: value for name, value in given.items() if value is not None}
    if dataset.name == "combo":
        if prefix is not None:
            resume = TrainingFiles(prefix).state.exists()
            given.update(prefix=prefix, resume=resume, overwrite=not resume)
        return combo.train(model, dataset, seed=seed, progress=progress, **given)
    options = {**TRAINING.get(dataset.name, DEFAULT_TRAINING), **given}
    return train(model, dataset, seed=seed, progress=progress, **options)


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
        TensorFlow, because Keras takes its randomness there.
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
    stop = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    bar = tqdm(total=epochs, desc="Training", unit="epoch", disable=not progress)
    with generators_kept(), bar:
        keras.utils.set_random_seed(seed)
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate))

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


def anneal(
    model,
    dataset,
    gamma=0.002,
    epochs=None,
    learning_rate=None,
    seed=0,
    progress=False,
):
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
        As in `train_for_dataset`.
    gamma : float, optional
        What the SoftLIF layers get.
    epochs : int, optional
        Other than the data set's own number.
    learning_rate : float, optional
        Of the optimizer; by default less than a third of that in training, since the
        slope of a sharper curve is larger near the threshold.
    seed, progress
        As in `train_for_dataset`.

    Returns
    -------
    history : {str: list of float}
        As of `train`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If gamma isn't greater than 0, or the model has no SoftLIF layer.
    """
    set_gamma(model, gamma)
    if epochs is None:
        epochs = annealing_epochs(dataset)
    if learning_rate is None:
        learning_rate = 3e-5 if dataset.name == "combo" else 3e-4
    return train_for_dataset(
        model,
        dataset,
        epochs=epochs,
        seed=seed,
        progress=progress,
        learning_rate=learning_rate,
    )


def set_gamma(model, gamma):
    """
    Change the gamma of all SoftLIF layers, as `anneal` does before it trains.

    Parameters
    ----------
    model : `keras.Model`
        Changed in place.
    gamma : float

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
    # compiled, as Keras must not use what it traced with the gamma before
    model.compile(loss="mse")


def annealing_epochs(dataset):
    """For how many epochs `anneal` trains on a data set, an int."""
    return ANNEALING_EPOCHS.get(dataset.name, DEFAULT_ANNEALING_EPOCHS)


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
    split : `.datasets.Split` or `.ComboRows`
        Its first 2000 rows are used, or all if there are fewer.
    n_draws : int, optional
        Passes that the mean is taken over.
    seed : int, optional
        Set as TensorFlow's global seed, as in `train`.

    Returns
    -------
    r2 : float
        1 for perfect predictions, 0 for those that are as good as the mean.
    """
    return mean_scores(model, split, n_draws=n_draws, seed=seed)["r2"]
