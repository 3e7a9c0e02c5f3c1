"""
What a worker keeps between chunks: the network, and what was built to simulate it.

To send a network with every chunk, and build it for each, may take longer than to
simulate it. So a chunk comes with the name of its network alone, and a worker that
doesn't have it says so.
"""

import atexit
import contextlib
import dataclasses
import os
import socket
import sys
import threading

import numpy as np

from nengo_permadrop.backends import get_backend

_lock = threading.Lock()
_problems = {}  # by key; only the last one, as they may be large
_idle = {}  # by key: sessions that no thread uses


def run_chunk(backend, reference, X, replicas, part):
    """
    Compute a chunk in a session that is kept for the next one.

    Parameters
    ----------
    backend : str
        Its name, as backends don't travel.
    reference : `.parcel.Reference`
        To a parcel of the problem, without its observations.
    X : list of (n_rows, size) ndarray
        The observations of this chunk, one array an input.
    replicas : `.Replicas`
        Their observations are rows of ``X``.
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
    if reference.parcel is not None:  # in the process that sent it
        problem = reference.parcel.content
    else:
        with _lock:
            problem = _problems.get(reference.key)
    if problem is None:
        return worker, None
    with _session(backend, reference.key, problem, X) as answer:
        return worker, in_parts(answer, replicas, part)


def receive(parcel):
    """
    Keep a problem for the chunks that follow, instead of any other.

    Parameters
    ----------
    parcel : `.Parcel`
        Of a problem, without its observations.
    """
    with _lock:
        if parcel.key in _problems:
            return
    release()
    content = parcel.content
    with _lock:
        _problems[parcel.key] = content


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
    Close sessions that are kept in this process, and forget their problem.

    Parameters
    ----------
    key : str, optional
        Of one problem; by default of all.
    """
    with _lock:
        keys = [key] if key is not None else list({*_problems, *_idle})
        sessions = [session for key in keys for session in _idle.pop(key, [])]
        for key in keys:
            _problems.pop(key, None)
    for session in sessions:
        session.close()


atexit.register(release)


def _own_name():
    """A name for this worker; in a Dask worker, its address."""
    if "distributed" in sys.modules:
        try:
            return sys.modules["distributed"].get_worker().address
        except ValueError:  # this process only uses a cluster, or the module
            pass
    return f"{socket.gethostname()}, process {os.getpid()}"


@contextlib.contextmanager
def _session(backend, key, problem, X):
    """A session of a problem for this thread alone, with these observations."""
    with _lock:
        idle = _idle.get(key)
        session = idle.pop() if idle else None
    if session is None:
        session = _Session(backend, problem, X)
    try:
        session.problem.X = X
        yield session.answer
    except BaseException:
        session.close()
        raise
    with _lock:
        _idle.setdefault(key, []).append(session)


class _Session:
    """A backend's session that stays open."""

    def __init__(self, backend, problem, X):
        # of its own: threads share the problem, but not the rows they are at
        self.problem = dataclasses.replace(problem, X=X)
        self._stack = contextlib.ExitStack()
        session = get_backend(backend).session(self.problem)
        self.answer = self._stack.enter_context(session)

    def close(self):
        self._stack.close()
