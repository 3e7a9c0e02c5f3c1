"""Worker processes for draws that are simulated one by one."""

import contextlib
import multiprocessing.context
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, reduction, resource_tracker

from threadpoolctl import ThreadpoolController

# Read by libraries when a process loads them; by threadpoolctl's names for these
_BLAS_VARIABLES = {
    "openmp": "OMP_NUM_THREADS",
    "openblas": "OPENBLAS_NUM_THREADS",
    "mkl": "MKL_NUM_THREADS",
    "blis": "BLIS_NUM_THREADS",
}
_NUMBA_VARIABLE = "NUMBA_NUM_THREADS"
_MOST_WAITED = 5  # seconds for a thread that has nothing left to do
THREAD_VARIABLES = (*_BLAS_VARIABLES.values(), _NUMBA_VARIABLE)


def usable_cpus():
    """Number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # fewer than there are, on a cluster
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool(ProcessPoolExecutor):
    """
    The executor of `process_pool`, which cancels what is pending on its own.

    Nobody else must: where a process of the pool ends, Python 3.11's executor fails on
    futures that were cancelled before, and hangs.
    """

    def submit(self, *args, **kwargs):
        """As of `concurrent.futures.Executor`; processes may be started by it."""
        with interrupts_wait():
            return super().submit(*args, **kwargs)

    def processes(self):
        """Those that were started, a list of `multiprocessing.Process`."""
        return self._mp_context.started


@contextlib.contextmanager
def process_pool(workers):
    """
    An executor of worker processes that ends at once when it is interrupted.

    Each process computes with one thread, unless the environment says otherwise: with
    one process per CPU, more threads only wait for each other. (They limit themselves:
    the environment of this process, which its own threads may be reading, isn't
    touched.)

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
    context = _SpawnContext()
    executor = WorkerPool(workers, mp_context=context, initializer=_start_worker)
    try:
        yield executor
    except BaseException:
        # not to wait for the draws that are being simulated
        manager = getattr(executor, "_executor_manager_thread", None)
        executor.shutdown(wait=False, cancel_futures=True)
        context.terminate()
        if manager is not None:
            # When Python ends, it wakes this thread through a pipe, and fails if the
            # thread closes it just then
            manager.join(_MOST_WAITED)
        raise
    executor.shutdown(wait=False)
    context.join()


class _SpawnContext(multiprocessing.context.SpawnContext):
    """Spawns processes, and knows which: another thread may have started others."""

    def __init__(self):
        super().__init__()
        self.started = []

    def Process(self, *args, **kwargs):  # noqa: N802, the name is multiprocessing's
        """As of any context of multiprocessing."""
        process = super().Process(*args, **kwargs)
        self.started.append(process)
        return process

    def SimpleQueue(self):  # noqa: N802
        """As of any context; an executor gets its workers' results by it."""
        queue = super().SimpleQueue()
        if sys.platform != "win32":  # there, messages are sent as a whole
            own = _ResultReader(os.dup(queue._reader.fileno()), self)
            queue._reader.close()
            queue._reader, queue._poll = own, own.poll
        return queue

    def join(self):
        """
        Wait until all processes have ended.

        One that is killed may have held the lock of the queue that tells the others to
        end. The executor doesn't see that if it is shutting down, and would wait for
        them for ever.
        """
        while running := [each for each in self.started if each.is_alive()]:
            # Before it waits: a sentinel is ready a moment before there is an exit
            # code. What isn't running now has one; the end of what is, ends the wait.
            if any(process.exitcode for process in self.started):
                self.terminate()
            # a process that a worker has started may keep its sentinel from being ready
            connection.wait([process.sentinel for process in running], timeout=1)

    def terminate(self):
        """End the processes that still run."""
        for process in self.started:
            if process.is_alive():
                process.terminate()


class _ResultReader(connection.Connection):
    """
    The end of a pipe from processes of which one may be killed while it sends.

    The executor would wait for the rest of the message for ever: other processes, and
    this one, could still write to the pipe.
    """

    def __init__(self, handle, context):
        super().__init__(handle, writable=False)
        self._context = context

    def _recv(self, size):
        return super()._recv(size, read=self._read_or_raise)

    def _read_or_raise(self, handle, size):
        """Read a part of a message; EOFError if a process ended and nothing is left."""
        started = [each.sentinel for each in self._context.started if each.pid]
        if handle not in connection.wait([handle, *started]):
            raise EOFError("a process of the pool ended while it sent a result")
        return os.read(handle, size)


# in a worker, it is any connection
reduction.register(_ResultReader, connection.reduce_connection)


def _start_worker():
    ignore_interrupt()
    limit_threads(1)


def limit_threads(n_threads):
    """
    Limit the threads of BLAS, OpenMP and Numba in this process.

    What the environment says already, stays.

    Parameters
    ----------
    n_threads : int
        At least 1.
    """
    blas = {
        library: variable
        for library, variable in _BLAS_VARIABLES.items()
        if variable not in os.environ
    }
    # libraries that are loaded already, NumPy's at least
    controller = ThreadpoolController()
    for library in blas:
        controller.select(internal_api=library).limit(limits=n_threads)
    # those that will be
    os.environ.update(dict.fromkeys(blas.values(), str(n_threads)))
    if _NUMBA_VARIABLE not in os.environ:
        _limit_numba(n_threads)


def _limit_numba(n_threads):
    os.environ[_NUMBA_VARIABLE] = str(n_threads)
    if "numba" not in sys.modules:
        return
    numba = sys.modules["numba"]
    try:
        numba.config.reload_config()  # as it does whenever it compiles
    except RuntimeError:  # its threads run already: the variable may not change then
        del os.environ[_NUMBA_VARIABLE]
    numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))


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
    # multiprocessing starts its tracker with the first process or lock, and thereafter
    # this thread would get signals again, whatever was blocked before
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupt():
    """Of a worker process: Ctrl-C reaches it too, but its parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
