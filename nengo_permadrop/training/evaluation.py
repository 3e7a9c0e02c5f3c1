"""How well a network predicts: forward passes and scores."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.seeds import derive_seed, mix64
from nengo_permadrop.graph.links import apply_link
from nengo_permadrop.sources.masks import forward_masks
from nengo_permadrop.sources.registry import any_graph, source_of

_AT_ONCE = 1000  # rows; the values of all layers are kept


def predict(model, rows, batch_size=1024):
    """
    One forward pass, by Keras: a single draw for each row if its layers force dropout.

    Parameters
    ----------
    model : `keras.Model`
        With one output.
    rows : `.Split` or `.ComboRows`
        Their features are gathered a batch at a time.
    batch_size : int, optional
        All batches have as many rows, so that Keras compiles for one size; the last is
        filled up.

    Returns
    -------
    prediction : (n_rows, 1) ndarray
    """
    n_rows = len(rows)
    batch_size = min(batch_size, n_rows)
    predicted = []
    for start in range(0, n_rows, batch_size):
        numbers = np.minimum(np.arange(start, start + batch_size), n_rows - 1)
        batch = model.predict_on_batch(in_order(rows.take(numbers)))
        predicted.append(batch[: n_rows - start])
    return np.concatenate(predicted)


def in_order(rows):
    """
    The inputs of rows, as a functional model takes them whatever they are called.

    Parameters
    ----------
    rows : `.Split` or `.ComboRows`

    Returns
    -------
    inputs : (n_rows, n_features) ndarray, or list of them
    """
    inputs = list(rows.inputs.values())
    return inputs[0] if len(inputs) == 1 else inputs


def mean_scores(model, rows, n_draws=20, n_rows=2000, seed=0):
    """
    Scores of the mean of the predictive distribution.

    Parameters
    ----------
    model, rows, n_draws, n_rows, seed
        As of `mean_predictions`.

    Returns
    -------
    scores : {str: float}
        As in `scores`.
    """
    return scores(*mean_predictions(model, rows, n_draws, n_rows, seed))


def mean_predictions(model, rows, n_draws=20, n_rows=2000, seed=0):
    """
    Means of the predictive distributions, and what was to be predicted.

    Parameters
    ----------
    model : `keras.Model`, or another source's model
        With permanent dropout.
    rows : `.Split` or `.ComboRows`
    n_draws : int, optional
        Passes that the mean is taken over.
    n_rows : int, optional
        So many rows, from the first one on, or all if there are fewer.
    seed : int, optional
        Of the masks.

    Returns
    -------
    target, mean : (n_rows, n_outputs) ndarray
    """
    rows = rows.take(slice(n_rows))
    forward = source_of(model).forward(model)
    means = []
    for start in range(0, len(rows), _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, len(rows)))
        inputs = list(rows.take(numbers).inputs.values())
        draws = [
            forward(inputs, _masks(forward, derive_seed(seed, draw, numbers)))[0]
            for draw in range(n_draws)
        ]
        name, index = next(iter(forward.graph.outputs.items()))
        if name in getattr(forward, "links", {}):
            shape = forward.graph.shapes[index]
            draws = apply_link(forward.links[name], draws, shape)
        means.append(np.mean(draws, axis=0, dtype=np.float64))
    return rows.target, np.concatenate(means)


def _masks(forward, seeds):
    """Which units are kept, for each dropout of a model and each row.

    Given, as Keras 3's ``predict`` turns dropout off that isn't forced by its layer.
    """
    return forward_masks(forward, lambda number: mix64(derive_seed(seeds, number)))


def scores(target, prediction):
    """
    The scores that CANDLE's Combo logs.

    Parameters
    ----------
    target, prediction : (n_rows, n_outputs) ndarray
        Scores are of all outputs together, each about its own mean.

    Returns
    -------
    scores : {str: float}
        "mse" and "mae", the mean squared and absolute error; "r2", the coefficient of
        determination: 1 for perfect predictions, 0 for those that are as good as the
        mean; "corr", Pearson's correlation. The last two are NaN where all targets, or
        all predictions, are the same.
    """
    target, prediction = (
        np.asarray(values, dtype=np.float64) for values in (target, prediction)
    )
    error = prediction - target
    deviation = (target - target.mean(axis=0)).ravel()
    other = (prediction - prediction.mean(axis=0)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - np.sum(error**2) / np.sum(deviation**2)
        corr = deviation @ other / np.sqrt((deviation @ deviation) * (other @ other))
    return {
        "mse": float(np.mean(error**2)),
        "mae": float(np.mean(np.abs(error))),
        "r2": float(r2) if np.isfinite(r2) else float("nan"),
        "corr": float(corr),
    }


def are_classes(target):
    """
    Whether targets say to which class each row belongs.

    Parameters
    ----------
    target : (n_rows, n_outputs) ndarray
        In units of its own.

    Returns
    -------
    are_classes : bool
        Whether there are several columns, of probabilities, and at least half of the
        rows are certain: 1 in one column, and 0 in the others.
    """
    if target.ndim != 2 or target.shape[1] < 2 or len(target) == 0:
        return False
    near = {"rtol": 0, "atol": 1e-4}  # they may have been standardised in float32
    if target.min() < -near["atol"] or not np.allclose(target.sum(axis=1), 1, **near):
        return False
    return bool(np.mean(np.isclose(target.max(axis=1), 1, **near)) >= 0.5)


def accuracy(target, prediction):
    """
    The share of rows whose class is predicted.

    Parameters
    ----------
    target : (n_rows, n_classes) ndarray
        The probability of each class. Where several have the largest, each is right.
    prediction : (n_rows, n_classes) ndarray
        The class whose column is largest is what is predicted.

    Returns
    -------
    accuracy : float
    """
    chosen = np.argmax(prediction, axis=1)[:, np.newaxis]
    found = np.take_along_axis(target, chosen, axis=1)[:, 0]
    return float(np.mean(np.isclose(found, target.max(axis=1), rtol=0, atol=1e-4)))


def check_fits(model, dataset):
    """
    Raise an error if a network can't predict the target of a data set.

    Parameters
    ----------
    model : `keras.Model`
        Or another that `.read_model` takes.
    dataset : `.datasets.Dataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        If inputs or outputs differ in number.
    """
    graph = any_graph(model)
    taken = [graph.size(value) for value in graph.inputs.values()]
    given = list(dataset.n_features.values())
    if taken != given:
        raise ValidationError(
            f"{model.name!r} takes inputs of {taken} features, and data set "
            f"{dataset.name!r} has {given}; use the data that it was trained on",
            attr="model",
        )
    n_outputs = [graph.size(value) for value in graph.outputs.values()]
    if n_outputs != [len(dataset.output_names)]:
        raise ValidationError(
            f"{model.name!r} has outputs of {n_outputs} elements, and data set "
            f"{dataset.name!r} one target of {len(dataset.output_names)}; use the data "
            "that it was trained on",
            attr="model",
        )
