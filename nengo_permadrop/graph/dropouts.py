"""Which dropouts of a model are on at prediction time."""

import re
from collections.abc import Mapping

from nengo.exceptions import ValidationError

from nengo_permadrop.support.validation import check_choice

# When a dropout drops units at prediction time: always, never, or if plain dropout is
# said to be permanent
ALWAYS, NEVER, PLAIN = "always", "never", "plain"

# What can be said of a model's dropouts, and of one of them
CHOICES = ("permanent", "off", "all-off")
_OF_ONE = ("permanent", "off")


def is_permanent(path, when, dropout):
    """
    Whether a dropout drops units at prediction time.

    Parameters
    ----------
    path : str
        Of its layer, as in `.Operation`.
    when : {"always", "never", "plain"}
    dropout : {"permanent", "off", "all-off"} or {str: str}
        As in `.Converter`.

    Returns
    -------
    permanent : bool
    """
    if isinstance(dropout, Mapping):
        for name in (path, _without_numbers(path)):
            if name in dropout:
                return dropout[name] == "permanent"
        dropout = "permanent"
    if dropout == "all-off":
        return False
    return when == ALWAYS or (when == PLAIN and dropout == "permanent")


def check_dropout(dropout, paths):
    """
    Check what is said of a model's dropouts.

    Parameters
    ----------
    dropout : object
    paths : sequence of str
        Of all dropouts of the model.

    Returns
    -------
    dropout : str or {str: str}

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is none of the choices, or names a layer that isn't a dropout of the
        model.
    """
    if not isinstance(dropout, Mapping):
        check_choice(dropout, "dropout", CHOICES)
        return dropout
    known = {*paths, *map(_without_numbers, paths)}
    for name, choice in dropout.items():
        if name not in known:
            raise ValidationError(
                f"the model has no dropout layer {name!r}; it has "
                f"{', '.join(map(repr, dict.fromkeys(paths))) or 'none'}",
                attr="dropout",
            )
        check_choice(choice, f"dropout[{name!r}]", _OF_ONE)
    return dict(dropout)


def _without_numbers(path):
    """A path without the numbers of uses, which stands for all uses of a layer."""
    return re.sub(r"\[\d+\]", "", path)
