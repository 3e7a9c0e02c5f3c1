import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_permadrop.bench import peers
from nengo_permadrop.bench.network import BenchNetwork
from nengo_permadrop.bench.run import (
    SETTLE,
    Disagreement,
    _check,
    _in_process,
    growth,
    run_benchmark,
)

WORK = {"n_units": 20, "n_steps": 60}


def test_the_simulators_have_the_same_draws():
    lines = []
    pytest.importorskip("nengo_dl")
    own, loop, dl = run_benchmark(
        n_replicas=40,
        simulators=("nengo", "nengo_dl"),
        repeats=1,
        log=lines.append,
        **WORK,
    )
    assert own["simulator"] == "batched" and own["ratio"] == 1
    assert loop["simulator"] == "nengo" and loop["replicas"] == 2
    assert loop["seconds"] > 0 and loop["peak_gb"] > 0
    assert dl["simulator"] == "nengo_dl" and dl["replicas"] == 10
    assert all("same draws" in found["check"] for found in (loop, dl))
    assert len(lines) == 5


@pytest.mark.parametrize("name", ["snntorch", "spikingjelly"])
def test_the_frameworks_have_the_same_distribution(name):
    pytest.importorskip(name)
    results = run_benchmark(400, simulators=(name,), repeats=1, **WORK)
    assert "same distribution" in results[1]["check"]


def test_a_difference_is_found():
    bench = BenchNetwork(n_units=20)
    with peers.batched(bench, 400, 60, SETTLE) as run:
        answers = run()
    with pytest.raises(Disagreement, match="distribution"):
        _check(peers.PEERS["snntorch"], answers + 2 * answers.std(), answers)
    with pytest.raises(Disagreement, match="same draws"):
        _check(peers.PEERS["nengo"], answers[:2] + answers.std(), answers)


def test_growth():
    results = growth(
        n_replicas=8, n_steps=168, n_units=8, repeats=1, log=lambda _: None
    )
    assert [r["n_replicas"] for r in results][:2] == [2, 4]
    assert all(np.isfinite(r["nanoseconds"]) for r in results)


def test_arguments():
    with pytest.raises(ValidationError, match="no simulator x"):
        run_benchmark(simulators=("x",))
    with pytest.raises(ValidationError, match="more than"):
        run_benchmark(n_steps=SETTLE)


def test_errors_of_a_simulator_arrive():
    with pytest.raises(RuntimeError, match="batched: .*integer >= 1"):
        _in_process("batched", n_replicas=0, repeats=1, **WORK)


def test_missing_simulators_are_told_before_others_are_timed(monkeypatch):
    from nengo_permadrop.bench import peers, run

    monkeypatch.setattr(run, "_in_process", None)
    monkeypatch.setattr(peers, "installed_peers", lambda: ("batched",))
    with pytest.raises(ImportError, match="not installed: nengo_dl, snntorch"):
        run.run_benchmark(simulators=("batched", "snntorch", "nengo_dl"))
