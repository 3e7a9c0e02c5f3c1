"""Draws on a cluster of dask.distributed."""

import contextlib
import logging
import math
import os
import re
import signal
import threading
from concurrent.futures import Executor

from nengo.exceptions import ValidationError

from nengo_permadrop.execution.pool import (
    THREAD_VARIABLES,
    interrupts_wait,
    limit_threads,
    usable_cpus,
)
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.parcel import Reference

logger = logging.getLogger(__name__)

_SECONDS = 30  # to wait for a scheduler
_SENDING = threading.Lock()  # Dask's configuration is the process's
_NOT_TOO_LARGE = {"distributed.admin.large-graph-warning-threshold": 2**60}


class DaskExecutor(Executor):
    """
    The workers of a dask.distributed cluster, as an executor for `.sample`.

    A network travels to each worker once; it is then kept there with what was built to
    simulate it. What a worker had in work when it died is computed again by another, up
    to Dask's ``distributed.scheduler.allowed-failures`` times (3, if not set).

    Parameters
    ----------
    client : `distributed.Client`
        It stays open when the executor is shut down.

    Attributes
    ----------
    client : `distributed.Client`
    """

    def __init__(self, client):
        self.client = client
        # not "pure": Dask would take the answer of an equal call for it
        self._executor = client.get_executor(pure=False)

    @property
    def _max_workers(self):  # as of the executors in concurrent.futures
        return sum(self.client.nthreads().values())

    def submit(self, fn, /, *args, **kwargs):
        """Call a function on a worker, see `concurrent.futures.Executor.submit`."""
        for arg in args:
            if isinstance(arg, Reference):
                arg.__getstate__()  # an error here is raised; in Dask, it would hang
        return self._executor.submit(fn, *args, **kwargs)

    def submit_to(self, worker, fn, /, *args):
        """
        Call a function on one worker, or on another if that one is lost.

        Parameters
        ----------
        worker : str
            Its address.
        fn, *args
            As of `submit`.

        Returns
        -------
        future : `concurrent.futures.Future`
        """
        import dask

        # Dask warns of large arguments; but it is the network, and must go there
        with _SENDING, dask.config.set(_NOT_TOO_LARGE):
            return self._executor.submit(
                fn, *args, workers=[worker], allow_other_workers=True
            )

    def shutdown(self, wait=True, *, cancel_futures=False):
        """End, see `concurrent.futures.Executor.shutdown`."""
        self._executor.shutdown(wait=wait and not cancel_futures)


@contextlib.contextmanager
def dask_executor(address):
    """
    An executor of the workers at an address.

    Parameters
    ----------
    address : str
        ``"tcp://HOST:PORT"`` of a Dask scheduler, or ``"local:N"`` to start N worker
        processes on this machine, which end with the ``with`` block. These listen on
        127.0.0.1 alone, have no dashboard, and share the CPUs. A script that uses them
        needs the guard ``if __name__ == "__main__":``.

    Yields
    ------
    executor : `DaskExecutor`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the address is of another form.
    OSError
        If no scheduler answers there.
    ImportError
        If distributed is not installed.
    """
    local = re.fullmatch(r"local:([1-9]\d*)", address)
    if not local and not re.fullmatch(r"tcp://[^/\s]+:\d+", address):
        raise ValidationError(
            f"must be 'tcp://HOST:PORT' or 'local:N', got {address!r}", attr="dask"
        )
    distributed = require("distributed")
    with contextlib.ExitStack() as stack:
        if local:
            address, kill = stack.enter_context(_local_cluster(int(local[1])))
        client = stack.enter_context(
            distributed.Client(address, timeout=_SECONDS, set_as_default=False)
        )
        executor = DaskExecutor(client)
        try:
            if local:
                _limit_workers(client, max(1, usable_cpus() // int(local[1])))
            logger.info("%d threads of workers at %s", executor._max_workers, address)
            yield executor
            executor.shutdown()
        except BaseException:
            if local:
                kill()
            executor.shutdown(wait=False)
            raise


@contextlib.contextmanager
def _local_cluster(n_workers):
    """
    N processes; Ctrl-C is for this process alone.

    Yields
    ------
    address : str
    kill : callable
        It ends the processes, whatever they are at. From then on Dask logs nothing; all
        that it would tell of is that they ended. An error does this too, but only when
        it gets here, where clients have closed.
    """
    distributed = require("distributed")
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(contextlib.ExitStack())
        with interrupts_wait():  # which threads and processes that start here inherit
            cluster = distributed.LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                worker_class=_nanny_class(distributed.Nanny),
                host="127.0.0.1",
                protocol="tcp://",
                # what is left of the scheduler's web server, at any free port
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            )
            stack.callback(cluster.close)

        def kill():
            quiet.enter_context(_silent(math.inf))
            _kill_workers(cluster)

        try:
            yield cluster.scheduler_address, kill
        except BaseException:
            kill()
            raise
        # Dask lets less than warnings through again before its connections have closed
        quiet.enter_context(_silent(logging.WARNING))


def _kill_workers(cluster):
    """End a cluster's processes, which don't come again."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(nanny.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def _silent(level):
    """
    A context in which nothing of Dask's threads below a level is written to a log.

    Loggers have levels of their own, others come into being meanwhile, and a logger's
    filters are not for those below it; but handlers' filters are for all.
    """

    def audible(record):
        family = record.name.split(".")[0]
        of_dask = family in ("distributed", "tornado") or (
            family == "asyncio" and record.threadName == "IO loop"
        )
        return not of_dask or record.levelno >= level

    loggers = [logging.getLogger(), *list(logging.root.manager.loggerDict.values())]
    handlers = {h for one in loggers for h in getattr(one, "handlers", ())}
    if logging.lastResort:  # writes where no logger has a handler
        handlers.add(logging.lastResort)
    for handler in handlers:
        handler.addFilter(audible)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(audible)


def _nanny_class(base):
    """What starts a worker process, without a change to the environment of this one."""

    class Nanny(base):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            # Dask would write these to os.environ, for good; and those of threads again
            # in the worker, where `limit_threads` would take them for the user's
            for name, value in self.pre_spawn_env.items():
                if name in THREAD_VARIABLES and self.env.get(name) == value:
                    del self.env[name]
            self.pre_spawn_env = {}

    return Nanny


def _limit_workers(client, n_threads):
    """
    Give workers, also those that come later, so many threads each.

    Where chunks are cancelled, by an error or Ctrl-C, they don't warn of it.
    """

    class Limit(require("distributed").WorkerPlugin):
        name = "nengo-permadrop-threads"

        def setup(self, worker):
            limit_threads(n_threads)
            logging.getLogger("distributed.worker.state_machine").setLevel("ERROR")

    client.register_plugin(Limit())
