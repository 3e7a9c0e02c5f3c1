"""Training networks, and training them on with a sharper SoftLIF."""

from nengo.exceptions import ValidationError

from nengo_permadrop.support.generators import generators_kept
from nengo_permadrop.support.optional import require
from nengo_permadrop.training.evaluation import in_order, mean_scores
from nengo_permadrop.training.streams import restart_streams


def train_for_dataset(
    model,
    dataset,
    *,
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
        Its recipe says how.
    epochs : int, optional
        Other than the data set's own number.
    seed : int, optional
        Decides order of the rows and dropout masks.
    progress : bool, optional
        Tell on standard error how a long training goes.
    learning_rate : float, optional
        Of the optimizer, other than the data set's own.
    prefix : path-like, optional
        Where a recipe whose training can go on keeps its state; it goes on if there is
        one.

    Returns
    -------
    history : {str: list of float}
    """
    given = {"epochs": epochs, "learning_rate": learning_rate}
    given = {name: value for name, value in given.items() if value is not None}
    if dataset.recipe.fit is not None:
        if prefix is not None:
            given["prefix"] = prefix
        fit = dataset.recipe.fit
        return fit(model, dataset, seed=seed, progress=progress, **given)
    options = {**dataset.recipe.training, **given}
    return train(model, dataset, seed=seed, progress=progress, **options)


def train(
    model,
    dataset,
    epochs,
    *,
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
        Decides order of the rows and dropout masks, see `.restart_streams`.
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
        restart_streams(model, seed)
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate))

        def tell(epoch, logs):
            bar.set_postfix(logs, refresh=False)
            bar.update()

        history = model.fit(
            in_order(dataset.train),
            dataset.train.target,
            validation_data=(in_order(dataset.validation), dataset.validation.target),
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
    *,
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
        epochs = dataset.recipe.annealing_epochs
    if learning_rate is None:
        learning_rate = dataset.recipe.annealing_rate
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


def _softlif_layers(model):
    from nengo_permadrop.sources.keras.layers import SoftLIF

    for layer in model.layers:
        if isinstance(layer, SoftLIF):
            yield layer
        elif hasattr(layer, "layers"):  # a nested model
            yield from _softlif_layers(layer)


def r2(model, split, *, n_draws=20, seed=0):
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
        Of the masks.

    Returns
    -------
    r2 : float
        1 for perfect predictions, 0 for those that are as good as the mean.
    """
    return mean_scores(model, split, n_draws=n_draws, seed=seed)["r2"]
