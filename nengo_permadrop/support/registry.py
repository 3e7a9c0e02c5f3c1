"""Named units of one kind: our own, those that are registered, and entry points."""

import importlib
import threading
from importlib import metadata

from nengo.exceptions import ValidationError


class Registry:
    """
    Units of one kind by name.

    A unit is found in three places: what was given to `register`, the package's own
    modules, which are imported when they are first asked for, and entry points of
    installed packages.

    Parameters
    ----------
    kind : str
        What the units are, for messages; also the argument that messages are about.
    group : str
        Group of the entry points, such as "nengo_permadrop.backends". An entry point's
        name is the unit's, its object the unit.
    own : {str: str}, optional
        Modules of the package's own units by name. Importing one registers its unit.
    prepare : callable, optional
        Makes the unit of what an entry point gives, such as an instance of a class.

    Examples
    --------
    >>> from nengo_permadrop.support.registry import Registry
    >>> shapes = Registry("shape", "nengo_permadrop.example_shapes")
    >>> shapes.register("square", 4)
    >>> shapes.get("square"), shapes.names()
    (4, ['square'])
    """

    def __init__(self, kind, group, own=None, prepare=None):
        self.kind = kind
        self.group = group
        self._own = dict(own or {})
        self._prepare = prepare or (lambda unit: unit)
        self._units = {}
        self._lock = threading.RLock()

    def register(self, name, unit):
        """
        Make a unit known by a name.

        Parameters
        ----------
        name : str
        unit : object

        Raises
        ------
        nengo.exceptions.ValidationError
            If another unit has that name.
        """
        with self._lock:
            known = self._units.get(name)
            if known is not None and _origin(known) != _origin(unit):
                raise ValidationError(
                    f"there is a {self.kind} {name!r} already ({_origin(known)}); "
                    "choose another name",
                    attr=self.kind,
                )
            self._units[name] = unit

    def get(self, name):
        """
        The unit of a name.

        Parameters
        ----------
        name : str

        Returns
        -------
        unit : object

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is none.
        ImportError
            If what it needs is not installed.
        """
        with self._lock:
            if name not in self._units:
                self._find(name)
            return self._units[name]

    def names(self):
        """Names of all units, installed or not: our own, registered, entry points."""
        with self._lock:
            entries = [entry.name for entry in self._entries()]
            return list(dict.fromkeys([*self._own, *self._units, *entries]))

    def __contains__(self, name):
        return name in self.names()

    def _find(self, name):
        if name in self._own:
            importlib.import_module(self._own[name])
            return
        for entry in self._entries():
            if entry.name == name:
                self._units[name] = self._prepare(entry.load())
                return
        raise ValidationError(
            f"unknown {self.kind} {name!r}; there are {', '.join(self.names())}",
            attr=self.kind,
        )

    def _entries(self):
        return metadata.entry_points(group=self.group)


def _origin(unit):
    """What a unit is, so that the same module may register it again."""
    kind = unit if hasattr(unit, "__qualname__") else type(unit)
    return f"{kind.__module__}.{kind.__qualname__}"
