import pickle
import warnings

import nengo
import numpy as np
import pytest
from kmodels import combo, hidden, layers, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.layers import (
    PermanentDropout,
    SoftLIF,
    keras,
    softlif,
)


def functional(shape, build):
    keras.utils.set_random_seed(0)
    inp = keras.Input(shape, name="x")
    return keras.Model(inp, build(inp))


def randomise(kmodel, seed=0):
    """Give all weights, moving averages too, values that matter."""
    rng = np.random.RandomState(seed)
    kmodel.set_weights(
        [w + rng.uniform(0.1, 0.5, size=w.shape) for w in kmodel.get_weights()]
    )
    return kmodel


def batch_norm(x):
    return layers.BatchNormalization(epsilon=0.01)(x)


MODELS = {
    "softlif": lambda: mlp(),
    "relu": lambda: mlp(activation="relu"),
    "sigmoid": lambda: mlp(activation="sigmoid"),
    "tanh": lambda: mlp(activation="tanh"),
    "activation softlif": lambda: mlp(activation=softlif),
    "plain dropout": lambda: mlp(dropout=layers.Dropout),
    "combo": combo,
    "sequential": lambda: keras.Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(3,)),
            PermanentDropout(0.3),
            layers.Dense(2),
        ]
    ),
    "relu layer, reshape, flatten": lambda: functional(
        (2, 3),
        lambda x: layers.Flatten()(
            layers.Reshape((4, 2))(
                PermanentDropout(0.3)(
                    layers.ReLU()(layers.Dense(8)(layers.Flatten()(x)))
                )
            )
        ),
    ),
    "average": lambda: functional(
        (4,),
        lambda x: layers.average([hidden(x, 5, 0.2), hidden(x, 5, 0.2)]),
    ),
    "batch normalisation before": lambda: functional(
        (4,), lambda x: hidden(batch_norm(layers.Dense(6)(x)), 5, 0.3)
    ),
    "batch normalisation between activation and dropout": lambda: functional(
        (4,),
        lambda x: layers.Dense(2)(
            PermanentDropout(0.3)(batch_norm(hidden(x, 9, None, "relu")))
        ),
    ),
    "batch normalisation of a matrix": lambda: functional(
        (3, 4), lambda x: layers.Flatten()(layers.BatchNormalization(axis=1)(x))
    ),
    "dropout of inputs": lambda: functional(
        (30,), lambda x: hidden(PermanentDropout(0.5)(x), 4, None)
    ),
    "dropout of a sum": lambda: functional(
        (4,),
        lambda x: PermanentDropout(0.5)(
            layers.add([hidden(x, 9, None), hidden(x, 9, None)])
        ),
    ),
    "dropout of a linear layer": lambda: functional(
        (4,), lambda x: hidden(PermanentDropout(0.5)(layers.Dense(9)(x)), 3, None)
    ),
    "dropout of a concatenation": lambda: functional(
        (4,),
        lambda x: layers.Dense(3)(
            PermanentDropout(0.5)(
                layers.concatenate([hidden(x, 9, None), hidden(x, 7, 0.2)])
            )
        ),
    ),
    "dropout of one value twice": lambda: functional(
        (4,),
        lambda x: (lambda h: PermanentDropout(0.5)(layers.concatenate([h, h])))(
            hidden(x, 9, None)
        ),
    ),
    "concatenation of matrices": lambda: functional(
        (2, 3),
        lambda x: layers.Flatten()(
            layers.Concatenate(axis=1)(
                [
                    x,
                    layers.Reshape((4, 3))(
                        PermanentDropout(0.5)(
                            layers.Dense(12, activation="relu")(layers.Flatten()(x))
                        )
                    ),
                ]
            )
        ),
    ),
    "residual": lambda: functional((6,), lambda x: layers.add([hidden(x, 6, 0.4), x])),
    "two outputs": lambda: (
        lambda inp: keras.Model(
            inp,
            (lambda h: [layers.Dense(1)(h), layers.Dense(2)(h)])(hidden(inp, 8, 0.4)),
        )
    )(keras.Input((4,))),
    "layer used twice": lambda: (
        lambda a, b, dense: keras.Model(
            [a, b], layers.add([PermanentDropout(0.3)(dense(a)), dense(b)])
        )
    )(keras.Input((4,)), keras.Input((4,)), layers.Dense(7, activation="relu")),
}


@pytest.mark.parametrize("name", MODELS)
def test_computes_what_keras_computes(name):
    kmodel = randomise(MODELS[name]())
    with nengo.Network(seed=0) as net:
        conv = npd.Converter(kmodel)
    assert net.networks == [conv]
    error = conv.verify(observations(kmodel, 5))
    assert error < 1e-5


def test_stand_alone_and_nested():
    kmodel = mlp()
    conv = npd.Converter(kmodel)
    assert conv.verify(observations(kmodel, 3)) < 1e-5
    with nengo.Network(), nengo.Network():
        npd.Converter(kmodel)


def output(net, conv, X, time=0.3):
    with net:
        for x, node in zip(X, conv.inputs.values()):
            nengo.Connection(nengo.Node(x), node, synapse=None)
        probe = nengo.Probe(conv.output)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(time, progress_bar=False)
    return sim.data[probe][len(sim.trange()) // 3 :].mean(axis=0)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
def test_spiking_network_is_near_keras_with_the_same_masks(activation):
    kmodel = mlp(n_inputs=6, units=(40, 40), activation=activation)
    with nengo.Network(seed=1) as net:
        conv = npd.Converter(kmodel)
    X = observations(kmodel, 1)
    forward = KerasForward(kmodel)
    masks = [dropout.keep()[None] for dropout in conv.dropouts]
    expected = forward(X, masks)[0]
    without = forward(X)[0]
    actual = output(net, conv, [x[0] for x in X])
    assert (
        np.abs(actual - expected).max() < 0.1 * np.abs(expected - without).max() + 0.05
    )


def test_neurons_connect_directly_to_neurons():
    conv = npd.Converter(combo())
    inner = [c for c in conv.all_connections if c.post_obj is not conv.output]
    assert all(isinstance(conn.post_obj, nengo.ensemble.Neurons) for conn in inner)
    assert set(conv.all_nodes) == {
        *conv.inputs.values(),
        conv.output,
        *(n for n in conv.all_nodes if n.label == "growth.bias"),
    }
    for conn in conv.all_connections:
        neurons = isinstance(conn.pre_obj, nengo.ensemble.Neurons)
        assert conn.synapse == (nengo.Alpha(0.005) if neurons else None)


def test_gain_amplitude_and_bias_come_from_the_layer():
    layer = SoftLIF(gamma=0.05, tau_rc=0.03, tau_ref=0.001, amplitude=0.02, gain=3.0)
    kmodel = functional(
        (4,), lambda x: PermanentDropout(0.1)(layer(layers.Dense(5)(x)))
    )
    randomise(kmodel)
    conv = npd.Converter(kmodel)
    (ens,) = conv.all_ensembles
    assert ens.neuron_type == nengo.LIF(tau_rc=0.03, tau_ref=0.001, amplitude=0.02)
    assert np.all(ens.gain == 3.0)
    assert np.allclose(ens.bias, 1 + 3.0 * kmodel.get_weights()[1])
    (rate,) = npd.Converter(kmodel, neurons="rate").all_ensembles
    assert rate.neuron_type == npd.SoftLIF(0.05, 0.03, 0.001, 0.02)


def test_scale_firing_rates():
    conv = npd.Converter(mlp(activation="relu"), scale_firing_rates=250)
    ens = conv.all_ensembles[0]
    assert ens.neuron_type == nengo.SpikingRectifiedLinear(amplitude=1 / 250)
    assert np.all(ens.gain == 250)
    with pytest.raises(npd.ConversionError, match="scale_firing_rates.*SoftLIF"):
        npd.Converter(mlp(), scale_firing_rates=250)


def test_extras_softlif_converts():
    extras = pytest.importorskip("nengo_extras.keras")
    kmodel = functional(
        (4,),
        lambda x: PermanentDropout(0.1)(
            extras.SoftLIF(sigma=0.05, amplitude=0.01)(layers.Dense(5)(x))
        ),
    )
    conv = npd.Converter(kmodel)
    assert conv.all_ensembles[0].neuron_type == nengo.LIF(amplitude=0.01)
    assert np.all(conv.all_ensembles[0].gain == 1.0)
    assert conv.verify(observations(kmodel, 3)) < 1e-5


def test_verifies_in_single_precision_too(monkeypatch):
    monkeypatch.setitem(nengo.rc["precision"], "bits", "32")
    kmodel = mlp()
    assert npd.Converter(kmodel).verify(observations(kmodel, 30)) < 1e-5


# -- dropout


def test_dropouts():
    conv = npd.Converter(combo(rate=0.3), seed=0)
    assert [dropout.path for dropout in conv.dropouts] == [
        name for name in conv.layers if "permanent_dropout" in name
    ]
    assert len(conv.dropouts) == 2 + 2 * 2 + 1
    assert all(dropout.rate == 0.3 for dropout in conv.dropouts)
    assert all(
        isinstance(c.transform, npd.PermanentDropout)
        for c in conv.all_connections
        if isinstance(c.pre_obj, nengo.ensemble.Neurons)
    )
    seeds = [mask.seed for dropout in conv.dropouts for mask in dropout.masks]
    assert len(set(seeds)) == len(seeds)  # the encoder's two uses drop independently


def test_consumers_of_a_dropout_share_its_mask():
    # the first layer of an encoder goes to the second, and past it, in the residual sum
    conv = npd.Converter(combo(rate=0.5), seed=0)
    shared = next(d for d in conv.dropouts if len(d.connections) > 1)
    with nengo.Simulator(conv, progress_bar=False) as sim:
        kept = [(sim.data[c].weights != 0).any(axis=0) for c in shared.connections]
    assert all(np.array_equal(mask, shared.keep()) for mask in kept)
    assert 0 < shared.keep().sum() < shared.size


def masks_of(net):
    (conv,) = net.networks
    return [dropout.keep().tolist() for dropout in conv.dropouts]


def test_masks_follow_the_networks_seed():
    kmodel = mlp()

    def make(network_seed, seed=None):
        with nengo.Network(seed=network_seed) as net:
            npd.Converter(kmodel, seed=seed)
        return net

    assert masks_of(make(0)) == masks_of(make(0))
    assert masks_of(make(0)) != masks_of(make(1))
    assert masks_of(make(0, seed=5)) == masks_of(make(1, seed=5))
    # without any seed, networks made in a loop must not all have the same masks
    assert masks_of(make(None)) != masks_of(make(None))
    with nengo.Network(seed=0) as net:
        a, b = npd.Converter(kmodel), npd.Converter(kmodel)
    assert [d.keep().tolist() for d in a.dropouts] != [
        d.keep().tolist() for d in b.dropouts
    ]
    net = make(0)
    before = masks_of(net)
    net.networks[0].reseed(99)
    assert masks_of(net) != before


@pytest.mark.parametrize(
    "dropout, training, n",
    [
        ("permanent", None, 1),
        ("off", None, 0),
        ("off", True, 1),
        # Keras 3 doesn't tell an explicit False from none
        ("permanent", False, 0 if keras.__version__.startswith("2.") else 1),
    ],
)
def test_plain_dropout_is_permanent_or_off(dropout, training, n):
    kmodel = functional(
        (4,), lambda x: layers.Dropout(0.4)(hidden(x, 9, None), training=training)
    )
    conv = npd.Converter(kmodel, dropout=dropout)
    assert len(conv.dropouts) == n
    conv.verify(observations(kmodel, 3))


def test_permanent_dropout_can_not_be_turned_off():
    assert len(npd.Converter(mlp(), dropout="off").dropouts) == 2


def test_redraw_reaches_all_connections():
    conv = npd.Converter(combo(), redraw=0.05)
    for dropout in conv.dropouts:
        assert dropout.redraw == 0.05
        assert all(conn.transform.redraw == 0.05 for conn in dropout.connections)


def test_dropout_in_the_wrong_place_is_caught():
    kmodel = mlp(units=(30, 30), rate=0.5)
    conv = npd.Converter(kmodel)
    # the network of a model that drops before the activation, with the same weights
    wrong = functional(
        (6,),
        lambda x: layers.Dense(1)(
            SoftLIF()(PermanentDropout(0.5)(layers.Dense(30)(hidden(x, 30, 0.5))))
        ),
    )
    wrong.set_weights(kmodel.get_weights())
    conv.graph = npd.Converter(wrong).graph
    with pytest.raises(npd.ConversionError, match="with its masks, differs from Keras"):
        conv.verify(observations(kmodel, 5))


def test_changed_weights_are_caught():
    kmodel = mlp()
    conv = npd.Converter(kmodel)
    randomise(kmodel)
    with pytest.raises(npd.ConversionError, match="without dropout.*convert it again"):
        conv.verify(observations(kmodel, 5))


# -- names and pickling


def test_layers_by_name():
    conv = npd.Converter(combo())
    assert conv.layers["growth"] is conv.output
    first, second = (
        [obj for name, obj in conv.layers.items() if name.startswith(prefix)]
        for prefix in ("drug_encoder[0]/soft_lif", "drug_encoder[1]/soft_lif")
    )
    assert len(first) == len(second) > 0 and not set(first) & set(second)
    for name, obj in conv.layers.items():
        assert obj in [
            *conv.all_nodes,
            *(ens.neurons for ens in conv.all_ensembles),
        ], name
    cell = [name for name in conv.layers if name.startswith("cell_encoder/soft_lif")]
    assert conv.layers[cell[0].rpartition("/")[2]] is conv.layers[cell[0]]
    with pytest.raises(KeyError, match="ambiguous"):
        next(
            conv.layers[name.rpartition("/")[2]]
            for name in conv.layers
            if name.startswith("drug_encoder[0]/")
        )
    with pytest.raises(KeyError, match="no layer 'nothing'"):
        conv.layers["nothing"]


def test_inputs_and_outputs_keep_the_models_order():
    conv = npd.Converter(combo())
    assert list(conv.inputs) == ["cell", "drug1", "drug2"]
    assert conv.input is conv.inputs["cell"] and conv.output is conv.outputs["growth"]


def test_pickles_without_keras():
    conv = npd.Converter(mlp(), seed=0)
    copy = pickle.loads(pickle.dumps(conv))
    assert copy.model is None
    assert [d.keep().tolist() for d in copy.dropouts] == [
        d.keep().tolist() for d in conv.dropouts
    ]
    with pytest.raises(npd.ConversionError, match="no model to compare"):
        copy.verify(np.zeros((1, 6)))


# -- what is not supported


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


UNSUPPORTED = {
    "unknown layer": (lambda x: Doubled()(x), "doubled.*without a converter.*register"),
    "operator": (lambda x: x * x, "operation.*depend on the input.*constant"),
    "noise shape": (
        lambda x: PermanentDropout(0.1, noise_shape=(1, 4))(x),
        "all rows of a batch have one mask",
    ),
    "activation": (
        lambda x: layers.Dense(3, activation="softsign")(x),
        "'softsign'.*Supported",
    ),
    "relu option": (lambda x: layers.ReLU(threshold=6)(x), "threshold=6.*jumps"),
    "slope": (lambda x: layers.LeakyReLU(np.nan)(x), "=nan.*finite"),
    "weights of an activation": (
        lambda x: layers.Dense(3, activation=layers.PReLU())(x),
        "PReLU layer as its activation.*behind it",
    ),
    "training": (
        lambda x: layers.BatchNormalization()(x, training=True),
        "normalises by the batch",
    ),
    "broadcast": (
        lambda x: layers.add([layers.Reshape((2, 4))(layers.Dense(8)(x)), x]),
        "different shapes",
    ),
    "training of a model": (
        lambda x: mlp(4)(x, training=True),
        "model 'mlp'.*training=True",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_raises(name):
    build, message = UNSUPPORTED[name]
    with pytest.raises(npd.ConversionError, match=message):
        npd.Converter(functional((4,), build))


def test_unsupported_models_raise():
    with pytest.raises(npd.ConversionError, match="Sequential and functional"):
        npd.Converter(Subclassed())
    with pytest.raises(npd.ConversionError, match="input shape"):
        npd.Converter(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(
        npd.ConversionError, match="known source.*Convert a keras.Model, or the path"
    ):
        npd.Converter(3)
    with pytest.raises(npd.ConversionError, match="unknown size"):
        npd.Converter(functional((None, 4), lambda x: layers.Activation("relu")(x)))


@pytest.mark.parametrize(
    "kwargs, attr",
    [
        (dict(neurons="analog"), "neurons"),
        (dict(target="gpu"), "target"),
        (dict(dropout="maybe"), "dropout"),
        (dict(neurons="rate", target="loihi"), "neurons"),
        (dict(synapse="fast"), "synapse"),
        (dict(target="loihi", synapse=nengo.Alpha(0.005)), "synapse"),
        (dict(scale_firing_rates=0), "scale_firing_rates"),
    ],
)
def test_invalid_arguments(kwargs, attr):
    with pytest.raises(ValidationError, match=attr):
        npd.Converter(mlp(), **kwargs)


def test_rate_neurons_of_a_model_for_loihi_have_its_curve():
    pytest.importorskip("nengo_loihi")
    model = mlp(rate=0.0, target="loihi")
    x = np.random.RandomState(0).randn(50, model.input_shape[1]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*learned with")
        with nengo.Network() as net:
            conv = npd.Converter(model, neurons="rate")
            stimulus = nengo.Node(nengo.processes.PresentInput(x, 0.001))
            nengo.Connection(stimulus, conv.input, synapse=None)
            probe = nengo.Probe(conv.output)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(50, progress_bar=False)
    drawn, expected = sim.data[probe], np.asarray(model(x))
    # in single precision a period may be rounded to another step than Keras's
    assert np.mean(np.abs(drawn - expected) < 1e-4) > 0.9
    smooth = npd.Converter(mlp(rate=0.0), neurons="rate")
    assert type(smooth.all_ensembles[0].neuron_type) is npd.SoftLIF


def test_loihi_raises_where_dropout_would_need_a_passthrough():
    pytest.importorskip("nengo_loihi")
    with pytest.raises(npd.ConversionError, match="passthrough"):
        npd.Converter(MODELS["dropout of a sum"](), target="loihi")
    with pytest.raises(npd.ConversionError, match="tanh|no spiking neurons"):
        npd.Converter(MODELS["tanh"](), target="loihi")
