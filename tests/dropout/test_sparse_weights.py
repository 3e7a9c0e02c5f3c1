"""`PermanentDropout` of sparse weights does what it does with the same dense ones."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from nengo.transforms import SparseMatrix
from scipy import sparse

import nengo_permadrop as npd
from nengo_permadrop.dropout.weights import scaled_columns, scaled_rows, squared

SHAPE = (30, 80)


@pytest.fixture
def weights():
    rng = np.random.RandomState(0)
    values = 0.02 * rng.uniform(0.5, 1.5, size=SHAPE)
    return np.where(rng.uniform(size=SHAPE) < 0.2, values, 0.0)


def network(init, decoded=False, **kwargs):
    with nengo.Network(seed=0) as net:
        pre, post = nengo.Ensemble(SHAPE[1], 2), nengo.Ensemble(SHAPE[0], 1)
        transform = npd.PermanentDropout(init.shape, init=init, **kwargs)
        source = pre if decoded else pre.neurons
        net.conn = nengo.Connection(source, post.neurons, transform=transform, seed=4)
        net.spikes = nengo.Probe(post.neurons)
        net.current = nengo.Probe(post.neurons, "input")
    return net


KINDS = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "array": sparse.csr_array,
    "nengo": lambda w: SparseMatrix(np.argwhere(w), w[w != 0], w.shape),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_sparse_matrix(kind, weights):
    made = npd.PermanentDropout(SHAPE, init=KINDS[kind](weights), rate=0.3)
    dense = npd.PermanentDropout(SHAPE, init=weights, rate=0.3)
    assert made.init.sparse and not dense.init.sparse
    for seed in (0, 1):
        mine, theirs = (
            transform.sample(rng=np.random.RandomState(seed))
            for transform in (made, dense)
        )
        assert isinstance(mine, np.ndarray)
        np.testing.assert_array_equal(mine, theirs)


def test_repeated_elements_add_up():
    places = ([0, 0, 1], [1, 1, 0])
    init = sparse.coo_matrix(([1.0, 2.0, 4.0], places), shape=(2, 3))
    made = npd.PermanentDropout((2, 3), init=init, rate=0)
    assert made.sample().tolist() == [[0, 3, 0], [4, 0, 0]]


def test_weights_are_the_transforms_own(weights):
    given = sparse.csr_matrix(weights)
    made = npd.PermanentDropout(SHAPE, init=given, rate=0)
    given.data[:] = 0
    np.testing.assert_array_equal(made.sample(), weights)
    with pytest.raises(ValueError, match="read-only"):
        made.init.base.data[0] = 1


def test_equality(weights):
    given = sparse.csr_matrix(weights)
    a, b = (npd.PermanentDropout(SHAPE, init=given, rate=0.3) for _ in range(2))
    assert a == b and hash(a) == hash(b)
    other = given.copy()
    other.data[-1] += 1
    assert a != npd.PermanentDropout(SHAPE, init=other, rate=0.3)
    assert a != npd.PermanentDropout(SHAPE, init=weights, rate=0.3)
    assert a.replaced(rate=0.1).init.base is not None and a.replaced() == a


@pytest.mark.parametrize(
    "init, found",
    [
        (sparse.csr_matrix((3, 2)), r"\(3, 2\)"),
        (sparse.csr_matrix(np.eye(2, 3) * 1j), "complex"),
        (SparseMatrix([[0, 0]], nengo.dists.Uniform(0, 1), (2, 3)), "sample them"),
    ],
    ids=["shape", "complex", "distribution"],
)
def test_what_is_refused(init, found):
    with pytest.raises(ValidationError, match=found):
        npd.PermanentDropout((2, 3), init=init)


CASES = {
    "plain": {},
    "redraw": {"redraw": 0.01},
    "delay": {"redraw": 0.01, "redraw_delay": 0.005},
    "groups": {"groups": np.arange(SHAPE[1]) // 8},
    "noise": {"noise": "gaussian"},
}


def simulate(net, simulator, twice=False, **kwargs):
    with simulator(net, seed=1, progress_bar=False, **kwargs) as sim:
        sim.run_steps(45)
        if twice:
            sim.reset()
            sim.run_steps(45)
        return sim.data[net.spikes], sim.data[net.current], sim.data[net.conn].weights


@pytest.mark.parametrize("case", CASES)
def test_reference_simulator(case, weights):
    dense = network(weights, rate=0.4, **CASES[case])
    made = network(sparse.csr_matrix(weights), rate=0.4, **CASES[case])
    spikes, current, masked = simulate(dense, nengo.Simulator)
    assert spikes.any() and np.ptp(current)
    for _ in range(2):  # the model's weights are as they were
        mine = simulate(made, nengo.Simulator, twice=True)
        np.testing.assert_array_equal(mine[0], spikes)
        np.testing.assert_allclose(mine[1], current, rtol=1e-12)
        np.testing.assert_array_equal(mine[2].toarray(), masked)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n_replicas", [None, 3])
def test_batched_simulator(n_replicas, case, optimize, weights):
    options = {"n_replicas": n_replicas, "optimize": optimize, "dtype": "float64"}
    dense = network(weights, rate=0.4, **CASES[case])
    made = network(sparse.csr_matrix(weights), rate=0.4, **CASES[case])
    spikes, current, _ = simulate(dense, npd.Simulator, **options)
    mine = simulate(made, npd.Simulator, twice=True, **options)
    np.testing.assert_array_equal(mine[0], spikes)
    np.testing.assert_allclose(mine[1], current, rtol=1e-9, atol=1e-12)
    if n_replicas is not None:
        assert not np.array_equal(spikes[0], spikes[1])


def test_decoded_connections_multiply_dense_matrices(weights):
    init = weights[:, :2]
    with pytest.warns(UserWarning, match="dimensions"):
        dense = simulate(network(init, decoded=True, rate=0.4), nengo.Simulator)
        made = network(sparse.csr_matrix(init), decoded=True, rate=0.4)
        mine = simulate(made, nengo.Simulator)
        batched = simulate(made, npd.Simulator, dtype="float64")
    np.testing.assert_array_equal(mine[2], dense[2])
    for each in (mine, batched):
        np.testing.assert_allclose(each[1], dense[1])


def test_rows_columns_and_squares(weights):
    given, rng = sparse.csr_matrix(weights), np.random.RandomState(1)
    rows, columns = (rng.randn(size) for size in SHAPE)
    for made, expected in (
        (scaled_rows(given, rows), scaled_rows(weights, rows)),
        (scaled_columns(given, columns), weights * columns),
        (squared(given), weights**2),
    ):
        np.testing.assert_array_equal(made.toarray(), expected)
