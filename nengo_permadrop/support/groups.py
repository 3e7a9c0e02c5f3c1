"""Groups of units that are dropped together."""

import numpy as np
from nengo.exceptions import ValidationError


def check_groups(groups, n_units, obj=None):
    """
    Check which units are dropped together.

    Parameters
    ----------
    groups : array_like of int or None
    n_units : int
    obj : object, optional
        What the error names.

    Returns
    -------
    groups : (n_units,) ndarray of int64 or None

    Raises
    ------
    nengo.exceptions.ValidationError
        If there isn't one integer a unit, or one is negative.
    """
    if groups is None:
        return None
    found = np.asarray(groups)
    if found.shape != (n_units,) or found.dtype.kind not in "iu":
        raise ValidationError(
            f"must be the number of each input's group, {n_units} integers; got an "
            f"array of shape {found.shape} and type {found.dtype}",
            attr="groups",
            obj=obj,
        )
    if found.min(initial=0) < 0 or found.max(initial=0) >= 2**63:
        raise ValidationError(
            f"numbers of groups must be from 0 to 2**63 - 1, got {found.min()} to "
            f"{found.max()}",
            attr="groups",
            obj=obj,
        )
    return found.astype(np.int64)
