"""What a data set is, and how its rows are divided and standardised."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.datasets.preparation import Preparation
from nengo_permadrop.support.optional import require


@dataclass(frozen=True, eq=False)
class Split:
    """
    Some rows of a data set.

    Attributes
    ----------
    inputs : {str: (n_rows, n_features) ndarray of float32}
        By the names of the network's inputs, in their order. Images are (n_rows,
        height, width, channels).
    target : (n_rows, n_outputs) ndarray of float32
        What is to be predicted.
    labels : {str: (n_rows,) ndarray}
        Columns that say which observation a row is, for tables of results.
    """

    inputs: dict
    target: np.ndarray
    labels: dict

    def __post_init__(self):
        columns = {**self.inputs, **self.labels, "target": self.target}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValidationError(
                f"all columns need the same number of rows, found {lengths}",
                attr="inputs",
                obj=self,
            )

    def __len__(self):
        return len(self.target)

    @property
    def input_names(self):
        """Names of the inputs, in the network's order; a tuple of str."""
        return tuple(self.inputs)

    @property
    def n_features(self):
        """Number of features of each input, {str: int}."""
        return {
            name: math.prod(values.shape[1:]) for name, values in self.inputs.items()
        }

    def take(self, rows):
        """The `Split` of the given rows (a slice or an array of row numbers)."""
        return Split(
            inputs={name: values[rows] for name, values in self.inputs.items()},
            target=self.target[rows],
            labels={name: values[rows] for name, values in self.labels.items()},
        )


@dataclass(frozen=True)
class Recipe:
    """
    How the network of a data set is built and trained.

    Attributes
    ----------
    build : callable or None
        Takes the data set, ``seed`` and options as keyword arguments, and returns a
        Keras model, not compiled. None builds `nengo_permadrop.training.mlp`.
    fit : callable or None
        Takes the model, the data set, ``seed``, ``progress``, and ``epochs``,
        ``learning_rate`` and ``prefix`` where they are given, and returns the history
        of the losses. Its files' paths begin with the prefix; it goes on from those
        that are there. None trains by `nengo_permadrop.training.train`.
    training : dict
        Options of `nengo_permadrop.training.train`.
    annealing_epochs : int
        Most epochs of training on with a sharper SoftLIF.
    annealing_rate : float
        Learning rate of that.
    """

    build: Callable | None = None
    fit: Callable | None = None
    training: dict = field(
        default_factory=lambda: {"epochs": 100, "patience": 10, "batch_size": 32}
    )
    annealing_epochs: int = 20
    annealing_rate: float = 3e-4


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    A regression problem, ready to train a network on.

    Inputs and target are standardised (mean 0 and standard deviation 1 of every
    column; of images, of every channel) with the moments of the training rows alone, so
    that nothing of the validation and test rows is known in training. A data set may
    leave the target in its own units; its mean is then 0 and its standard deviation 1
    here. One may scale both by constants, too (`.images.image_dataset`).

    Attributes
    ----------
    name : str
        As in `nengo_permadrop.datasets.load`.
    train, validation, test : `Split`
        Or what can stand for it, such as `.ComboRows`.
    target_name : str
        Name of the predicted quantity, such as "Growth".
    target_mean, target_std : (n_outputs,) ndarray
        Of the training rows, in the target's own units: ``value * target_std +
        target_mean`` undoes the standardisation.
    source : str
        Where the data come from, for reports.
    output_names : tuple of str
        Names of the target's columns; of one column, the target's.
    recipe : `Recipe`
        How its network is built and trained.
    preparation : `.preparation.Preparation` or None
        How other rows become what its network takes, if that is known.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    target_name: str
    target_mean: np.ndarray
    target_std: np.ndarray
    source: str
    output_names: tuple
    recipe: Recipe = field(default=Recipe(), kw_only=True)
    preparation: Preparation | None = field(default=None, kw_only=True)

    @property
    def input_names(self):
        """Names of the inputs, in the network's order; a tuple of str."""
        return self.train.input_names

    @property
    def n_features(self):
        """Number of features of each input, {str: int}."""
        return self.train.n_features

    def first_test_rows(self, n_rows):
        """
        The first test rows, which a study shows.

        Parameters
        ----------
        n_rows : int
            How many.

        Returns
        -------
        rows : `Split`

        Raises
        ------
        nengo.exceptions.ValidationError
            If there are fewer.
        """
        if n_rows > len(self.test):
            raise ValidationError(
                f"data set {self.name!r} has {len(self.test)} test rows, fewer than "
                f"the {n_rows} asked for; ask for fewer",
                attr="observations",
            )
        return self.test.take(slice(n_rows))

    def in_units(self, values):
        """Standardised targets or predictions in the target's own units, float64."""
        return np.asarray(values, np.float64) * self.target_std + self.target_mean


def standardised(
    name,
    rows,
    parts,
    target_name,
    source,
    alike=(),
    output_names=None,
    recipe=None,
    columns=None,
):
    """
    Divide rows into the parts of a `Dataset` and standardise them.

    Parameters
    ----------
    name, target_name, source : str
        As in `Dataset`.
    rows : `Split`
        All rows, unscaled.
    parts : (train, validation, test) sequence of array_like of int
        Row numbers.
    alike : sequence of str, optional
        Inputs that hold the same features, of different objects: they are standardised
        with common moments, so that an object has the same features in each of them.
    output_names : sequence of str, optional
        Names of the target's columns, if it has several.
    recipe : `Recipe`, optional
        As in `Dataset`.
    columns : {str: list}, optional
        Names of each input's features, if rows of a table are to be predicted later.

    Returns
    -------
    dataset : `Dataset`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the target has not as many columns as there are names.
    """
    output_names = (target_name,) if output_names is None else tuple(output_names)
    if rows.target.shape[1] != len(output_names):
        raise ValidationError(
            f"the target has {rows.target.shape[1]} columns, and {len(output_names)} "
            "names; give each a name",
            attr="output_names",
        )
    require("sklearn")
    from sklearn.preprocessing import StandardScaler

    raw = [rows.take(np.asarray(part)) for part in parts]
    train = raw[0].inputs
    scalers = {key: StandardScaler().fit(_by_column(x)) for key, x in train.items()}
    if alike:
        common = np.concatenate([_by_column(train[key]) for key in alike])
        common = StandardScaler().fit(common)
        scalers.update(dict.fromkeys(alike, common))
    target_scaler = StandardScaler().fit(raw[0].target)
    scaled = [
        Split(
            inputs={key: _scaled(scalers[key], x) for key, x in part.inputs.items()},
            target=target_scaler.transform(part.target).astype(np.float32),
            labels=part.labels,
        )
        for part in raw
    ]
    return Dataset(
        name,
        *scaled,
        target_name=target_name,
        target_mean=target_scaler.mean_,
        target_std=target_scaler.scale_,
        source=source,
        output_names=output_names,
        recipe=Recipe() if recipe is None else recipe,
        preparation=Preparation(
            output_names,
            target_scaler.mean_,
            target_scaler.scale_,
            columns,
            tuple(rows.labels),
            {key: (scaler.mean_, scaler.scale_) for key, scaler in scalers.items()},
        ),
    )


def _by_column(x):
    """Rows of columns; of images, a row a pixel and a column a channel."""
    return x.reshape(-1, x.shape[-1])


def _scaled(scaler, x):
    return scaler.transform(_by_column(x)).reshape(x.shape).astype(np.float32)


def random_parts(n_rows, n_validation, n_test, rng):
    """
    Row numbers for training, validation and test, drawn without replacement.

    Parameters
    ----------
    n_rows, n_validation, n_test : int
        What is left of ``n_rows`` is for training.
    rng : `numpy.random.RandomState`

    Returns
    -------
    train, validation, test : ndarray of int

    Raises
    ------
    nengo.exceptions.ValidationError
        If nothing is left to train on.
    """
    if n_validation + n_test >= n_rows:
        raise ValidationError(
            f"{n_validation} validation and {n_test} test rows leave none of {n_rows} "
            "to train on; ask for fewer",
            attr="n_test",
        )
    order = rng.permutation(n_rows)
    return np.split(order, [n_rows - n_validation - n_test, n_rows - n_test])
