"""The targets that there are."""

from nengo_permadrop.support.registry import Registry, instance
from nengo_permadrop.targets.base import Target

_TARGETS = Registry(
    "target",
    "nengo_permadrop.targets",
    own={"loihi": "nengo_permadrop.targets.loihi.target"},
    prepare=instance,
)


def register_target(target_class):
    """Register a subclass of `.Target` under its name (a class decorator)."""
    _TARGETS.register(target_class.name, target_class())
    return target_class


def target_names():
    """Names of all targets, installed or not."""
    return _TARGETS.names()


def get_target(name):
    """
    A target by name.

    Parameters
    ----------
    name : str

    Returns
    -------
    target : `.Target`

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such target.
    """
    return _TARGETS.get(name)


register_target(Target)
