"""Draws on NengoDL are those of the reference, replica by replica."""

from concurrent.futures import ThreadPoolExecutor

import nengo
import numpy as np
import pytest

pytest.importorskip("nengo_dl")

from kmodels import combo, mlp, observations  # noqa: E402

import nengo_permadrop as npd  # noqa: E402
from nengo_permadrop.backends.base import Problem, Replicas, get_backend  # noqa: E402
from nengo_permadrop.dropout.transforms import PermanentDropout  # noqa: E402

N_DRAWS, N_OBSERVATIONS = 5, 3
REDRAW = 0.02


@pytest.fixture(scope="module")
def conv():
    return npd.Converter(mlp(), seed=1)


def draws(model, backend, **kwargs):
    kwargs = {"n_draws": N_DRAWS, "seed": 3, "progress": False, **kwargs}
    X = observations(model.model, N_OBSERVATIONS)
    return npd.sample(model, X, backend=backend, **kwargs).values


def assert_same_draws(model, **kwargs):
    expected = draws(model, "nengo", **kwargs)
    assert expected.std(axis=0).min() > 0.05  # there is dropout to get wrong
    # float32, and seldom a spike that falls on the other side of a time step
    assert np.allclose(draws(model, "nengo_dl", **kwargs), expected, atol=1e-3)


def problem_of(conv, n=N_OBSERVATIONS, **options):
    X = observations(conv.model, n)
    return Problem(
        conv,
        [conv.input],
        conv.output,
        X,
        presentation_time=0.05,
        settle=0.02,
        options=options,
    )


def replicas_of(problem, n):
    numbers = np.arange(n)
    return Replicas(numbers % N_OBSERVATIONS, numbers + 7, numbers, problem.X)


@pytest.mark.parametrize("masks", ["observation", "draw"])
@pytest.mark.parametrize("kmodel", [mlp, combo])
def test_draws_are_the_references(kmodel, masks):
    assert_same_draws(npd.Converter(kmodel(), seed=1), masks=masks)


def test_redrawn_draws_are_the_references():
    assert_same_draws(npd.Converter(mlp(), seed=1, redraw=REDRAW))


def test_rate_neurons_are_the_references():
    model = npd.Converter(mlp(), neurons="rate", seed=1)
    kwargs = dict(presentation_time=0.02, settle=0.01)
    expected = draws(model, "nengo", **kwargs)
    assert expected.std(axis=0).min() > 0.05
    assert np.allclose(draws(model, "nengo_dl", **kwargs), expected, atol=1e-5)


def test_double_precision_is_the_reference_to_rounding(conv):
    problem = problem_of(conv, dtype="float64")
    replicas = replicas_of(problem, 4)
    expected = get_backend("nengo").run(problem, replicas)
    assert np.allclose(
        get_backend("nengo_dl").run(problem, replicas), expected, atol=1e-9
    )


def spy_on_runs(sim, monkeypatch):
    """The number of time steps of each run from now on."""
    steps = []
    predict = sim.predict_on_batch

    def spy(data, n_steps, **kwargs):
        steps.append(n_steps)
        return predict(data, n_steps=n_steps, **kwargs)

    monkeypatch.setattr(sim, "predict_on_batch", spy)
    return steps


def test_answers_do_not_depend_on_chunks(conv, monkeypatch):
    """Neither on the replicas of a minibatch nor on the time steps of a run."""
    backend, replicas = get_backend("nengo_dl"), replicas_of(problem_of(conv), 7)
    whole = backend.run(problem_of(conv), replicas)
    monkeypatch.setattr(
        backend, "max_elements", 3 * 7 * 16
    )  # 16 steps of 6 + 1 numbers
    with backend.session(problem_of(conv, minibatch_size=3)) as answer:
        first = answer(replicas[:1])
        assert answer.sim.minibatch_size == 1
    assert np.allclose(first, whole[:1], atol=1e-4)
    with backend.session(problem_of(conv, minibatch_size=3)) as answer:
        first = answer(replicas[:3])
        steps = spy_on_runs(answer.sim, monkeypatch)
        rest = answer(replicas[3:])
    assert np.allclose(np.concatenate([first, rest]), whole, atol=1e-4)
    assert steps == [16, 16, 16, 2] * 2


def test_simulator_is_built_once_a_session_and_for_inference(conv):
    problem = problem_of(conv)
    with get_backend("nengo_dl").session(problem) as answer:
        answer(replicas_of(problem, 3))
        sim = answer.sim
        assert sim.keras_model.trainable_variables == []
        answer(replicas_of(problem, 5))
        assert answer.sim is sim
    assert sim.closed


def test_max_memory_makes_chunks_smaller(conv):
    backend, problem = get_backend("nengo_dl"), problem_of(conv)
    assert backend.chunk_size(problem) == 250
    size = backend.chunk_size(problem, max_memory=100_000)
    assert 1 < size < 250
    assert backend.chunk_size(problem, max_memory=50_000) == size // 2
    assert backend.chunk_size(problem, max_memory=1) == 1


def test_threads(conv):
    serial = draws(conv, "nengo_dl", n_draws=2)
    with ThreadPoolExecutor(2) as pool:
        threaded = draws(conv, "nengo_dl", n_draws=2, executor=pool)
    assert np.array_equal(serial, threaded)


def test_version():
    import nengo_dl

    assert get_backend("nengo_dl").version() == nengo_dl.__version__


# what it can't do


@pytest.mark.parametrize(
    "where, message",
    [
        ("node", "random process"),
        ("noise", "noise"),
        ("neurons", "random neurons"),
        ("weights", "random weights"),
        ("input", "computes its own output"),
    ],
)
def test_what_can_not_be_reproduced_is_an_error(where, message):
    process = nengo.processes.WhiteNoise()
    with nengo.Network() as net:
        stimulus = nengo.Node(np.sin if where == "input" else [0.0, 0.0])
        neuron_type = nengo.LIF()
        if where == "neurons":
            neuron_type = nengo.PoissonSpiking(nengo.LIFRate())
        a = nengo.Ensemble(
            5, 1, noise=process if where == "noise" else None, neuron_type=neuron_type
        )
        out = nengo.Node(size_in=2)
        weights = nengo.dists.Uniform(0, 1) if where == "weights" else np.ones((2, 5))
        nengo.Connection(a.neurons, out, transform=PermanentDropout((2, 5), weights))
        if where == "node":
            nengo.Node(process, size_out=1)
    X = {stimulus: np.zeros((2, stimulus.size_out))}
    with pytest.raises(nengo.exceptions.ValidationError, match=message):
        npd.sample(net, X, 2, backend="nengo_dl", output=out, progress=False)


def test_unknown_option_is_an_error(conv):
    with pytest.raises(nengo.exceptions.ValidationError, match="minibatch_size"):
        get_backend("nengo_dl").check(problem_of(conv, batch=3))
