"""
Digests of networks and arrays that are the same in every process.

A pickle isn't: it depends on which equal strings happen to be one object, on the order
of sets, and on the protocol. Here objects are walked as pickle would walk them, and
what is found is hashed: numbers and arrays by value, objects that occur again by the
number of their first occurrence, classes and functions of installed packages by name.
Those of your own are hashed by what they do, see `digest`.
"""

import dis
import functools
import hashlib
import sys
import types
import warnings
from copyreg import dispatch_table
from pathlib import PurePath

import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import FrozenObject, Parameter

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
# always installed, even where they are being worked on: checkpoints have their versions
_PACKAGES = {
    "nengo",
    "nengo_dl",
    "nengo_loihi",
    "nengo_permadrop",
    "keras",
    "tensorflow",
    "jax",
    "torch",
}
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_DESCRIPTORS = (
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
# what can't be pickled, but has parts
_PARTS = {
    property: lambda obj: [obj.fget, obj.fset, obj.fdel],
    classmethod: lambda obj: [obj.__func__],
    staticmethod: lambda obj: [obj.__func__],
    functools.cached_property: lambda obj: [obj.func],
    types.MappingProxyType: lambda obj: [dict(obj)],
}
# of a class, what says nothing of what it does
_PASSED_OVER = {
    *("__annotations__", "__doc__", "__firstlineno__", "__module__", "__orig_bases__"),
    *("__abstractmethods__", "__annotate__", "__annotate_func__", "__parameters__"),
    *("__annotations_cache__", "__dict__", "__static_attributes__", "__weakref__"),
    "_abc_impl",
}


def digest(content):
    """
    A digest of what an object is made of.

    Functions and classes of installed packages (the standard library, this package,
    what is in ``site-packages``) count by their names. Of all others, such as those of
    a script, what they do counts: the code, defaults and closures of functions; the
    attributes, methods and bases of classes; and the module globals that their code
    refers to, by value, with the functions and classes among them. Comments, line
    numbers and docstrings of classes don't count. What is found in another way, by
    ``getattr``, in a file or the environment, isn't seen.

    Parameters
    ----------
    content : object
        A network, a problem, an array, or anything else that can be pickled; functions
        too.

    Returns
    -------
    digest : str
        SHA-256, in hexadecimal. The same for the same content, in any process of the
        same Python version; changes with every weight, parameter, connection and name.

    Raises
    ------
    nengo.exceptions.ValidationError
        If part of it holds something that has no content, like a lock or an open file.

    Warns
    -----
    UserWarning
        If a global or an attribute of a class holds such a thing. It counts by the name
        of its type alone.
    """
    return _Walk().digest(content)


class _Walk:
    """
    A walk through an object, without recursion: networks can be deep.

    What visits the parts of an object is a generator that yields them, one by one;
    `digest` holds the generators of all objects on the way to the present one.
    """

    def __init__(self, parent=None):
        self.hash = hashlib.sha256()
        self.numbers = {}  # by id, of objects in the order in which they were met
        self.alive = []  # so that no id is given to another object
        self.parent = parent

    def digest(self, content):
        way, error = [self.each("root", [content])], None
        while way:
            try:
                part = next(way[-1]) if error is None else way[-1].throw(error)
            except StopIteration:
                way.pop()
                error = None
                continue
            except ValidationError as raised:
                way.pop()
                error = raised
                continue
            try:
                parts, error = self.visit(part), None
            except ValidationError as raised:
                parts, error = None, raised
            if parts is not None:
                way.append(parts)
        if error is not None:
            raise error
        return self.hash.hexdigest()

    def add(self, kind, content=b""):
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        self.hash.update(f"{kind}:{len(content)}:".encode())
        self.hash.update(content)

    def visit(self, obj):
        """Add an object; an iterator over its parts, if it has any."""
        if isinstance(obj, _ATOMS):
            self.add(type(obj).__name__, obj if isinstance(obj, bytes) else repr(obj))
        elif isinstance(obj, (np.ndarray, np.generic)):
            return self.array(obj)
        elif isinstance(obj, np.dtype):
            self.add("dtype", repr(obj.descr))
        elif isinstance(obj, types.ModuleType):
            self.add("name", _name(obj))
        elif isinstance(obj, type) and _installed(obj.__module__):
            self.add("name", _name(obj))
        elif isinstance(obj, _DESCRIPTORS):
            self.add("name", f"{_name(obj.__objclass__)}.{obj.__name__}")
        elif isinstance(obj, types.CodeType):
            return self.code(obj)
        elif type(obj) is tuple:  # by value: Python may or may not share equal ones
            return self.each("tuple", obj)
        elif (found := self.found(obj)) is not None:
            self.add("again", found)
        else:
            self.numbers[id(obj)] = len(self.numbers)
            self.alive.append(obj)
            return self.compound(obj)
        return None

    def found(self, obj):
        """Where an object was met before, or None."""
        walk, level = self, 0
        while walk is not None:
            if id(obj) in walk.numbers:
                return f"{level} {walk.numbers[id(obj)]}"
            walk, level = walk.parent, level + 1
        return None

    def each(self, kind, items):
        items = list(items)
        self.add(kind, str(len(items)))
        yield from items

    def array(self, array):
        if array.dtype.hasobject:
            self.add("objects", str(np.shape(array)))
            return self.each("list", np.ravel(array).tolist())
        self.visit(array.dtype)
        self.add("shape", str(np.shape(array)))
        content = np.ascontiguousarray(array)
        self.hash.update(content.reshape(-1).view(np.uint8).data)
        return None

    def compound(self, obj):
        kind = type(obj)
        if kind is list:
            return self.each("list", obj)
        if kind in (set, frozenset):
            digests = sorted(_Walk(self).digest(item) for item in obj)
            self.add(kind.__name__, "".join(digests))
            return None
        if kind is dict:
            return self.dictionary(obj)
        if isinstance(obj, _FUNCTIONS):
            return self.function(obj)
        if isinstance(obj, type):
            return self.own_class(obj)
        if kind in _PARTS:
            return self.each(kind.__name__, _PARTS[kind](obj))
        if _has_parts_of_its_own(obj):
            return self.special(obj)
        return self.reduced(obj)

    def dictionary(self, mapping):
        items = list(mapping.items())
        if all(isinstance(key, (*_ATOMS, type)) for key in mapping):
            items.sort(key=lambda item: (type(item[0]).__name__, _key(item[0])))
        self.add("dict", str(len(items)))
        for key, value in items:
            yield key
            yield value

    def function(self, function):
        self.add("function", _name(function))
        if isinstance(function, types.FunctionType):
            yield function.__code__
            yield function.__defaults__
            yield function.__kwdefaults__
            yield from self.each("closure", _cells(function))
            if not _installed(function.__module__):
                yield from self.globals(function)
        elif not isinstance(function.__self__, types.ModuleType):
            yield function.__self__  # a method of a built-in type

    def globals(self, function):
        """What the code of a function takes from its module."""
        there = function.__globals__
        for name in sorted(_global_names(function.__code__)):
            if name in there:
                path = f"{_name(function)} uses {name}"
                attributes = _names(function.__code__)
                yield from self.outside(path, name, there[name], attributes)

    def outside(self, path, name, value, attributes=(), seen=()):
        """A global, or attribute of a class; of an own module, what is used of it."""
        self.add("outside", name)
        if isinstance(value, types.ModuleType) and not _installed(value.__name__):
            self.add("name", _name(value))
            if value in seen:
                return
            there = vars(value)
            for name in sorted(attributes & there.keys()):
                yield from self.outside(
                    f"{path}.{name}", name, there[name], attributes, (*seen, value)
                )
            return
        try:
            yield value
        except ValidationError:
            kind = _name(type(value))
            self.add("unknown", kind)
            warnings.warn(
                f"{path}, which holds a {kind}: a checkpoint can't tell whether it "
                "is another one the next time, as it can't be pickled",
                stacklevel=2,
            )

    def own_class(self, cls):
        """A class by its parts."""
        self.add("class", _name(cls))
        yield type(cls)
        yield from self.each("bases", cls.__bases__)
        for name, value in sorted(vars(cls).items()):
            if name not in _PASSED_OVER:
                yield from self.outside(f"{_name(cls)} has {name}", name, value)

    def code(self, code):
        self.add("code", code.co_code)
        self.add("handlers", getattr(code, "co_exceptiontable", b""))
        arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        self.add("arguments", str((*arguments, code.co_flags)))
        yield from self.each("names", _names(code, in_order=True))
        yield from self.each("constants", code.co_consts)

    def special(self, obj):
        """What could be pickled, but each time to something else."""
        self.add("object", _name(type(obj)))
        if isinstance(obj, Parameter):  # of Nengo; it knows all objects that have it
            known = ("data", "_defaults")  # of these objects, and of their classes
            yield {key: part for key, part in vars(obj).items() if key not in known}
        elif hasattr(obj, "py_func"):  # compiled by Numba
            yield obj.py_func
        else:  # of Keras
            yield obj.get_config()
            yield obj.get_weights()

    def reduced(self, obj):
        """An object as it would be pickled."""
        reduced = _reduced(obj)
        if isinstance(reduced, str):
            self.add("name", f"{type(obj).__module__}.{reduced}")
            yield getattr(obj, "__wrapped__", None)  # by functools.lru_cache
            return
        function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(obj, FrozenObject):  # what Nengo keeps of its last repr()
            state = {k: v for k, v in state.items() if k != "_FrozenObject__argreprs"}
        self.add("object", _name(type(obj)))
        yield function
        # not tuple by tuple: these are made again for each object
        yield from self.each("arguments", arguments)
        yield from self.each("state", state if type(state) is tuple else [state])
        yield from self.each("items", items or ())
        yield from self.each("pairs", [part for pair in pairs or () for part in pair])


def _reduced(obj):
    try:
        if type(obj) in dispatch_table:
            return dispatch_table[type(obj)](obj)
        return obj.__reduce_ex__(4)
    except Exception as error:  # whatever an object's own methods may raise
        raise ValidationError(
            f"has a part ({type(obj).__module__}.{type(obj).__qualname__}) that "
            f"can't be told from another, as it can't be pickled ({error}); a "
            "checkpoint must know its model again",
            attr="model",
        ) from error


def _has_parts_of_its_own(obj):
    if isinstance(obj, Parameter):
        return True
    package = type(obj).__module__.partition(".")[0]
    if package == "numba":
        return hasattr(obj, "py_func")
    return hasattr(obj, "get_config") and hasattr(obj, "get_weights")


@functools.cache
def _installed(module):
    """Whether a module, by name, is of an installed package."""
    package = str(module).partition(".")[0]
    if package in sys.stdlib_module_names or package in _PACKAGES:
        return True
    path = PurePath(getattr(sys.modules.get(module), "__file__", None) or "")
    return bool({"site-packages", "dist-packages"} & set(path.parts))


def _cells(function):
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield "empty"


def _names(code, in_order=False):
    """Names in a function's code; with those of functions within it, as a set."""
    names = [*code.co_names, *code.co_varnames, *code.co_freevars]
    if in_order:
        return names
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(names).union(*map(_names, inner))


def _global_names(code):
    """Names that a function's code, or functions within it, look up in its module."""
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return names.union(*map(_global_names, inner))


def _name(obj):
    if isinstance(obj, types.ModuleType):
        return obj.__name__
    return f"{obj.__module__}.{obj.__qualname__}"


def _key(key):
    return _name(key) if isinstance(key, type) else repr(key)
