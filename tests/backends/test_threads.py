"""Sampling in threads: the same samples, whatever else runs in the process."""

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nengo
import numpy as np
import pytest
from kmodels import mlp, observations

import nengo_permadrop as npd
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.backends.precision import precision_changes, precision_stays

BACKENDS = ["batched", "nengo", "nengo_dl", "nengo_loihi", "keras"]
N_DRAWS = 4
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* may not agree",
    "ignore:.*learned with rates",
    "ignore:NengoLoihi does not",
)


@pytest.fixture
def sampled(monkeypatch):
    """A function that samples on a backend: 8 replicas in 4 chunks (2 on NengoDL)."""
    models = {}

    def model_for(backend):
        target = "loihi" if backend == "nengo_loihi" else "nengo"
        if target not in models:
            kmodel = mlp(units=(10, 10), target=target)
            models[target] = kmodel, npd.Converter(kmodel, target=target, seed=1)
        return models[target]

    def sampled(backend, seed=0, **kwargs):
        pytest.importorskip(backend) if backend.startswith("nengo_") else None
        chunked = type(get_backend(backend))
        # a session is slow to build on NengoDL
        size = 4 if backend == "nengo_dl" else 2
        monkeypatch.setattr(chunked, "chunk_size", lambda *args, **kwargs: size)
        kmodel, conv = model_for(backend)
        return npd.sample(
            kmodel if backend == "keras" else conv,
            observations(kmodel, 2),
            n_draws=N_DRAWS,
            backend=backend,
            presentation_time=0.02,
            settle=0.01,
            seed=seed,
            progress=False,
            **kwargs,
        ).values

    return sampled


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_give_the_same_samples(backend, sampled):
    """One call on 8 threads, and two calls at once that share them."""
    expected = [sampled(backend, seed) for seed in (0, 1)]
    assert not np.isclose(*expected).any()
    with ThreadPoolExecutor(8) as executor, ThreadPoolExecutor(2) as callers:
        assert np.array_equal(sampled(backend, 0, executor=executor), expected[0])
        calls = [
            callers.submit(sampled, backend, seed, executor=executor) for seed in (0, 1)
        ]
        for call, values in zip(calls, expected):
            assert np.array_equal(call.result(timeout=300), values)


def test_backends_at_once_give_the_same_samples(sampled):
    backends = [name for name in BACKENDS if _installed(name)]
    expected = [sampled(backend) for backend in backends]
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(sampled, backend) for backend in backends]
        for call, values in zip(calls, expected):
            assert np.array_equal(call.result(timeout=300), values)


def _installed(backend):
    try:
        get_backend(backend).version()
    except ImportError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:.*drops dimensions")
def test_decoded_networks_on_loihi(monkeypatch):
    """These are built again for every mask; all threads share one network."""
    pytest.importorskip("nengo_loihi")
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(np.zeros(2))
        a, b = (nengo.Ensemble(20, 2, label=label) for label in "ab")
        nengo.Connection(stimulus, a)
        nengo.Connection(a, b, transform=npd.PermanentDropout((2, 2), rate=0.5))
        out = nengo.Node(size_in=2)
        nengo.Connection(b, out, synapse=nengo.Lowpass(0.005))

    def sampled(seed=0, **kwargs):
        return npd.sample(
            net,
            {stimulus: np.array([[0.5, -0.5], [1.0, 0.2]])},
            n_draws=4,
            backend="nengo_loihi",
            output=out,
            presentation_time=0.03,
            settle=0.01,
            seed=seed,
            progress=False,
            **kwargs,
        ).values

    engine = type(get_backend("nengo_loihi"))
    monkeypatch.setattr(engine, "chunk_size", lambda *args, **kwargs: 1)
    expected = [sampled(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(8) as executor, ThreadPoolExecutor(2) as callers:
        calls = [callers.submit(sampled, seed, executor=executor) for seed in (0, 1)]
        for call, values in zip(calls, expected):
            assert np.array_equal(call.result(timeout=300), values)


class TestPrecision:
    def test_is_as_it_was_where_nengo_dl_can_not_build(self, monkeypatch, sampled):
        nengo_dl = pytest.importorskip("nengo_dl")
        before = nengo.rc.get("precision", "bits")

        def fails(*args, **kwargs):
            assert nengo.rc.get("precision", "bits") == "32"
            raise RuntimeError("not built")

        model = importlib.import_module("nengo_dl.simulator").NengoModel
        monkeypatch.setattr(model, "build", fails)
        with pytest.raises(RuntimeError, match="not built"):
            sampled("nengo_dl")
        assert nengo_dl and nengo.rc.get("precision", "bits") == before

    def test_others_wait_until_it_is_as_it_was(self):
        """And it isn't changed before they have ended."""
        before, seen = nengo.rc.get("precision", "bits"), []
        started, go_on = threading.Event(), threading.Event()

        def use():
            with precision_stays(), precision_stays():
                started.set()
                assert go_on.wait(timeout=60)
                seen.append(nengo.rc.get("precision", "bits"))

        def change():
            with precision_changes(), precision_stays():
                nengo.rc.set("precision", "bits", "16")
                seen.append("16")

        with ThreadPoolExecutor(10) as threads:
            users = [threads.submit(use)]
            assert started.wait(timeout=60)
            changers = [threads.submit(change) for _ in range(2)]
            users += [threads.submit(use) for _ in range(7)]
            assert seen == []
            go_on.set()
            for future in [*users, *changers]:
                future.result(timeout=60)
        assert seen.count("16") == 2 and seen.count(before) == 8
        assert seen[0] == before
        assert nengo.rc.get("precision", "bits") == before


def test_no_module_changes_the_filters_of_warnings():
    """They are the process's: threads that set and restore them leave any behind."""
    package = Path(npd.__file__).parent
    modules = list(package.rglob("*.py"))
    assert len(modules) > 100
    for path in modules:
        text = path.read_text("utf-8")
        for name in ("catch_warnings", "filterwarnings", "simplefilter"):
            assert name not in text, path
