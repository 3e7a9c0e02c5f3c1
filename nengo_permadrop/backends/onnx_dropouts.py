"""Dropout nodes of ONNX models, replaced by products with masks that are inputs."""

import math

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require

onnx = require("onnx")

# the domain of ONNX's own operators has two names
_OWN = ("", "ai.onnx")
# what else is random; it can't be seeded for each draw
_RANDOM = {
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
    *("RandomUniform", "RandomUniformLike"),
}
_FLOAT = onnx.TensorProto.FLOAT
_MASK = "nengo_permadrop_mask_{}"


def inputs_of(model):
    """
    Inputs that must be given, by name.

    Parameters
    ----------
    model : `onnx.ModelProto`

    Returns
    -------
    inputs : {str: `onnx.ValueInfoProto`}
        Without weights, and without what only says whether dropouts train, and at which
        rate.
    """
    weights = {each.name for each in model.graph.initializer}
    told = {
        name
        for node in model.graph.node
        if _is_dropout(node)
        for name in node.input[1:]
    }
    used = {
        name
        for node in model.graph.node
        for name in (node.input[:1] if _is_dropout(node) else node.input)
    }
    return {
        each.name: each
        for each in model.graph.input
        if each.name not in weights and each.name not in told - used
    }


def dropouts_of(model, told):
    """
    Dropout nodes that drop.

    Parameters
    ----------
    model : `onnx.ModelProto`
    told : {"permanent", "off", "all-off"}
        "off": only those that are in training mode in the file.

    Returns
    -------
    nodes : list of (int, float)
        Number of the node, and its rate, in the graph's order.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a rate isn't known, or the model is random in another way.
    """
    _check(model)
    constants = _constants(model)
    found = []
    for number, node in enumerate(model.graph.node):
        if not _is_dropout(node):
            continue
        rate = _rate(node, constants)
        on = told == "permanent" or (told == "off" and _trains(node, constants))
        if rate > 0 and on:
            found.append((number, rate))
    return found


def with_masks(model, told):
    """
    A model whose dropouts multiply by inputs.

    Parameters
    ----------
    model : `onnx.ModelProto`
    told
        As in `dropouts_of`.

    Returns
    -------
    model : `onnx.ModelProto`
        A copy with an input ``(n, units)`` of float32 for each dropout, which it takes
        for the shape of what is dropped.
    rates : {str: float}
        Of the dropouts, by the names of these inputs.
    """
    dropping = dict(dropouts_of(model, told))
    made = _bare(model)
    types = _element_types(model) if dropping else {}
    rates = {}
    for number, node in enumerate(model.graph.node):
        if number not in dropping:
            made.graph.node.extend(
                [node] if not _is_dropout(node) else _passed_on(node)
            )
            continue
        name = _MASK.format(len(rates))
        rates[name] = dropping[number]
        made.graph.input.append(
            onnx.helper.make_tensor_value_info(
                name, _FLOAT, [f"{name}_rows", f"{name}_units"]
            )
        )
        made.graph.node.extend(_product(node, name, types.get(node.input[0], _FLOAT)))
    return made, rates


def probing(model, told):
    """
    A model that drops nothing, and also gives what its dropouts get.

    Parameters
    ----------
    model, told
        As in `with_masks`.

    Returns
    -------
    model : `onnx.ModelProto`
    names : list of str
        Of the outputs that are what the dropouts get.
    """
    dropping = dropouts_of(model, told)
    made = _bare(model)
    names = []
    for node in model.graph.node:
        made.graph.node.extend([node] if not _is_dropout(node) else _passed_on(node))
    for order, (number, _) in enumerate(dropping):
        name = f"{_MASK.format(order)}_taken"
        taken = model.graph.node[number].input[0]
        made.graph.node.append(onnx.helper.make_node("Identity", [taken], [name]))
        made.graph.output.append(onnx.ValueInfoProto(name=name))
        names.append(name)
    return made, names


def _bare(model):
    """A copy without nodes, and without inputs that only dropouts took."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    kept = inputs_of(model)
    weights = {each.name for each in model.graph.initializer}
    inputs = [each for each in made.graph.input if each.name in {*kept, *weights}]
    del made.graph.input[:]
    made.graph.input.extend(inputs)
    return made


def _passed_on(node):
    """Nodes for a dropout that drops nothing."""
    nodes = [onnx.helper.make_node("Identity", node.input[:1], node.output[:1])]
    if len(node.output) > 1 and node.output[1]:
        nodes += _ones(node.input[0], node.output[1])
    return nodes


def _ones(x, mask):
    shape = f"{mask}_shape"
    value = onnx.helper.make_tensor("value", onnx.TensorProto.BOOL, [1], [True])
    return [
        onnx.helper.make_node("Shape", [x], [shape]),
        onnx.helper.make_node("ConstantOfShape", [shape], [mask], value=value),
    ]


def _product(node, mask, element_type):
    """Nodes for a dropout that multiplies by an input."""
    x, y = node.input[0], node.output[0]
    shape, shaped, typed = (f"{mask}_{part}" for part in ("shape", "shaped", "typed"))
    make = onnx.helper.make_node
    nodes = [
        make("Shape", [x], [shape]),
        make("Reshape", [mask, shape], [shaped]),
        make("Cast", [shaped], [typed], to=element_type),
        make("Mul", [x, typed], [y], name=node.name),
    ]
    if len(node.output) > 1 and node.output[1]:
        nodes.append(make("Cast", [shaped], [node.output[1]], to=onnx.TensorProto.BOOL))
    return nodes


def _element_types(model):
    """Types of values by name, as far as they are known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        each.name: each.type.tensor_type.elem_type
        for each in (*graph.value_info, *graph.input, *graph.output)
        if each.type.tensor_type.elem_type
    }


def _check(model):
    """Raise if a model is random in a way that no mask takes the place of."""
    for function in model.functions:
        if any(_is_dropout(node) or _is_random(node) for node in function.node):
            raise ValidationError(
                f"function '{function.name}' of the model holds random nodes; inline "
                "it (onnx.inliner.inline_local_functions) first",
                attr="model",
            )
    for node in model.graph.node:
        if _is_random(node):
            raise ValidationError(
                f"node '{node.name}' ({node.op_type}) draws random numbers that can't "
                "be given for each draw, unlike those of Dropout; sample a function "
                "that runs the model, with backend='function'",
                attr="model",
            )
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                if any(_is_dropout(each) or _is_random(each) for each in graph.node):
                    raise ValidationError(
                        f"node '{node.name}' ({node.op_type}) holds a graph with "
                        "random nodes, which can't be given masks; use "
                        "backend='function'",
                        attr="model",
                    )


def _is_dropout(node):
    return node.op_type == "Dropout" and node.domain in _OWN


def _is_random(node):
    return node.op_type in _RANDOM and node.domain in _OWN


def _constants(model):
    """Values that the file holds, by name."""
    found = {
        each.name: each for each in model.graph.initializer if math.prod(each.dims) == 1
    }
    for node in model.graph.node:
        if node.op_type == "Constant" and node.domain in _OWN:
            for attribute in node.attribute:
                found[node.output[0]] = onnx.helper.get_attribute_value(attribute)
    return found


def _value(name, constants):
    """A number that the file holds, or None."""
    value = constants.get(name)
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    return None if value is None or np.size(value) != 1 else np.ravel(value)[0]


def _rate(node, constants):
    attributes = {each.name: each.f for each in node.attribute}
    if "ratio" in attributes:
        return float(attributes["ratio"])
    if len(node.input) < 2 or not node.input[1]:
        return 0.5  # the operator's default
    rate = _value(node.input[1], constants)
    if rate is None or not 0 <= rate < 1:
        raise ValidationError(
            f"node '{node.name}' (Dropout) has a ratio ({node.input[1]}) that "
            + ("isn't in the file" if rate is None else f"is {rate}")
            + "; make it a constant from 0 to below 1",
            attr="model",
        )
    return float(rate)


def _trains(node, constants):
    """Whether a node's file says that it drops; an input that says so may."""
    if len(node.input) < 3 or not node.input[2]:
        return False
    value = _value(node.input[2], constants)
    return value is None or bool(value)
