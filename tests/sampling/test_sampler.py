import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import nengo
import numpy as np
import pytest
from kmodels import combo, hidden, layers, mlp, observations, values
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop import keras_layers
from nengo_permadrop.backends import batched
from nengo_permadrop.backends.base import backend_names, get_backend
from nengo_permadrop.backends.keras import keras_masks
from nengo_permadrop.converter.timing import default_times
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sampling import sampler
from nengo_permadrop.sampling.sampler import Sampler
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.layers import keras

# short presentations, for speed
FAST = dict(presentation_time=0.03, settle=0.01, progress=False)
pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")


@pytest.fixture(scope="module")
def kmodel():
    return mlp()


@pytest.fixture(scope="module")
def conv(kmodel):
    with nengo.Network():
        return npd.Converter(kmodel)


@pytest.fixture(scope="module")
def X(kmodel):
    return observations(kmodel, 4)[0]


def draw(conv, X, backend="nengo", **kwargs):
    return npd.sample(conv, X, backend=backend, **{"n_draws": 3, **FAST, **kwargs})


@pytest.fixture(params=["nengo", "batched", "keras"])
def backend(request):
    return request.param


@pytest.fixture
def model(backend, kmodel, conv):
    return kmodel if backend == "keras" else conv


def test_shape_and_provenance(backend, model, X):
    samples = draw(model, X, backend, seed=4)
    assert samples.values.shape == (3, 4, 1)
    assert (samples.backend, samples.seed, samples.masks) == (backend, 4, "observation")
    assert samples.meta["presentation_time"] == FAST["presentation_time"]
    assert np.unique(samples.values).size == samples.values.size


def test_same_seed_same_samples(backend, model, X):
    first = draw(model, X, backend).values
    assert np.array_equal(draw(model, X, backend).values, first)
    assert not np.isin(draw(model, X, backend, seed=1).values, first).any()


@pytest.mark.parametrize("masks", sampler.MASKS)
def test_a_draw_depends_on_nothing_else(backend, model, X, masks):
    samples = draw(model, X, backend, masks=masks).values
    fewer = draw(model, X[:2], backend, n_draws=2, masks=masks).values
    # Keras multiplies matrices of other sizes in another order
    assert np.allclose(samples[:2, :2], fewer, rtol=1e-5 if backend == "keras" else 0)


@pytest.mark.parametrize("masks", sampler.MASKS)
def test_rows_of_a_longer_table(backend, model, X, masks):
    whole = draw(model, X, backend, masks=masks).values
    part = draw(model, X[1:3], backend, masks=masks, first_observation=1)
    rtol = 1e-5 if backend == "keras" else 0  # other batches
    assert np.allclose(part.values, whole[:, 1:3], rtol=rtol)
    assert part.meta["first_observation"] == 1


def test_samples_do_not_depend_on_the_converters_own_masks(kmodel, conv, X):
    with nengo.Network(seed=123):
        other = npd.Converter(kmodel, seed=5)
    before = [dropout.keep() for dropout in other.dropouts]
    assert np.array_equal(draw(other, X).values, draw(conv, X).values)
    assert all(map(np.array_equal, before, [d.keep() for d in other.dropouts]))


class Backwards(Executor):
    """Runs everything in the order opposite to that of submission."""

    def __init__(self):
        self.calls = []

    def submit(self, fn, *args):
        future = Future()
        self.calls.append((future, fn, args))
        if len(self.calls) == self.expected:
            for future, fn, args in reversed(self.calls):
                future.set_result(fn(*args))
        return self.calls[-1][0]


def test_executor_and_chunks_change_nothing(backend, model, X, monkeypatch):
    expected = draw(model, X, backend).values
    monkeypatch.setattr(get_backend(backend), "chunk_size", lambda *args: 5)
    rtol = 1e-5 if backend == "keras" else 0  # other batches
    assert np.allclose(draw(model, X, backend).values, expected, rtol=rtol)
    backwards = Backwards()
    backwards.expected = 3
    with ThreadPoolExecutor(2) as threads:
        for executor in (threads, backwards):
            values = draw(model, X, backend, executor=executor).values
            assert np.allclose(values, expected, rtol=rtol)


def test_chunks_fit_in_max_memory(backend, model, X, caplog):
    with caplog.at_level("INFO", logger="nengo_permadrop.execution.chunks"):
        values = draw(model, X, backend, max_memory=10_000).values
    rtol = 1e-5 if backend == "keras" else 0
    assert np.allclose(draw(model, X, backend).values, values, rtol=rtol)
    assert "12 replicas" in caplog.text
    if backend == "keras":
        assert "in 1 chunks" not in caplog.text


def test_processes(conv, X):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        values = draw(conv, X, executor=executor).values
    assert np.array_equal(values, draw(conv, X).values)


def test_error_in_a_worker_reaches_the_caller(conv, X, monkeypatch):
    backend = get_backend("nengo")
    monkeypatch.setattr(backend, "chunk_size", lambda *args: 1)

    def fail(problem):
        raise RuntimeError("out of order")

    monkeypatch.setattr(backend, "session", fail)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="out of order"):
            draw(conv, X, executor=executor)


def test_progress_bar(conv, X, capsys):
    draw(conv, X, progress=True)
    assert "Sampling (nengo)" in capsys.readouterr().err
    draw(conv, X)
    assert capsys.readouterr().err == ""


# -- the backends compute what they say


@pytest.mark.parametrize("redraw", [None, 0.01])
@pytest.mark.parametrize("masks", sampler.MASKS)
def test_a_replica_is_a_new_simulator_with_its_seeds(kmodel, X, masks, redraw):
    """The nengo backend reuses a simulator; that must not show."""
    conv = npd.Converter(kmodel, redraw=redraw)
    samples = draw(conv, X, masks=masks, seed=9).values
    i, j = 2, 3
    state_seed = derive_seed(9, i, j)
    mask_seed = state_seed if masks == "observation" else derive_seed(9, i)

    conv.reseed(0)
    with nengo.Network(seed=9) as net:
        net.add(conv)  # first, as for all backends
        with nengo.Network():
            nengo.Connection(nengo.Node(X[j]), conv.input, synapse=None)
        probe = nengo.Probe(conv.output)
    base = nengo.builder.Model()
    base.build(net)
    for conn in (c for d in conv.dropouts for c in d.connections):
        conn.seed = derive_seed(conn.seed, mask_seed)
    for ens in conv.all_ensembles:
        ens.seed = derive_seed(base.seeds[ens], state_seed)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(FAST["presentation_time"], progress_bar=False)
    assert np.allclose(sim.data[probe][10:].mean(axis=0), samples[i, j], rtol=1e-10)


def test_masks_per_observation_and_per_draw(conv, X):
    rate = npd.Converter(mlp(), neurons="rate")  # no spikes: equal masks, equal answers
    same = np.tile(X[:1], (4, 1))
    per_draw = draw(rate, same, masks="draw").values
    assert np.ptp(per_draw, axis=1).max() < 1e-12 and np.ptp(per_draw, axis=0).min() > 0
    assert np.ptp(draw(rate, same).values, axis=1).min() > 0


def test_keras_masks_are_not_those_of_the_network(kmodel, conv):
    # a two-sample test of both, with one seed, needs independent samples
    forward = KerasForward(kmodel)
    seeds = derive_seed(0, np.arange(200))
    ours = np.array([conv.dropouts[0].keep(int(seed)) for seed in seeds])
    theirs = keras_masks(forward, seeds)[0]
    # the correlation of 4000 independent pairs has sd 0.016: 5 sd, a false alarm has
    # p = 6e-7
    assert abs(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]) < 5 * 0.016


def test_keras_row_is_predicted_from_its_own_features_and_masks():
    kmodel = combo()
    X = observations(kmodel, 5)
    samples = draw(kmodel, X, "keras", seed=3)
    forward = KerasForward(kmodel)
    for i, j in [(0, 0), (2, 4)]:
        masks = keras_masks(forward, np.array([derive_seed(3, i, j)]))
        answer = forward([x[j : j + 1] for x in X], masks)[0]
        assert np.allclose(answer[0], samples.values[i, j], rtol=1e-5)


def test_keras_samples_are_those_of_keras_own_dropout(kmodel, X):
    """Against Keras drawing its masks itself.

    4 KS tests at a level of 1e-4 each: a false alarm has p <= 4e-4.
    """
    n = 400
    keras.utils.set_random_seed(0)
    rows = np.repeat(X, n, axis=0).astype(np.float32)
    own = values(kmodel(rows)).reshape(len(X), n, 1).transpose(1, 0, 2)
    ours = npd.sample(kmodel, X, n_draws=n, backend="keras", progress=False)
    assert npd.ks_agreement(ours, own).pvalue.min() > 1e-4


@pytest.mark.parametrize("backend_and_model", ["nengo rate", "keras"])
def test_mean_and_spread_over_draws(backend_and_model):
    """Dropout of one linear layer has a known mean and variance.

    y = sum_u w_u m_u / (1 - rate) has the mean sum_u w_u and the variance
    rate / (1 - rate) sum_u w_u^2. 5 sd bounds; a false alarm has p < 3e-6.
    """
    n, rate, units = 1000, 0.3, 30
    weights = np.linspace(0.1, 1, units)
    kmodel = keras.Sequential(
        [keras_layers.PermanentDropout(rate, input_shape=(units,)), layers.Dense(1)]
    )
    kmodel.set_weights([weights[:, None], np.zeros(1)])
    if backend_and_model == "keras":
        model, backend = kmodel, "keras"
    else:
        model, backend = npd.Converter(kmodel, neurons="rate"), "nengo"
    samples = npd.sample(
        model,
        np.ones((1, units)),
        n_draws=n,
        backend=backend,
        presentation_time=0.002,
        settle=0.001,
        progress=False,
    )
    variance = rate / (1 - rate) * np.sum(weights**2)
    assert abs(samples.mean() - weights.sum()) < 5 * np.sqrt(variance / n)
    assert abs(samples.std() ** 2 / variance - 1) < 5 * np.sqrt(2 / n)


def test_mistakes_that_narrow_the_distribution_are_caught(kmodel, X):
    """Masks reused between draws, and dropout in the wrong place."""
    kmodel = mlp(units=(60, 60), rate=0.2)
    kwargs = dict(n_draws=100, backend="keras", progress=False)
    classical = npd.sample(kmodel, X, seed=1, **kwargs)
    again = npd.sample(kmodel, X, seed=2, **kwargs)
    assert npd.ks_agreement(classical, again).verdict()[0]

    reused = again.values.copy()
    reused[10:] = reused[np.arange(90) % 10]
    assert not npd.ks_agreement(classical, reused).verdict()[0]

    keras.utils.set_random_seed(0)
    inp = keras.Input((6,))
    misplaced = keras.Model(
        inp, layers.Dense(1)(hidden(hidden(inp, 60, None), 60, 0.2))
    )
    misplaced.set_weights(kmodel.get_weights())
    wrong = npd.sample(misplaced, X, seed=2, **kwargs)
    assert not npd.ks_agreement(classical, wrong).verdict()[0]


# -- plain networks


@pytest.fixture(params=["array", "passthrough"])
def plain(request):
    with nengo.Network(seed=0) as net:
        node = (
            nengo.Node([0.0, 0.0])
            if request.param == "array"
            else nengo.Node(size_in=2)
        )
        ens = nengo.Ensemble(50, 2)
        out = nengo.Node(size_in=2)
        nengo.Connection(node, ens, synapse=None)
        nengo.Connection(
            ens.neurons,
            out,
            transform=npd.PermanentDropout(
                (2, 50), init=np.full((2, 50), 0.01), rate=0.3
            ),
        )
    return net, node, out


def test_plain_network(plain):
    net, node, out = plain
    samples = draw(net, {node: [[0.1, 0.2], [0.3, 0.4]]}, output=out)
    assert samples.values.shape == (3, 2, 2)
    assert np.array_equal(
        draw(net, {node: [[0.1, 0.2], [0.3, 0.4]]}, output=out).values, samples.values
    )
    assert samples.std().min() > 0
    # tuning curves are the network's, not the draw's: a replica has the same gains
    assert samples.values[0, 0, 0] != samples.values[0, 1, 0]


def test_several_inputs_and_outputs():
    kmodel = combo()
    conv = npd.Converter(kmodel)
    X = observations(kmodel, 2)
    by_name = dict(zip(("drug2", "cell", "drug1"), (X[2], X[0], X[1])))
    assert np.array_equal(draw(conv, X).values, draw(conv, by_name).values)

    inp = keras.Input((4,))
    h = hidden(inp, 10, 0.3)
    two = keras.Model(inp, [layers.Dense(1, name="a")(h), layers.Dense(3, name="b")(h)])
    for model, backend in ((two, "keras"), (npd.Converter(two), "nengo")):
        assert draw(model, np.ones((2, 4)), backend).n_outputs == 1
        assert draw(model, np.ones((2, 4)), backend, output="b").n_outputs == 3
        with pytest.raises(ValidationError, match="unknown output 'c'.*a, b"):
            draw(model, np.ones((2, 4)), backend, output="c")


def test_stochastic_processes_are_reproducible(plain):
    net, node, out = plain
    with net:
        noise = nengo.Node(nengo.processes.WhiteNoise(), size_out=2)
        nengo.Connection(noise, out)
    X = {node: [[0.1, 0.2]]}
    assert np.array_equal(
        draw(net, X, output=out).values, draw(net, X, output=out).values
    )


# -- bad arguments, before anything is simulated

BAD = [
    (dict(n_draws=0), "n_draws"),
    (dict(n_draws=2.5), "n_draws"),
    (dict(settle=0.03), "settle.*less than presentation_time"),
    (dict(settle=-0.01), "settle"),
    (dict(settle=0.0296), "dt.*no time step"),
    (dict(presentation_time=0), "presentation_time"),
    (dict(seed=-1), "seed"),
    (dict(dt=0), "dt"),
    (dict(masks="batch"), "masks.*'observation', 'draw'"),
    (dict(run="forever"), "run.*'restart', 'single'.*forever"),
    (dict(max_memory=0), "max_memory"),
    (dict(first_observation=-1), "first_observation"),
    (dict(first_observation=0.5), "first_observation"),
]
NAN = np.ones((5, 6))
NAN[3, 2] = np.nan
BAD_X = [
    (np.ones((4, 5)), r"input 'x' must have the shape \(n_observations, 6\).*\(4, 5\)"),
    (np.ones(6), "shape"),
    (np.ones((0, 6)), "no observations"),
    (NAN, "nan in row 3, column 2"),
    (np.where(np.isnan(NAN), np.inf, NAN), "inf in row 3, column 2"),
    ([np.ones((4, 6)), np.ones((4, 6))], r"1 inputs \(x\), but a list of 2"),
    ({"z": np.ones((4, 6))}, "missing: x; unknown: z"),
    ([["a"] * 6], "an array of real numbers, got dtype"),
]


@pytest.mark.parametrize("kwargs, message", BAD)
def test_bad_arguments(backend, model, X, kwargs, message, monkeypatch):
    monkeypatch.setattr(get_backend(backend), "session", None)
    with pytest.raises(ValidationError, match=message):
        draw(model, X, backend, **kwargs)


@pytest.mark.parametrize("X, message", BAD_X)
def test_bad_observations(backend, model, X, message, monkeypatch):
    monkeypatch.setattr(get_backend(backend), "session", None)
    with pytest.raises(ValidationError, match=message):
        draw(model, X, backend)


def test_a_keras_model_is_converted(kmodel, X):
    found = draw(kmodel, X, "batched")
    expected = draw(npd.Converter(kmodel, seed=7), X, "batched")
    assert np.array_equal(found.values, expected.values)
    one_by_one = draw(kmodel, X, "nengo", n_draws=2)
    assert one_by_one.values == pytest.approx(found.values[:2], abs=1e-5)
    with pytest.raises(ValidationError, match="dropout"):
        draw(kmodel, X, dropout="sometimes")
    with pytest.raises(ValidationError, match="no permanent dropout"):
        draw(mlp(rate=0.0), X)


def test_bad_models(kmodel, conv, X, plain):
    net, node, out = plain
    with pytest.raises(ValidationError, match="takes a network, got int"):
        draw(3, X)
    with pytest.raises(ValidationError, match="takes a Keras model, got a network"):
        draw(conv, X, "keras")
    with pytest.raises(ValidationError, match="unknown backend 'abacus'.*nengo, keras"):
        draw(conv, X, "abacus")
    certain = mlp(dropout=layers.Dropout)
    with pytest.raises(ValidationError, match="no permanent dropout"):
        draw(npd.Converter(certain, dropout="off"), X)
    with pytest.raises(ValidationError, match="no permanent dropout"):
        draw(certain, X, "keras", dropout="off")
    assert draw(certain, X, "keras").std().min() > 0
    with pytest.raises(ValidationError, match="for Keras models"):
        draw(conv, X, dropout="off")
    with pytest.raises(ValidationError, match="output="):
        draw(net, {node: np.ones((2, 2))})
    with pytest.raises(ValidationError, match="{node: array}"):
        draw(net, np.ones((2, 2)), output=out)
    with pytest.raises(ValidationError, match="not a Node of"):
        draw(net, {conv.input: np.ones((2, 6))}, output=out)
    with net:
        computed = nengo.Node(lambda t: np.sin(t))
    with pytest.raises(ValidationError, match="computes its own output"):
        draw(net, {computed: np.ones((2, 1))}, output=out)


def test_backends_say_their_version():
    for name in backend_names():
        try:
            assert get_backend(name).name == name
            assert get_backend(name).version()
        except ImportError as error:  # not for this Python, or not beside Keras
            assert "can't be installed" in str(error) or name in ("torch", "onnx")


def test_what_can_not_be_sent_to_a_process_says_so(plain):
    net, node, out = plain
    with net:
        nengo.Connection(nengo.Node(lambda t: t), out[0])
    samples = draw(net, {node: [[0.1, 0.2]]}, output=out)
    with ThreadPoolExecutor(1) as threads:
        threaded = draw(net, {node: [[0.1, 0.2]]}, output=out, executor=threads)
    assert np.array_equal(samples.values, threaded.values)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        with pytest.raises(ValidationError, match="lambda.*executor of threads"):
            draw(net, {node: [[0.1, 0.2]]}, output=out, executor=executor)


@pytest.mark.parametrize("masks", sampler.MASKS)
@pytest.mark.parametrize("redraw", [None, 0.01])
@pytest.mark.parametrize("make", [mlp, combo])
def test_batched_draws_are_the_references(make, masks, redraw):
    """Draw by draw, not only in distribution."""
    kmodel = make(rate=0.3)
    conv, X = npd.Converter(kmodel, redraw=redraw), observations(kmodel, 3)
    reference = draw(conv, X, masks=masks, seed=2)
    batched = draw(conv, X, "batched", masks=masks, seed=2)
    # float32 may move a spike by a step, which is a small part of the spread
    error = np.abs(batched.values - reference.values)
    assert np.median(error) < 1e-5
    assert error.max() < 0.2 * reference.std().mean()


# --- what is built, and the times


@pytest.fixture
def builds(monkeypatch):
    """Simulators that the batched backend builds, one entry each."""
    built = []

    class Counted(batched.Simulator):
        def __init__(self, *args, **kwargs):
            built.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(batched, "Simulator", Counted)
    return built


def test_one_simulator_is_built_for_one_call(conv, X, builds, tmp_path):
    draw(conv, X, "batched")
    assert len(builds) == 1
    draw(conv, X, "batched", max_memory=1, checkpoint=tmp_path / "kept")
    assert len(builds) == 2
    draw(conv, X, "batched", checkpoint=tmp_path / "kept")  # all is done
    assert len(builds) == 2


def test_one_simulator_is_built_for_many_tables(conv, X, builds):
    expected = draw(conv, X, "batched").values
    builds.clear()
    times = {name: FAST[name] for name in ("presentation_time", "settle")}
    with Sampler(conv, n_draws=3, **times) as sampler:
        for first in range(len(X)):
            rows = X[first : first + 1]
            found = sampler.draw(rows, first_observation=first, progress=False).values
            assert np.array_equal(found[:, 0], expected[:, first])
    assert len(builds) == 1


def test_tables_for_a_sampler_are_checked_each_time(conv, X):
    with Sampler(conv, n_draws=1) as sampler:
        sampler.draw(X, progress=False)
        with pytest.raises(ValidationError, match="must have the shape"):
            sampler.draw(X[:, :2], progress=False)


@pytest.mark.parametrize("backend", ["batched", "nengo"])
def test_times_are_what_the_network_needs(conv, X, backend):
    options = {"n_draws": 2, "backend": backend, "progress": False}
    samples = npd.sample(conv, X, **options)
    times = samples.meta["presentation_time"], samples.meta["settle"]
    assert times == default_times(conv.settling_time)
    said = dict(zip(("presentation_time", "settle"), times))
    assert np.array_equal(samples.values, npd.sample(conv, X, **options, **said).values)
    longer = npd.sample(conv, X, presentation_time=0.2, **options).meta
    assert (longer["presentation_time"], longer["settle"]) == (0.2, times[1])
    assert npd.sample(conv, X, settle=0.1, **options).meta["presentation_time"] == 0.16


def test_all_functions_take_the_same_times(conv, X):
    times = default_times(conv.settling_time)
    copy = conv.copy(add_to_container=False)
    calibration = npd.calibrate(copy, np.tile(X, (5, 1)), n_draws=2)
    options = calibration.options
    assert (options["presentation_time"], options["settle"]) == times
    estimate = npd.energy(conv, X, n_draws=2, progress=False)
    assert (estimate.presentation_time, estimate.settle) == times


def test_too_short_a_time_is_told(conv, X):
    with pytest.raises(ValidationError, match="needs 0.04 s to settle; give more time"):
        npd.sample(conv, X, presentation_time=0.03)


def test_networks_without_a_settling_time_need_times(X):
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(np.zeros(6))
        a, out = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
        dropout = npd.PermanentDropout((20, 6), init=nengo.dists.Uniform(-1, 1))
        nengo.Connection(stimulus, a.neurons, transform=dropout)
        nengo.Connection(a, a, synapse=0.1)
        nengo.Connection(a, out)
    options = {"output": out, "n_draws": 2, "progress": False}
    with pytest.raises(
        ValidationError, match="loop.*Give presentation_time and settle"
    ):
        npd.sample(net, {stimulus: X}, **options)
    times = {"presentation_time": 0.02, "settle": 0.01}
    assert npd.sample(net, {stimulus: X}, **options, **times).values.shape == (2, 4, 1)


def test_a_copy_is_the_same_and_apart(conv, X):
    copy = conv.copy(add_to_container=False)
    assert np.array_equal(draw(copy, X).values, draw(conv, X).values)
    copy.reseed(99)
    masks = [[mask.seed for mask in dropout.masks] for dropout in conv.dropouts]
    assert masks != [[mask.seed for mask in dropout.masks] for dropout in copy.dropouts]
    with nengo.Network() as net:
        added = conv.copy()
    assert net.networks == [added]
