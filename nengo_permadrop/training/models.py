"""
The Keras networks of the study: building and training them.

Their layers are those of `nengo_permadrop.training.recipe`.
"""

from nengo.exceptions import ValidationError

from nengo_permadrop import combo
from nengo_permadrop.combo.data.rows import INPUTS as COMBO_INPUTS
from nengo_permadrop.combo.model import combo_small
from nengo_permadrop.support.optional import require
from nengo_permadrop.training.recipe import RecipeLayers


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
