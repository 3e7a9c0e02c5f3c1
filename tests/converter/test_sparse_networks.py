"""Convolutions keep their weights sparse, and all that is done with them does, too."""

import nengo
import numpy as np
import pytest
from nengo.transforms import SparseMatrix
from scipy import sparse

import nengo_permadrop as npd
from nengo_permadrop import testing
from nengo_permadrop.accounting.counting import synapses
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.dropout.weights import stored
from nengo_permadrop.targets.base import Target

WINDOWS = dict(presentation_time=0.09, settle=0.04)
TIMES = dict(**WINDOWS, progress=False)


@pytest.fixture(params=["dense", "sparse"])
def each(request, monkeypatch):
    """A converter, and rows, with weights as they are and with dense ones."""
    return converted(request.param, monkeypatch)


def converted(kind, monkeypatch, **kwargs):
    monkeypatch.setattr(Target, "sparse_weights", kind == "sparse")
    graph = testing.convolutional()
    conv = npd.Converter(graph, seed=0, **kwargs)
    kinds = [_is_sparse(conn.transform) for conn in conv.all_connections]
    # from the image and to the output there are too few weights
    assert kinds == [False, kind == "sparse", False]
    return conv, testing.observations(graph, 6)


def _is_sparse(transform):
    if isinstance(transform, npd.PermanentDropout):
        return transform.init.sparse
    return isinstance(transform, nengo.transforms.Sparse)


def both(monkeypatch, **kwargs):
    """With sparse weights and, when that has been dealt with, with dense ones."""
    for kind in ("sparse", "dense"):
        yield converted(kind, monkeypatch, **kwargs)


def test_few_or_many_weights_are_an_array():
    assert isinstance(stored(sparse.eye(200, format="csr")), np.ndarray)
    assert sparse.issparse(stored(sparse.eye(300, format="csr")))
    assert isinstance(stored(sparse.random(300, 300, 0.5, "csr")), np.ndarray)
    assert isinstance(stored(sparse.eye(300, format="csr"), False), np.ndarray)


@pytest.mark.parametrize("backend", ["batched", "nengo"])
def test_the_same_draws(backend, monkeypatch):
    made, expected = (
        npd.sample(conv, X, n_draws=4, backend=backend, seed=1, **TIMES).values
        for conv, X in both(monkeypatch)
    )
    # single precision, in which sums of another order may move a spike by a step
    assert np.abs(made - expected).max() < 0.2 * expected.std(axis=0).mean()
    assert np.median(np.abs(made - expected)) < 1e-5


def test_the_mean_field_model(monkeypatch):
    """Means, noise and derivatives; only weights that are there have any."""
    found = []
    for conv, X in both(monkeypatch):
        model = MeanField(conv)
        inputs = [x.reshape(len(x), -1) for x in X.values()]
        masks = model.draw_masks(6, np.random.RandomState(0))
        slopes = {}
        means = model.forward(inputs, masks, slopes)
        out = model.outputs[0]
        weights, bias = model.backward(means, slopes, {out: means[out] * 0 + 1}, masks)
        found.append((model, means, list(weights.items()), list(bias.values())))
    (_, made, by_weights, by_bias), (_, expected, others, other_bias) = found
    for mine, theirs in zip(made.values(), expected.values(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(by_bias, other_bias, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    for (edge, mine), (_, theirs) in zip(by_weights, others, strict=True):
        if sparse.issparse(edge.weights):
            places = edge.weights.nonzero()
            theirs = theirs[places]
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["currents", "weights"])
def test_calibration(method, monkeypatch):
    """The same corrections; fits change only the weights that are there."""
    monkeypatch.setattr("nengo_permadrop.calibration.weights._STEPS", 40)
    found = []
    for conv, X in both(monkeypatch):
        npd.calibrate(conv, X, method=method, n_draws=6, **WINDOWS)
        conn = conv.all_connections[1]
        assert _is_sparse(conn.transform) == (not found)
        found.append(npd.sample(conv, X, n_draws=4, seed=1, **TIMES).values)
    if method == "currents":  # a fit of fewer weights differs from one of all
        np.testing.assert_allclose(found[0], found[1], rtol=1e-2, atol=1e-3)
    assert np.isfinite(found[0]).all() and found[0].std(axis=0).min() > 0


def test_energy(monkeypatch):
    made, expected = (
        npd.energy(conv, X, n_draws=3, seed=0, **TIMES).to_frame()
        for conv, X in both(monkeypatch)
    )
    np.testing.assert_allclose(
        made.select_dtypes("number"), expected.select_dtypes("number"), rtol=1e-3
    )


def test_synapses_are_counted(each):
    conv, _ = each
    pre = conv.all_connections[1]
    weights = pre.transform.init.base
    weights = weights.toarray() if sparse.issparse(weights) else weights
    np.testing.assert_array_equal(synapses(pre), np.count_nonzero(weights, axis=0))
    with nengo.Network(add_to_container=False):
        a, b = nengo.Node(size_in=3), nengo.Node(size_in=2)
        matrix = SparseMatrix([[0, 1], [1, 1], [0, 2]], [1.0, 2.0, 0.0], (2, 3))
        conn = nengo.Connection(
            a, b, transform=nengo.Sparse((2, 3), init=matrix.allocate())
        )
    assert synapses(conn).tolist() == [0, 2, 0]


def test_report_and_copies(each):
    conv, X = each
    assert "300" in str(conv.report(X))
    copy = conv.copy(add_to_container=False)
    a, b = (npd.sample(c, X, n_draws=2, seed=1, **TIMES).values for c in (conv, copy))
    np.testing.assert_array_equal(a, b)
    twice = npd.Converter(testing.convolutional(), seed=0, copies=2)
    assert len(twice.copies) == 2


@pytest.mark.parametrize("target", ["nengo", "loihi"])
def test_single_runs_redraw_sparse_weights(target):
    if target == "loihi":
        pytest.importorskip("nengo_loihi")
    conv = npd.Converter(
        testing.convolutional(target=target), seed=0, target=target, redraw=0.09
    )
    X = testing.observations(conv.graph, 2)
    single = npd.sample(conv, X, n_draws=3, run="single", seed=1, **TIMES)
    assert single.values.std(axis=0).min() > 0
