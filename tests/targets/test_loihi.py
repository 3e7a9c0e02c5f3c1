import warnings

import nengo
import numpy as np
import pytest
from kmodels import PermanentDropout, SoftLIF, combo, keras, layers, mlp
from nengo.exceptions import ValidationError

import nengo_permadrop as npd

nengo_loihi = pytest.importorskip("nengo_loihi")

from nengo_permadrop.neurons.loihi import discretised_constants  # noqa: E402
from nengo_permadrop.targets.loihi.configuration import configure  # noqa: E402
from nengo_permadrop.targets.loihi.model import LoihiModel  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*learned with rates")  # untrained toys
DT = 0.001


def presented(conv):
    """The outermost network, its probe."""
    with nengo.Network(seed=0) as net:
        net.add(conv)
        for node in conv.inputs.values():
            x = np.linspace(-1, 2, node.size_in)
            nengo.Connection(nengo.Node(x), node, synapse=None)
        probe = nengo.Probe(conv.output)
    configure(net, conv)
    return net, probe


def split(conv, ensemble, neurons):
    """Let a core have so many neurons of a layer."""
    nengo_loihi.add_params(conv)
    shape = nengo_loihi.BlockShape((neurons,), (ensemble.n_neurons,))
    conv.config[ensemble].block_shape = shape


def on_chip(model):
    """All integers of the cores, and what the host makes of their spikes."""
    values = []
    for block in model.blocks:
        comp = block.compartment
        values += [comp.bias, comp.vth, comp.decay_u, comp.decay_v]
        for synapse in block.synapses:
            for i in range(synapse.n_axons):
                values += synapse.axon_weights_indices(i)
            values.append([synapse.synapse_cfg.weight_exp])
    values += [w for probe in model.probes for w in probe.weights]
    return [np.asarray(value) for value in values]


def assert_as_built_afresh(net, probe, mask_seeds=(None, 3, 8), steps=60):
    reused, fresh = (LoihiModel(net, DT, reuse=reuse) for reuse in (True, False))
    assert reused.reused and not fresh.reused
    answers = []
    for mask_seed in mask_seeds:
        outputs = []
        for loihi in (reused, fresh):
            loihi.write_masks(mask_seed)
            with loihi.simulator() as sim:
                sim.run_steps(steps)
                outputs.append(np.array(sim.data[probe]))
        for ours, theirs in zip(on_chip(reused.model), on_chip(fresh.model)):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        assert np.array_equal(*outputs)
        answers.append(outputs[0])
    assert np.any(answers[0]) and not np.array_equal(answers[-1], answers[-2])
    return reused


def residual():
    """Dropout on the chip, off it, and from each to the other."""
    keras.utils.set_random_seed(0)
    inp = keras.Input((4,))
    x = inp
    outputs = []
    for rate in (0.2, 0.4):
        x = SoftLIF()(layers.Dense(15, kernel_initializer="he_normal")(x))
        x = PermanentDropout(rate)(x)
        outputs.append(x)
    return keras.Model(inp, layers.Dense(2)(layers.add(outputs)))


@pytest.mark.parametrize("make", [mlp, combo, residual])
def test_rewritten_weights_are_those_of_a_fresh_build(make):
    assert_as_built_afresh(*presented(npd.Converter(make(), target="loihi", seed=1)))


def test_so_they_are_in_layers_that_need_several_cores():
    conv = npd.Converter(mlp(units=(20, 21, 22)), target="loihi", seed=1)
    split(conv, conv.all_ensembles[1], 8)
    loihi = assert_as_built_afresh(*presented(conv))
    assert len(loihi.model.blocks) == 3 + 1


def test_a_mask_that_drops_the_largest_weight_changes_the_scale():
    """The case in which masking integers would differ from a fresh build."""
    kmodel = mlp(units=(20, 20))
    second = [layer for layer in kmodel.layers if isinstance(layer, layers.Dense)][1]
    kernel, bias = second.get_weights()
    kernel[3] *= 10
    second.set_weights([kernel, bias])
    conv = npd.Converter(kmodel, target="loihi", seed=1)
    net, probe = presented(conv)
    assert_as_built_afresh(net, probe)
    loihi = LoihiModel(net, DT)
    (block,) = loihi.model.blocks
    thresholds = set()
    for mask_seed in range(20):
        loihi.write_masks(mask_seed)
        thresholds.add(block.compartment.vth[0])
    assert len(thresholds) > 1


def test_random_weights_are_those_of_a_fresh_build():
    with nengo.Network(seed=0) as net:
        a, b = (
            nengo.Ensemble(n, 1, label=label) for n, label in ((20, "a"), (10, "b"))
        )
        nengo.Connection(nengo.Node(0.5), a)
        weights = nengo.dists.Gaussian(0, 0.01)
        nengo.Connection(
            a.neurons,
            b.neurons,
            transform=npd.PermanentDropout((10, 20), init=weights, rate=0.3),
        )
        probe = nengo.Probe(b.neurons)
    assert_as_built_afresh(net, probe)


def test_decoded_connections_are_built_afresh():
    with nengo.Network(seed=0) as net:
        a, b = (nengo.Ensemble(60, 6, label=label) for label in "ab")
        nengo.Connection(nengo.Node(np.full(6, 0.4)), a)
        nengo.Connection(a, b, transform=npd.PermanentDropout((6, 6), rate=0.5))
        probe = nengo.Probe(b, synapse=0.02)
    loihi = LoihiModel(net, DT)
    assert not loihi.reused
    answers = []
    for mask_seed in (1, 2, 1):
        loihi.write_masks(mask_seed)
        with loihi.simulator() as sim:
            sim.run_steps(60)
            answers.append(np.array(sim.data[probe]))
    assert np.array_equal(answers[0], answers[2])
    assert not np.array_equal(answers[0], answers[1])
    assert net.all_connections[1].seed is None  # as it was


def test_simulators_start_afresh():
    net, probe = presented(npd.Converter(mlp(), target="loihi", seed=1))
    loihi = LoihiModel(net, DT)
    outputs = []
    for steps in (40, 25, 40):
        with loihi.simulator() as sim:
            sim.run_steps(steps)
            outputs.append(np.array(sim.data[probe]))
    assert np.array_equal(outputs[0], outputs[2])
    assert np.array_equal(outputs[0][:25], outputs[1])


def test_configuration_of_a_network_that_is_added_to_another():
    with nengo.Network() as inner:
        nengo_loihi.add_params(inner)
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        inner.config[a].on_chip = False
    with nengo.Network() as outer:
        outer.add(inner)
    configure(outer, inner)
    assert outer.config[a].on_chip is False
    assert outer.config[b].on_chip is None


class TestResources:
    def conv(self, units=(20, 30, 10), **kwargs):
        return npd.Converter(mlp(units=units, **kwargs), target="loihi", seed=1)

    def test_numbers(self):
        used = npd.loihi.resources(self.conv())
        assert used.n_cores == 2 and used.chips == 2 / 128
        assert (used.neurons, used.host_neurons) == (40, 20)
        assert used.spikes is None and used.host_spikes is None
        first, second = used.cores
        assert (first.in_axons, first.out_axons) == (20, 30)
        assert (second.in_axons, second.out_axons) == (30, 0)
        # 8 bits a weight, and 10 for each of up to 64, in units of 64 bits
        assert first.synapse_bits == 20 * 256 and second.synapse_bits == 30 * 128
        used.check()

    def test_as_nengo_loihi_says(self):
        conv = self.conv()
        net, _ = presented(conv)
        with nengo_loihi.Simulator(net, progress_bar=False) as sim:
            utilization = [block.utilization() for block in sim.model.blocks]
        for core, use in zip(npd.loihi.resources(conv).cores, utilization):
            assert core.neurons == use["compartments"][0]
            assert core.in_axons == use["in-axons"][0]
            assert core.out_axons == use["out-axons"][0]
            assert core.synapse_bits == use["synapses"][0]

    def test_spikes_are_counted(self):
        conv = self.conv()
        X = np.random.RandomState(0).randn(2, 6)
        used = npd.loihi.resources(conv, X)
        with nengo.Network(seed=0) as net:
            net.add(conv)
            nengo.Connection(nengo.Node(X[0]), conv.input, synapse=None)
            probes = [nengo.Probe(ens.neurons) for ens in conv.all_ensembles]
        configure(net, conv)
        with nengo_loihi.Simulator(net, progress_bar=False) as sim:
            sim.run(0.1)
            counts = [np.sum(np.asarray(sim.data[p]) > 0) / 100 for p in probes]
        # other masks and initial voltages than those of the trial
        assert np.isclose(used.host_spikes, counts[0], rtol=0.2, atol=0.2)
        assert np.isclose(used.spikes, sum(counts[1:]), rtol=0.4, atol=0.2)

    def test_layers_without_a_core_are_an_error(self):
        with pytest.raises(ValidationError, match="no layer is on the chip"):
            npd.loihi.resources(self.conv(units=(10,))).check()

    def test_too_many_cores(self):
        conv = self.conv(units=(5, 150, 5))
        split(conv, conv.all_ensembles[1], 1)
        used = npd.loihi.resources(conv)
        assert used.n_cores == 151
        with pytest.raises(ValidationError, match="151 cores.*'soft_lif.*' 150"):
            used.check()
        used.check(n_chips=2)

    def test_output_axons_in_a_real_network(self):
        """Neurons that go to very many cores, which nengo-loihi can't split for."""
        conv = self.conv(units=(2, 100, 50))
        wide, spread = conv.all_ensembles[1:]
        split(conv, spread, 1)
        used = npd.loihi.resources(conv)
        with pytest.raises(ValidationError, match="5000 output axons.*block_shape"):
            used.check()
        X = np.zeros((1, 6))
        with pytest.raises(ValidationError, match="5000 output axons"):
            npd.sample(conv, X, n_draws=1, backend="nengo_loihi", progress=False)
        # the fix that the error names
        split(conv, wide, 50)
        npd.loihi.resources(conv).check()

    def test_in_words(self):
        words = str(npd.loihi.resources(self.conv()))
        assert "2 of 128 cores" in words and "20 neurons off the chip" in words
        assert len(words.splitlines()) == 3


def decoded_network():
    """Whose weights nengo-loihi combines with others: built again for every mask."""
    with nengo.Network(seed=0) as net:
        net.stimulus = nengo.Node(np.full(6, 0.4))
        a, b = (nengo.Ensemble(30, 6, label=label) for label in "ab")
        nengo.Connection(net.stimulus, a)
        nengo.Connection(a, b, transform=npd.PermanentDropout((6, 6), rate=0.5))
        net.out = nengo.Node(size_in=6)
        nengo.Connection(b, net.out, synapse=nengo.Lowpass(0.005))
    return net


def test_masks_leave_no_trace_in_the_network_while_it_is_built(monkeypatch):
    """What another thread would see, at any time of a build."""
    net = decoded_network()
    conns = net.all_connections
    loihi, seen = LoihiModel(net, DT), []
    build = nengo_loihi.builder.Model.build

    def looking(self, obj, *args, **kwargs):
        seen.append([conn.seed for conn in conns])
        return build(self, obj, *args, **kwargs)

    monkeypatch.setattr(nengo_loihi.builder.Model, "build", looking)
    loihi.write_masks(5)
    assert not loihi.reused and len(seen) > 5
    assert all(seeds == [None] * len(conns) for seeds in seen)


def test_simulators_are_made_without_a_warning_nor_a_filter_of_warnings(
    monkeypatch, recwarn
):
    """Filters are the process's: threads set them, and restore in any order."""
    net, _ = presented(npd.Converter(mlp(), target="loihi", seed=1))
    loihi = LoihiModel(net, DT)
    recwarn.clear()
    before = list(warnings.filters)
    monkeypatch.setattr(nengo_loihi, "Simulator", Simulator := Filters(nengo_loihi))
    loihi.simulator().close()
    assert Simulator.filters == before
    assert [str(warning.message) for warning in recwarn] == []


class Filters:
    """Stands for `nengo_loihi.Simulator`; keeps the filters that it was called in."""

    def __init__(self, module):
        self.Simulator = module.Simulator

    def __call__(self, *args, **kwargs):
        self.filters = list(warnings.filters)
        return self.Simulator(*args, **kwargs)


def test_dropping_dimensions_warns():
    """Also on the chip, where nengo-loihi builds connections itself."""
    with nengo.Network(seed=0) as net:
        a, b = (nengo.Ensemble(10, 2, label=label) for label in "ab")
        dropout = npd.PermanentDropout((2, 2), init=np.eye(2))
        nengo.Connection(a, b, transform=dropout, synapse=0.005)
    with pytest.warns(UserWarning, match="drops dimensions.*2 inputs"):
        LoihiModel(net, DT)


@pytest.mark.parametrize("tau_rc, tau_ref", [(0.02, 0.002), (0.0317, 0.00262), (1, 0)])
def test_discretised_constants_are_nengo_loihis(tau_rc, tau_ref):
    found = discretised_constants(tau_rc, tau_ref, 0.001)
    loihi = nengo_loihi.neurons
    expected = loihi.discretize_tau_rc(tau_rc, 0.001)
    assert found == (expected, loihi.discretize_tau_ref(tau_ref, 0.001))
