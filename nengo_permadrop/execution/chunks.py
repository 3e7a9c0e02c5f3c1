"""The replicas of a problem, computed chunk by chunk, here or on an executor."""

import contextlib
import dataclasses
import logging
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    wait,
)

import numpy as np

from nengo_permadrop.execution.pool import WorkerPool
from nengo_permadrop.execution.workers import at_home, in_parts, receive, run_chunk
from nengo_permadrop.support.parcel import Parcel

logger = logging.getLogger(__name__)

# Most chunks that an executor has at a time, if it has fewer than half as many workers:
# each waits with its observations
_PENDING = 16


class Opened:
    """
    A problem whose chunks are being computed; a context manager.

    What is made for it is made when it is first needed, and kept until the end: a
    session in this process, or what sends the problem to workers.

    Parameters
    ----------
    engine : `.Backend`
    problem : `.Problem`

    Attributes
    ----------
    problem : `.Problem`
        With its ``chunk_size``, when that is known.
    """

    def __init__(self, engine, problem):
        self.engine = engine
        self.problem = problem
        self._stack = contextlib.ExitStack()
        self._session = None
        self._parcel = None

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return self._stack.__exit__(*exc_info)

    def session(self):
        """The session in this process."""
        if self._session is None:
            session = self.engine.session(self.problem)
            self._session = self._stack.enter_context(session)
        return self._session

    def parcel(self):
        """The problem as a parcel, which the threads of this process have."""
        if self._parcel is None:
            # any will do there; with the same, the parcel of other tables is the same
            zeros = [np.zeros_like(x[:1]) for x in self.problem.X]
            self._parcel = Parcel(dataclasses.replace(self.problem, X=zeros))
            self._stack.enter_context(at_home(self._parcel))
        return self._parcel

    def sizes(self, n_replicas, max_memory=None, checkpoint=None):
        """
        How many replicas a chunk has, and how many are computed at a time.

        Parameters
        ----------
        n_replicas : int
        max_memory, checkpoint
            As in `compute`.

        Returns
        -------
        size, part : int
        """

        def chosen():
            return self.engine.chunk_size(self.problem, max_memory, self.session)

        size = part = None
        if checkpoint is not None:
            size = checkpoint.fixed("chunk_size", chosen)
        if size is None or max_memory is not None:
            part = chosen()
        size = size or part
        part = min(part or size, size)
        if self.problem.chunk_size is None:
            most = min(part, n_replicas)
            self.problem = dataclasses.replace(self.problem, chunk_size=most)
        return size, part


def compute(
    opened,
    replicas,
    executor=None,
    progress=True,
    max_memory=None,
    checkpoint=None,
):
    """
    Compute the answers of replicas.

    Parameters
    ----------
    opened : `Opened`
    replicas : `.Replicas`
    executor, progress, max_memory
        As in `.sample`.
    checkpoint : `.Checkpoint`, optional
        Where the answers of chunks are stored and looked for. The size of the chunks is
        that of the run that made it.

    Returns
    -------
    answers : (n_replicas, n_outputs) ndarray
    """
    from tqdm.auto import tqdm

    size, part = opened.sizes(len(replicas), max_memory, checkpoint)
    chunks = {
        f"{start}-{min(start + size, len(replicas))}": replicas[start : start + size]
        for start in range(0, len(replicas), size)
    }
    answers = _stored(checkpoint, chunks)
    left = {name: chunk for name, chunk in chunks.items() if name not in answers}
    logger.info(
        "%d replicas on backend %s, in %d chunks of at most %d; %d are done already",
        len(replicas),
        opened.engine.name,
        len(chunks),
        size,
        len(answers),
    )
    with tqdm(
        total=len(replicas),
        initial=sum(len(chunks[name]) for name in answers),
        desc=f"Sampling ({opened.engine.name})",
        disable=not progress,
    ) as bar:
        done = (
            _in_this_process(opened, left, part)
            if executor is None
            else _in_executor(opened, left, part, executor)
        )
        with contextlib.closing(done):
            for name, answer in done:
                if checkpoint is not None:
                    checkpoint.save(name, answer)
                answers[name] = answer
                bar.update(len(chunks[name]))
    return np.concatenate([answers[name] for name in chunks])


def _stored(checkpoint, chunks):
    """The answers of chunks that a checkpoint has, by name."""
    if checkpoint is None:
        return {}
    done = checkpoint.done()
    answers = {name: checkpoint.load(name) for name in chunks if name in done}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _in_this_process(opened, chunks, part):
    """Yield (name, answers) of chunks."""
    for name, chunk in chunks.items():
        yield name, in_parts(opened.session(), chunk, part)


def _in_executor(opened, chunks, part, executor):
    """Yield (name, answers) of chunks as they are done."""
    parcel = opened.parcel()
    reference = parcel.reference()
    most = max(_PENDING, 2 * getattr(executor, "_max_workers", 0))
    left = list(reversed(chunks))
    pending, sending = {}, {}  # futures: names of chunks; workers that get the parcel
    before = {}  # workers that were sent the parcel: what was submitted before

    def submit(name):
        chunk = chunks[name].moved()
        future = executor.submit(run_chunk, opened.engine.name, reference, chunk, part)
        pending[future] = name

    try:
        while left or pending:
            # no more while workers wait for the parcel: they couldn't do it
            while left and not sending and len(pending) < most:
                submit(left.pop())
            done, _ = wait([*pending, *sending], return_when=FIRST_COMPLETED)
            # what is finished first, as what failed ends this
            for future in sorted(done, key=_failed):
                if future in sending:
                    _result(future, "the network")
                    del sending[future]
                    continue
                name = pending.pop(future)
                worker, answer = _result(future, f"replicas {name}")
                if answer is not None:
                    yield name, answer
                    continue
                left.append(name)
                if future not in before.get(worker, ()):
                    before[worker] = set(pending)
                    sending[_send(executor, worker, parcel)] = worker
    finally:  # an error or Ctrl-C: don't start what has not been started
        if not isinstance(executor, WorkerPool):  # which does that when it ends
            for future in [*pending, *sending]:
                future.cancel()


def _send(executor, worker, parcel):
    """Send a parcel to a worker, or to any where the executor doesn't let choose."""
    if hasattr(executor, "submit_to"):
        return executor.submit_to(worker, receive, parcel)
    return executor.submit(receive, parcel)


def _failed(future):
    return future.cancelled() or future.exception() is not None


def _result(future, what):
    """What a worker returned, or an error that says how to go on."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        raise BrokenExecutor(
            f"a worker was lost with {what}, and the executor can't go on "
            f"({type(error).__name__}: {error}). Was it killed for its memory? Give "
            "max_memory= or fewer workers. What sample(checkpoint=DIR) has finished is "
            "kept, and the same call goes on from it"
        ) from error
