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


def compute(
    engine,
    problem,
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
    engine : `.Backend`
    problem : `.Problem`
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

    size = part = None
    if checkpoint is not None:
        size = checkpoint.fixed(
            "chunk_size", lambda: engine.chunk_size(problem, max_memory)
        )
    if size is None or max_memory is not None:
        part = engine.chunk_size(problem, max_memory)
    size = size or part
    part = min(part or size, size)
    problem.chunk_size = min(part, len(replicas))
    chunks = {
        f"{start}-{min(start + size, len(replicas))}": replicas[start : start + size]
        for start in range(0, len(replicas), size)
    }
    answers = _stored(checkpoint, chunks)
    left = {name: chunk for name, chunk in chunks.items() if name not in answers}
    logger.info(
        "%d replicas on backend %s, in %d chunks of at most %d; %d are done already",
        len(replicas),
        engine.name,
        len(chunks),
        size,
        len(answers),
    )
    with tqdm(
        total=len(replicas),
        initial=sum(len(chunks[name]) for name in answers),
        desc=f"Sampling ({engine.name})",
        disable=not progress,
    ) as bar:
        done = (
            _in_this_process(engine, problem, left, part)
            if executor is None
            else _in_executor(engine, problem, left, part, executor)
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


def _in_this_process(engine, problem, chunks, part):
    """Yield (name, answers) of chunks."""
    if not chunks:
        return
    with engine.session(problem) as answer:
        for name, chunk in chunks.items():
            yield name, in_parts(answer, chunk, part)


def _in_executor(engine, problem, chunks, part, executor):
    """Yield (name, answers) of chunks as they are done."""
    parcel = Parcel(dataclasses.replace(problem, X=[]))
    reference = parcel.reference()
    most = max(_PENDING, 2 * getattr(executor, "_max_workers", 0))
    left = list(reversed(chunks))
    pending, sending = {}, {}  # futures: names of chunks; workers that get the parcel
    before = {}  # workers that were sent the parcel: what was submitted before

    def submit(name):
        chunk = chunks[name]
        rows, numbers = np.unique(chunk.observations, return_inverse=True)
        future = executor.submit(
            run_chunk,
            engine.name,
            reference,
            [x[rows] for x in problem.X],
            dataclasses.replace(chunk, observations=numbers),
            part,
        )
        pending[future] = name

    with at_home(parcel):  # for threads of this process
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
