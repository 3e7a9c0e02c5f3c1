"""
The Keras networks of the study: building and training them.

Their layers are those of `nengo_permadrop.training.recipe`.
"""

from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require
from nengo_permadrop.training.recipe import RecipeLayers


def mlp(
    n_inputs,
    units=(100, 100),
    *,
    rate=0.1,
    seed=0,
    target="nengo",
    activation="softlif",
    n_outputs=1,
):
    """
    A network of dense layers, each followed by its activation and permanent dropout.

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
    activation : {"softlif", "relu"}, optional
        Of all hidden layers.
    n_outputs : int, optional
        Elements of its one output.

    Returns
    -------
    model : `keras.Model`
        Functional, with one linear output; not compiled.
    """
    keras = require("keras")
    layers = RecipeLayers(rate, seed, target, activation)
    x = inputs = keras.Input((n_inputs,), name="input")
    for i, n_units in enumerate(units):
        x = layers.hidden(x, n_units, f"hidden{i + 1}")
    return keras.Model(inputs, layers.output(x, n_outputs), name="mlp")


def for_dataset(dataset, seed=0, **options):
    """
    The network of the study for a data set.

    Parameters
    ----------
    dataset : `.datasets.Dataset`
        With a recipe that builds a network, or with one input, named "input".
    seed : int, optional
        Decides the initial weights.
    **options
        Passed to what builds the network, `mlp` if the recipe says nothing else.

    Returns
    -------
    model : `keras.Model`

    Raises
    ------
    nengo.exceptions.ValidationError
        If no network is known for the data set's inputs.
    """
    if dataset.recipe.build is not None:
        return dataset.recipe.build(dataset, seed=seed, **options)
    features = dataset.n_features
    options = {"n_outputs": len(dataset.output_names), **options}
    if tuple(features) == ("input",):
        return mlp(features["input"], seed=seed, **options)
    raise ValidationError(
        f"no network is known for the inputs {', '.join(features)} of data set "
        f"{dataset.name!r}; name its one input 'input', give it a Recipe that builds a "
        "network, or train a network yourself",
        attr="dataset",
    )
