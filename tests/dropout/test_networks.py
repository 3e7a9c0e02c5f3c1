import warnings

import nengo
import numpy as np
import pytest
from kmodels import PermanentDropout, SoftLIF, hidden, keras, layers, mlp
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.dropout import gates as networks
from nengo_permadrop.dropout.gates import DropoutGate, mask_processes
from nengo_permadrop.dropout.masks import keep_mask, mask_key
from nengo_permadrop.dropout.processes import MaskProcess
from nengo_permadrop.dropout.seeds import derive_seed

REDRAW, SETTLE = 0.15, 0.07  # a released neuron needs about 30 ms
DT = 0.001


def keep(seed, n, rate, index=0):
    return keep_mask(mask_key(np.random.RandomState(seed)), n, rate, index)


def windows(data, redraw=REDRAW, settle=SETTLE):
    """The mean of each window after it has settled, (n_windows, size)."""
    n, skipped = int(round(redraw / DT)), int(round(settle / DT))
    return data.reshape(-1, n, data.shape[1])[:, skipped:].mean(axis=1)


def ensemble(n, gain=2.0, bias=1.5, label=None):
    return nengo.Ensemble(
        n, 1, gain=np.full(n, gain), bias=np.full(n, bias), label=label
    )


def run(net, time, simulator=nengo.Simulator):
    with simulator(net, progress_bar=False) as sim:
        sim.run(time)
    return sim


def test_masks_are_those_of_the_transform():
    with nengo.Network() as net:
        neurons = ensemble(12).neurons
        gate = DropoutGate(neurons, rate=0.4, redraw=0.02, seed=5, lead=0)
        probe = nengo.Probe(gate.node)
    assert gate.neurons is neurons
    dropped = run(net, 0.06).data[probe] > 0
    for index in range(3):
        expected = 1 - keep(5, 12, 0.4, index)
        assert (dropped[20 * index : 20 * (index + 1)] == expected).all()
    assert not np.array_equal(dropped[0], dropped[20])


def probed_gate(redraw, **gate):
    """The signal of a gate over two windows, and what the two masks drop."""
    with nengo.Network() as net:
        gate = DropoutGate(
            ensemble(40).neurons, rate=0.4, redraw=redraw, seed=5, **gate
        )
        probe = nengo.Probe(gate.node)
    masks = (~keep(5, 40, 0.4, index) for index in (0, 1))
    return run(net, 2 * redraw).data[probe], *masks


@pytest.mark.parametrize("tau, n_release", [(0.005, 4), (0.01, 7)])
def test_inhibition_is_ended_after_a_redraw(tau, n_release):
    signal, first, second = probed_gate(0.1, synapse=tau)
    released = first & ~second
    assert (signal[:100] == first).all()
    assert (signal[100 : 100 + n_release] == 1.0 * second - released).all()
    assert (signal[100 + n_release :] == second).all()
    assert released.sum() not in (0, first.sum())


def test_a_lead_comes_before_the_redraw():
    signal, first, second = probed_gate(0.1, lead=0.003)
    released = first & ~second
    assert (signal[:97] == first).all()
    assert (signal[97:100] == 1.0 * (first & second) - released).all()
    assert (signal[100] == 1.0 * second - released).all()
    assert (signal[101:197] == second).all()


@pytest.mark.parametrize("redraw, n_lead", [(0.1, 24), (0.018, 12)])
def test_other_synapses_have_a_lead_only(redraw, n_lead):
    # after 24 ms inhibition of 10, at a gain of 2, is (1 + 4.8) exp(-4.8) * 20 = 0.95
    signal, first, second = probed_gate(redraw, synapse=nengo.Alpha(0.005))
    n = round(redraw / DT)
    assert (signal[: n - n_lead] == first).all()
    assert (signal[n - n_lead : n] == (first & second)).all()
    assert (signal[n] == second).all()


def test_dropped_neurons_are_silent_and_the_others_undisturbed():
    with nengo.Network(seed=1) as net:
        alone, gated = (ensemble(50, label=label) for label in ("alone", "gated"))
        alone.seed = gated.seed = 3  # the same initial voltages
        DropoutGate(gated.neurons, rate=0.4, seed=2)
        probes = [nengo.Probe(ens.neurons) for ens in (alone, gated)]
    sim = run(net, 0.5)
    free, spikes = (sim.data[probe] > 0 for probe in probes)
    kept = keep(2, 50, 0.4)
    assert not spikes[20:, ~kept].any()
    assert np.array_equal(spikes[:, kept], free[:, kept])
    assert free[20:].any(axis=0).all()


def test_reseed():
    with nengo.Network() as net:
        gate = DropoutGate(ensemble(12).neurons, rate=0.4, seed=5)
        probe = nengo.Probe(gate.node)
    gate.reseed(6)
    assert (run(net, 0.002).data[probe] == 1 - keep(6, 12, 0.4)).all()


def test_without_a_seed_masks_are_drawn_once():
    with nengo.Network() as net:
        gate = DropoutGate(ensemble(40).neurons, rate=0.5)
        probe = nengo.Probe(gate.node)
    first, second = (run(net, 0.002).data[probe] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "arguments",
    [
        dict(rate=1.0),
        dict(rate=-0.1),
        dict(redraw=0.0),
        dict(redraw=0.1, lead=0.1),
        dict(redraw=0.1, lead=-0.01),
        dict(inhibition=0.0),
        dict(neurons="ensemble"),
    ],
)
def test_arguments_out_of_range(arguments):
    with nengo.Network():
        ens = ensemble(5)
        neurons = ens if arguments.pop("neurons", None) else ens.neurons
        with pytest.raises(ValidationError):
            DropoutGate(neurons, **arguments)


def two_layers(with_gate, rate=0.3, n=60, redraw=REDRAW, **gate):
    """An input layer, dropped by a gate or by the transform, and what it drives."""
    rng = np.random.RandomState(0)
    weights = rng.normal(0, 0.01, (20, n))
    with nengo.Network(seed=1) as net:
        a = nengo.Ensemble(
            n,
            1,
            gain=np.full(n, 2.0),
            bias=rng.uniform(1.1, 3, n),
            neuron_type=nengo.LIF(amplitude=0.01),
            label="a",
        )
        b = nengo.Node(size_in=20)
        if with_gate:
            DropoutGate(a.neurons, rate=rate, redraw=redraw, seed=7, **gate)
            transform = nengo.Dense(weights.shape, init=weights / (1 - rate))
        else:
            transform = npd.PermanentDropout(
                weights.shape, init=weights, rate=rate, redraw=redraw
            )
        nengo.Connection(a.neurons, b, transform=transform, synapse=0.005, seed=7)
        probe = nengo.Probe(b)
    return net, probe


def test_gate_and_redraw_agree_window_by_window():
    gated, redrawn = (
        windows(run(net, 10 * REDRAW).data[probe])
        for net, probe in (two_layers(True), two_layers(False))
    )
    assert np.corrcoef(gated.ravel(), redrawn.ravel())[0, 1] > 0.99
    # the same masks; what differs is when neurons that were dropped spike again
    assert np.abs(gated - redrawn).mean() < 0.1 * redrawn.std(axis=0).mean()
    assert np.abs((gated - redrawn).mean()) < 0.02 * redrawn.std(axis=0).mean()


def test_short_windows_of_a_gate_and_redraw_agree(monkeypatch):
    redraw, settle = 0.04, 0.02

    def draws(with_gate, **gate):
        net, probe = two_layers(with_gate, redraw=redraw, **gate)
        return windows(run(net, 200 * redraw).data[probe], redraw, settle)[1:]

    redrawn = draws(False)

    def errors(**gate):
        """Mean error and mean absolute error, in standard deviations."""
        differences = (draws(True, **gate) - redrawn) / redrawn.std(axis=0)
        return abs(differences.mean()), np.abs(differences).mean()

    bias, error = errors()
    early, _ = errors(lead=0.02)
    monkeypatch.setattr(networks, "_release", lambda *args: (0.0, 0.0))
    late, late_error = errors(lead=0)
    # 0.028: neurons begin later than would be neutral here, which is for networks
    assert bias < 0.5 * min(late, early)
    assert error < 0.75 * late_error


def mean_rates(redraw, n=100, n_windows=400, **gate):
    """Of neurons in a run with redraws, and as they would be by weights, in Hz."""
    with nengo.Network(seed=1) as net:
        # 10 to 120 Hz, and noise, so that they are not in step with the redraws
        neurons = nengo.Ensemble(
            n,
            1,
            gain=np.full(n, 2.0),
            bias=np.linspace(1.1, 4, n),
            noise=nengo.processes.FilteredNoise(
                nengo.Lowpass(0.005), nengo.dists.Gaussian(0, 0.05), seed=3
            ),
        ).neurons
        probe = nengo.Probe(neurons)
        rates = run(net, n_windows * redraw).data[probe]
        gate = DropoutGate(neurons, rate=0.1, redraw=redraw, seed=7, **gate)
        gated = run(net, n_windows * redraw).data[probe]
    process = gate.node.output
    masks = [keep(process.seed, n, 0.1, index) for index in range(n_windows)]
    kept = np.repeat(masks, round(redraw / DT), axis=0)
    return gated.mean(axis=0), (rates * kept).mean(axis=0)


def test_released_neurons_fire_soon_at_whatever_rate(monkeypatch):
    """In windows of 20 ms, half of the interval of some."""

    def errors(**gate):
        """Mean error of the slower and the faster half, in Hz."""
        gated, kept = mean_rates(0.02, **gate)
        return np.array([half.mean() for half in np.split(gated - kept, 2)])

    own = errors()
    monkeypatch.setattr(networks, "_release", lambda *args: (0.0, 0.0))
    # 1 Hz is what a tenth of the neurons lose if they fire 2 ms late after each redraw
    assert np.abs(own).max() < 2 < np.abs(errors(lead=0)).min() / 2


def test_nengo_dl_runs_the_gate():
    nengo_dl = pytest.importorskip("nengo_dl")
    net, probe = two_layers(True)
    reference = windows(run(net, 3 * REDRAW).data[probe])
    actual = windows(run(net, 3 * REDRAW, nengo_dl.Simulator).data[probe])
    assert np.corrcoef(actual.ravel(), reference.ravel())[0, 1] > 0.99


@pytest.fixture(scope="module")
def kmodel():
    pytest.importorskip("nengo_loihi", reason="gates are for Loihi")
    return mlp(n_inputs=4, units=(20, 20, 20), rate=0.3, seed=1, target="loihi")


X = np.random.RandomState(0).randn(4, 4)


def test_converter_lays_gates_on_loihi(kmodel):
    conv = npd.Converter(kmodel, target="loihi", redraw=REDRAW, seed=3)
    same = npd.Converter(kmodel, target="loihi", seed=3)
    assert not any(
        isinstance(conn.transform, npd.PermanentDropout)
        for conn in conv.all_connections
    )
    gates = [mask.gate for dropout in conv.dropouts for mask in dropout.masks]
    assert [gate.node.output.redraw for gate in gates] == [REDRAW] * 3
    for gate, dropout in zip(gates, same.dropouts):
        assert {gate.ensemble, gate.release} < set(conv.off_chip)
        process = gate.node.output
        kept = keep(process.seed, process.n_units, process.rate)
        assert np.array_equal(kept, dropout.keep())
    assert all(mask.gate is None for d in same.dropouts for mask in d.masks)


def test_converter_verifies_with_gates(kmodel):
    conv = npd.Converter(kmodel, target="loihi", redraw=REDRAW, seed=3)
    assert conv.verify(X) < 1e-4


def refused(output, inputs, message):
    model = keras.Model(inputs, layers.Dense(1)(output))
    with pytest.raises(npd.ConversionError, match=message):
        npd.Converter(model, target="loihi", redraw=0.1)
    npd.Converter(model, target="loihi")


def test_dropped_inputs_have_no_gate(kmodel):
    inp = keras.Input((4,))
    x = PermanentDropout(0.2)(inp)
    refused(hidden(x, 5, 0.2, target="loihi"), inp, "drops inputs")


def test_neurons_with_two_uses_have_no_gate(kmodel):
    inp = keras.Input((4,))
    x = SoftLIF(target="loihi")(layers.Dense(5)(inp))
    twice = layers.concatenate([PermanentDropout(0.2)(x), x])
    refused(twice, inp, "other masks or without dropout")
    both = layers.concatenate([PermanentDropout(0.2)(x), PermanentDropout(0.2)(x)])
    refused(both, inp, "other masks or without dropout")


def test_dropped_sums_have_no_gate(kmodel):
    inp = keras.Input((4,))
    a, b = (hidden(inp, 5, None, target="loihi") for _ in range(2))
    summed = PermanentDropout(0.2)(layers.add([a, b]))
    with pytest.raises(npd.ConversionError, match="not the outputs of neurons"):
        npd.Converter(
            keras.Model(inp, layers.Dense(1)(summed)), target="loihi", redraw=0.1
        )


def long_run(kmodel, n_windows, target, redraw=REDRAW, simulator=nengo.Simulator):
    """Windows of one run with redraws, (n_windows, n_observations, n_outputs)."""
    with nengo.Network(seed=0) as net:
        probes = []
        for i, x in enumerate(X):
            conv = npd.Converter(
                kmodel, target=target, synapse=0.005, redraw=redraw, seed=50 + i
            )
            nengo.Connection(nengo.Node(x), conv.input, synapse=None)
            probes.append(nengo.Probe(conv.output))
    sim = run(net, n_windows * redraw, simulator)
    return np.stack([windows(np.asarray(sim.data[p])) for p in probes], axis=1)


N_DRAWS = 50


@pytest.fixture(scope="module")
def fresh(kmodel):
    conv = npd.Converter(kmodel, target="loihi", synapse=0.005)
    return npd.sample(
        conv,
        X,
        n_draws=N_DRAWS,
        backend="nengo",
        presentation_time=REDRAW,
        settle=SETTLE,
        seed=4,
        progress=False,
    )


def assert_same_distribution(values, fresh):
    """All 4 observations' p-values are at least 0.002: one false alarm in 125 tests."""

    def smallest(values):
        return npd.ks_agreement(npd.PredictiveSamples(values), fresh).pvalue.min()

    assert smallest(values) >= 0.002
    # it would see masks that are not redrawn, and a bias
    assert smallest(np.repeat(values[:1], len(values), axis=0)) < 0.002
    assert smallest(values + fresh.std()) < 0.002


def test_one_run_with_gates_has_the_distribution_of_fresh_simulators(kmodel, fresh):
    assert_same_distribution(long_run(kmodel, N_DRAWS, "loihi"), fresh)


def test_so_it_has_on_the_emulator(kmodel, fresh):
    nengo_loihi = pytest.importorskip("nengo_loihi")
    with warnings.catch_warnings():
        # a gate's weights must not take bits from the others
        warnings.filterwarnings("error", "Lost .* extra bits")
        values = long_run(kmodel, N_DRAWS, "loihi", simulator=nengo_loihi.Simulator)
    assert_same_distribution(values, fresh)


@pytest.mark.filterwarnings("ignore:.*quantised rates of a chip")
def test_one_run_with_redraws_has_it_too(kmodel, fresh, monkeypatch):
    # Nengo's converter with Loihi's neurons, so that only the dropout differs
    from nengo_permadrop.targets import base

    spiking = base.spiking
    monkeypatch.setattr(
        base, "spiking", lambda neurons, target: spiking(neurons, target="loihi")
    )
    assert_same_distribution(long_run(kmodel, N_DRAWS, "nengo"), fresh)


def test_draws_of_gates_have_the_masks_of_the_transforms(kmodel):
    """sample() gives a gate, for each replica, the masks that weights would have."""
    options = dict(
        n_draws=6,
        backend="nengo",
        presentation_time=0.3,
        settle=0.1,
        seed=4,
        progress=False,
    )
    gated, weighted = (
        npd.sample(npd.Converter(kmodel, target="loihi", redraw=r), X[:2], **options)
        for r in (1.0, None)
    )
    differences = (gated.values - weighted.values) / weighted.std()
    assert np.abs(differences.mean()) < 0.1
    assert np.sqrt(np.mean(differences**2)) < 0.5
    conv = npd.Converter(kmodel, target="loihi", redraw=1.0)
    again = npd.sample(conv, X[:2], **{**options, "n_draws": 2})
    assert np.array_equal(gated.values[:2], again.values)


@pytest.mark.parametrize("run", ["restart", "single"])
def test_batched_draws_of_gates_are_the_references(kmodel, run):
    """Draw by draw: the same masks, leads and neurons."""
    conv = npd.Converter(kmodel, target="loihi", redraw=0.03)
    options = dict(
        n_draws=8,
        presentation_time=0.03 if run == "single" else 0.1,
        settle=0.015,
        seed=4,
        run=run,
        progress=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* may not agree")
        batched, reference = (
            npd.sample(conv, X[:2], backend=name, **options)
            for name in ("batched", "nengo")
        )
    # float32 may move a spike by a step, which is a small part of the spread
    error = np.abs(batched.values - reference.values)
    assert np.median(error) < 1e-5
    assert error.max() < 0.2 * reference.std().mean()


def test_backends_that_know_no_gates_refuse_them(kmodel, monkeypatch):
    from nengo_permadrop.backends.base import get_backend

    monkeypatch.setattr(get_backend("nengo"), "gates", False)
    conv = npd.Converter(kmodel, target="loihi", redraw=0.1)
    with pytest.raises(ValidationError, match="drops units by gates"):
        npd.sample(conv, X, n_draws=2, backend="nengo")


def test_mask_processes():
    with nengo.Network() as net:
        gates = [DropoutGate(ensemble(5).neurons, rate=r, seed=0) for r in (0.5, 0.0)]
    assert mask_processes(net) == [gates[0].node.output]
    reseeded = gates[0].node.output.reseeded(derive_seed(0, 1))
    assert isinstance(reseeded, MaskProcess) and reseeded.rate == 0.5
