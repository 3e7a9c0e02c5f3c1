"""A program of PyTorch's operators as plain data, in memory or of a file."""

from dataclasses import dataclass, field, replace
from typing import Any

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators.rows import Node

# Operators whose result may be the same memory as their first argument
_VIEWS = frozenset("""
    alias chunk contiguous detach dropout expand expand_as feature_dropout flatten
    movedim narrow permute reshape select slice split split_with_sizes squeeze t to
    transpose unbind unflatten unsqueeze view view_as alpha_dropout
    feature_alpha_dropout _unsafe_view swapaxes
    """.split())

# Operators of sizes, and of Python, which are no part of a graph
_OF_SIZES = ("_operator.", "aten.sym_")


@dataclass(frozen=True)
class Ref:
    """What a node, or an input, gives: by its name."""

    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """
    One call of an operator.

    Attributes
    ----------
    name : str
        Of the node, unique.
    operator : str
        Without overload, and without the underscore of those that change their
        argument: "aten.relu".
    target : str
        As PyTorch has it, such as ``aten.relu_.default``.
    args : dict
        By the names of the operator's schema; `Ref` for what other nodes give.
    modules : tuple of (str, str, str)
        The modules' calls that it is in, from the outermost: a key that each call has
        for itself, the module's path, and its class.
    where : `.operators.rows.Node` or None
        What it is called in the graph; known once all of the program is.
    """

    name: str
    operator: str
    target: str
    args: dict
    modules: tuple = ()
    where: Any = None

    @property
    def changes(self):
        """Whether it changes its first argument in place."""
        name = self.target.split(".")[1] if "." in self.target else self.target
        return name.endswith("_") and not name.endswith("__") and name != "detach_"

    @property
    def module_class(self):
        """Class of the innermost module, without its package."""
        return self.modules[-1][2].rpartition(".")[2] if self.modules else ""

    def refs(self):
        """Names of what it takes."""
        return [each.name for each in _leaves(self.args) if isinstance(each, Ref)]


@dataclass
class Program:
    """
    A program.

    Attributes
    ----------
    inputs : {str: tuple of int}
        Shapes, with the axis of rows.
    constants : {str: ndarray}
        By the names of the nodes that stand for them.
    calls : list of `Call`
    outputs : {str: str}
        Names of the nodes that give them, or of inputs.
    rows : int
        Number of rows that it is for, or that it was followed with.
    """

    inputs: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    outputs: dict = field(default_factory=dict)
    rows: int = 1


def operator_of(target):
    """The name of an operator in the table, by what PyTorch calls it."""
    parts = target.removeprefix("torch.ops.").split(".")
    name = ".".join(parts[:2])
    return name.removesuffix("_") if not name.endswith("__") else name


def unique_names(names):
    """Names of outputs, made unique: numbered where they repeat."""
    found = []
    for name in names:
        repeats = sum(1 for each in found if each.partition("#")[0] == name)
        found.append(f"{name}#{repeats}" if repeats else name)
    return found


def mapped(item, function):
    """Nested arguments with a function of each leaf in its place."""
    if isinstance(item, dict):
        return {key: mapped(each, function) for key, each in item.items()}
    if isinstance(item, (list, tuple)):
        return [mapped(each, function) for each in item]
    return function(item)


def _leaves(item):
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, (list, tuple)):
        for each in item:
            yield from _leaves(each)
    else:
        yield item


def settled(program):
    """
    A program without what its outputs don't depend on, and without changes in place.

    Parameters
    ----------
    program : `Program`

    Returns
    -------
    program : `Program`
        Whose calls have their ``where``.

    Raises
    ------
    ConversionError
        If something is changed in place that another name still stands for.
    """
    calls, names, held = _without_changes(program)
    outputs = {key: names.get(name, name) for key, name in program.outputs.items()}
    needed, kept = set(outputs.values()), []
    for call in reversed(calls):
        if call.name in needed:
            kept.append(call)
            needed.update(call.refs())
        of_module = held.get(call.name) in program.constants
        if call.changes and call.name in needed and of_module:
            raise ConversionError(
                f"node '{call.name}' ({call.operator.partition('.')[2]})",
                f"changes '{held[call.name]}' of the module in place",
                "Compute a new tensor instead",
            )
    calls = _placed(kept[::-1])
    paths = {call.name: call.where.path for call in calls}
    outputs = {  # those without a name of their own have that of their node
        (
            paths.get(name, name) + key[len(given) :] if key.startswith(given) else key
        ): name
        for (key, given), name in zip(program.outputs.items(), outputs.values())
    }
    return replace(program, calls=calls, outputs=outputs)


def _without_changes(program):
    """Calls as functions: what is changed in place has a new name after it.

    Also the names, and what holds the memory of each call that may share it.
    """
    names, calls, held = {}, [], {}
    last_use = _last_uses(program)
    for number, call in enumerate(program.calls):
        args = mapped(
            call.args,
            lambda x: Ref(names.get(x.name, x.name)) if isinstance(x, Ref) else x,
        )
        first = next(iter(call.args.values()), None)
        first = first.name if isinstance(first, Ref) else None
        short = call.operator.partition(".")[2]
        if first is not None and (call.changes or short in _VIEWS):
            held[call.name] = held.get(first, first)
        if first is not None and call.changes:
            memory = held[call.name]
            others = {each for each in held if held[each] == memory} | {memory}
            used = {
                each
                for each in others - {first, call.name}
                if last_use.get(each, -1) > number
            }
            if used and memory not in program.constants:
                raise ConversionError(
                    f"node '{call.name}' ({short})",
                    "changes in place what is used elsewhere, too "
                    f"({', '.join(sorted(used))})",
                    "Use the operation that isn't in place (inplace=False)",
                )
            names[first] = call.name
        calls.append(replace(call, args=args))
    return calls, names, held


def _last_uses(program):
    """The number of the last call that takes each name; outputs are taken last."""
    found = {}
    for number, call in enumerate(program.calls):
        found.update(dict.fromkeys(call.refs(), number))
    found.update(dict.fromkeys(program.outputs.values(), len(program.calls)))
    return found


def _placed(calls):
    """Calls with the names that they have in the graph."""
    stacks = {call.name: call.modules for call in calls}
    uses = {}  # calls of each module in each call of what it is in
    for stack in stacks.values():
        outer = ""
        for key, path, _ in stack:
            uses.setdefault((outer, path), {}).setdefault(key, None)
            outer = key
    inside = {}  # calls of operators in each call of a module
    outer = {key for stack in stacks.values() for key, _, _ in stack[:-1]}
    for call in calls:
        if call.modules and not call.operator.startswith(_OF_SIZES):
            inside.setdefault(call.modules[-1][0], []).append(call.name)
    placed, taken = [], set()
    for call in calls:
        path, label = _path(call.modules, uses), call.operator.partition(".")[2]
        key = call.modules[-1][0] if call.modules else ""
        if path and key not in outer and len(inside.get(key, ())) <= 1:
            label = call.module_class  # the module is this operator
        else:  # one of several, named by its operator
            path = f"{path}.{label}" if path else label
        number = 0
        while (path, number) in taken:
            number += 1
        taken.add((path, number))
        path = f"{path}_{number}" if number else path
        placed.append(replace(call, where=Node(path, label, call.name)))
    return placed


def _path(stack, uses):
    """Path of a module's call: numbered where it is one of several."""
    path, outer, before = "", "", ""
    for key, module, _ in stack:
        if module:
            name = module.removeprefix(f"{before}.") if before else module
            keys = list(uses[outer, module])
            number = f"[{keys.index(key)}]" if len(keys) > 1 else ""
            path = f"{path}.{name}{number}" if path else f"{name}{number}"
            before = module
        outer = key
    return path
