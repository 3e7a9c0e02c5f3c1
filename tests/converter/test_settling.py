import nengo
import numpy as np
import pytest
from kmodels import combo, mlp
from nengo.exceptions import ValidationError
from nengo.synapses import LinearFilter, Synapse, Triangle

import nengo_permadrop as npd
from nengo_permadrop.converter.timing import (
    arrivals,
    default_times,
    path_delay,
    settling_time,
)


def chain(*synapses, net=None):
    """Nodes in a row."""
    with nengo.Network() if net is None else net as net:
        nodes = [nengo.Node(size_in=1) for _ in range(len(synapses) + 1)]
        for pre, post, synapse in zip(nodes, nodes[1:], synapses):
            nengo.Connection(pre, post, synapse=synapse)
    return net


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


@pytest.mark.parametrize(
    "synapse, n, seconds",
    [
        (nengo.Lowpass(0.5), 1, 1.5),  # tau (n + 2 sqrt(n))
        (nengo.Lowpass(0.5), 2, 2.414),
        (nengo.Lowpass(1), 2, 4.828),
        (nengo.Lowpass(100), 1, 300),
        (nengo.Alpha(1), 1, 4.828),  # as two Lowpass
        (LinearFilter([3], [1, 1]), 2, 4.828),  # whatever its gain
        (LinearFilter([1], np.poly([-1.0] * 6)), 1, 6 + 2 * np.sqrt(6)),
        (LinearFilter([1], [1, 1], method="euler"), 2, 4.828),
        (Triangle(3), 1, 1 + 2 * np.sqrt(0.5)),
    ],
)
def test_slow_and_unusual_synapses(synapse, n, seconds):
    # within a time step each, by which Nengo's discrete filters are faster or slower
    found = settling_time(chain(*[synapse] * n))
    assert np.isclose(found, seconds, rtol=5e-4, atol=1.01e-3 * n)


@pytest.mark.parametrize(
    "synapse, seconds",
    [
        # the geometric distribution, of 10 steps, from the first one on
        (LinearFilter([0.1], [1, -0.9], analog=False), 0.009 + 2e-3 * np.sqrt(90)),
        (LinearFilter([1], [1, 0, 0], analog=False), 0.001),
        (nengo.Lowpass(0), 0),
        (nengo.Alpha(0), 0),
        (LinearFilter([2], [1]), 0),
    ],
)
def test_filters_in_discrete_time(synapse, seconds):
    assert np.isclose(settling_time(chain(synapse)), seconds, rtol=1e-9)


@pytest.mark.parametrize(
    "synapse",
    [
        LinearFilter([1, 0], [1, 1]),  # passes changes, and nothing constant
        LinearFilter([100], [1, 2, 100]),  # rings
    ],
)
def test_responses_that_change_their_sign_settle(synapse):
    seconds = settling_time(chain(synapse))
    step = synapse.filt(np.ones((int(20 / 0.001), 1)), dt=0.001, y0=0)[:, 0]
    missing = np.abs(step - step[-1]) / np.abs(step - step[-1]).max()
    assert missing[int(seconds / 0.001) :].max() < 0.15 < missing[:300].max()
    assert 1 < seconds < 4  # the time constant of both is a second


class Delay(Synapse):
    """One that Nengo doesn't know: what comes in comes out ``steps`` later."""

    def __init__(self, steps, gain=1.0):
        super().__init__()
        self.steps, self.gain = steps, gain

    def make_state(self, shape_in, shape_out, dt, dtype=None, y0=0):
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        line = [np.zeros(shape_out)] * self.steps

        def step_delay(t, x):
            line.append(self.gain * x)
            return line.pop(0)

        return step_delay


def test_unknown_synapses_are_simulated_for_as_long_as_it_takes():
    assert np.isclose(settling_time(chain(Delay(1500))), 1.5)
    with pytest.raises(ValidationError, match="Delay.*is zero for 131"):
        settling_time(chain(Delay(1, gain=0.0)))


@pytest.mark.parametrize(
    "synapse",
    [
        LinearFilter([1], [1, 0]),  # integrates
        LinearFilter([1], [1, -1]),  # explodes
        LinearFilter([1], [1, 0, 100]),  # rings for ever
        LinearFilter([1], [1, -1], analog=False),
        LinearFilter([0], [1, 1]),  # passes nothing
    ],
)
@pytest.mark.filterwarnings("ignore:Badly conditioned filter")
def test_synapses_that_never_settle_are_named(synapse):
    net = chain(synapse)
    with pytest.raises(ValidationError, match="has no settling time") as error:
        settling_time(net)
    assert str(net.all_connections[0]) in str(error.value)


def test_the_slowest_path_need_not_be_the_longest():
    net = chain(nengo.Lowpass(0.1))
    (pre,), (post,) = ({getattr(net.connections[0], e)} for e in ("pre", "post"))
    with net:  # arrives later on average, but all at once
        nengo.Connection(pre, post, synapse=Delay(150))
    assert np.isclose(arrivals(net)[post][0], 0.15)
    assert np.isclose(settling_time(net), 0.3, atol=1e-3)
    with net:  # the worst of what comes after isn't the worst of what came before
        last = nengo.Node(size_in=1)
        nengo.Connection(post, last, synapse=nengo.Lowpass(1))
    paths = [1.1 + 2 * np.sqrt(1 + 0.1**2), 1.15 + 2]
    assert paths[1] > paths[0]
    assert np.isclose(settling_time(net), paths[1], atol=2e-3)


def test_deep_networks_and_loops():
    deep = chain(*[nengo.Lowpass(0.001)] * 3000)  # more than Python's recursion limit
    assert settling_time(deep) > path_delay(deep)[0] > 1
    with nengo.Network() as net:
        first = nengo.Node(size_in=1)
        memory = nengo.Ensemble(5, 1, label="memory")
        last = nengo.Node(size_in=1)
        nengo.Connection(first, memory)
        nengo.Connection(memory, last)
    assert settling_time(net) > 0
    with net:
        loop = nengo.Connection(memory, memory, synapse=0.1)
    for function in (settling_time, path_delay, arrivals):
        with pytest.raises(ValidationError, match="loop.*memory.* -> .*memory"):
            function(net)
    net.connections.remove(loop)
    with net:
        nengo.Connection(last, first)
    with pytest.raises(ValidationError, match="loop"):
        settling_time(net)


@pytest.mark.parametrize("synapse", [nengo.Alpha(0.005), nengo.Lowpass(0.005)])
def test_default_settle_of_one_to_twelve_layers(synapse):
    expected = {
        nengo.Alpha: [3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17],
        nengo.Lowpass: [2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 9],
    }
    found = [
        default_times(settling_time(chain(*[synapse] * n)))[1] for n in range(1, 13)
    ]
    assert [round(100 * t, 9) for t in found] == expected[type(synapse)]


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


@pytest.mark.filterwarnings("ignore:.* may not agree")  # so small a network
def test_too_short_a_settle_warns():
    conv, X = npd.Converter(mlp(units=(5, 5, 5))), np.ones((1, 6))
    kwargs = dict(n_draws=1, presentation_time=0.06, progress=False)
    with pytest.warns(UserWarning, match="at least settle=0.05"):
        npd.sample(conv, X, settle=0.02, **kwargs)
    npd.sample(conv, X, settle=0.04, **kwargs)  # warnings of ours are errors


def test_default_times():
    assert default_times(0.0914) == (0.16, 0.1)
    assert default_times(0.0914, presentation_time=0.3) == (0.3, 0.1)
    assert default_times(None, settle=0.02) == (0.08, 0.02)
    assert default_times(0.07) == (0.13, 0.07)  # is 0.07, not a hundredth more
    assert default_times(None, 0.5, 0.0) == (0.5, 0.0)
