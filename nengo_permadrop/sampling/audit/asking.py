"""How draws are got from a session: in batches, or row by row."""

import numpy as np

from nengo_permadrop.sampling.audit.subjects import n_rows, rows_of

# all rows twice in one batch, all rows, or one after the other
WAYS = ("twice", "together", "one by one")


def way_of(session, X):
    """
    The first of `WAYS` in which a session answers.

    Parameters
    ----------
    session : callable
        As `.subjects.Subject.session` gives it.
    X : array, list of arrays or dict

    Returns
    -------
    way : str

    Raises
    ------
    Exception
        What the session raised, if it answers in none.
    """
    errors = []
    for way in WAYS:
        try:
            draws_of(session, X, way, 1)
            return way
        except Exception as error:  # whatever models raise that take no such batch
            errors.append(error)
    raise errors[1]  # for the rows as they were given


def draws_of(session, X, way, n_draws):
    """
    Draws of a session.

    Parameters
    ----------
    session : callable
    X : array, list of arrays or dict
    way : str
        One of `WAYS`.
    n_draws : int

    Returns
    -------
    draws : (n_draws, n_rows, n_outputs) ndarray
        With all rows twice, the first ones first, if they are asked for so.
    """
    n = n_rows(X)
    if way == WAYS[0]:
        X = rows_of(X, np.concatenate([np.arange(n), np.arange(n)]))
    several = getattr(session, "several", None)
    if several is not None and way != WAYS[2]:
        # in some calls, as what is to be found may begin anew with each
        parts = [n_draws // 10 + (part < n_draws % 10) for part in range(10)]
        return np.concatenate([several(X, part) for part in parts if part])
    if way == WAYS[2]:
        rows = [rows_of(X, [number]) for number in range(n)]
        answers = [np.concatenate([session(r) for r in rows]) for _ in range(n_draws)]
    else:
        answers = [session(X) for _ in range(n_draws)]
    return np.stack(answers)
