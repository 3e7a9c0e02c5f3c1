"""The replicas of a problem, computed chunk by chunk, here or on an executor."""

import logging
from concurrent.futures import FIRST_COMPLETED, wait

import numpy as np

from nengo_permadrop.backends import get_backend
from nengo_permadrop.parcel import Parcel
from nengo_permadrop.pool import WorkerPool

logger = logging.getLogger(__name__)


def compute(engine, problem, replicas, executor=None, progress=True, max_memory=None):
    """
    Compute the answers of replicas.

    Parameters
    ----------
    engine : `.Backend`
    problem : `.Problem`
    replicas : `.Replicas`
    executor, progress, max_memory
        As in `.sample`.

    Returns
    -------
    answers : (n_replicas, n_outputs) ndarray
    """
    from tqdm.auto import tqdm

    size = engine.chunk_size(problem, max_memory)
    chunks = [replicas[start : start + size] for start in range(0, len(replicas), size)]
    logger.info(
        "%d replicas on backend %s, in %d chunks of at most %d",
        len(replicas),
        engine.name,
        len(chunks),
        size,
    )
    answers = [None] * len(chunks)
    with tqdm(
        total=len(replicas), desc=f"Sampling ({engine.name})", disable=not progress
    ) as bar:
        done = (
            _in_this_process(engine, problem, chunks)
            if executor is None
            else _in_executor(engine, problem, chunks, executor)
        )
        for number, answer in done:
            answers[number] = answer
            bar.update(len(chunks[number]))
    return np.concatenate(answers)


def _in_this_process(engine, problem, chunks):
    """Yield (number, answers) of chunks."""
    with engine.session(problem) as answer:
        for number, chunk in enumerate(chunks):
            yield number, answer(chunk)


def _in_executor(engine, problem, chunks, executor):
    """Yield (number, answers) of chunks as they are done."""
    parcel = Parcel(problem)
    futures = {
        executor.submit(_run_parcel, engine.name, parcel, chunk): number
        for number, chunk in enumerate(chunks)
    }
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield futures[future], future.result()
    finally:  # an error or Ctrl-C: don't start what has not been started
        if not isinstance(executor, WorkerPool):  # which does that when it ends
            for future in pending:
                future.cancel()


def _run_parcel(backend, parcel, replicas):
    # a function of the module, with the backend by name, so that processes can call it
    return get_backend(backend).run(parcel.content, replicas)
