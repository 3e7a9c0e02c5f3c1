import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.neurons.loihi import LoihiLIFRate, host_spiking
from nengo_permadrop.neurons.spiking_twins import exact_spiking


def formula(j, gamma, tau_rc=0.02, tau_ref=0.002):
    """The published one, in extended precision where it does not underflow."""
    rho = gamma * np.log1p(np.exp(j.astype(np.longdouble) / gamma))
    return 1 / (tau_ref + tau_rc * np.log1p(1 / rho))


@pytest.mark.parametrize("gamma", [0.02, 0.1, 1.0])
def test_rates_are_the_formula(gamma):
    j = np.linspace(-10 * gamma, 10, 200)
    rates = npd.SoftLIF(gamma=gamma).rates(j[:, None], 1.0, [1.0])[:, 0]
    assert np.allclose(rates, formula(j, gamma).astype(float), rtol=1e-9)


def test_no_overflow_far_from_the_threshold():
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        rates = npd.SoftLIF().rates(np.array([[-1e6], [1e6]]), 1.0, [1.0])
    assert 0 <= rates[0, 0] < 1e-3 and np.isclose(rates[1, 0], 500, rtol=1e-3)


def test_tends_to_lif():
    j = np.linspace(0.1, 5, 50)[:, None]
    soft = npd.SoftLIF(gamma=1e-4).rates(j, 1.0, [1.0])
    assert np.allclose(soft, nengo.LIFRate().rates(j, 1.0, [1.0]), rtol=1e-6)


def test_run_gives_rates():
    # nengo-extras' SoftLIFRate shows the soft curve in rates() and runs the hard one
    x = np.linspace(-0.5, 1, 30)
    with nengo.Network() as net:
        ens = nengo.Ensemble(
            30,
            1,
            neuron_type=npd.SoftLIF(gamma=0.1, amplitude=0.01),
            gain=np.ones(30),
            bias=1 + x,
        )
        probe = nengo.Probe(ens.neurons)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(1)
    assert np.allclose(sim.data[probe][0], 0.01 * formula(x, 0.1).astype(float))


def test_gain_bias_round_trip():
    soft = npd.SoftLIF(gamma=0.05)
    max_rates, intercepts = np.array([100.0, 250.0]), np.array([-0.5, 0.9])
    gain, bias = soft.gain_bias(max_rates, intercepts)
    assert np.allclose(soft.rates(np.ones((1, 2)), gain, bias), max_rates)
    assert np.allclose(soft.max_rates_intercepts(gain, bias), (max_rates, intercepts))
    for bad in (1.0, 500.0):
        with pytest.raises(ValidationError, match="Max rates"):
            soft.gain_bias(bad, 0.0)


def test_represents_like_other_neuron_types():
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(0.5)
        ens = nengo.Ensemble(100, 1, neuron_type=npd.SoftLIF())
        nengo.Connection(stimulus, ens, synapse=None)
        probe = nengo.Probe(ens)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(5)
    assert abs(sim.data[probe][-1, 0] - 0.5) < 0.02


@pytest.mark.parametrize("name", ["gamma", "tau_rc", "amplitude"])
def test_invalid_parameters(name):
    with pytest.raises(ValidationError, match=name):
        npd.SoftLIF(**{name: 0})


def test_spiking_keeps_parameters():
    lif = npd.spiking(npd.SoftLIF(gamma=0.1, tau_rc=0.03, tau_ref=0.001, amplitude=0.5))
    assert lif == nengo.LIF(tau_rc=0.03, tau_ref=0.001, amplitude=0.5)
    assert npd.spiking(nengo.RectifiedLinear(0.1)) == nengo.SpikingRectifiedLinear(0.1)
    assert npd.spiking(nengo.Tanh()) == nengo.RegularSpiking(nengo.Tanh())
    assert npd.spiking(nengo.LIF()) == nengo.LIF()
    adaptive = npd.spiking(nengo.AdaptiveLIFRate(tau_n=2, inc_n=0.1))
    assert adaptive == nengo.AdaptiveLIF(tau_n=2, inc_n=0.1)


@pytest.mark.parametrize(
    "rate_type",
    [npd.SoftLIF(gamma=1e-3, amplitude=0.01), nengo.Sigmoid(), nengo.Tanh()],
)
def test_spiking_twin_fires_at_the_rate(rate_type):
    currents = np.linspace(1.2, 4, 20)
    outputs = []
    for neuron_type in (rate_type, npd.spiking(rate_type)):
        with nengo.Network(seed=0) as net:
            ens = nengo.Ensemble(
                20, 1, neuron_type=neuron_type, gain=np.ones(20), bias=currents
            )
            probe = nengo.Probe(ens.neurons)
        with nengo.Simulator(net, progress_bar=False) as sim:
            sim.run(1.0, progress_bar=False)
        outputs.append(sim.data[probe].mean(axis=0))
    # a spike more or less in a second
    assert (
        np.abs(outputs[0] - outputs[1]).max() <= getattr(rate_type, "amplitude", 1) * 2
    )


def test_spiking_on_loihi():
    loihi = pytest.importorskip("nengo_loihi").neurons
    lif = npd.spiking(npd.SoftLIF(tau_rc=0.03, amplitude=0.5), target="loihi")
    assert type(lif) is loihi.LoihiLIF and lif.tau_rc == 0.03 and lif.amplitude == 0.5
    relu = npd.spiking(nengo.RectifiedLinear(0.1), target="loihi")
    assert type(relu) is loihi.LoihiSpikingRectifiedLinear and relu.amplitude == 0.1


def test_rates_on_loihi():
    loihi = pytest.importorskip("nengo_loihi").neurons
    times = dict(tau_rc=0.0171, tau_ref=0.0026, amplitude=0.02)
    rate_type = LoihiLIFRate(**times)
    current = np.linspace(-1, 20, 500)
    expected = loihi.loihi_rates(
        loihi.LoihiLIF(**times), current[:, None], 1.0, np.zeros(1), dt=0.002
    )[:, 0]
    output = np.zeros_like(current)
    rate_type.step(0.002, current, output)
    assert np.allclose(output, expected, rtol=1e-12)
    assert len(np.unique(output)) > 5
    for at_dt in ({"dt": 0.002}, {}):
        theirs = loihi.LoihiLIF(**times).rates(current, [1.0], [0.0], **at_dt)
        assert np.allclose(rate_type.rates(current, [1.0], [0.0], **at_dt), theirs)
    for target, kind in (("loihi", loihi.LoihiLIF), ("nengo", nengo.LIF)):
        twin = npd.spiking(rate_type, target=target)
        assert type(twin) is kind
        assert {name: getattr(twin, name) for name in times} == times


def test_unknown_raises():
    class OtherLIF(nengo.LIFRate):
        pass

    with pytest.raises(ValidationError, match="OtherLIF.*no spiking twin.*register"):
        npd.spiking(OtherLIF())
    with pytest.raises(ValidationError, match="'brain'.*nengo, loihi"):
        npd.spiking(nengo.LIFRate(), target="brain")
    with pytest.raises(ValidationError, match="Tanh"):
        npd.spiking(nengo.Tanh(), target="loihi")


def counts(neuron_type, currents, time=2.0):
    """Spikes of neurons with constant currents, ``(n_steps, n)``, in whole numbers."""
    n = len(currents)
    with nengo.Network(seed=0) as net:
        ensemble = nengo.Ensemble(
            n, 1, neuron_type=neuron_type, gain=np.ones(n), bias=currents
        )
        probe = nengo.Probe(ensemble.neurons)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(time)
    return sim.data[probe] * sim.dt / neuron_type.amplitude


@pytest.mark.parametrize("name", ["SoftLIF", "LoihiLIFRate", "LIFRate"])
def test_neurons_on_loihis_host_have_the_curve_and_fire_faster(name):
    if name == "LoihiLIFRate":
        pytest.importorskip("nengo_loihi")
    types = {"SoftLIF": npd.SoftLIF, "LoihiLIFRate": LoihiLIFRate}
    options = {"gamma": 0.1} if name == "SoftLIF" else {}
    rate_type = types.get(name, nengo.LIFRate)(amplitude=0.01, **options)
    currents = np.array([0.9, 1.2, 2.0, 10.0, 1e9])
    spikes = counts(host_spiking(rate_type), currents)
    assert spikes.max() == 1  # the chip doesn't hear two spikes of one step
    rates = rate_type.rates(0.0, np.ones(5), currents).ravel() / 0.01
    np.testing.assert_allclose(spikes.sum(axis=0) / 2.0, 2 * rates, atol=0.51)


def test_no_such_neurons_that_could_fire_twice_a_step():
    assert host_spiking(nengo.RectifiedLinear()) is None
    assert host_spiking(npd.SoftLIF(tau_ref=0.0005)) is None
    slow = host_spiking(npd.SoftLIF(tau_ref=0.0035, amplitude=0.03))
    assert (slow.base_type.amplitude, slow.amplitude) == (3, 0.01)


@pytest.mark.parametrize("loihi", (False, True))
def test_exact_spiking_fires_at_exactly_the_rates(loihi):
    times = dict(tau_rc=0.03, tau_ref=0.003, amplitude=0.02)
    if loihi:
        pytest.importorskip("nengo_loihi")
    rate_type = LoihiLIFRate(**times) if loihi else npd.SoftLIF(gamma=0.2, **times)
    neuron_type = exact_spiking(rate_type)
    assert isinstance(neuron_type, nengo.RegularSpiking)
    assert neuron_type.amplitude == 0.02 and neuron_type.base_type.amplitude == 1
    currents = np.linspace(-0.5, 6, 30)
    rates = rate_type.rates(currents, [1.0], [0.0]).ravel()
    found = counts(neuron_type, currents).sum(axis=0)
    # a spike more or less in two seconds
    assert np.abs(found / 2 - rates / 0.02).max() <= 0.5 + 1e-6 and rates.any()


@pytest.mark.parametrize(
    "rate_type, kind",
    (
        (nengo.RectifiedLinear(0.5), nengo.SpikingRectifiedLinear),
        (nengo.LIFRate(amplitude=0.5), nengo.LIF),
        (nengo.Sigmoid(), nengo.RegularSpiking),
        (nengo.LIF(amplitude=0.5), nengo.LIF),
    ),
    ids=str,
)
def test_exact_spiking_is_the_twin_where_that_is_exact(rate_type, kind):
    assert type(exact_spiking(rate_type)) is kind
    assert exact_spiking(rate_type) == npd.spiking(rate_type)
    with pytest.raises(ValidationError, match="no spiking twin"):
        exact_spiking(nengo.Direct())
