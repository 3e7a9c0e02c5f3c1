"""One draw has the same masks on every simulator, just by being built there."""

import sys

import nengo
import numpy as np
import pytest
from kmodels import mlp

import nengo_permadrop as npd
from nengo_permadrop.dropout.transforms import MaskedWeights

TIME = 0.3
X = np.linspace(-1, 1, 6)


def network(seed, rate=0.4):
    with nengo.Network() as net:
        conv = npd.Converter(
            mlp(units=(30, 30, 30), rate=rate), target="loihi", seed=seed
        )
        nengo.Connection(nengo.Node(X), conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    return net, conv, probe


@pytest.fixture
def sampled(monkeypatch):
    """The masks of all weights that are sampled, as (units, tuple of bool)."""
    masks = []
    sample = MaskedWeights.sample

    def spy(self, *args, **kwargs):
        weights = sample(self, *args, **kwargs)
        masks.append(tuple((weights != 0).any(axis=0)))
        return weights

    monkeypatch.setattr(MaskedWeights, "sample", spy)
    return masks


def answer(simulator, net, probe):
    with simulator(net, progress_bar=False) as sim:
        sim.run(TIME)
        data = np.reshape(sim.data[probe], (-1, 1))
    return data[100:].mean()


def weights(simulator, net, conv):
    with simulator(net, progress_bar=False) as sim:
        return [sim.data[c].weights for d in conv.dropouts for c in d.connections]


pytest.importorskip("nengo_loihi", reason="networks here are converted for Loihi")
pytestmark = pytest.mark.filterwarnings("ignore:.*learned with rates")  # untrained toys


def test_nengo():
    net, conv, _ = network(seed=1)
    for dropout, w in zip(conv.dropouts, weights(nengo.Simulator, net, conv)):
        assert np.array_equal((w != 0).any(axis=0), dropout.keep())
        assert 0 < dropout.keep().sum() < dropout.size


@pytest.fixture
def nengo_dl():
    """NengoDL as it is where nengo_permadrop.dl has not been imported."""
    module = pytest.importorskip("nengo_dl")
    ours = sys.modules.get("nengo_permadrop.dl")
    if ours is not None:
        ours.uninstall()
    yield module
    if ours is not None:
        ours.install()


@pytest.mark.filterwarnings("ignore:NengoDL takes the masked weights")
def test_nengo_dl(nengo_dl):
    net, conv, probe = network(seed=1)
    reference = weights(nengo.Simulator, net, conv)
    for ours, theirs in zip(reference, weights(nengo_dl.Simulator, net, conv)):
        assert np.allclose(ours, theirs, rtol=1e-5)
    assert np.isclose(
        answer(nengo_dl.Simulator, net, probe),
        answer(nengo.Simulator, net, probe),
        atol=0.02,
    )


def test_nengo_loihi(sampled):
    import nengo_loihi

    net, conv, probe = network(seed=1)
    answer(nengo_loihi.Simulator, net, probe)
    # sampled once a connection, on the host or for the chip: twice would drop twice
    assert sorted(sampled) == sorted(tuple(d.keep()) for d in conv.dropouts)


def test_draws_on_the_loihi_emulator_follow_the_reference():
    """The emulator's draws correlate with the reference's, mask by mask."""
    import nengo_loihi

    pairs = []
    for seed in range(6):
        net, _, probe = network(seed)
        pairs.append(
            [
                answer(sim, net, probe)
                for sim in (nengo.Simulator, nengo_loihi.Simulator)
            ]
        )
    reference, loihi = np.transpose(pairs)
    assert np.corrcoef(reference, loihi)[0, 1] > 0.95
    assert np.abs(loihi - reference).mean() < 0.25 * reference.std()


def test_redraw_where_it_is_impossible_raises_at_build():
    """Weights on the chip can't change; the Converter builds gates instead."""
    import nengo_loihi

    with nengo.Network() as net:
        a, b = (nengo.Ensemble(10, 1, label=label) for label in "ab")
        dropout = npd.PermanentDropout((10, 10), rate=0.5, redraw=0.1)
        nengo.Connection(a.neurons, b.neurons, transform=dropout)
    with pytest.raises(nengo.exceptions.BuildError, match="redrawn every 0.1 s"):
        nengo_loihi.Simulator(net, progress_bar=False)


@pytest.mark.filterwarnings("ignore:NengoDL takes the masked weights")
def test_redraw_on_nengo_dl_raises_at_build(nengo_dl):
    with nengo.Network() as net:
        npd.Converter(mlp(), redraw=0.1)
    with pytest.raises(Exception, match="RedrawMask"):
        nengo_dl.Simulator(net, progress_bar=False)


def test_passthrough_in_the_way_is_an_error_on_loihi():
    """nengo-loihi merges passthrough Nodes into connections: dropout must stay."""
    import nengo_loihi

    with nengo.Network() as net:
        a, b = (nengo.Ensemble(20, 1, label=label) for label in "ab")
        relay = nengo.Node(size_in=20)
        nengo.Connection(
            a.neurons,
            relay,
            transform=npd.PermanentDropout((20, 20), rate=0.5),
            synapse=None,
        )
        nengo.Connection(relay, b.neurons, transform=np.ones((20, 20)))
    with pytest.raises(NotImplementedError, match="not distributions"):
        nengo_loihi.Simulator(net, progress_bar=False)
