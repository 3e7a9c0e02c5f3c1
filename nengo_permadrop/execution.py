"""The replicas of a problem, computed chunk by chunk, here or on an executor."""

import contextlib
import logging
from concurrent.futures import FIRST_COMPLETED, wait

import numpy as np

from nengo_permadrop.backends import get_backend
from nengo_permadrop.parcel import Parcel

logger = logging.getLogger(__name__)


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
    parcel = Parcel(problem)
    futures = {
        executor.submit(_run_parcel, engine.name, parcel, chunk, part): name
        for name, chunk in chunks.items()
    }
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield futures[future], future.result()
    finally:  # an error or Ctrl-C: don't start what has not been started
        for future in pending:
            future.cancel()


def _run_parcel(backend, parcel, replicas, part):
    # a function of the module, with the backend by name, so that processes can call it
    with get_backend(backend).session(parcel.content) as answer:
        return in_parts(answer, replicas, part)


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
