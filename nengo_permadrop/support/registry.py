"""Named units of one kind: our own, those that are registered, and entry points."""

import functools
import importlib
import sys
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
        What the units are, for messages.
    group : str
        Group of the entry points, such as "nengo_permadrop.backends". An entry point's
        name is the unit's, its object the unit.
    own : {str: str}, optional
        The package's own units by name: a module, whose import registers the unit;
        "module:name" for an object in one; or "module:" for the module itself.
    attr : str, optional
        The argument that messages are about; by default the kind.
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

    def __init__(self, kind, group, own=None, attr=None, prepare=None):
        self.kind = kind
        self.attr = kind if attr is None else attr
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
            origin = _origin(self._units[name]) if name in self._units else None
            if origin is None and name in self._own:
                origin = self._own[name].replace(":", ".")
                if _origin(unit).startswith(f"{origin}."):  # by the module's import
                    origin = None
            if origin not in (None, _origin(unit)):
                raise ValidationError(
                    f"there is a {self.kind} {name!r} already ({origin}); choose "
                    "another name",
                    attr=self.attr,
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
            if not isinstance(name, str):
                raise self._unknown(name)
            if name not in self._units:
                self._find(name)
            return self._units[name]

    def names(self):
        """Names of all units, installed or not: our own, registered, entry points."""
        with self._lock:
            entries = [entry.name for entry in self._entries()]
            return list(dict.fromkeys([*self._own, *self._units, *entries]))

    def __contains__(self, name):
        if not isinstance(name, str):
            return False
        return name in self._units or name in self._own or name in self.names()

    def _find(self, name):
        if name in self._own:
            path, colon, attribute = self._own[name].partition(":")
            module = importlib.import_module(path)
            if colon:
                self._units[name] = getattr(module, attribute) if attribute else module
            return
        for entry in self._entries():
            if entry.name == name:
                self._units[name] = self._prepare(entry.load())
                return
        raise self._unknown(name)

    def _unknown(self, name):
        return ValidationError(
            f"unknown {self.kind} {name!r}; there are {', '.join(self.names())}",
            attr=self.attr,
        )

    def _entries(self):
        return _entry_points(tuple(sys.path)).select(group=self.group)


@functools.lru_cache(maxsize=1)
def _entry_points(path):
    """All entry points of what is installed where Python looks, read once."""
    return metadata.entry_points()


def instance(unit):
    """An instance of a class; anything else is one already."""
    return unit() if isinstance(unit, type) else unit


def _origin(unit):
    """What a unit is, so that the same module may register it again."""
    kind = unit if hasattr(unit, "__qualname__") else type(unit)
    return f"{kind.__module__}.{kind.__qualname__}"
