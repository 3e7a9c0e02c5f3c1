import nengo
import numpy as np
import pytest
from kmodels import combo, mlp, observations
from nengo.exceptions import ValidationError

import nengo_permadrop as npd
from nengo_permadrop.backends.base import Problem, get_backend
from nengo_permadrop.backends.problems import make_problem
from nengo_permadrop.converter.timing import path_delay
from nengo_permadrop.dropout.clock import redraw_index
from nengo_permadrop.dropout.gates import mask_processes
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.pool import process_pool
from nengo_permadrop.sampling.single_run import let_masks_travel, output_lag, run_on
from nengo_permadrop.targets.loihi.cores import CoreUse, Resources

FAST = dict(
    n_draws=4, presentation_time=0.03, settle=0.02, run="single", progress=False
)


@pytest.fixture(scope="module")
def kmodel():
    return mlp(units=(20, 20, 20))


@pytest.fixture(scope="module")
def conv(kmodel):
    return npd.Converter(kmodel)


@pytest.fixture(scope="module")
def X(kmodel):
    return observations(kmodel, 3)[0]


@pytest.fixture(params=["nengo", "batched"])
def backend(request):
    return request.param


def draw(conv, X, backend="nengo", **kwargs):
    return npd.sample(conv, X, backend=backend, **{**FAST, **kwargs})


def test_backends_give_the_same_draws(conv, X):
    reference = draw(conv, X, seed=3).values
    assert reference.std(axis=0).min() > 0.05
    assert np.allclose(draw(conv, X, "batched", seed=3).values, reference, atol=1e-5)


def test_nengo_dl_gives_the_same_draws():
    pytest.importorskip("nengo_dl")
    kmodel = mlp(units=(10, 10))
    conv, X = npd.Converter(kmodel), observations(kmodel, 2)[0]
    options = {"n_draws": 3, "seed": 3}
    reference = draw(conv, X, **options).values
    actual = draw(conv, X, "nengo_dl", **options).values
    assert np.allclose(actual, reference, atol=1e-5)


def test_draws_depend_on_nothing_else(conv, X, backend, monkeypatch):
    samples = draw(conv, X, backend)
    assert samples.values.shape == (4, 3, 1)
    fewer = draw(conv, X[:2], backend, n_draws=2)
    assert np.array_equal(fewer.values, samples.values[:2, :2])
    monkeypatch.setattr(get_backend(backend), "chunk_size", lambda *args: 2)
    assert np.array_equal(draw(conv, X, backend).values, samples.values)
    assert not np.isin(draw(conv, X, backend, seed=1).values, samples.values).any()


@pytest.mark.filterwarnings("ignore:.* may not agree")  # such short times
def test_goes_on_from_a_checkpoint(conv, X, backend, tmp_path, monkeypatch):
    monkeypatch.setattr(get_backend(backend), "chunk_size", lambda *args: 1)
    expected = draw(conv, X, backend).values
    assert np.array_equal(draw(conv, X, backend, checkpoint=tmp_path).values, expected)
    finished = sorted((tmp_path / "parts").iterdir())
    assert len(finished) == len(X)  # one run per observation
    finished[1].unlink()
    kept = {path: path.stat().st_mtime_ns for path in finished if path.exists()}
    assert np.array_equal(draw(conv, X, backend, checkpoint=tmp_path).values, expected)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    with pytest.raises(ValidationError, match="something else.*windows"):
        draw(conv, X, backend, run="restart", checkpoint=tmp_path)


def test_runs_are_those_of_other_processes(conv, X, backend):
    expected = draw(conv, X, backend).values
    with process_pool(2) as executor:
        assert np.array_equal(
            draw(conv, X, backend, executor=executor).values, expected
        )


def test_masks_of_a_draw_may_be_shared_by_the_observations(conv, X):
    alike = np.repeat(X[:1], 3, axis=0)
    long = {"presentation_time": 0.15, "settle": 0.05}
    values = draw(conv, alike, "batched", masks="draw", **long).values
    within, between = values.std(axis=1).mean(), values.mean(axis=1).std()
    assert within < between / 3  # only the initial voltages
    assert np.array_equal(draw(conv, X, masks="draw").meta["run"], "single")


def test_run_is_that_of_a_network_with_travelling_masks(kmodel, conv, X):
    """Windows are read where they should be, from a network that is built by hand."""
    seed, j, window = 5, 2, FAST["presentation_time"]
    samples = draw(conv, X, seed=seed)
    by_hand = npd.Converter(kmodel)
    by_hand.reseed(0)
    let_masks_travel(by_hand, window)
    delays = [c.transform.redraw_delay for d in by_hand.dropouts for c in d.connections]
    assert np.allclose(delays, [0, 0.01, 0.019], atol=1.1e-3)  # Alpha(0.005) has 0.01
    settle = FAST["settle"]
    lag = output_lag(by_hand, settle)
    mean, _ = path_delay(by_hand)
    # what is read, window - settle seconds, is the middle of the masks' own time
    assert np.isclose(lag, mean - settle / 2, atol=1e-3)
    n_lost = int(np.ceil((by_hand.settling_time - lag - settle) / window))

    run_seed = derive_seed(seed, 0, j)
    with nengo.Network(seed=seed) as net:
        net.add(by_hand)
        with nengo.Network():
            nengo.Connection(nengo.Node(X[j]), by_hand.input, synapse=None)
        probe = nengo.Probe(by_hand.output)
    base = nengo.builder.Model()
    base.build(net)
    for conn in (c for d in by_hand.dropouts for c in d.connections):
        conn.seed = derive_seed(conn.seed, run_seed)
    for ens in by_hand.all_ensembles:
        ens.seed = derive_seed(base.seeds[ens], run_seed)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run((n_lost + 5) * window + lag, progress_bar=False)
    start = n_lost * 30 + round(lag / 0.001)
    for i in range(4):
        read = sim.data[probe][start + 30 * i + 20 : start + 30 * (i + 1)]
        assert np.allclose(read.mean(axis=0), samples.values[i, j], rtol=1e-9)


def test_draws_are_those_of_their_masks(kmodel):
    """A long window gives what the rate network gives with the same masks."""
    conv, x = npd.Converter(kmodel), np.ones((1, 6))
    window = 0.6
    values = draw(conv, x, "batched", presentation_time=window, settle=0.1).values
    rate = npd.Converter(kmodel, neurons="rate", redraw=0.001)  # no synapses, no delay
    rate.reseed(0)
    seed = derive_seed(0, 0, 0)
    for dropout in rate.dropouts:
        for conn in dropout.connections:
            conn.seed = derive_seed(conn.seed, seed)
    with nengo.Network(seed=0) as net:
        net.add(rate)
        nengo.Connection(nengo.Node(x[0]), rate.input, synapse=None)
        probe = nengo.Probe(rate.output)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.004, progress_bar=False)
    # n_lost is 0: settling has been waited for within the first window
    assert np.allclose(values[:, 0], sim.data[probe], atol=0.1)
    assert values.std() > 0.3


@pytest.mark.filterwarnings("ignore:.* may not agree")  # such short times
def test_time_counts_the_beginning_and_the_windows(conv, X):
    restart = draw(conv, X, run="restart", settle=0.029).meta
    assert np.isclose(restart["simulated_time"], 4 * 0.03)
    single = draw(conv, X).meta
    assert 4 * 0.03 < single["simulated_time"] < 4 * 0.03 + conv.settling_time + 0.03


def test_shared_layers_and_several_inputs():
    kmodel = combo()
    conv, X = npd.Converter(kmodel), observations(kmodel, 2)
    reference = draw(conv, X).values
    assert np.allclose(draw(conv, X, "batched").values, reference, atol=1e-5)


def test_the_converter_is_left_as_it_was(conv, X):
    before = [c.transform for d in conv.dropouts for c in d.connections]
    draw(conv, X, "batched")
    after = [c.transform for d in conv.dropouts for c in d.connections]
    assert all(a is b for a, b in zip(before, after, strict=True))


def plain_network(redraw):
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node([0.0])
        a = nengo.Ensemble(30, 1, seed=1)
        b = nengo.Node(size_in=1)
        nengo.Connection(stimulus, a)
        dropout = npd.PermanentDropout(
            (1, 30), init=nengo.dists.Uniform(-1, 1).sample(1, 30), redraw=redraw
        )
        nengo.Connection(a.neurons, b, transform=dropout, synapse=0.005)
    return net, {stimulus: np.ones((2, 1))}, b


def test_plain_networks_redraw_themselves(backend):
    net, X, b = plain_network(redraw=0.03)
    samples = draw(net, X, backend, output=b)
    assert samples.values.shape == (4, 2, 1)
    assert samples.values.std(axis=0).min() > 1
    net, X, b = plain_network(redraw=None)
    with pytest.raises(ValidationError, match="make them with redraw=0.03"):
        draw(net, X, backend, output=b)


def test_backends_without_such_runs_say_so(kmodel, X):
    with pytest.raises(ValidationError, match="use run='restart'"):
        draw(kmodel, X, "keras")


def test_arguments_are_checked(conv, X):
    with pytest.raises(ValidationError, match="'restart', 'single', got 'both'"):
        draw(conv, X, run="both")
    with pytest.raises(ValidationError, match="whole number of time steps"):
        draw(conv, X, presentation_time=0.0305)


# -- copies


@pytest.mark.filterwarnings("ignore:.* may not agree")  # such short times
def test_copies_are_draws_side_by_side(kmodel, X, backend):
    conv = npd.Converter(kmodel, copies=3)
    assert len(conv.copies) == 3 and conv.copies[0] is conv
    assert conv.n_neurons == 3 * 60
    for run in ("restart", "single"):  # two runs, or windows
        long = {"presentation_time": 0.06, "settle": 0.05, "run": run, "n_draws": 5}
        samples = draw(conv, X[:2], backend, **long)
        assert samples.values.shape == (5, 2, 1)
        assert np.unique(samples.values).size == 10
        fewer = draw(conv, X[:1], backend, **{**long, "n_draws": 4})
        assert np.array_equal(samples.values[:4, :1], fewer.values)
        assert samples.meta["simulated_time"] < 3 * 0.06


def test_copies_have_their_own_masks_and_the_same_layers(kmodel, X):
    conv = npd.Converter(kmodel, copies=2, seed=0)
    first, second = (
        [dropout.keep() for dropout in copy.dropouts] for copy in conv.copies
    )
    alone = npd.Converter(kmodel, seed=0)
    for a, b, c in zip(first, second, alone.dropouts, strict=True):
        assert np.array_equal(a, c.keep()) and not np.array_equal(a, b)
    assert conv.verify(X) < 1e-4
    with nengo.Network(seed=0) as net:
        rate = npd.Converter(kmodel, neurons="rate", copies=2, dropout="off", seed=0)
        for copy in rate.copies:  # the same masks: the same answers
            for dropout, mask in ((d, m) for d in copy.dropouts for m in d.masks):
                for conn in dropout.connections:
                    conn.seed = mask.number
        nengo.Connection(nengo.Node(X[0]), rate.input, synapse=None)
        probes = [nengo.Probe(copy.output) for copy in rate.copies]
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.005, progress_bar=False)
    assert np.allclose(*(sim.data[probe] for probe in probes))
    assert np.abs(sim.data[probes[0]][-1]).max() > 0.1


def test_number_of_copies_is_checked(kmodel):
    for wrong in (0, 1.5):
        with pytest.raises(ValidationError, match="integer >= 1"):
            npd.Converter(kmodel, copies=wrong)


def test_room_for_copies():
    core = CoreUse("hidden", 60, 60, 60, 30000)
    assert Resources((core,) * 9, 60, None, {}).room() == 14
    assert Resources((core,) * 9, 60, None, {}).room(n_chips=2) == 28
    with pytest.raises(ValidationError, match="no layer is on the chip"):
        Resources((), 60, None, {}).room()  # of one layer, which is kept off it


def test_windows_of_whole_milliseconds_however_they_are_written():
    """26 of these 196 numbers are others when they are computed than when written."""
    net, _, b = plain_network(redraw=0.03)
    (conn,) = (
        c for c in net.connections if isinstance(c.transform, npd.PermanentDropout)
    )
    refused = set()
    for k in range(5, 201):
        written, computed = float(f"{k / 1000:.3f}"), k * 0.001
        for redraw, window in ((written, computed), (computed, written)):
            conn.transform = npd.PermanentDropout(
                (1, 30), redraw=redraw, init=np.ones((1, 30))
            )
            times = {"presentation_time": window, "settle": window / 2}
            problem = Problem(net, [], b, [], **times)
            try:
                run_on(get_backend("nengo"), problem, n_windows=2)
            except ValidationError:
                refused.add(k)
            assert problem.n_steps == k
            # and they are redrawn in the same steps
            for step in (*range(1, 10), *range(10 * k - 1, 10 * k + 3), 777 * k + 1):
                for time in (step * 0.001, np.float32(step * 0.001).item()):
                    assert redraw_index(time, 0.001, redraw) == (step - 1) // k
    assert refused == set()


def test_other_windows_than_redraws_are_refused():
    for window in (0.035, 0.037):
        net, X, b = plain_network(redraw=0.036)
        with pytest.raises(ValidationError, match="got redraw=0.036; make them with"):
            draw(net, X, "nengo", output=b, presentation_time=window)


def test_loops_are_refused():
    net, X, b = plain_network(redraw=0.03)
    with net:
        nengo.Connection(b, net.ensembles[0])
    with pytest.raises(ValidationError, match="loop of connections"):
        draw(net, X, "nengo", output=b)


# -- on Loihi


def test_gates_redraw_on_the_emulator():
    """Draw by draw correlated above 0.9 with the reference's, of two copies."""
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(15, 15), target="loihi")
    X = observations(kmodel, 2)[0]
    conv = npd.Converter(kmodel, target="loihi", redraw=1.0, copies=2)
    options = {"n_draws": 6, "presentation_time": 0.1, "settle": 0.05}
    loihi = draw(conv, X, "nengo_loihi", **options)
    reference = draw(conv, X, "nengo", **options)
    a, b = (s.values - reference.mean() for s in (loihi, reference))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9
    assert loihi.meta["cores"] == 2


def test_gated_masks_travel_too():
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(units=(20, 20, 20), target="loihi")
    conv = npd.Converter(kmodel, target="loihi", redraw=1.0)
    engine, times = get_backend("nengo"), {"presentation_time": 0.05, "settle": 0.03}
    problem = make_problem(engine, conv, np.ones((1, 6)), from_onset=True, **times)
    problem = run_on(engine, problem, n_windows=2)
    processes = mask_processes(problem.model)
    assert [process.redraw for process in processes] == [0.05] * 3
    delays = [process.redraw_delay for process in processes]
    assert np.allclose(delays, [0, 0.005, 0.01], atol=1.1e-3)


def test_weights_on_the_chip_can_not_be_redrawn():
    pytest.importorskip("nengo_loihi")
    kmodel = mlp(target="loihi")
    conv = npd.Converter(kmodel, target="loihi")
    with pytest.raises(ValidationError, match="target='loihi', redraw="):
        draw(conv, np.ones((1, 6)), "nengo_loihi")
