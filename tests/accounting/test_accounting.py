import nengo
import numpy as np
import pytest
from kmodels import combo, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.accounting.devices import DEVICES, Device
from nengo_permadrop.accounting.words import joule_words
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sources.keras.layers import PermanentDropout, keras

SEED = 3
TIMES = {"presentation_time": 0.08, "settle": 0.05}


def converter(kmodel, **options):
    """A converter whose neurons start at rest: only the masks are random."""
    with nengo.Network(seed=0):
        conv = npd.Converter(kmodel, **options)
    for ensemble in conv.all_ensembles:
        ensemble.neuron_type = nengo.LIF(
            amplitude=ensemble.neuron_type.amplitude,
            initial_state={"voltage": nengo.dists.Choice([0.0])},
        )
    return conv


def estimated(conv, X, n_draws=2, **options):
    options = {**TIMES, "seed": SEED, **options}
    return npd.energy(conv, X, n_draws=n_draws, progress=False, **options)


@pytest.fixture(name="thinned", scope="module")
def _thinned():
    """Combo's shape, with a third of the weights 0."""
    kmodel = combo(rate=0.3)
    rng = np.random.RandomState(1)
    kmodel.set_weights(
        [
            w * (rng.rand(*w.shape) > 1 / 3) if w.ndim == 2 else w
            for w in kmodel.get_weights()
        ]
    )
    return kmodel


def by_hand(conv, X, n_draws):
    """Counts from spike probes and built weights, one nengo.Simulator a replica."""
    totals = {ens: np.zeros(3) for ens in conv.all_ensembles}
    n_observations = len(X[0])
    for draw in range(n_draws):
        for row in range(n_observations):
            replica = derive_seed(SEED, draw, row)
            with nengo.Network(seed=0) as net:
                net.add(conv)
                for x, node in zip(X, conv.inputs.values()):
                    nengo.Connection(nengo.Node(x[row]), node, synapse=None)
                probes = {ens: nengo.Probe(ens.neurons) for ens in conv.all_ensembles}
            unmasked = {}
            for dropout in conv.dropouts:
                for mask in dropout.masks:
                    for conn in mask.connections:
                        conn.seed = derive_seed(derive_seed(0, mask.number), replica)
                        unmasked[conn] = conn.transform.init.base
            with nengo.Simulator(net, progress_bar=False) as sim:
                sim.run(TIMES["presentation_time"])
            for conn in conv.all_connections:
                if isinstance(conn.pre_obj, nengo.Node):
                    continue
                ens = conn.pre_obj.ensemble
                spikes = np.count_nonzero(sim.data[probes[ens]], axis=0)
                built = sim.data[conn].weights
                sent = spikes @ np.count_nonzero(unmasked.get(conn, built), axis=0)
                events = spikes @ np.count_nonzero(built, axis=0)
                totals[ens] += [0, events, sent - events]
            for ens, probe in probes.items():
                totals[ens][0] += np.count_nonzero(sim.data[probe])
    return {ens.label: t / (n_draws * n_observations) for ens, t in totals.items()}


def counts(estimate):
    return {
        layer.layer: (layer.spikes, layer.events, layer.dropped_events)
        for layer in estimate.layers
    }


@pytest.mark.parametrize("backend", ["batched", "nengo"])
def test_counts_are_those_of_spike_probes(thinned, backend):
    X = observations(thinned, 2)
    conv = converter(thinned)
    estimate = estimated(conv, X, backend=backend)
    expected = by_hand(conv, X, n_draws=2)
    found = counts(estimate)
    assert set(found) == set(expected)
    # the shared drug encoder is used twice, and each use has its own neurons
    assert {"drug_encoder[0]", "drug_encoder[1]"} <= {n.split("/")[0] for n in found}
    for label, hand in expected.items():
        assert found[label] == pytest.approx(hand, rel=1e-12)
    spikes, events, dropped = np.sum(list(found.values()), axis=0)
    assert spikes > 100 and events > spikes and dropped > 0
    for layer in estimate.layers:
        assert layer.updates == 80 * layer.neurons


def test_counts_follow_redraws():
    kmodel = mlp(units=(15, 10), rate=0.4)
    (x,) = observations(kmodel, 1)
    conv = converter(kmodel, redraw=0.02)
    estimate = estimated(conv, x, n_draws=1)

    with nengo.Network(seed=0) as net:
        net.add(conv)
        nengo.Connection(nengo.Node(x[0]), conv.input, synapse=None)
        probes = [nengo.Probe(ens.neurons) for ens in conv.all_ensembles]
    conv.reseed(0)
    replica = derive_seed(SEED, 0, 0)
    for dropout in conv.dropouts:
        for conn in dropout.connections:
            conn.seed = derive_seed(conn.seed, replica)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(TIMES["presentation_time"])
    conv.reseed(0)
    fan_outs = (10, 1)
    for layer, probe, dropout, fan_out in zip(
        estimate.layers, probes, conv.dropouts, fan_outs
    ):
        spikes = np.count_nonzero(sim.data[probe].reshape(4, 20, -1), axis=1)
        kept = [dropout.keep(replica, redraw_index=window) for window in range(4)]
        assert layer.events == pytest.approx(fan_out * np.sum(spikes * kept))
        assert layer.spikes == spikes.sum()
        assert layer.dropped_events == pytest.approx(
            fan_out * spikes.sum() - layer.events
        )


def test_seed_decides():
    kmodel = mlp()
    X = observations(kmodel, 2)
    conv = converter(kmodel)
    first, again = estimated(conv, X), estimated(conv, X)
    assert counts(first) == counts(again)
    assert counts(first) != counts(estimated(conv, X, seed=SEED + 1))


def test_the_converter_stays_as_it_is():
    kmodel = mlp()
    conv = converter(kmodel)
    before = len(conv.all_objects), list(conv.outputs), conv.dropouts[0].masks[0].seed
    estimated(conv, observations(kmodel, 1))
    after = len(conv.all_objects), list(conv.outputs), conv.dropouts[0].masks[0].seed
    assert after == before


@pytest.fixture(name="estimate", scope="module")
def _estimate():
    kmodel = mlp(n_inputs=6, units=(20, 10), rate=0.2)
    return estimated(converter(kmodel), observations(kmodel, 2))


def test_classical_counts(estimate, thinned):
    classical = estimate.classical
    # the first layer lies before the first dropout
    assert (classical.shared_macs, classical.macs) == (6 * 20, 20 * 10 + 10)
    assert (classical.shared_activations, classical.activations) == (20, 10)
    gpu = DEVICES["gpu"]
    assert estimate.joules("gpu", n_draws=7) == pytest.approx(
        gpu.synapse * (120 + 7 * 210) + gpu.neuron * (20 + 7 * 10)
    )
    kmodel = combo(rate=0.3)
    thin = estimated(converter(kmodel), observations(kmodel, 1), n_draws=1).classical
    assert thin.shared_macs == 5 * 12 + 2 * 4 * 12
    assert thin.macs == 3 * 12 * 12 + 36 * 16 + 16
    assert (thin.shared_activations, thin.activations) == (36, 36 + 16)


def test_joules_are_counts_times_figures(estimate):
    loihi = DEVICES["loihi"]
    events = sum(layer.events for layer in estimate.layers)
    dropped = sum(layer.dropped_events for layer in estimate.layers)
    one = loihi.synapse * events + loihi.neuron * 30 * 80
    assert estimate.joules("loihi", n_draws=1) == pytest.approx(one)
    assert estimate.joules(loihi) == pytest.approx(2 * one)
    assert estimate.saved_joules("loihi", 5) == pytest.approx(
        5 * loihi.synapse * dropped
    )
    assert estimate.saved_joules("cpu") == 0
    assert estimate.host_joules() == pytest.approx(6 * 20 * DEVICES["cpu"].synapse)
    table = estimate.devices_frame()
    assert list(table.index) == list(DEVICES)
    assert table.loc["loihi", "total"] == pytest.approx(2 * one)
    frame = estimate.to_frame()
    assert frame.loc["all", "events"] == pytest.approx(events)
    rate = frame.loc["all", "spikes"] / 30 / 0.08
    assert frame.loc["all", "rate"] == pytest.approx(rate)


def test_presentation_time(estimate):
    loihi = DEVICES["loihi"]
    read = loihi.neuron * 30 * 30 + loihi.synapse * sum(
        layer.events for layer in estimate.settled
    )
    assert estimate.at(0.08).joules("loihi") == pytest.approx(estimate.joules("loihi"))
    longer = estimate.joules("loihi", 1) + 2 * read  # 60 ms more, twice what was read
    assert estimate.at(0.14).joules("loihi", 1) == pytest.approx(longer)
    assert estimate.run_joules("loihi", 0.14) == pytest.approx(longer)
    assert estimate.at(0.14).at(0.08).joules("loihi", 1) == pytest.approx(
        estimate.joules("loihi", 1)
    )
    table = estimate.by_presentation_time([0.06, 0.08, 0.14])
    assert list(table.columns) == ["loihi", "spinnaker", "spinnaker2"]
    assert table.loc[0.14, "loihi"] == pytest.approx(2 * longer)
    assert np.all(np.diff(table, axis=0) > 0)
    with pytest.raises(ValidationError, match="more than settle"):
        estimate.at(0.05)
    with pytest.raises(ValidationError, match="classical"):
        estimate.run_joules("gpu", 0.1)


def test_what_is_printed_says_what_is_assumed(estimate):
    text, page = str(estimate), estimate._repr_html_()
    for device in DEVICES.values():
        assert device.source in text
    for sentence in estimate.assumptions:
        assert sentence in text
    assert "static and idle power" in text and "static and idle power" in page
    assert "at the figures of the CPU" in text
    assert page.count("<li>") == len(estimate.assumptions) + len(DEVICES)
    for layer in estimate.layers:
        assert f"{layer.events:,.0f}" in text and layer.layer in page


@pytest.mark.parametrize(
    "joules, words",
    [(0, "0"), (27.1e-12, "27.1 pJ"), (3e-14, "0.03 pJ"), (1e-3, "1 mJ"), (5e4, "5e")],
)
def test_joule_words(joules, words):
    assert joule_words(joules).startswith(words)


def test_a_device_of_ones_own(estimate):
    mine = Device("mine", True, synapse=1.0, neuron=0.0, source="a guess")
    events = sum(layer.events for layer in estimate.layers)
    assert estimate.joules(mine, 1) == pytest.approx(events)
    with pytest.raises(ValidationError, match="at least 0"):
        Device("mine", True, synapse=-1.0, neuron=0.0, source="a guess")
    kmodel = mlp()
    priced = estimated(
        converter(kmodel), observations(kmodel, 1), devices=[mine, "cpu"]
    )
    assert priced.joules("mine") > 0
    assert list(priced.devices_frame().index) == ["mine", "cpu"]


def test_first_layer_on_loihi_is_off_the_chip():
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(12, 8), target="loihi")
    with nengo.Network(seed=0):
        conv = npd.Converter(kmodel, target="loihi")
    X = observations(kmodel, 1)
    estimate = estimated(conv, X, n_draws=1, backend="nengo_loihi")
    assert [layer.off_chip for layer in estimate.layers] == [True, False]
    loihi, cpu = DEVICES["loihi"], DEVICES["cpu"]
    events = sum(layer.events for layer in estimate.layers)
    assert all(layer.spikes > 0 and layer.events > 0 for layer in estimate.layers)
    assert estimate.joules("loihi") == pytest.approx(
        loihi.synapse * events + loihi.neuron * 8 * 80
    )
    assert estimate.host_joules() == pytest.approx(
        cpu.synapse * 6 * 12 + cpu.neuron * 12 * 80
    )
    assert "(off the chip)" in str(estimate)


def test_gates_are_counted_off_the_chip():
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(12, 8), rate=0.4, target="loihi")
    with nengo.Network(seed=0):
        conv = npd.Converter(kmodel, target="loihi", redraw=0.04)
    estimate = estimated(conv, observations(kmodel, 1), n_draws=1, backend="nengo")
    conv.reseed(0)  # as sample() does
    first, second, *gates = estimate.layers
    assert first.off_chip and not second.off_chip
    names = [f"{d.path} {part}" for d in conv.dropouts for part in ("gate", "release")]
    assert [gate.layer for gate in gates] == names
    replica = derive_seed(SEED, 0, 0)
    for dropout, gate, release in zip(conv.dropouts, gates[::2], gates[1::2]):
        dropped = [~dropout.keep(replica, redraw_index=i) for i in range(2)]
        # one spike per step for each unit while it is dropped, at one synapse; and 4
        # steps for those that the next masks keep
        assert gate.off_chip and release.off_chip
        assert gate.spikes == gate.events == 40 * (dropped[0].sum() + dropped[1].sum())
        released = (dropped[0] & ~dropped[1]).sum()
        assert release.spikes == release.events == 4 * released
    assert all(layer.dropped_events == 0 for layer in estimate.layers)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"devices": ["abacus"]}, "unknown device 'abacus'"),
        ({"devices": ["cpu", "cpu"]}, "two devices 'cpu'"),
        ({"settle": 0.2}, "less than presentation_time"),
        ({"settle": 0.0}, "at least a time step"),
    ],
)
def test_wrong_arguments(options, message):
    kmodel = mlp()
    conv = converter(kmodel)
    with pytest.raises(ValidationError, match=message):
        npd.energy(conv, observations(kmodel, 1), **{**TIMES, **options})


def test_a_short_settle_warns_once(recwarn):
    kmodel = mlp()
    estimated(converter(kmodel), observations(kmodel, 1), settle=0.005)
    settling = [w for w in recwarn if "settle is" in str(w.message)]
    assert len(settling) == 1 and "settle is 0.005 s" in str(settling[0].message)


def test_networks_without_spikes_to_count():
    kmodel = mlp()
    X = observations(kmodel, 1)
    with pytest.raises(ValidationError, match="must be a Converter"):
        npd.energy(kmodel, X)
    with pytest.raises(ValidationError, match="rate neurons"):
        npd.energy(npd.Converter(kmodel, neurons="rate"), X)
    with pytest.raises(ValidationError, match="2 copies.*copies=1"):
        npd.energy(npd.Converter(kmodel, copies=2), X)
    inp = keras.Input((3,))
    x = keras.layers.Activation("relu")(keras.layers.Dense(5)(inp))
    x = PermanentDropout(0.2)(keras.layers.Dense(4)(x))  # of what no neuron sends
    kmodel = keras.Model(inp, keras.layers.Dense(1)(x))
    with pytest.raises(ValidationError, match="no spikes to count"):
        npd.energy(npd.Converter(kmodel), observations(kmodel, 1))


def test_input_dropout_is_computed_for_each_draw():
    inp = keras.Input((3,))
    x = keras.layers.Dense(5)(PermanentDropout(0.2)(inp))
    x = keras.layers.Activation("relu")(x)
    kmodel = keras.Model(inp, keras.layers.Dense(1)(x))
    estimate = estimated(converter(kmodel), observations(kmodel, 1))
    assert (estimate.inputs.shared_macs, estimate.inputs.macs) == (0, 15)
    assert (estimate.classical.shared_macs, estimate.classical.macs) == (0, 15 + 5)


def test_the_name_is_the_function():
    import nengo_permadrop.accounting.estimate as estimate
    import nengo_permadrop.cli.commands.energy  # noqa: F401

    assert npd.energy is estimate.energy
