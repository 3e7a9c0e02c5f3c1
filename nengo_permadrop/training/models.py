"""
The Keras networks of the study: building and training them.

Their layers are those of `nengo_permadrop.training.recipe`.
"""

from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require
from nengo_permadrop.training.recipe import RecipeLayers, softlif_at


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


def lenet(
    shape,
    filters=(6, 16),
    *,
    kernel_size=None,
    units=(120, 84),
    rate=0.1,
    firing_rate=200.0,
    seed=0,
    target="nengo",
    activation="softlif",
    n_outputs=10,
):
    """
    A network for images, as LeNet-5 is: convolutions and pools, then dense layers.

    Each convolution is followed by its activation, spatial dropout and the average of
    every 2 x 2 pixels, each dense layer by its activation and plain dropout. Dropout is
    permanent.

    Parameters
    ----------
    shape : (height, width, channels) tuple of int
        Of the images, its one input, "input".
    filters : sequence of int, optional
        Channels of each convolution, whose padding is "same".
    kernel_size : int, optional
        Of all convolutions; by default 5, and 3 for images with fewer than 16 pixels on
        a side.
    units : sequence of int, optional
        Units of each hidden dense layer.
    rate : float, optional
        Dropout rate of channels and units, in [0, 1).
    firing_rate : float, optional
        Spikes per second of a SoftLIF neuron for an activation of 1. Most units of a
        convolution see nothing and are near the threshold, where LIF neurons lack
        SoftLIF's tail, and each gets the spikes of few others: so the rate is twice
        that of `mlp`.
    seed, target, activation, n_outputs
        As in `mlp`.

    Returns
    -------
    model : `keras.Model`
        Functional, with one linear output; not compiled.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the images are too small for as many pools, or neurons can't fire so often.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y., & Haffner, P. (1998). Gradient-based learning
    applied to document recognition. Proceedings of the IEEE 86(11).
    """
    keras = require("keras")
    least = 2 ** len(filters)
    if len(shape) != 3 or min(shape[:2]) < least:
        raise ValidationError(
            f"must be (height, width, channels) of at least {least} x {least} pixels, "
            f"which {len(filters)} pools of 2 x 2 leave one of, got {tuple(shape)}",
            attr="shape",
        )
    if kernel_size is None:
        kernel_size = 5 if min(shape[:2]) >= 16 else 3
    softlif = softlif_at(firing_rate)
    layers = RecipeLayers(rate, seed, target, activation, **softlif)
    x = inputs = keras.Input(tuple(shape), name="input")
    for i, n_filters in enumerate(filters):
        x = layers.convolution(x, n_filters, kernel_size, f"conv{i + 1}")
        x = layers.pool(x, f"pool{i + 1}")
    x = keras.layers.Flatten(name="flat")(x)
    for i, n_units in enumerate(units):
        x = layers.hidden(x, n_units, f"hidden{i + 1}")
    return keras.Model(inputs, layers.output(x, n_outputs), name="lenet")


def for_dataset(dataset, seed=0, **options):
    """
    The network of the study for a data set.

    Parameters
    ----------
    dataset : `.datasets.Dataset`
        With a recipe that builds a network, or with one input, named "input".
        Images, whose rows are (height, width, channels), get a `lenet`.
    seed : int, optional
        Decides the initial weights.
    **options
        Passed to what builds the network, `mlp` or `lenet` if the recipe says nothing
        else.

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
        shape = dataset.train.inputs["input"].shape[1:]
        if len(shape) == 3:
            return lenet(shape, seed=seed, **options)
        return mlp(features["input"], seed=seed, **options)
    raise ValidationError(
        f"no network is known for the inputs {', '.join(features)} of data set "
        f"{dataset.name!r}; name its one input 'input', give it a Recipe that builds a "
        "network, or train a network yourself",
        attr="dataset",
    )
