"""Answers of models that take a fixed number of rows at a time."""

import numpy as np


def in_batches(answer, inputs, masks, size):
    """
    Answers for any number of rows, by what takes so many at a time.

    Parameters
    ----------
    answer : callable
        ``answer(inputs, masks) -> list of (size, ...) ndarray``.
    inputs : list of (n, ...) ndarray
    masks : list of (n, units) ndarray or None
    size : int or None
        Number of rows, of which those that are missing are 0; None takes all at once.

    Returns
    -------
    outputs : list of (n, ...) ndarray
    """
    n = len(inputs[0])
    size = size or n
    parts = []
    for start in range(0, n, size):
        part = slice(start, start + size)
        given = None if masks is None else [_rows(m[part], size) for m in masks]
        answers = answer([_rows(x[part], size) for x in inputs], given)
        parts.append([y[: n - start] for y in answers])
    return [np.concatenate(each) for each in zip(*parts)]


def _rows(array, size):
    """An array with rows of 0 behind it, of as many rows as are needed."""
    missing = size - len(array)
    if not missing:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
