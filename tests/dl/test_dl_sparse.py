"""Sparse dropout on NengoDL: simulation, redraws and trained parameters."""

import nengo
import numpy as np
import pytest
from scipy import sparse

import nengo_permadrop as npd

nengo_dl = pytest.importorskip("nengo_dl")
tf = pytest.importorskip("tensorflow")

from nengo_permadrop import dl  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:No GPU support")


def network(make, redraw=None):
    rng = np.random.RandomState(0)
    weights = np.where(rng.uniform(size=(12, 30)) < 0.3, rng.randn(12, 30), 0.0)
    with nengo.Network(seed=0) as net:
        net.stimulus = nengo.Node(np.linspace(-1, 1, 30))
        net.out = nengo.Node(size_in=12)
        dropout = npd.PermanentDropout((12, 30), make(weights), 0.4, redraw)
        net.conn = nengo.Connection(
            net.stimulus, net.out, transform=dropout, synapse=None, seed=8
        )
        net.probe = nengo.Probe(net.out)
    return net


@pytest.mark.parametrize("redraw", [None, 0.002])
def test_simulation(redraw):
    expected, made = (network(make, redraw) for make in (np.asarray, sparse.csr_matrix))
    with nengo.Simulator(expected, progress_bar=False) as sim:
        sim.run_steps(7)
    with nengo_dl.Simulator(made, progress_bar=False) as dl_sim:
        dl_sim.run_steps(7)
    np.testing.assert_allclose(
        dl_sim.data[made.probe], sim.data[expected.probe], atol=1e-5
    )
    assert np.ptp(sim.data[expected.probe], axis=0).any() == (redraw is not None)


def test_each_item_has_a_mask_of_its_own():
    found = []
    for make in (np.asarray, sparse.csr_matrix):
        net = network(make)
        with nengo_dl.Simulator(net, minibatch_size=3, progress_bar=False) as sim:
            dl.set_masks(sim, [1, 2, 3])
            sim.run_steps(1)
            found.append(sim.data[net.probe][:, 0])
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    assert not np.allclose(found[0][0], found[0][1])


def test_training_and_its_parameters():
    """Weights that are there are trained; others stay 0, and dropout stays on."""
    net = network(sparse.csr_matrix)
    before = net.conn.transform.init.base.copy()
    with nengo_dl.Simulator(net, minibatch_size=4, progress_bar=False, seed=0) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss={net.probe: "mse"})
        x = {net.stimulus: np.tile(np.linspace(-1, 1, 30), (8, 1, 1))}
        y = {net.probe: np.ones((8, 1, 12))}
        sim.fit(x, y, epochs=2, verbose=0)
        trained = sim.get_nengo_params(net.conn)["transform"]
        sim.freeze_params(net)
    assert isinstance(trained, npd.PermanentDropout) and trained.init.sparse
    assert trained.rate == 0.4
    np.testing.assert_array_equal(trained.init.base.indices, before.indices)
    assert np.abs(trained.init.base.data - before.data).max() > 1e-3
    frozen = net.conn.transform
    np.testing.assert_allclose(frozen.init.base.data, trained.init.base.data)
