"""
Nengo's precision, which NengoDL changes while it builds.

It is a setting of the process (``nengo.rc``), and Nengo reads it when it builds a
network and when it makes initial states. So threads that use Nengo and one that builds
on NengoDL take turns: else samples on one backend would depend on another.
"""

import contextlib
import threading

import nengo

_turn = threading.Condition()
_users = set()  # threads that rely on the precision as it is
_changers = []  # threads that change it (the first), or wait for their turn


@contextlib.contextmanager
def precision_stays():
    """A context in which no other thread's backend changes the precision."""
    thread = threading.get_ident()
    if thread in _users or thread in _changers:  # in such a context already
        yield
        return
    with _turn:
        while _changers:
            _turn.wait()
        _users.add(thread)
    try:
        yield
    finally:
        with _turn:
            _users.remove(thread)
            _turn.notify_all()


@contextlib.contextmanager
def precision_changes():
    """
    A context that may change the precision, which is set back at its end.

    It waits until others have ended; those that come later wait for it.
    """
    thread = threading.get_ident()
    with _turn:
        _changers.append(thread)
    try:
        with _turn:
            while _changers[0] != thread or _users - {thread}:
                _turn.wait()
        bits = nengo.rc.get("precision", "bits")
        try:
            yield
        finally:  # NengoDL doesn't, where it can't build a network
            nengo.rc.set("precision", "bits", bits)
    finally:
        with _turn:
            _changers.remove(thread)
            _turn.notify_all()
