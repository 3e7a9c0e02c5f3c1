import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

import pytest
from process_helpers import threads_of_this_process

from nengo_permadrop.execution import pool
from nengo_permadrop.execution.pool import process_pool, usable_cpus

TIMEOUT = 120  # seconds; far more than is needed, on a busy machine too


def test_one_worker_needs_no_process():
    with process_pool(1) as executor:
        assert executor is None
    assert 1 <= usable_cpus() <= os.cpu_count()


def test_workers_compute_with_one_thread_each_and_the_environment_stays(written_env):
    with process_pool(2) as executor:
        futures = [executor.submit(threads_of_this_process) for _ in range(4)]
        for future in futures:
            assert set(future.result(timeout=60).values()) == {1}
        # libraries that are loaded later
        future = executor.submit(os.getenv, "OMP_NUM_THREADS")
        assert future.result(timeout=60) == "1"
        assert executor.submit(os.getpid).result(timeout=60) != os.getpid()
        future = executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, [])
        assert signal.SIGINT in future.result(timeout=60)  # before it can ignore it
    assert written_env == []


def test_what_the_environment_says_of_threads_stays(written_env, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    with process_pool(2) as executor:
        threads = executor.submit(threads_of_this_process).result(timeout=60)
        assert threads["openblas"] == min(2, usable_cpus())
        assert threads["numba"] == min(2, usable_cpus())
        future = executor.submit(os.getenv, "OMP_NUM_THREADS")
        assert future.result(timeout=60) == "1"


def limited_after_numba(launched):
    """As in a worker whose main module uses Numba when it is imported."""
    numba = pytest.importorskip("numba")
    if launched:
        numba.get_num_threads()
    pool.limit_threads(1)
    numba.njit(lambda x: x + 1)(1)  # compiling reads the environment
    return numba.config.NUMBA_NUM_THREADS, numba.get_num_threads()


@pytest.mark.parametrize("launched", [False, True])
def test_threads_are_limited_where_numba_is_loaded(launched, written_env):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        future = executor.submit(limited_after_numba, launched)
        configured, used = future.result(timeout=60)
    assert used == 1
    assert configured == (usable_cpus() if launched else 1)


def test_an_interrupt_ends_own_processes_alone():
    """Not those that another thread has started meanwhile."""
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=time.sleep, args=(600,))
    try:
        with pytest.raises(KeyboardInterrupt), process_pool(2) as executor:
            future = executor.submit(time.sleep, 600)
            other.start()
            while not future.running():
                time.sleep(0.01)
            raise KeyboardInterrupt
        with pytest.raises(BrokenExecutor):
            future.result(timeout=60)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def work(path):
    path.touch()
    time.sleep(600)


@pytest.mark.parametrize("when", ["idle", "starting", "working"])
def test_a_killed_worker_breaks_the_pool_at_once(when, tmp_path):
    path = tmp_path / "started"
    with pytest.raises(BrokenExecutor), process_pool(2) as executor:
        if when == "idle":
            executor.submit(os.getpid).result(timeout=60)
        else:
            future = executor.submit(work, path)
        deadline = time.monotonic() + 60
        while when == "working" and not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(executor.processes()[-1].pid, signal.SIGKILL)
        if when == "idle":
            future = executor.submit(work, path)
        future.result(timeout=60)
    with pytest.raises(BrokenExecutor):
        executor.submit(os.getpid)


def test_interrupt_ends_the_workers():
    before = set(multiprocessing.active_children())
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), process_pool(2) as executor:
        futures = [executor.submit(time.sleep, 600) for _ in range(4)]
        while not futures[0].running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    while set(multiprocessing.active_children()) - before:
        assert time.monotonic() - start < 60, "workers still run"
        time.sleep(0.05)


# In a process of its own: its exit joins the executor's thread, which may hang as well.
KILLED_WHEN_IDLE = """
import os, time
from nengo_permadrop.execution.pool import process_pool

if __name__ == "__main__":
    for number in (0, 1):
        with process_pool(2) as executor:
            list(executor.map(time.sleep, [0.2, 0.2]))
            executor.processes()[number].kill()
"""


def test_a_worker_killed_at_the_end_keeps_nobody_waiting(tmp_path):
    """One of the two held the lock of the queue that tells the other to end."""
    script = tmp_path / "script.py"
    script.write_text(KILLED_WHEN_IDLE)
    subprocess.run([sys.executable, script], check=True, timeout=TIMEOUT)


class Process:
    """A process that has ended, and tells of its exit code late; or one that runs."""

    pid = 1

    def __init__(self, *codes):
        self.codes = list(codes)
        self.sentinel, self.end = os.pipe()

    def is_alive(self):
        return self.exitcode is None

    @property
    def exitcode(self):
        return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def terminate(self):
        os.close(self.end)
        self.codes = [-signal.SIGTERM]


def test_an_exit_code_that_comes_late_is_seen(monkeypatch):
    wait = pool.connection.wait
    # for ever would be too long for a test
    monkeypatch.setattr(
        pool.connection, "wait", lambda sentinels, timeout: wait(sentinels, TIMEOUT)
    )
    killed, waiting = Process(None, None, -9), Process(None)
    os.close(killed.end)
    context = pool._SpawnContext()
    context.started = [killed, waiting]
    start = time.monotonic()
    try:
        context.join()
        assert waiting.codes == [-signal.SIGTERM]
        assert time.monotonic() - start < TIMEOUT
    finally:
        os.close(killed.sentinel)
        os.close(waiting.sentinel)


BROKEN = """
import os, signal, struct, sys, time
from concurrent.futures import BrokenExecutor
from nengo_permadrop.execution.pool import process_pool

def killed_in_the_middle():
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    queue = frame.f_locals["result_queue"]
    with queue._wlock:
        # of a message of 100 bytes, see multiprocessing.connection.Connection
        os.write(queue._writer.fileno(), struct.pack("!i", 100) + bytes(50))
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    try:
        with process_pool(2) as executor:
            list(executor.map(time.sleep, [0.2, 0.2]))  # both run
            future = executor.submit(killed_in_the_middle)
            if sys.argv[1] == "wait":
                future.result()
            elif sys.argv[1] == "interrupt":
                time.sleep(0.5)
                raise KeyboardInterrupt
    except (BrokenExecutor, KeyboardInterrupt) as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize(
    "then, told",
    [("wait", "BrokenProcessPool"), ("interrupt", "KeyboardInterrupt"), ("end", "")],
)
def test_a_worker_killed_while_it_sends_a_result(then, told, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(BROKEN)
    found = subprocess.run(
        [sys.executable, script, then],
        check=True,
        timeout=TIMEOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert found.stdout.strip() == told
