"""Keras's kinds of dropout, converted: channels, noise, and a value of its own."""

import warnings

import nengo
import numpy as np
import pytest

pytest.importorskip("keras")
from file_models import L, MCAlphaDropout, MCSpatialDropout2D, keras, made, saved

import nengo_permadrop as npd
from nengo_permadrop.dropout.masks import keep_mask, mask_key
from nengo_permadrop.sampling.single_run import let_masks_travel
from nengo_permadrop.sources.keras.dropouts import named_dropout
from nengo_permadrop.sources.registry import get_source

# of small networks without training, on Loihi
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")

X = np.random.RandomState(0).normal(size=(20, 4))


def model(*dropped, units=24, activation="relu", outputs=2):
    """A dense layer, a shape and a dropout; the same again; and an output."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((4,))
    for shape, dropout in dropped:
        x = L.Reshape(shape)(L.Dense(units, activation)(x))
        x = L.Flatten()(dropout(x))
    return keras.Model(inputs, L.Dense(outputs)(x))


def of_one(shape, dropout, **options):
    conv = npd.Converter(model((shape, dropout)), seed=0, **options)
    assert conv.verify(X) < 1e-5
    (dropout,) = conv.dropouts
    return conv, dropout


CHANNELS = {
    "1D": ((8, 3), lambda: L.SpatialDropout1D(0.4), (0,)),
    "2D": ((2, 3, 4), lambda: L.SpatialDropout2D(0.4), (0, 1)),
    "2D, channels first": (
        (4, 2, 3),
        lambda: L.SpatialDropout2D(0.4, data_format="channels_first"),
        (1, 2),
    ),
    "3D": ((2, 2, 2, 3), lambda: L.SpatialDropout3D(0.4), (0, 1, 2)),
    "3D, channels first": (
        (3, 2, 2, 2),
        lambda: L.SpatialDropout3D(0.4, data_format="channels_first"),
        (1, 2, 3),
    ),
    "noise_shape": ((8, 3), lambda: L.Dropout(0.4, noise_shape=(None, 1, 3)), (0,)),
    "noise_shape of None": (
        (8, 3),
        lambda: L.Dropout(0.4, noise_shape=(20, None, 1)),
        (1,),
    ),
    "all together": ((8, 3), lambda: L.Dropout(0.4, noise_shape=(None, 1, 1)), (0, 1)),
    "of a user": ((2, 3, 4), lambda: MCSpatialDropout2D(0.4), (0, 1)),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_elements_that_share_a_mask(case):
    shape, make, together = CHANNELS[case]
    conv, dropout = of_one(shape, make())
    masks = np.array([dropout.keep(seed) for seed in range(30)]).reshape(30, *shape)
    axes = tuple(axis + 1 for axis in together)
    assert (masks.all(axis=axes) | ~masks.any(axis=axes)).all()
    own = masks.all(axis=axes).reshape(30, -1)
    assert own.shape[1] == dropout.n_groups
    # none of the groups is another, in 30 masks: a false alarm has p < 1e-6
    assert np.unique(own, axis=1).shape == own.shape
    groups = "1 group" if own.shape[1] == 1 else f"{own.shape[1]} groups"
    assert dropout.words == f"dropout of 24 units in {groups}, rate 0.4"
    assert "0.4 of 24 units in" in str(conv.report())
    assert ", in groups" in str(conv.report())


@pytest.mark.parametrize("case", ["2D", "2D, channels first", "noise_shape"])
def test_keras_drops_the_same_elements_together(case):
    """In training, which elements Keras's own layer drops."""
    shape, make, together = CHANNELS[case]
    dropped = np.array(make()(np.ones((20, *shape), "float32"), training=True)) == 0
    axes = tuple(axis + 1 for axis in together)
    assert (dropped.all(axis=axes) == dropped.any(axis=axes)).all()
    assert 0 < dropped.mean() < 1


def test_keras_answers_have_groups_too():
    kmodel = model(((2, 3, 4), L.SpatialDropout2D(0.5)), outputs=24)
    kmodel.layers[-1].set_weights([np.eye(24), np.zeros(24)])
    samples = npd.sample(kmodel, X[:3], 20, backend="keras", progress=False).values
    kept = samples.reshape(20, 3, 6, 4) != 0
    assert (kept.any(axis=2) >= kept.all(axis=2)).all()
    off = npd.sample(kmodel, X[:3], 1, backend="keras", progress=False).values
    assert off.shape == (1, 3, 24)
    fires = np.abs(samples).max(axis=0).reshape(3, 6, 4) > 0
    for draw in kept:  # where a unit is active at all, its channel decides
        for row, active in zip(draw, fires):
            for channel in range(4):
                own = row[active[:, channel], channel]
                assert own.all() or not own.any()


def test_a_group_may_have_units_of_several_layers():
    """A Concatenate along the height: each channel is of both layers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    maps = [L.Reshape((2, 6))(L.Dense(12, "relu")(inputs)) for _ in range(2)]
    x = L.SpatialDropout1D(0.4)(L.Concatenate(axis=1)(maps))
    kmodel = keras.Model(inputs, L.Dense(1)(L.Flatten()(x)))
    conv = npd.Converter(kmodel, seed=0)
    (dropout,) = conv.dropouts
    assert len(dropout.masks) == 2 and dropout.n_groups == 6
    assert conv.verify(X) < 1e-5
    keep = np.array([dropout.keep(seed) for seed in range(20)]).reshape(20, 4, 6)
    assert (keep == keep[:, :1]).all() and len(np.unique(keep[:, 0], axis=0)) > 10
    # their seeds stay the same
    conv.reseed(5)
    assert len({mask.seed for mask in dropout.masks}) == 1
    assert conv.verify(X) < 1e-5


def test_groups_by_sums_and_in_several_dropouts():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    a, b = (L.Reshape((4, 3))(L.Dense(12, "relu")(inputs)) for _ in range(2))
    summed = L.SpatialDropout1D(0.4)(L.Add()([a, b]))
    x = L.Dense(6, "relu")(L.Flatten()(L.SpatialDropout1D(0.4)(summed)))
    conv = npd.Converter(keras.Model(inputs, L.Dense(1)(L.Dropout(0.2)(x))), seed=0)
    assert conv.verify(X) < 1e-5
    first, second, _ = conv.dropouts
    assert first.masks[0].seed != second.masks[0].seed


@pytest.mark.parametrize(
    "noise_shape, message",
    [
        ((1, 8, 3), 'all rows of a batch have one mask.*masks="draw"'),
        ((8, 3), "all rows of a batch"),
        ((None, 8, 2), r"noise_shape=\(None, 8, 2\), and values of shape \(8, 3\)"),
        ((None, 1, 8, 3), "values of shape"),
    ],
)
def test_noise_shapes_that_are_refused(noise_shape, message):
    kmodel = model(((8, 3), L.Dropout(0.3, noise_shape=(None, 1, 3))))
    kmodel.layers[3].noise_shape = noise_shape  # Keras would refuse some itself
    for refused in (npd.Converter, get_source("keras").forward):
        with pytest.raises(npd.ConversionError, match=message):
            refused(kmodel)


def test_alpha_dropout_is_keras():
    """Keras's own layer in training has the two values that ours has."""
    layer = L.AlphaDropout(0.3)
    x = np.linspace(-1, 2, 24, dtype="float32")[np.newaxis]
    keras_values = np.array(layer(np.repeat(x, 50, axis=0), training=True))
    kmodel = keras.Sequential([keras.Input((24,)), layer])
    forward = get_source("keras").forward(kmodel)
    kept, dropped = (
        np.array(forward([x], [np.full((1, 24), keep)])[0])[0] for keep in (True, False)
    )
    near = [np.abs(keras_values - own) < 1e-5 for own in (kept, dropped)]
    assert (near[0] | near[1]).all() and near[0].any() and near[1].any()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_alpha_dropout_of_neurons_sums_and_constants(activation):
    _, dropout = of_one((24,), L.AlphaDropout(0.3))
    assert dropout.kind == "alpha"
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    a = L.BatchNormalization()(L.Dense(12, activation)(inputs))
    b = L.Dense(12, activation)(L.AlphaDropout(0.2)(inputs))
    x = L.AlphaDropout(0.4)(L.Add()([a, L.AlphaDropout(0.3)(a), b]))
    x = L.Dropout(0.2)(L.AlphaDropout(0.4)(L.Dense(9, activation)(x)))
    kmodel = keras.Model(inputs, L.Dense(2)(x))
    conv = npd.Converter(kmodel, seed=0)
    assert conv.verify(X) < 1e-5
    assert npd.Converter(kmodel, dropout="all-off").verify(X) < 1e-5


def test_gaussian_dropout_multiplies():
    conv, dropout = of_one((24,), L.GaussianDropout(0.3))
    assert dropout.kind == "gaussian" and dropout.keep().all()
    noise = np.array([dropout.drawn(seed) for seed in range(200)])
    # mean and deviation of 4800 normal numbers, each at 5 sd: p = 1e-6
    deviation = np.sqrt(0.3 / 0.7)
    assert abs(noise.mean() - 1) < 5 * deviation / np.sqrt(noise.size)
    assert abs(noise.std() / deviation - 1) < 5 / np.sqrt(2 * noise.size)
    assert dropout.words == "Gaussian dropout of 24 units, rate 0.3"
    assert "as Gaussian noise" in str(conv.report())


def kinds():
    return (
        model(((24,), L.GaussianDropout(0.2)), ((24,), L.GaussianDropout(0.2))),
        model(((24,), L.AlphaDropout(0.2)), ((24,), L.AlphaDropout(0.2))),
        model(((3, 8), L.SpatialDropout1D(0.2)), ((3, 8), L.SpatialDropout1D(0.2))),
    )


@pytest.mark.parametrize("number", range(3))
def test_mean_and_spread_are_keras(number):
    """Of rate neurons, whose answers have no other error.

    The means of 400 draws of two samples, at 5 standard errors, and the ratio of their
    deviations, at 5 of normal draws: 2 outputs, 3 models; false alarms have p < 1e-5.
    """
    kmodel = kinds()[number]
    conv = npd.Converter(kmodel, neurons="rate", seed=0)
    n = 400
    options = dict(n_draws=n, progress=False)
    own = npd.sample(conv, X[:1], settle=0.05, presentation_time=0.06, **options)
    theirs = npd.sample(kmodel, X[:1], backend="keras", **options)
    error = np.abs(own.mean() - theirs.mean()) / np.hypot(own.std(), theirs.std())
    assert error.max() < 5 / np.sqrt(n)
    ratio = own.std() / theirs.std()
    assert np.abs(np.log(ratio)).max() < 5 / np.sqrt(n)


@pytest.mark.parametrize("number", range(3))
def test_expectation_calibration_and_energy(number):
    conv = npd.Converter(kinds()[number], seed=0)
    report = conv.report(X)
    assert report.bias is not None and report.bias < 0.5
    assert 0.8 < report.spread < 1.3
    npd.calibrate(conv, X[:10])
    assert [dropout.kind for dropout in conv.dropouts] == [
        ["gaussian", "alpha", "bernoulli"][number]
    ] * 2
    energy = npd.energy(conv, X[:2], n_draws=20, progress=False)
    assert energy is not None


def test_energy_counts_the_spikes_that_pass():
    """All with noise; those of kept channels with groups, whole channels at once."""
    X = np.ones((1, 4))
    found = {}
    for name, dropout in (
        ("off", L.SpatialDropout1D(1e-9)),
        ("gaussian", L.GaussianDropout(0.5)),
        ("groups", L.SpatialDropout1D(0.5)),
    ):
        conv = npd.Converter(model(((1, 24), dropout)), seed=0)
        found[name] = npd.energy(conv, X, n_draws=60, progress=False)
    events = {k: v.layers[0].events for k, v in found.items()}
    assert events["gaussian"] == pytest.approx(events["off"], rel=0.05)
    assert events["groups"] == pytest.approx(0.5 * events["off"], rel=0.3)


def test_loihi_refuses_what_it_cannot_do():
    pytest.importorskip("nengo_loihi")
    kmodel = model(((24,), L.GaussianDropout(0.2)))
    with pytest.raises(npd.ConversionError, match="by noise.*silencing neurons"):
        npd.Converter(kmodel, target="loihi", redraw=0.1)
    npd.Converter(kmodel, target="loihi")
    kmodel = model(((24,), L.AlphaDropout(0.2)))
    for options in ({}, {"redraw": 0.1}):
        with pytest.raises(npd.ConversionError, match="in place of what is dropped"):
            npd.Converter(kmodel, target="loihi", **options)
    npd.Converter(kmodel, target="loihi", dropout="off")


def test_constants_that_are_dropped_travel_with_the_neurons_masks():
    """In a single run: unfiltered, they come when what was filtered arrives."""
    dropouts = [((24,), L.AlphaDropout(0.3)) for _ in range(3)]
    conv = npd.Converter(model(*dropouts), seed=0)
    let_masks_travel(conv, 0.1)
    delays = {True: [], False: []}  # of constants, of neurons
    for conn in conv.all_connections:
        if isinstance(conn.transform, npd.PermanentDropout):
            of_node = isinstance(conn.pre_obj, nengo.Node)
            delays[of_node].append(conn.transform.redraw_delay)
    assert delays[False][0] == 0 < delays[False][1] < delays[False][2]
    assert delays[True][:-1] == pytest.approx(delays[False][1:])


def test_single_runs_of_dropped_constants_are_warned_of():
    kmodel = model(((24,), L.AlphaDropout(0.3)), ((24,), L.AlphaDropout(0.3)))
    options = dict(n_draws=2, presentation_time=0.03, settle=0.02, progress=False)
    conv = npd.Converter(kmodel, seed=0)
    with pytest.warns(UserWarning, match="drops constants with its neurons.*restart"):
        npd.sample(conv, X[:1], run="single", **options)
    plain = npd.Converter(model(((24,), L.Dropout(0.3))), seed=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        npd.sample(plain, X[:1], run="single", **options)
    assert not [each for each in told if "constants" in str(each.message)]


def test_gates_drop_channels_together():
    pytest.importorskip("nengo_loihi")
    kmodel = model(((8, 3), L.SpatialDropout1D(0.4)))
    conv = npd.Converter(kmodel, target="loihi", redraw=0.1, seed=2)
    (mask,) = conv.dropouts[0].masks
    process = mask.gate.node.output
    key = mask_key(np.random.RandomState(process.seed))
    expected = keep_mask(key, 24, 0.4, groups=np.arange(24) % 3)
    assert np.array_equal(conv.dropouts[0].keep(), expected)
    assert np.array_equal(process.run_steps(1)[0] == 0, expected)


@pytest.mark.parametrize(
    "name, found",
    [
        ("MCDropout", "Dropout"),
        ("MCAlphaDropout", "AlphaDropout"),
        ("GaussianMCDropout", "GaussianDropout"),
        ("MCSpatialDropout1D", "SpatialDropout1D"),
        ("MySpatialDropout", "SpatialDropout2D"),
        ("MCDropout2D", "Dropout"),
        ("Dropper", None),
        ("SpatialDropout4D", None),
    ],
)
def test_kinds_of_user_classes_are_in_their_names(name, found):
    assert named_dropout(name, {"rate": 0.2}, ()) == found
    assert named_dropout(name, {"rate": 0.2, "power": 2}, ()) is None
    assert named_dropout(name, {"power": 2}, (name,)) is not None


def test_files_that_do_not_say_where_channels_are(tmp_path):
    """Keras 2 leaves it out: then it is as where other layers have them."""
    kmodel = model(((2, 3, 4), L.SpatialDropout2D(0.4, data_format="channels_first")))
    path, _ = saved(kmodel, tmp_path)[0]
    own = npd.Converter(kmodel, seed=0).dropouts[0]
    assert own.n_groups == 2
    if not keras.__version__.startswith("2."):
        assert npd.Converter(path, seed=0).dropouts[0].n_groups == 2
        return
    kmodel.layers[-2].data_format = "channels_first"  # of its Flatten
    path, _ = saved(kmodel, tmp_path)[0]
    with pytest.raises(npd.ConversionError, match="drops channels, which come first"):
        npd.Converter(path)


def test_forced_kinds_are_on_whatever_is_said(tmp_path):
    kmodel = made("forced_kinds")
    for each in (kmodel, saved(kmodel, tmp_path)[0][0]):
        conv = npd.Converter(each, dropout="off")
        assert [dropout.kind for dropout in conv.dropouts] == ["alpha", "bernoulli"]
        assert [dropout.n_groups for dropout in conv.dropouts] == [12, 3]
    assert isinstance(kmodel.layers[1], MCAlphaDropout)
