"""
What a worker keeps between chunks: networks, and what was built to simulate them.

To send a network with every chunk, and build it for each, may take longer than to
simulate it. So a chunk comes with the name of its network alone, and a worker that
doesn't have it says so.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading
import time

import numpy as np

from nengo_permadrop.backends.base import get_backend

# What a worker keeps of what it was sent, at most: so many problems, and so many bytes
# of their pickles (what is built from one takes a few times its bytes). The one that
# was used last is kept whatever its size.
MOST_PROBLEMS = 4
MOST_BYTES = 2**28
# Seconds for which one that has come isn't given up before it is used. (Else many calls
# at once could take each other's place for ever.)
GRACE = 60


def run_chunk(backend, reference, replicas, part):
    """
    Compute a chunk in a session that is kept for the next one.

    Parameters
    ----------
    backend : str
        Its name, as backends don't travel.
    reference : `.parcel.Reference`
        To a parcel of the problem.
    replicas : `.Replicas`
    part : int
        Most replicas to compute at a time.

    Returns
    -------
    worker : str
        Its name.
    answers : (n_replicas, n_outputs) ndarray or None
        None if this worker doesn't have the problem; `receive` gives it.
    """
    worker = _own_name()
    with _STORE.using(reference.key) as kept:
        if kept is None:
            return worker, None
        with kept.session(backend) as answer:
            return worker, in_parts(answer, replicas, part)


def receive(parcel):
    """
    Keep a problem for the chunks that follow.

    Others that are not in use make room for it, those first that were used the longest
    time ago. One that has come and has not been used yet counts as in use for a while.

    Parameters
    ----------
    parcel : `.Parcel`
        Of a problem.
    """
    if not _STORE.has(parcel.key):
        _STORE.add(parcel.key, parcel.content, parcel.n_bytes)


@contextlib.contextmanager
def at_home(parcel):
    """
    A context in which the threads of this process have a problem without receiving it.

    Parameters
    ----------
    parcel : `.Parcel`
        Of a problem.
    """
    key = parcel.key
    _STORE.add(key, parcel.content, n_bytes=0, pinned=True)
    try:
        yield
    finally:
        release(key)


def in_parts(answer, replicas, size):
    """
    The answers of replicas, with less memory than all of them take together.

    Parameters
    ----------
    answer : callable
        Of a backend's session.
    replicas : `.Replicas`
    size : int
        Most replicas to compute at a time.

    Returns
    -------
    answers : (n_replicas, n_outputs) ndarray
    """
    return np.concatenate(
        [
            answer(replicas[start : start + size])
            for start in range(0, len(replicas), size)
        ]
    )


def release(key=None):
    """
    Close sessions that are kept in this process, and forget their problems.

    A session that a thread uses is closed when it has been used.

    Parameters
    ----------
    key : str, optional
        Of one problem; by default of all.
    """
    _STORE.remove(key)


def _own_name():
    """A name for this worker; in a Dask worker, its address."""
    if "distributed" in sys.modules:
        try:
            return sys.modules["distributed"].get_worker().address
        except ValueError:  # this process only uses a cluster, or the module
            pass
    return f"{socket.gethostname()}, process {os.getpid()}"


class _Store:
    """The problems that a process keeps; its threads may use them at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self._kept = {}  # by key; what was used last is last

    def __len__(self):
        return len(self._kept)

    def has(self, key):
        """Whether there is a problem of this key."""
        with self._lock:
            return key in self._kept

    def add(self, key, problem, n_bytes, pinned=False):
        """
        Keep a problem.

        Parameters
        ----------
        key : str
        problem : `.Problem`
        n_bytes : int
            How much it counts.
        pinned : bool, optional
            Keep it until it is removed, and don't count it.
        """
        with self._lock:
            if key not in self._kept:  # two threads may have received it
                self._kept[key] = _Kept(problem, n_bytes, pinned)
            surplus = self._surplus()
        _close(surplus)

    @contextlib.contextmanager
    def using(self, key):
        """A context with what is kept under a key, which stays meanwhile; or None."""
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = kept
                kept.n_users += 1
                kept.is_new = False
        try:
            yield kept
        finally:
            surplus = []
            with self._lock:
                if kept is not None:
                    kept.n_users -= 1
                    surplus = self._surplus()  # if all were in use when one was added
            _close(surplus)

    def remove(self, key=None):
        """Forget one problem, or all, and close the sessions that nobody uses."""
        with self._lock:
            keys = list(self._kept) if key is None else [key]
            removed = [self._kept.pop(key) for key in keys if key in self._kept]
        _close(removed)

    def _surplus(self):
        """Take out what is too much; to be closed without the lock."""
        counted = {key: kept for key, kept in self._kept.items() if not kept.pinned}
        n, n_bytes = len(counted), sum(kept.n_bytes for kept in counted.values())
        surplus = []
        for key in list(counted)[:-1]:
            if n <= MOST_PROBLEMS and n_bytes <= MOST_BYTES:
                break
            if not counted[key].in_use():
                surplus.append(self._kept.pop(key))
                n, n_bytes = n - 1, n_bytes - counted[key].n_bytes
        return surplus


class _Kept:
    """
    A problem, and its sessions that no thread uses.

    Parameters
    ----------
    problem : `.Problem`
    n_bytes : int, optional
    pinned : bool, optional
        As of `_Store.add`.

    Attributes
    ----------
    n_users : int
        Chunks that are being computed; the store counts them.
    is_new : bool
        Whether it has never been used.
    released : bool
        Whether it isn't kept any more.
    """

    def __init__(self, problem, n_bytes=0, pinned=False):
        self.problem = problem
        self.n_bytes = n_bytes
        self.pinned = pinned
        self.n_users = 0
        self.is_new = True
        self.released = False
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._idle = []

    def in_use(self):
        """Whether a chunk is being computed, or about to come."""
        awaited = self.is_new and time.monotonic() - self._since < GRACE
        return self.n_users > 0 or awaited

    @contextlib.contextmanager
    def session(self, backend):
        """A session for this thread alone."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = _Session(backend, self.problem)
        try:
            yield session.answer
        except BaseException:
            session.close()
            raise
        with self._lock:
            keep = not self.released
            if keep:
                self._idle.append(session)
        if not keep:
            session.close()

    def close(self):
        """Close the idle sessions; those in use will be when they have been used."""
        with self._lock:
            self.released = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


def _close(removed):
    """Close all, also if some raise."""
    with contextlib.ExitStack() as stack:
        for kept in removed:
            stack.callback(kept.close)


class _Session:
    """A backend's session that stays open."""

    def __init__(self, backend, problem):
        self._stack = contextlib.ExitStack()
        session = get_backend(backend).session(problem)
        self.answer = self._stack.enter_context(session)

    def close(self):
        self._stack.close()


_STORE = _Store()
atexit.register(release)
if hasattr(os, "register_at_fork"):
    # a lock that another thread holds would be locked in the child for ever
    os.register_at_fork(after_in_child=_STORE.__init__)
