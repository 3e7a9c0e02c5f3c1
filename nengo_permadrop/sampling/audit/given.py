"""What an audit is given: observations, and a reference."""

import sys

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sampling.audit.opening import subject_of
from nengo_permadrop.sampling.audit.subjects import listed, rows_of
from nengo_permadrop.sampling.sampler import sample
from nengo_permadrop.support.validation import check_real_array

_MOST_ROWS = 50


def told_of(model):
    """
    Which dropouts of a model are meant to be on.

    Parameters
    ----------
    model : object

    Returns
    -------
    told : str
        As ``dropout`` of `.sample`: those that are on by themselves at prediction time,
        or all, of a module some of whose dropouts are in training mode.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return "off"  # none but those that always are
    kinds = torch.nn.modules.dropout._DropoutNd
    modes = [x.training for x in model.modules() if isinstance(x, kinds) and x.p > 0]
    return "permanent" if any(modes) else "off"


def some_rows(X):
    """
    At most 50 observations, evenly spaced.

    Parameters
    ----------
    X : array_like, list of array_like or dict

    Returns
    -------
    X : ndarray, list of ndarray or dict
        Of the types that were given.
    rows : ndarray of int
        Which ones they are.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they aren't finite real numbers, as many of each input.
    """
    arrays = listed(X) if _holds_inputs(X) else [X]
    arrays = [np.asarray(check_real_array(x, "X")) for x in arrays]
    kept = [np.asarray(x) for x in (listed(X) if _holds_inputs(X) else [X])]
    for x in arrays:
        if x.ndim < 2 or len(x) == 0 or len(x) != len(arrays[0]):
            raise ValidationError(
                "must be arrays of shape (n_observations, ...), of as many "
                "observations each; got "
                f"{', '.join(str(np.shape(each)) for each in arrays)}",
                attr="X",
            )
        if not np.isfinite(x).all():
            raise ValidationError("must be finite", attr="X")
    n = len(arrays[0])
    rows = np.linspace(0, n - 1, min(n, _MOST_ROWS)).astype(int)
    if isinstance(X, dict):
        given = dict(zip(X, kept))
    else:
        given = kept if _holds_inputs(X) else kept[0]
    return rows_of(given, rows), rows


def _holds_inputs(X):
    """Whether these are several inputs, in a list or by name."""
    if isinstance(X, dict):
        return True
    return isinstance(X, (list, tuple)) and any(np.ndim(x) >= 2 for x in X)


def reference_values(reference, rows):
    """
    Draws that are given as a reference.

    Parameters
    ----------
    reference : object
    rows : ndarray of int
        The observations that are used.

    Returns
    -------
    values : (n_draws, n_rows, n_outputs) ndarray or None
        None if it isn't samples nor an array, but something that must be asked.
    """
    if isinstance(reference, PredictiveSamples):
        return reference.values[:, rows]
    if isinstance(reference, (np.ndarray, list)):
        values = check_real_array(reference, "reference")
        values = values[..., np.newaxis] if values.ndim == 2 else values
        if values.ndim != 3 or len(values) < 2 or not np.isfinite(values).all():
            raise ValidationError(
                "must be finite draws of shape (n_draws, n_observations, n_outputs); "
                f"got shape {np.shape(reference)}",
                attr="reference",
            )
        if values.shape[1] <= rows[-1]:
            raise ValidationError(
                f"has {values.shape[1]} observations, which aren't those of X",
                attr="reference",
            )
        return values[:, rows]
    return None


def draws_of_reference(reference, X, n_draws, seed):
    """
    Draws of a model or function that is the reference, with dropout surely on.

    Parameters
    ----------
    reference : object
    X : ndarray, list of ndarray or dict
    n_draws, seed : int

    Returns
    -------
    values : (n_draws, n_rows, n_outputs) ndarray
    name : str
        What to call it.
    """
    subject = subject_of(reference)
    backend = subject.backend
    if backend is None:
        backend = "function"
        if subject.kind != backend:
            raise ValidationError(
                f"is {subject.title}, from which draws can't be had surely; give its "
                "samples, or a function",
                attr="reference",
            )
    samples = sample(reference, X, n_draws, backend=backend, seed=seed, progress=False)
    return samples.values, subject.title
