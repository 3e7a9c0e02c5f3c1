"""What executors' workers are sent, and keep; and what is left when one is lost."""

import contextlib
import multiprocessing
import os
import pickle
import threading
import time
import warnings
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import nengo
import numpy as np
import pytest
from logged import LoggedNetwork

from nengo_permadrop.execution import workers
from nengo_permadrop.support.parcel import Parcel


@pytest.fixture
def net(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    return LoggedNetwork(folder)


@pytest.fixture
def expected(net):
    values = net.sample().values
    for path in net.folder.iterdir():
        path.unlink()
    return values


def pool(n):
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n, mp_context=spawn)


def test_a_process_is_sent_the_network_once(net, expected):
    with pool(2) as executor:
        values = net.sample(executor=executor).values
        assert np.array_equal(values, expected)
        processes = set(net.logged("chunk"))
        assert os.getpid() not in processes and 1 <= len(processes) <= 2
        # which worker takes it isn't known, so that one may get it again
        assert len(processes) <= len(net.logged("unpickled")) <= len(processes) + 2
        assert len(net.logged("chunk")) == 30
        assert sorted(net.logged("session")) == sorted(processes)
        assert net.logged("closed") == []

        # another problem is kept beside it
        other = LoggedNetwork(net.folder, seconds=0.001)
        assert np.array_equal(other.sample(executor=executor).values, expected)
    # the rest when the processes end
    assert sorted(net.logged("closed")) == sorted(net.logged("session"))


def test_blocks_of_a_table_need_no_more_sending(net, expected):
    """As infer samples them: one call a block, of the same network."""
    with pool(1) as executor:
        for start in (0, 4, 8):
            values = net.sample(
                rows=slice(start, start + 4),
                executor=executor,
                first_observation=start,
            ).values
            assert np.array_equal(values, expected[:, start : start + 4])
        assert len(net.logged("unpickled")) == len(net.logged("session")) == 1


def test_threads_share_the_network_and_end_their_sessions(net, expected):
    net.seconds = 0.01
    with ThreadPoolExecutor(3) as executor:
        assert np.array_equal(net.sample(executor=executor).values, expected)
    assert net.logged("unpickled") == []
    assert 1 <= len(net.logged("session")) <= 3
    assert len(net.logged("closed")) == len(net.logged("session"))
    assert len(workers._STORE) == 0


class Counting(ThreadPoolExecutor):
    waiting = most = 0

    def submit(self, *args):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = super().submit(*args)
        future.add_done_callback(self.finished)
        return future

    def finished(self, future):
        self.waiting -= 1


def test_submissions_are_bounded(net):
    with Counting(1) as executor:
        net.sample(n_draws=100, executor=executor)  # 300 chunks
    assert 2 <= executor.most <= 17
    assert len(net.logged("chunk")) == 300


def test_a_lost_process_costs_what_was_in_work(net, expected, tmp_path):
    net.seconds = 0.02
    checkpoint = tmp_path / "run"
    with pool(1) as executor:
        net.sample(n_draws=2, executor=executor, checkpoint=checkpoint)
        (net.folder / "deadly").touch()
        with pytest.raises(BrokenExecutor, match="worker was lost.*goes on from it"):
            net.sample(executor=executor, checkpoint=checkpoint)
    done = len(list((checkpoint / "parts").iterdir()))
    assert done == 6
    before = len(net.logged("chunk"))
    values = net.sample(checkpoint=checkpoint).values
    assert np.array_equal(values, expected)
    assert len(net.logged("chunk")) - before == 30 - done


def test_a_failed_chunk_does_not_take_finished_ones_along(net, tmp_path):
    """What was finished at the same moment is stored."""

    class AtOnce(Executor):
        def __init__(self):
            self.calls = []

        def submit(self, fn, *args):
            future = Future()
            self.calls.append((future, fn, args))
            if len(self.calls) == 3:
                self.calls[0][0].set_exception(RuntimeError("out of order"))
                for future, fn, args in self.calls[1:]:
                    future.set_result(fn(*args))
            return self.calls[-1][0]

    with pytest.raises(RuntimeError, match="out of order"):
        net.sample(n_draws=1, executor=AtOnce(), checkpoint=tmp_path / "run")
    assert len(list((tmp_path / "run" / "parts").iterdir())) == 2


@pytest.fixture
def small(monkeypatch):
    """A store that keeps two problems of 100 bytes together, and what it has closed."""
    monkeypatch.setattr(workers, "MOST_PROBLEMS", 2)
    monkeypatch.setattr(workers, "MOST_BYTES", 100)
    monkeypatch.setattr(workers, "GRACE", 0)
    return workers._Store()


def test_what_was_used_last_is_kept(small):
    for key in "ab":
        small.add(key, None, 10)
    with small.using("a") as kept:
        assert kept is not None
    small.add("c", None, 10)
    assert list(small._kept) == ["a", "c"]
    small.add("large", None, 95)  # with "a" or "c" it would be too much
    assert list(small._kept) == ["large"]
    small.add("larger", None, 1000)
    assert list(small._kept) == ["larger"]


def test_what_is_in_use_is_kept(small):
    with contextlib.ExitStack() as stack:
        for key in "abcd":
            small.add(key, None, 60)
            assert stack.enter_context(small.using(key)) is not None
        assert list(small._kept) == list("abcd")
    assert list(small._kept) == ["d"]


def test_what_has_just_come_is_in_use_for_a_while(small, monkeypatch):
    """Else the calls of many threads could take each other's place for ever."""
    monkeypatch.setattr(workers, "GRACE", 1000)
    for key in "abcd":
        small.add(key, None, 60)
    assert list(small._kept) == list("abcd")
    for key in "dcba":
        with small.using(key):
            pass
    assert list(small._kept) == ["a"]


def test_what_is_pinned_does_not_count(small):
    small.add("pinned", None, 1000, pinned=True)
    for key in "ab":
        small.add(key, None, 50)
    assert list(small._kept) == ["pinned", "a", "b"]
    small.remove("pinned")
    assert list(small._kept) == ["a", "b"]


def test_two_calls_on_one_worker_send_their_networks_once(net, tmp_path):
    """At the same time, and chunk by chunk in turns."""
    (tmp_path / "other").mkdir()
    nets = [net, LoggedNetwork(tmp_path / "other")]
    for each in nets:
        each.seconds = 0.01
    expected = [net.sample(n_draws=20).values for net in nets]
    with pool(1) as executor, ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(n.sample, 20, executor=executor) for n in nets]
        for future, values in zip(futures, expected):
            assert np.array_equal(future.result(timeout=100).values, values)
        times = [
            sorted(
                int(path.name.split(".")[2])
                for path in net.folder.glob("chunk*")
                if int(path.name.split(".")[1]) != os.getpid()
            )
            for net in nets
        ]
        assert max(t[0] for t in times) < min(t[-1] for t in times), "not at once"
        for each in nets:
            assert len(each.logged("unpickled")) == 1
            sessions = set(each.logged("session")) - {os.getpid()}
            assert len(sessions) == 1
            assert len(each.logged("session")) == 2  # one here


@pytest.mark.parametrize("sessions_end", ["before", "after"])
def test_no_session_is_left_of_a_call_that_failed(net, sessions_end):
    """A thread that is at work when the call ends closes its session on its own."""
    started, go_on = threading.Event(), threading.Event()

    class Once(ThreadPoolExecutor):
        calls = 0

        def submit(self, fn, *args):
            self.calls += 1
            if self.calls == 1:

                def slow():
                    started.set()
                    go_on.wait(timeout=60)
                    return fn(*args)

                return super().submit(slow)

            def fails():
                assert started.wait(timeout=60)
                raise RuntimeError("of another chunk")

            return super().submit(fails)

    net.seconds = 0.05
    with Once(2) as executor:
        if sessions_end == "before":
            go_on.set()
        with pytest.raises(RuntimeError, match="of another chunk"):
            net.sample(executor=executor)
        go_on.set()
    assert len(net.logged("closed")) == len(net.logged("session"))
    assert len(workers._STORE) == 0


class Watched:
    """Tells of its pickling, which takes a while, and of filters as it came back."""

    pickled, filters = 0, None

    def __getstate__(self):
        Watched.pickled += 1
        time.sleep(0.05)
        return {"some": "state"}

    def __setstate__(self, state):
        Watched.filters = list(warnings.filters)


def test_parcels_are_unpickled_without_a_warning_nor_a_filter(net, recwarn):
    """Filters of warnings are the process's, and other threads run."""
    with net:
        nengo.Node(size_in=3)
    parcel = pickle.loads(pickle.dumps(Parcel([net, Watched()])))
    before = list(warnings.filters)
    unpickled, _ = parcel.content
    assert [node.size_out for node in unpickled.all_nodes] == [2, 1, 3]
    assert [node.size_in for node in unpickled.all_nodes] == [0, 1, 3]
    assert Watched.filters == before
    assert [str(warning.message) for warning in recwarn] == []


def test_a_parcel_is_pickled_once_for_many_threads(monkeypatch):
    monkeypatch.setattr(Watched, "pickled", 0)
    parcel = Parcel(Watched())
    with ThreadPoolExecutor(8) as threads:
        states = list(threads.map(lambda _: parcel.__getstate__(), range(8)))
    assert Watched.pickled == 1
    assert all(state == states[0] for state in states)
