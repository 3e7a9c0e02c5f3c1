import nengo
import numpy as np
import pytest
from kmodels import combo, mlp

import nengo_permadrop as npd
from nengo_permadrop.converter.settling import default_times, path_delay


@pytest.mark.parametrize(
    "synapse, mean, variance",
    [
        (nengo.Lowpass(0.02), 0.02, 0.02**2),
        (nengo.Alpha(0.02), 0.04, 2 * 0.02**2),
    ],
)
def test_delay_adds_up_along_the_longest_path(synapse, mean, variance):
    with nengo.Network() as net:
        a, b, c = (nengo.Node(size_in=1) for _ in range(3))
        for pre, post in ((a, b), (b, c), (a, c)):
            nengo.Connection(pre, post, synapse=synapse)
        nengo.Connection(nengo.Node(0), a, synapse=None)
    delay, spread = path_delay(net)
    # a step of discretisation each
    assert np.isclose(delay, 2 * mean, atol=2e-3)
    assert np.isclose(spread**2, 2 * variance, rtol=0.01)


def test_settling_time_of_converted_networks():
    two = npd.Converter(mlp(units=(5, 5)))
    three = npd.Converter(combo())
    assert two.settling_time < 0.04 < three.settling_time  # the default of sample()
    assert npd.Converter(mlp(), neurons="rate").settling_time == 0
    assert npd.Converter(mlp(), synapse=0.05).settling_time > two.settling_time


def test_output_has_settled_by_then():
    # rate neurons, so that nothing but the synapses moves
    conv = npd.Converter(
        mlp(units=(50, 50, 50)), neurons="rate", synapse=nengo.Alpha(0.005), seed=0
    )
    with nengo.Network(seed=0) as net:
        net.add(conv)
        nengo.Connection(nengo.Node(np.ones(6)), conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.5, progress_bar=False)
    output = sim.data[probe][:, 0]
    missing = np.abs(output - output[-1]) / np.abs(output[0] - output[-1])
    settled = int(conv.settling_time / sim.dt)
    assert missing[settled:].max() < 0.1
    assert missing[: int(path_delay(conv)[0] / sim.dt) // 2].min() > 0.5


def test_too_short_a_settle_warns():
    conv, X = npd.Converter(mlp(units=(5, 5, 5))), np.ones((1, 6))
    kwargs = dict(n_draws=1, presentation_time=0.06, progress=False)
    with pytest.warns(UserWarning, match="at least settle=0.05"):
        npd.sample(conv, X, settle=0.02, **kwargs)
    npd.sample(conv, X, settle=0.04, **kwargs)  # warnings of ours are errors


def test_default_times():
    assert default_times(0.0914) == (0.16, 0.1)
    assert default_times(0.0914, read=0.1) == (0.2, 0.1)
    assert default_times(0.0914, presentation_time=0.3) == (0.3, 0.1)
    assert default_times(None, settle=0.02) == (0.08, 0.02)
    assert default_times(None, 0.5, 0.0) == (0.5, 0.0)
