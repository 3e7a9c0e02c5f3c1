"""What executors' workers are sent, and keep; and what is left when one is lost."""

import multiprocessing
import os
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import numpy as np
import pytest
from logged import LoggedNetwork

from nengo_permadrop import workers


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

        # another problem takes its place
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
    assert not workers._idle and not workers._problems


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
