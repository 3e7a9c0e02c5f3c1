"""A cluster of processes, started once for this module."""

import io
import logging
import os
import signal
import time

import nengo
import numpy as np
import pytest
from kmodels import mlp, observations
from logged import LoggedNetwork
from nengo.exceptions import ValidationError
from process_helpers import threads_of_this_process

import nengo_permadrop as npd
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.execution.cluster import dask_executor
from nengo_permadrop.execution.pool import usable_cpus

pytest.importorskip("distributed")
import dask  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.* may not agree")


@pytest.fixture(scope="module")
def executor():
    with dask_executor("local:2") as executor:
        yield executor


@pytest.fixture
def net(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    return LoggedNetwork(folder, seconds=0.02)


def test_samples_are_those_of_a_local_run(executor):
    kmodel = mlp()
    conv, X = npd.Converter(kmodel), observations(kmodel, 4)[0]
    kwargs = dict(n_draws=5, presentation_time=0.02, settle=0.01, progress=False)
    local = npd.sample(conv, X, **kwargs)
    there = npd.sample(conv, X, executor=executor, **kwargs)
    assert np.array_equal(local.values, there.values)


def test_network_travels_to_each_worker_once(executor, net):
    expected = net.sample().values
    before = len(net.logged("chunk"))
    values = net.sample(executor=executor).values
    assert np.array_equal(values, expected)
    assert len(net.logged("chunk")) - before == 30
    processes = set(net.logged("unpickled"))
    assert len(processes) == 2 and os.getpid() not in processes
    assert len(net.logged("unpickled")) == 2
    assert len(net.logged("session")) == 3  # one here


def test_a_killed_worker_costs_its_chunk(executor, net, tmp_path, monkeypatch):
    expected = net.sample().values
    pids = set(executor.client.run(os.getpid).values())
    before = len(net.logged("chunk"))
    save, saved = Checkpoint.save, []

    def kill(self, name, array):
        save(self, name, array)
        saved.append(name)
        if len(saved) == 5:
            os.kill(min(pids), signal.SIGKILL)

    monkeypatch.setattr(Checkpoint, "save", kill)
    values = net.sample(executor=executor, checkpoint=tmp_path / "run").values
    assert np.array_equal(values, expected)
    assert len(saved) == 30
    # what it was at, and what it had done but not yet handed over: of the 16 chunks
    # that an executor has at a time, never of those that are saved
    assert len(net.logged("chunk")) - before <= 30 + 16
    assert min(pids) in net.logged("chunk")


def test_workers_listen_on_this_machine_alone_without_dashboard(executor):
    info = executor.client.scheduler_info()
    assert info["address"].startswith("tcp://127.0.0.1:")
    assert all(address.startswith("tcp://127.0.0.1:") for address in info["workers"])
    served = executor.client.run_on_scheduler(
        lambda dask_scheduler: [
            socket.getsockname()[0]
            for socket in dask_scheduler.http_server._sockets.values()
        ]
    )
    assert set(served) <= {"127.0.0.1"}


def test_workers_share_the_cpus_and_the_environment_stays(written_env):
    with dask_executor("local:2") as executor:
        run = executor.client.run
        threads = run(threads_of_this_process).values()
        said = run(os.getenv, "MKL_NUM_THREADS").values()
        blocked = run(signal.pthread_sigmask, signal.SIG_BLOCK, []).values()
    expected = max(1, usable_cpus() // 2)
    assert len(threads) == len(said) == len(blocked) == 2
    assert all(worker["numba"] == expected for worker in threads)
    assert all(max(worker.values()) == expected for worker in threads)
    assert set(said) == {str(expected)}  # libraries that are loaded later
    assert all(signal.SIGINT in worker for worker in blocked)  # it is for this process
    # by which Dask's own processes know their parent; it is read by nothing else
    assert set(written_env) <= {b"__DASK_PARENT_PID"}


def test_a_large_network_is_sent_without_a_warning(executor, recwarn):
    before = dask.config.get("distributed.admin.large-graph-warning-threshold")
    address, *_ = executor.client.nthreads()
    future = executor.submit_to(address, len, bytes(11 * 10**6))
    assert future.result(timeout=60) == 11 * 10**6
    assert [str(w.message) for w in recwarn if "large graph" in str(w.message)] == []
    after = dask.config.get("distributed.admin.large-graph-warning-threshold")
    assert after == before


def test_what_can_not_be_sent_says_so(executor, net):
    with net:
        nengo.Node(lambda t: t)
    with pytest.raises(ValidationError, match="can't be sent to another process"):
        net.sample(executor=executor)


@pytest.mark.parametrize(
    "address",
    ["local", "local:0", "local:two", "host:8786", "tls://a:1", "tcp://a", "", "tcp:"],
)
def test_bad_addresses(address):
    with pytest.raises(ValidationError, match="'tcp://HOST:PORT' or 'local:N'"):
        with dask_executor(address):
            pass


def test_no_scheduler_there(monkeypatch):
    monkeypatch.setattr("nengo_permadrop.execution.cluster._SECONDS", 1)
    with pytest.raises(OSError, match="127.0.0.1:9"):
        with dask_executor("tcp://127.0.0.1:9"):
            pass


def test_a_scheduler_by_its_address(executor, net):
    address = executor.client.scheduler_info()["address"]
    with dask_executor(address) as other:
        values = net.sample(n_draws=2, executor=other).values
    assert np.array_equal(values, net.sample(n_draws=2).values)
    # it still runs
    assert nengo.__version__ in executor.client.run(lambda: nengo.__version__).values()


LOGGERS = (  # with levels of their own, without, and of what Dask is made of
    "distributed.batched",
    "distributed.client",
    "distributed.core",
    "distributed.nanny",
    "distributed.scheduler",
    "tornado.application",
)


def test_what_is_interrupted_ends_silently(monkeypatch, capfd):
    """Whatever Dask logs while its client and its cluster close."""
    distributed = pytest.importorskip("distributed")
    # Dask's handler writes to what was sys.stderr at its import; these are like it
    outputs = {name: io.StringIO() for name in ("", "distributed", "tornado")}
    handlers = {name: logging.StreamHandler(out) for name, out in outputs.items()}
    steps = []

    def tell(*names):
        for name in names:
            for level in (logging.INFO, logging.WARNING, logging.ERROR):
                logging.getLogger(name).log(level, "of %s", name)

    def telling(step, close):
        def told(self, *args, **kwargs):
            steps.append(step)
            tell(*LOGGERS, f"distributed.new-{step}-before")
            self.loop.add_callback(tell, *LOGGERS, "asyncio")  # in Dask's thread
            answer = close(self, *args, **kwargs)
            tell(*LOGGERS, f"distributed.new-{step}-after")
            return answer

        return told

    for step, kind in (
        ("client", distributed.Client),
        ("cluster", distributed.deploy.spec.SpecCluster),
    ):
        monkeypatch.setattr(kind, "close", telling(step, kind.close))
    monkeypatch.setattr(logging.getLogger("distributed.core"), "level", logging.DEBUG)
    for name, handler in handlers.items():
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        logging.getLogger(name).addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt), dask_executor("local:2") as executor:
            executor.submit(time.sleep, 60)
            for output in outputs.values():  # what tells of the start
                output.seek(0)
                output.truncate()
            raise KeyboardInterrupt
        assert [output.getvalue() for output in outputs.values()] == ["", "", ""]
        # clients of other tests may be collected, and closed, meanwhile
        assert list(dict.fromkeys(steps)) == ["client", "cluster"]
        assert capfd.readouterr() == ("", "")
        tell("distributed.batched", "distributed.core", "asyncio")
        told = [output.getvalue() for output in outputs.values()]
        assert [text.count("of distributed.core") for text in told] == [3, 3, 0]
        assert told[0].count("of asyncio") >= 2
    finally:
        for name, handler in handlers.items():
            logging.getLogger(name).removeHandler(handler)
