"""What isn't a sensible argument is refused by name, before anything is simulated."""

import datetime

import nengo
import numpy as np
import pytest
from kmodels import mlp
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.validation import check_real_array, check_whole_steps

NOT_A_NUMBER = ["1", None, [1], {}, 1j, True, np.nan, np.inf, -np.inf, object()]
NOT_SECONDS = [*NOT_A_NUMBER, 0, -0.1, np.array([0.1, 0.2]), datetime.timedelta(1)]
NOT_SETTLE = [v for v in NOT_SECONDS if v is not None and (v == 0) is not True]
NOT_A_COUNT = [*NOT_A_NUMBER, 0, -1, 1.5, 2.0, np.float32(3)]
NOT_A_SEED = [*NOT_A_NUMBER, -1, 2**32, 2**64, 1.0, np.array([1, 2])]
NOT_A_NAME = ["none of them", 3, None, ["batched"], np.array(["a", "b"])]
NOT_A_PATH = [3, ["a"], True]
NOT_LEVELS = [["0.5"], [np.nan], [1.5], [-0.1], [1j], object(), "0.5"]
MASKED = np.ma.masked_less(np.arange(12.0).reshape(2, 6), 3)
NOT_X = [
    MASKED,
    np.ones((2, 6)) * 1j,
    np.array([["1"] * 6]),
    np.zeros((2, 6), "M8[s]"),
    np.zeros((2, 6), "m8[s]"),
    np.full((2, 6), None),
    np.array([[1.0, 2.0, 3.0, "4", 5.0, 6.0]], dtype=object),
    [[1, 2, 3, 4, 5, 6], [1, 2]],
    np.full((2, 6), np.inf),
    np.full((2, 6), np.float16(np.nan)),
    np.ones(6),
    np.ones((2, 5)),
    np.ones((0, 6)),
    "X",
    3,
    {},
    object(),
]

_made = {}


def conv():
    if "conv" not in _made:
        _made["conv"] = npd.Converter(mlp(units=(5,)), seed=0)
    return _made["conv"]


X = np.ones((4, 6))


def samples(n=5):
    return npd.PredictiveSamples(np.random.RandomState(0).randn(n, 3, 1))


def sample(**kwargs):
    return npd.sample(conv(), **{"X": X, "progress": False, **kwargs})


def sample_single(**kwargs):
    return sample(run="single", **kwargs)


def sample_keras(**kwargs):
    return npd.sample(conv().model, **{"X": X, "backend": "keras", **kwargs})


def calibrate(**kwargs):
    return npd.calibrate(conv(), **{"X_calibration": X, **kwargs})


def energy(**kwargs):
    return npd.energy(conv(), **{"X": X, "progress": False, **kwargs})


def tune_window(**kwargs):
    return npd.tune_window(**{"conv": conv(), "X": X, **kwargs})


def study(**kwargs):
    from nengo_permadrop.study.run import study

    return study(**{"progress": False, **kwargs})


def infer(**kwargs):
    from nengo_permadrop.combo.infer import infer

    return infer(**{"data_dir": "/nowhere", "model_file": "/nowhere.h5", **kwargs})


def ks_probe(**kwargs):
    with nengo.Network():
        node = nengo.Node([0.0])
        return npd.KSProbe(
            **{"target": node, "reference": [0.0, 1.0], "window": 0.1, **kwargs}
        )


def live_distribution(**kwargs):
    with nengo.Network():
        return npd.LiveDistribution(
            **{"target": nengo.Node([0.0]), "window": 0.1, **kwargs}
        )


def gate(**kwargs):
    with nengo.Network():
        neurons = nengo.Ensemble(3, 1).neurons
        return npd.networks.DropoutGate(**{"neurons": neurons, **kwargs})


def simulator(**kwargs):
    with nengo.Network(seed=0) as net:
        node = nengo.Node([0.0])
        nengo.Probe(node)
    return npd.Simulator(net, **{"progress_bar": False, **kwargs})


def simulator_inputs(inputs):
    with nengo.Network(seed=0) as net:
        node = nengo.Node([0.0])
    return npd.Simulator(net, n_replicas=2, inputs={node: inputs}, progress_bar=False)


def run(**kwargs):
    with simulator() as sim:
        sim.run(**kwargs)


def run_steps(**kwargs):
    with simulator() as sim:
        sim.run_steps(**kwargs)


def run_mean(**kwargs):
    with simulator() as sim:
        sim.run_mean(**{"time_in_seconds": 0.1, "probe": sim.model.probes[0], **kwargs})


def dropout(**kwargs):
    return npd.PermanentDropout(**{"shape": (2, 2), **kwargs})


def softlif(**kwargs):
    return npd.SoftLIF(**kwargs)


def converter(**kwargs):
    return npd.Converter(conv().graph, **kwargs)


def keras_softlif(**kwargs):
    from nengo_permadrop.sources.keras.layers import SoftLIF

    return SoftLIF(**kwargs)


def keras_dropout(**kwargs):
    from nengo_permadrop.sources.keras.layers import PermanentDropout

    return PermanentDropout(**kwargs)


def metric(name):
    def call(**kwargs):
        return getattr(npd.metrics, name)(**{"samples": samples(99), **kwargs})

    call.__name__ = name
    return call


def score(**kwargs):
    return npd.metrics.score(**{"samples": samples(99), "y": np.zeros(3), **kwargs})


def ks_agreement(**kwargs):
    given = {"samples_a": samples(), "samples_b": samples(6)}
    return npd.ks_agreement(**{**given, **kwargs})


def quantile(q):
    return samples().quantile(q)


def derived(seed):
    return derive_seed(seed)


def without(values, *kept):
    """The values but those that are welcome."""
    return [v for v in values if not any(v is k for k in kept)]


NOT_Y = [
    np.ma.masked_less(np.arange(3.0), 1),
    np.ones(3) * 1j,
    ["1", "2", "3"],
    np.zeros(3, "M8[s]"),
    [None, 1.0, 2.0],
    [np.nan, 1.0, 2.0],
    np.ones(4),
    3,
    None,
]
NOT_SAMPLES = [None, "samples", np.zeros((3, 2, 1)), [[1.0]]]
CASES = [
    (sample, "X", NOT_X),
    (sample, "n_draws", NOT_A_COUNT),
    (sample, "backend", NOT_A_NAME),
    (sample, "presentation_time", without(NOT_SECONDS, None)),
    (sample, "settle", NOT_SETTLE),
    (sample, "seed", NOT_A_SEED),
    (sample, "masks", NOT_A_NAME),
    (sample, "executor", ["threads", 4, True]),
    (sample, "checkpoint", NOT_A_PATH),
    (sample, "max_memory", without(NOT_SECONDS, None)),
    (sample, "run", NOT_A_NAME),
    (sample, "dt", NOT_SECONDS),
    (sample, "backend_options", ["dtype", 3, ["dtype"], {"unknown": 1}]),
    (sample, "first_observation", [*NOT_A_NUMBER, -1, 1.0]),
    (sample, "output", ["none of them", 3]),
    (sample_single, "presentation_time", [*without(NOT_SECONDS, None), 0.0505]),
    (sample_keras, "X", NOT_X),
    (sample_keras, "seed", NOT_A_SEED),
    (calibrate, "X", NOT_X),
    (calibrate, "n_draws", NOT_A_COUNT),
    (calibrate, "presentation_time", without(NOT_SECONDS, None)),
    (calibrate, "settle", NOT_SETTLE),
    (calibrate, "seed", NOT_A_SEED),
    (calibrate, "dt", NOT_SECONDS),
    (energy, "X", NOT_X),
    (energy, "n_draws", NOT_A_COUNT),
    (energy, "presentation_time", without(NOT_SECONDS, None)),
    (energy, "settle", NOT_SETTLE),
    (energy, "seed", NOT_A_SEED),
    (energy, "dt", NOT_SECONDS),
    (energy, "devices", [3, ["none of them"], "none of them", [None]]),
    (energy, "backend", NOT_A_NAME),
    (energy, "executor", ["threads", 4]),
    (energy, "max_memory", [np.nan, "1", -1]),
    (tune_window, "conv", [None, 3, "conv"]),
    (tune_window, "X", NOT_X),
    (tune_window, "n_draws", [*NOT_A_COUNT, 1]),
    (tune_window, "run", NOT_A_NAME),
    (tune_window, "windows", [[], [0.0], [-1], ["a"], [np.nan], [0.0505], [1j]]),
    (tune_window, "fractions", [[], [1.0], ["a"], [np.nan], [-0.1], 0.5]),
    (tune_window, "repeats", NOT_A_COUNT),
    (tune_window, "min_effective", [*NOT_A_NUMBER, -0.1]),
    (tune_window, "backend", NOT_A_NAME),
    (tune_window, "seed", NOT_A_SEED),
    (study, "dataset", [3]),
    (study, "n_draws", [*NOT_A_COUNT, 1]),
    (study, "observations", without(NOT_A_COUNT, None)),
    (study, "backend", NOT_A_NAME),
    (study, "seed", NOT_A_SEED),
    (study, "output", NOT_A_PATH),
    (study, "presentation_time", without(NOT_SECONDS, None)),
    (study, "settle", NOT_SETTLE),
    (study, "masks", NOT_A_NAME),
    (study, "workers", without(NOT_A_COUNT, None)),
    (study, "epochs", without(NOT_A_COUNT, None)),
    (study, "model_options", [3, "units"]),
    (study, "dataset_options", [3, "data_dir"]),
    (study, "anneal", without(NOT_SECONDS, None)),
    (study, "synapse", without(NOT_SECONDS, None)),
    (infer, "n_pred", NOT_A_COUNT),
    (infer, "ns", [*NOT_A_NUMBER, -1]),
    (infer, "nd", [*NOT_A_NUMBER, -1]),
    (infer, "si", [*NOT_A_NUMBER, -1]),
    (infer, "batch_size", NOT_A_COUNT),
    (infer, "step", NOT_A_COUNT),
    (infer, "backend", NOT_A_NAME),
    (infer, "quantiles", NOT_LEVELS),
    (infer, "seed", NOT_A_SEED),
    (infer, "presentation_time", without(NOT_SECONDS, None)),
    (infer, "settle", NOT_SETTLE),
    (infer, "executor", ["threads", 4]),
    (infer, "checkpoint", NOT_A_PATH),
    (quantile, "q", NOT_LEVELS),
    (ks_agreement, "samples_a", [None, "a", X * 1j, [[["a"]]], X[0]]),
    (ks_agreement, "samples_b", [None, "a", MASKED[:, :3], X * 1j, [[["a"]]], X[0]]),
    (ks_agreement, "seed", NOT_A_SEED),
    (ks_probe, "target", [None, 3, "a"]),
    (ks_probe, "reference", ["a", None, [np.nan], [1j], MASKED[:, 0], [["a"]]]),
    (ks_probe, "window", NOT_SECONDS),
    (ks_probe, "settle", [*NOT_SETTLE, None, 0.1]),
    (live_distribution, "window", NOT_SECONDS),
    (live_distribution, "settle", [*NOT_SETTLE, None, 0.1]),
    (live_distribution, "quantiles", [*NOT_LEVELS, (), None]),
    (gate, "neurons", [None, 3]),
    (gate, "rate", [*NOT_A_NUMBER, 1, -0.1]),
    (gate, "redraw", without(NOT_SECONDS, None)),
    (gate, "seed", without(NOT_A_SEED, None)),
    (gate, "inhibition", NOT_SECONDS),
    (gate, "lead", [*NOT_SETTLE]),
    (simulator, "n_replicas", without(NOT_A_COUNT, None)),
    (simulator, "dt", NOT_SECONDS),
    (simulator, "seed", without(NOT_A_SEED, None)),
    (simulator, "dtype", ["none", "int32", 3, object()]),
    (simulator, "mask_seeds", [[-1, 2], [1.0, 2.0], ["a"], [True], [2**64]]),
    (simulator, "state_seeds", [[-1, 2], [1.0, 2.0], ["a"], [True], [2**64]]),
    (simulator, "inputs", ["node", 3]),
    (simulator_inputs, "inputs", [MASKED[:, :1], [["a"], ["b"]], [[1j], [1]], [[1]]]),
    (run, "time_in_seconds", without(NOT_SECONDS, 0)),
    (run_steps, "steps", [*NOT_A_NUMBER, -1, 1.5]),
    (run_mean, "time_in_seconds", NOT_SECONDS),
    (run_mean, "settle", [*NOT_SETTLE, None, 0.1]),
    (dropout, "rate", [*NOT_A_NUMBER, 1, -0.1]),
    (dropout, "redraw", without(NOT_SECONDS, None)),
    (dropout, "redraw_delay", [*NOT_A_NUMBER, -0.1]),
    (dropout, "init", ["a", None, X, np.ones((2, 2)) * 1j]),
    (dropout, "shape", [None, 2, (2,), "ab"]),
    (softlif, "gamma", [*NOT_A_NUMBER, 0]),
    (softlif, "tau_rc", ["1", None, [1], np.nan, np.inf, 0]),
    (softlif, "tau_ref", ["1", None, [1], np.nan, np.inf, -1]),
    (softlif, "amplitude", ["1", None, [1], np.nan, np.inf, 0]),
    (converter, "neurons", NOT_A_NAME),
    (converter, "target", NOT_A_NAME),
    (converter, "dropout", NOT_A_NAME),
    (converter, "scale_firing_rates", without(NOT_SECONDS, None)),
    (converter, "redraw", without(NOT_SECONDS, None)),
    (converter, "copies", NOT_A_COUNT),
    (converter, "seed", without(NOT_A_SEED, None)),
    (converter, "synapse", ["a", [1], np.nan, np.inf, -1, True]),
    (keras_softlif, "gamma", NOT_SECONDS),
    (keras_softlif, "tau_rc", NOT_SECONDS),
    (keras_softlif, "tau_ref", [*NOT_A_NUMBER, -1]),
    (keras_softlif, "amplitude", NOT_SECONDS),
    (keras_softlif, "gain", NOT_SECONDS),
    (keras_softlif, "tau_s", NOT_SECONDS),
    (keras_softlif, "target", NOT_A_NAME),
    (keras_softlif, "noise", without(NOT_A_NAME, None)),
    (keras_dropout, "rate", ["1", None, [1], True, np.nan, np.inf, 1, -0.1]),
    *[(metric(name), "y", NOT_Y) for name in ("coverage", "crps", "nll", "score")],
    *[(metric(name), "y", NOT_Y) for name in ("calibration_curve", "recalibrate")],
    (score, "samples", NOT_SAMPLES),
    (score, "levels", NOT_LEVELS),
    (metric("interval"), "level", [*NOT_A_NUMBER, 0, 1, -0.1]),
    (derived, "seed", [-1, 1.0, "1", None, True, 2**64, [-1], [0.5], np.nan]),
]


@pytest.mark.parametrize(
    "function, name, values",
    CASES,
    ids=[f"{function.__name__}-{name}" for function, name, _ in CASES],
)
def test_is_refused_by_name(function, name, values, monkeypatch):
    def simulated(*args, **kwargs):
        raise AssertionError("was simulated")

    monkeypatch.setattr(get_backend("batched"), "session", simulated)
    keyword = "X_calibration" if (function, name) == (calibrate, "X") else name
    wrong = []
    for value in values:
        try:
            function(**{keyword: value})
        except ValidationError as error:
            if name not in str(error):
                wrong.append(f"{value!r}: doesn't name {name}: {error}")
        except Exception as error:
            wrong.append(f"{value!r}: {type(error).__name__}: {error}")
        else:
            wrong.append(f"{value!r} was taken")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore:.* may not agree")  # it is read too briefly
@pytest.mark.parametrize(
    "kwargs",
    [
        {"seed": 2**32 - 1},
        {"seed": np.uint32(2**32 - 1)},
        {"n_draws": np.int64(2)},
        {"presentation_time": np.float16(0.0625), "settle": np.float32(0.03125)},
        {"presentation_time": np.array(0.06), "settle": np.float64(0.05)},
        {"X": X.astype(np.float16)},
        {"X": X.astype(int)},
        {"X": X.astype(bool)},
        {"X": X.astype(object)},
        {"X": np.ma.masked_less(X, 0)},  # nothing is masked
        {"X": X.tolist()},
    ],
    ids=str,
)
def test_other_kinds_of_numbers_are_welcome(kwargs):
    options = {"n_draws": 2, "presentation_time": 0.06, "settle": 0.05, "seed": 0}
    found = sample(**{**options, **kwargs})
    plain = {
        name: value.item() if hasattr(value, "item") else value
        for name, value in kwargs.items()
        if name != "X"
    }
    assert np.array_equal(found.values, sample(**{**options, **plain}).values)
    for name in ("presentation_time", "settle"):
        assert type(found.meta[name]) is float
    assert type(found.seed) is int


@pytest.mark.filterwarnings("ignore:.* may not agree")  # it is read too briefly
def test_a_seed_works_on_every_backend():
    kwargs = {"n_draws": 1, "presentation_time": 0.06, "settle": 0.05}
    for seed in (0, 2**32 - 1):
        reference = sample(seed=seed, backend="nengo", **kwargs).values
        assert np.allclose(sample(seed=seed, **kwargs).values, reference, rtol=1e-4)
        sample_keras(seed=seed, n_draws=1, progress=False)
    # where seeds are only mixed, they may have 64 bits
    assert derive_seed(2**64 - 1, 2**63) != derive_seed(2**64 - 2, 2**63)


def test_one_row_says_how_to_be_several():
    with pytest.raises(ValidationError, match=r"X\[np.newaxis\]"):
        sample(X=X[0])
    with pytest.raises(ValidationError) as error:
        sample(X=np.ones(5))
    assert "newaxis" not in str(error.value)


def test_what_numpy_would_take_for_numbers():
    for values, found in (
        (MASKED, "3 masked values"),
        (np.ones(2) * 1j, "complex128"),
        (np.zeros(2, "M8[s]"), "datetime64"),
        (["1", "2"], "<U1"),
    ):
        with pytest.raises(ValidationError, match=f"X: .*real numbers.*{found}"):
            check_real_array(values, "X")
    sparse = pytest.importorskip("scipy.sparse").eye(3)
    with pytest.raises(ValidationError, match="toarray"):
        check_real_array(sparse, "X")
    assert check_real_array(np.float16([1]), "X").dtype == np.float16


def test_whole_time_steps():
    for dt in (0.001, 0.0005, 2.0**-10, 0.003):
        for n in range(1, 3000, 7):
            assert check_whole_steps(n * dt, dt, "redraw") == n
            assert check_whole_steps(float(f"{n * dt:.12g}"), dt, "redraw") == n
            with pytest.raises(ValidationError, match="nearest is"):
                check_whole_steps((n + 0.01) * dt, dt, "redraw")
    with pytest.raises(ValidationError, match="nearest is 0.001 s"):
        check_whole_steps(1e-9, 0.001, "redraw")
