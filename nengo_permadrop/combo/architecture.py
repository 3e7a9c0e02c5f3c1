"""The network of CANDLE's Combo benchmark, with permanent dropout."""

from nengo_permadrop.combo.data.rows import INPUTS
from nengo_permadrop.support.optional import require
from nengo_permadrop.training.recipe import SOFTLIF, RecipeLayers


def model(
    n_genes,
    n_descriptors,
    *,
    dense=(1000, 1000, 1000),
    dense_feature_layers=(1000, 1000, 1000),
    residual=False,
    activation="softlif",
    rate=0.1,
    seed=0,
    target="nengo",
    gamma=SOFTLIF["gamma"],
    n_outputs=1,
):
    """
    CANDLE's Combo network [1]_.

    An encoder of the cell line's expression, and one drug encoder that both drugs
    share; what they give is concatenated and goes through more dense layers to one
    linear output, the growth. Every hidden layer is followed by permanent dropout.
    Hidden layers are initialised by the recipe of `nengo_permadrop.training.recipe`,
    not by Keras's defaults as in CANDLE, and ``activation`` is that of the encoders
    too, which are relu in CANDLE whatever the other layers are.

    Parameters
    ----------
    n_genes, n_descriptors : int
        Features of the input "cell", and of each of "drug1" and "drug2".
    dense : sequence of int, optional
        Units of the layers after the encoders.
    dense_feature_layers : sequence of int, optional
        Units of each encoder's layers.
    residual : bool, optional
        Add a layer's input to what it gives, in the layers after the encoders and where
        both have as many units, as CANDLE does.
    activation : {"softlif", "relu"}, optional
        Of all hidden layers.
    rate : float, optional
        Dropout rate, in [0, 1).
    seed : int, optional
        Decides the initial weights.
    target : {"nengo", "loihi"}, optional
        What the spiking network will run on: the curve of the SoftLIF layers.
    gamma : float, optional
        Width of SoftLIF's smoothing, in units of the neurons' input current. A network
        that has learned with the usual one ends nearer to its spiking version when it
        is trained on with a smaller one.
    n_outputs : int, optional
        Elements of its one output.

    Returns
    -------
    kmodel : `keras.Model`
        Functional, with the encoders as nested models; not compiled.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such activation.
    ValueError
        If ``rate``, ``target`` or ``gamma`` is out of range.

    References
    ----------
    .. [1] Xia, F., et al. (2018). Predicting tumor cell line response to drug pairs
       with deep learning. BMC Bioinformatics 19 (Suppl 18), 486. Code:
       ``Pilot1/Combo`` of ECP-CANDLE/Benchmarks.
    """
    keras = require("keras")
    layers = RecipeLayers(rate, seed, target, activation, gamma=gamma)

    def encoder(n_features, name):
        x = inputs = keras.Input((n_features,), name=f"{name}_features")
        for i, units in enumerate(dense_feature_layers):
            x = layers.hidden(x, units, f"{name}_hidden{i + 1}")
        return keras.Model(inputs, x, name=name)

    cell_encoder = encoder(n_genes, "cell_encoder")
    drug_encoder = encoder(n_descriptors, "drug_encoder")
    cell, drug1, drug2 = (
        keras.Input((n,), name=name)
        for n, name in zip((n_genes, n_descriptors, n_descriptors), INPUTS)
    )
    x = keras.layers.Concatenate(name="encoded")(
        [cell_encoder(cell), drug_encoder(drug1), drug_encoder(drug2)]
    )
    for i, units in enumerate(dense):
        before, x = x, layers.hidden(x, units, f"hidden{i + 1}")
        if residual and before.shape[-1] == units:
            x = keras.layers.Add(name=f"hidden{i + 1}_residual")([x, before])
    return keras.Model([cell, drug1, drug2], layers.output(x, n_outputs), name="combo")


def combo_small(
    n_genes,
    n_descriptors,
    *,
    units=200,
    rate=0.1,
    seed=0,
    target="nengo",
    activation="softlif",
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
    rate, seed, target, activation : optional
        As in `model`.
    n_outputs : int, optional
        Elements of its one output.

    Returns
    -------
    model : `keras.Model`
        Functional, with the encoders as nested models; not compiled.
    """
    return model(
        n_genes,
        n_descriptors,
        dense=(units,) * 3,
        dense_feature_layers=(units,) * 3,
        rate=rate,
        seed=seed,
        target=target,
        activation=activation,
        n_outputs=n_outputs,
    )


def network_for(build):
    """
    How a data set of the Combo problem has its network built.

    Parameters
    ----------
    build : callable
        `model` or `combo_small`.

    Returns
    -------
    build : callable
        As in `.Recipe`.
    """

    def built(dataset, seed=0, **options):
        features = dataset.n_features
        options = {"n_outputs": len(dataset.output_names), **options}
        return build(features["cell"], features["drug1"], seed=seed, **options)

    return built
