"""The answers of onnx's reference evaluator, with masks that are given."""

import numpy as np

from nengo_permadrop.graph.dropouts import check_dropout, drop_terms
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Drop
from nengo_permadrop.sources.batches import in_batches
from nengo_permadrop.sources.onnx.convert import needed_calls, neutral
from nengo_permadrop.support.optional import require

_AVERAGES = {"GlobalMaxPool": "GlobalAveragePool", "MaxPool": "AveragePool"}

# Attributes of pooling that averages have, too
_KEPT = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


class OnnxForward:
    """
    The forward pass of an ONNX model: onnx's own operators, our masks.

    Dropout is replaced by a product with masks that are inputs; all else is computed as
    it is.

    Parameters
    ----------
    model : `.OnnxModel`
    dropout : {"permanent", "off", "all-off"} or {str: str}, optional
        As in `.Converter`.
    max_to_avg_pool : bool, optional
        Pool by averages where the model pools by the largest element.

    Attributes
    ----------
    title : str
        Whose answers these are, for messages.
    graph : `.ModelGraph`
    half : None
        It never computes in half precision.
    dropouts : list of (str, int, float)
        Path, number of units and rate of each permanent dropout, in the model's order.
    links : {str: str}
        As in `.ModelGraph`.
    kinds : list of (str, ndarray or None)
        Kind and groups of each of them, as in `.Drop`.
    """

    title = "onnx's reference evaluator"
    half = None

    def __init__(self, model, dropout="permanent", max_to_avg_pool=False):
        self.model = model
        self.graph, drops = neutral(model, max_to_avg_pool)
        self.links = dict(self.graph.links)
        check_dropout(dropout, self.graph.dropout_paths)
        operations = [each for each in self.graph.operations if isinstance(each, Drop)]
        self._drops = [
            (name, each, each.permanent_rate(dropout))
            for name, each in zip(drops, operations, strict=True)
        ]
        on = [(each, rate) for _, each, rate in self._drops if rate > 0]
        self.dropouts = [
            (each.path, self.graph.size(each.output), rate) for each, rate in on
        ]
        self.kinds = [(each.kind, each.groups) for each, _ in on]
        ends = {
            name: call.inputs[0]
            for call in needed_calls(model, model.constants())
            for name in call.outputs
            if name in self.links
        }
        proto = _with_masks(model.proto, drops, ends, self.graph.replaced)
        self._evaluator = require("onnx.reference").ReferenceEvaluator(proto)
        self._shapes = {
            name: self.graph.shapes[each.output] for name, each, _ in self._drops
        }

    def __call__(self, inputs, masks=None):
        """
        Answers for rows of inputs.

        Parameters
        ----------
        inputs : list of (n, ...) ndarray
            One an input of the model.
        masks : list of (n, units) ndarray, optional
            Which units are kept, for each of `dropouts`, or what they are multiplied
            by, as `.drawn_mask` has it; None drops nothing.

        Returns
        -------
        outputs : list of (n, ...) ndarray
            One an output of the model, before its link if it has one.
        """
        size = self.model.rows if self.model.fixed else None
        return in_batches(self._outputs, inputs, masks, size)

    def _outputs(self, inputs, masks):
        types = {
            each.name: each.type.tensor_type.elem_type
            for each in self.model.proto.graph.input
        }
        feeds = {}
        for (name, (_, *shape)), x in zip(self.model.inputs.items(), inputs):
            double = types[name] == 11
            x = np.asarray(x, np.float64 if double else np.float32)
            feeds[name] = x.reshape(-1, *shape)
        masks = None if masks is None else iter(masks)
        for name, drop, rate in self._drops:
            shape = (len(inputs[0]), *self._shapes[name])
            scale, shift = np.ones(shape), np.zeros(shape)
            if masks is not None and rate > 0:
                scale, given = drop_terms(drop.kind, rate, next(masks))
                shift = shift if given is None else given
            dtype = np.float64 if 11 in types.values() else np.float32
            for what, array in (("scale", scale), ("shift", shift)):
                feeds[f"{name}/{what}"] = array.reshape(shape).astype(dtype)
        try:
            return self._evaluator.run(None, feeds)
        except Exception as error:  # whatever it raises where it lacks something
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversionError(
                f"model {self.model}",
                f"can't be computed by {self.title} ({reason})",
                "It is converted without it; compare its answers with onnxruntime's",
            ) from error


def _with_masks(proto, drops, ends, replaced):
    """A copy of a model whose dropouts take masks as inputs, without its links."""
    onnx = require("onnx")
    changed = {}
    for name, taken in ends.items():
        changed[name] = [onnx.helper.make_node("Identity", [taken], [name])]
    for name, taken in drops.items():
        scaled = f"{name}/scaled"
        changed[name] = [
            onnx.helper.make_node("Mul", [taken, f"{name}/scale"], [scaled]),
            onnx.helper.make_node("Add", [scaled, f"{name}/shift"], [name]),
        ]
    for node in proto.graph.node:
        if node.op_type in _AVERAGES and replaced:
            kept = [each for each in node.attribute if each.name in _KEPT]
            average = onnx.NodeProto(
                op_type=_AVERAGES[node.op_type],
                input=node.input,
                output=node.output[:1],
                attribute=kept if node.op_type == "MaxPool" else [],
            )
            changed[node.output[0]] = [average]
        elif node.op_type == "BatchNormalization":
            changed[node.output[0]] = [_by_statistics(onnx, node)]
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.node[:]
    for node in _needed(proto, changed):
        copy.graph.node.append(node)
    taken = {name for node in copy.graph.node for name in node.input}
    kept = [each for each in proto.graph.input if each.name in taken]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    kind = 11 if any(each.type.tensor_type.elem_type == 11 for each in kept) else 1
    copy.graph.input.extend(
        onnx.helper.make_tensor_value_info(f"{name}/{what}", kind, None)
        for name in drops
        for what in ("scale", "shift")
    )
    return copy


def _by_statistics(onnx, node):
    """Batch normalisation by its statistics alone.

    Up to opset 13 the evaluator mixes them with those of the batch, unless all of the
    momentum is theirs (onnx 1.23.2).
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.attribute.extend(each for each in node.attribute if each.name != "momentum")
    copy.attribute.append(onnx.helper.make_attribute("momentum", 1.0))
    return copy


def _needed(proto, changed):
    """The nodes that outputs depend on, of which some are changed, in order."""
    needed, kept = {each.name for each in proto.graph.output}, []
    for node in reversed(proto.graph.node):
        if not needed.intersection(node.output):
            continue
        nodes = changed.get(node.output[0], [node])
        for each in reversed(nodes):
            needed.update(each.input)
        kept.append(nodes)
    return [each for nodes in reversed(kept) for each in nodes]
