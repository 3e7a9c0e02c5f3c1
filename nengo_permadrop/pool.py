"""Worker processes for draws that are simulated one by one."""

import contextlib
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

# Read by the BLAS libraries and by Numba when a process loads them
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def usable_cpus():
    """Number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # fewer than there are, on a cluster
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool(ProcessPoolExecutor):
    """
    The executor of `process_pool`, which cancels what is pending by itself.

    Nobody else must: where a process of the pool ends, Python 3.11's executor fails on
    futures that were cancelled before, and hangs.
    """

    def submit(self, *args, **kwargs):
        """As of `concurrent.futures.Executor`; processes may be started by it."""
        with interrupts_wait():
            return super().submit(*args, **kwargs)


@contextlib.contextmanager
def process_pool(workers):
    """
    An executor of worker processes that ends at once when it is interrupted.

    Each process computes with one thread, unless the environment says otherwise: with
    a process a CPU, more threads only wait for each other.

    The processes are spawned, not forked: TensorFlow's threads don't survive a fork. So
    a script that uses this needs the guard ``if __name__ == "__main__":``.

    Parameters
    ----------
    workers : int
        Number of processes. With 1 no process is started.

    Yields
    ------
    executor : `WorkerPool` or None
        None with one worker: work is then best done in this process.
    """
    if workers == 1:
        yield None
        return
    before = set(multiprocessing.active_children())
    executor = WorkerPool(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=ignore_interrupt,
    )
    try:
        with _one_thread_each():
            yield executor
    except BaseException:
        # not to wait for the draws that are being simulated
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    executor.shutdown()


@contextlib.contextmanager
def _one_thread_each():
    unset = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))  # for processes started meanwhile
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


@contextlib.contextmanager
def interrupts_wait():
    """
    A context in which Ctrl-C waits until its end.

    Processes that are started in it never get to know of Ctrl-C, not even before they
    can call `ignore_interrupt`: what a thread blocks is blocked in its children.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupt():
    """Of a worker process: Ctrl-C reaches it too, but its parent ends it by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
