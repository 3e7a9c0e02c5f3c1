"""
Digests of networks and arrays that are the same in every process.

A pickle isn't: it depends on which equal strings happen to be one object, on the order
of sets, and on the protocol. Here objects are walked as pickle would walk them, and
what is found is hashed: types by name, numbers and arrays by value, objects that occur
again by the number of their first occurrence.
"""

import hashlib
import types
from copyreg import dispatch_table

import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import FrozenObject

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)


def digest(content):
    """
    A digest of what an object is made of.

    Parameters
    ----------
    content : object
        A network, a problem, an array, or anything else that can be pickled; functions
        too, which are told apart by their code, defaults and closures.

    Returns
    -------
    digest : str
        SHA-256, in hexadecimal. The same for the same content, in any process of the
        same Python version; changes with every weight, parameter, connection and name.

    Raises
    ------
    nengo.exceptions.ValidationError
        If part of it holds something that has no content, like a lock or an open file.
    """
    walk = _Walk()
    walk.visit(content)
    return walk.hash.hexdigest()


class _Walk:
    def __init__(self):
        self.hash = hashlib.sha256()
        self.numbers = {}  # by id, of objects in the order in which they were met
        self.alive = []  # so that no id is given to another object

    def add(self, kind, content=b""):
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        self.hash.update(f"{kind}:{len(content)}:".encode())
        self.hash.update(content)

    def visit(self, obj):
        if isinstance(obj, _ATOMS):
            self.add(type(obj).__name__, obj if isinstance(obj, bytes) else repr(obj))
        elif isinstance(obj, (np.ndarray, np.generic)):
            self.array(obj)
        elif isinstance(obj, np.dtype):
            self.add("dtype", repr(obj.descr))
        elif isinstance(obj, (type, types.ModuleType)):
            self.add("name", _name(obj))
        elif isinstance(obj, types.CodeType):
            self.code(obj)
        elif type(obj) is tuple:  # by value: Python may or may not share equal ones
            self.each("tuple", obj)
        elif id(obj) in self.numbers:
            self.add("again", str(self.numbers[id(obj)]))
        else:
            self.numbers[id(obj)] = len(self.numbers)
            self.alive.append(obj)
            self.compound(obj)

    def each(self, kind, items):
        items = list(items)
        self.add(kind, str(len(items)))
        for item in items:
            self.visit(item)

    def array(self, array):
        if array.dtype.hasobject:
            self.add("objects", str(np.shape(array)))
            self.each("list", np.ravel(array).tolist())
            return
        self.visit(array.dtype)
        self.add("shape", str(np.shape(array)))
        content = np.ascontiguousarray(array)
        self.hash.update(content.reshape(-1).view(np.uint8).data)

    def compound(self, obj):
        kind = type(obj)
        if kind is list:
            self.each("list", obj)
        elif kind in (set, frozenset):
            self.add(kind.__name__, "".join(sorted(map(digest, obj))))
        elif kind is dict:
            self.dictionary(obj)
        elif isinstance(obj, _FUNCTIONS):
            self.function(obj)
        else:
            self.reduced(obj)

    def dictionary(self, mapping):
        items = list(mapping.items())
        if all(isinstance(key, (*_ATOMS, type)) for key in mapping):
            items.sort(key=lambda item: (type(item[0]).__name__, _key(item[0])))
        self.add("dict", str(len(items)))
        for key, value in items:
            self.visit(key)
            self.visit(value)

    def function(self, function):
        self.add("function", _name(function))
        if isinstance(function, types.FunctionType):
            cells = [cell.cell_contents for cell in function.__closure__ or ()]
            self.visit(function.__code__)
            self.visit(function.__defaults__)
            self.visit(function.__kwdefaults__)
            self.each("closure", cells)
        elif not isinstance(function.__self__, types.ModuleType):
            self.visit(function.__self__)  # a method of a built-in type

    def code(self, code):
        self.add("code", code.co_code)
        self.each("names", [*code.co_names, *code.co_varnames, *code.co_freevars])
        self.each("constants", code.co_consts)

    def reduced(self, obj):
        """An object as it would be pickled."""
        try:
            if type(obj) in dispatch_table:
                reduced = dispatch_table[type(obj)](obj)
            else:
                reduced = obj.__reduce_ex__(4)
        except Exception as error:  # whatever an object's own methods may raise
            raise ValidationError(
                f"has a part ({type(obj).__module__}.{type(obj).__qualname__}) that "
                f"can't be told from another, as it can't be pickled ({error}); a "
                "checkpoint must know its model again",
                attr="model",
            ) from error
        if isinstance(reduced, str):
            self.add("name", f"{type(obj).__module__}.{reduced}")
            return
        function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(obj, FrozenObject):  # what Nengo keeps of its last repr()
            state = {k: v for k, v in state.items() if k != "_FrozenObject__argreprs"}
        self.add("object", _name(type(obj)))
        self.visit(function)
        # not tuple by tuple: these are made anew for each object
        self.each("arguments", arguments)
        self.each("state", state if type(state) is tuple else [state])
        self.each("items", items or ())
        self.each("pairs", [part for pair in pairs or () for part in pair])


def _name(obj):
    if isinstance(obj, types.ModuleType):
        return obj.__name__
    return f"{obj.__module__}.{obj.__qualname__}"


def _key(key):
    return _name(key) if isinstance(key, type) else repr(key)
