"""Certificates of networks."""

import math

import numpy as np
import pytest
from kmodels import mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd

X = np.concatenate(observations(mlp(), 40))


@pytest.mark.filterwarnings("ignore:.* may not agree")  # such short times
def test_predicted_and_seen_rejections():
    """
    A network that is read too early, with tests of other draws, against Keras.

    Of 2 x 40 tests, the rate has a standard error of at most 0.056; with that of the
    prediction, 0.2 is passed by chance in less than 0.2% of all seeds.
    """
    kmodel = mlp(activation="relu", rate=0.3)
    conv = npd.Converter(kmodel, scale_firing_rates=100)
    times = {"presentation_time": 0.04, "settle": 0.02}
    found = npd.certify(conv, X, n_draws=60, **times)
    spiking = npd.sample(conv, X, 400, seed=1, progress=False, **times)
    classical = npd.sample(kmodel, X, 400, backend="keras", seed=2, progress=False)
    a, b = spiking.values, classical.values
    n_draws = min(200, max(20, int(found.n_draws)))
    blocks = [slice(0, n_draws), slice(200, 200 + n_draws)]
    seen = np.mean([npd.ks_agreement(a[i], b[i]).rejection_rate() for i in blocks])
    assert abs(found.rejection_rate(n_draws) - seen) < 0.2
    assert 0.1 < seen < 0.9
    assert found.options["presentation_time"] == 0.04
    assert found.paired_correlation > 0.5


def test_a_good_network():
    kmodel = mlp(activation="relu", rate=0.3)
    conv = npd.Converter(kmodel, scale_firing_rates=400)
    found = npd.certify(conv, X, n_draws=20)
    assert found.n_draws > 1000 and found.n_pairs == 20
    again = npd.certify(conv, X, n_draws=20)
    assert found.to_dict() == again.to_dict()
    other = npd.certify(conv, X, n_draws=20, seed=1)
    assert np.any(other.biases != found.biases)
    assert math.isclose(other.bias, found.bias, abs_tol=0.05)


def test_arguments_are_checked():
    conv = npd.Converter(mlp())
    with pytest.raises(ValidationError, match="spiking neurons, got one of rate"):
        npd.certify(npd.Converter(mlp(), neurons="rate"), X)
    with pytest.raises(ValidationError, match="n_draws: must be an integer >= 20"):
        npd.certify(conv, X, n_draws=19)
    with pytest.raises(ValidationError, match="at least 2 observations"):
        npd.certify(conv, X[:1])
    with pytest.raises(ValidationError, match="power"):
        npd.certify(conv, X, power=0.01)
    with pytest.raises(ValidationError, match="seed"):
        npd.certify(conv, X, seed=-1)
