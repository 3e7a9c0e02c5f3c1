"""The canonical networks on every backend, with the same seed."""

import numpy as np
import pytest

import nengo_permadrop as npd
from nengo_permadrop import testing

TIMES = dict(presentation_time=0.12, settle=0.06, progress=False)
MODULES = {"nengo_dl": "nengo_dl", "nengo_loihi": "nengo_loihi"}


@pytest.fixture(params=testing.NETWORKS)
def name(request):
    return request.param


def draws(name, backend, target="nengo", **kwargs):
    pytest.importorskip(MODULES.get(backend, "nengo"))
    conv = npd.Converter(testing.NETWORKS[name](target=target), target=target)
    X = testing.observations(conv.graph, 3)
    return npd.sample(conv, X, n_draws=8, backend=backend, **TIMES, **kwargs).values


@pytest.mark.parametrize("backend", ["batched", "nengo_dl"])
def test_draw_by_draw(name, backend):
    reference, answers = draws(name, "nengo"), draws(name, backend)
    # float32 may move a spike by a step, which is a small part of the spread
    error = np.abs(answers - reference)
    assert np.median(error) < 1e-5
    assert error.max() < 0.2 * reference.std(axis=0).mean()


def test_loihi_emulator_follows_the_reference_without_bias(name):
    """Weights of 8 bits and states of few differ from floats: no equality there.

    A bias within 0.1 standard deviations is what it is tested for; the mean difference
    of these 24 draws has a standard deviation of about 0.01.
    """
    pytest.importorskip("nengo_loihi")
    reference = draws(name, "nengo", target="loihi")
    answers = draws(name, "nengo_loihi", target="loihi")
    spread = reference.std(axis=0).mean()
    deviations = [x - reference.mean(axis=0) for x in (reference, answers)]
    assert np.corrcoef(*(x.ravel() for x in deviations))[0, 1] > 0.99
    assert abs((answers - reference).mean()) < 0.1 * spread


@pytest.mark.parametrize("backend", ["batched", "nengo_dl", "nengo_loihi"])
def test_in_distribution(backend):
    """Other masks here than there, 40 draws of 5 observations.

    5 KS tests at a level of 2e-4 each: a false alarm has p <= 1e-3.
    """
    pytest.importorskip(MODULES.get(backend, "nengo"))
    target = "loihi" if backend == "nengo_loihi" else "nengo"
    conv = npd.Converter(testing.mlp(target=target), target=target)
    X = testing.observations(conv.graph, 5)
    kwargs = dict(n_draws=40, **{**TIMES, "presentation_time": 0.1})
    # on Loihi's neurons, too
    reference = npd.sample(conv, X, backend="nengo", seed=1, **kwargs)
    answers = npd.sample(conv, X, backend=backend, seed=2, **kwargs)
    assert npd.ks_agreement(answers, reference).pvalue.min() > 2e-4


def test_networks_drop_where_they_should(name):
    conv = npd.Converter(testing.NETWORKS[name](rate=0.4))
    kept = []
    for seed in range(20):  # of three channels, all may be kept
        conv.reseed(seed)
        kept.append([dropout.keep().mean() for dropout in conv.dropouts])
    assert np.all(0 < np.mean(kept, axis=0)) and np.all(np.mean(kept, axis=0) < 1)
    assert draws(name, "batched").std(axis=0).min() > 0
