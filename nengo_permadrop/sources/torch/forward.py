"""PyTorch's own answers, with masks that are given instead of drawn."""

import numpy as np

from nengo_permadrop.graph.dropouts import check_dropout, drop_terms
from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.graph.graph import Drop
from nengo_permadrop.sources.batches import in_batches
from nengo_permadrop.sources.torch.convert import neutral
from nengo_permadrop.sources.torch.exporting import constant_tensors, fixed_size
from nengo_permadrop.sources.torch.program import operator_of
from nengo_permadrop.support.optional import require


class TorchForward:
    """
    The forward pass of a module or exported program: PyTorch's operators, our masks.

    Every operator but dropout is called as it is, with the weights that the module has
    now.

    Parameters
    ----------
    model : `.TorchModel`
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

    title = "PyTorch"
    half = None

    def __init__(self, model, dropout="permanent", max_to_avg_pool=False):
        self.model = model
        self.graph = neutral(model.program, model.when, max_to_avg_pool)
        self.links = dict(self.graph.links)
        check_dropout(dropout, self.graph.dropout_paths)
        nodes = {call.where.path: call.name for call in model.program.calls}
        drops = [each for each in self.graph.operations if isinstance(each, Drop)]
        rates = [(each, each.permanent_rate(dropout)) for each in drops]
        self._drops = {nodes[drop.path]: (drop, rate) for drop, rate in rates}
        self.dropouts = [
            (drop.path, self.graph.size(drop.output), rate)
            for drop, rate in rates
            if rate > 0
        ]
        self.kinds = [(drop.kind, drop.groups) for drop, rate in rates if rate > 0]
        self._live = {call.name for call in model.program.calls}
        self._live.update(model.program.constants)  # some are computed of others
        self._averages = {
            call.name: call.operator
            for call in model.program.calls
            if call.where.path in self.graph.replaced and "max_pool" in call.operator
        }
        self._ends = set()
        for name in self.links:  # nodes that hand on what they get, as in the graph
            self._ends.add(model.program.outputs[name])

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
        size = _fixed_rows(self.model.exported)
        with require("torch").no_grad():
            return in_batches(self._outputs, inputs, masks, size)

    def _outputs(self, inputs, masks):
        torch = require("torch")
        exported, values = self.model.exported, {}
        weights = constant_tensors(exported)
        inputs = dict(zip(exported.graph_signature.user_inputs, inputs))
        masks = None if masks is None else iter(masks)
        device = next((each.device for each in weights.values()), None)

        def taken(item):
            return torch.fx.node.map_arg(item, lambda node: values[node.name])

        for node in exported.graph.nodes:
            if node.op == "placeholder":
                values[node.name] = weights.get(node.name)
                if node.name in inputs:
                    like = node.meta["val"]
                    rows = np.asarray(inputs[node.name]).reshape(-1, *like.shape[1:])
                    rows = torch.from_numpy(np.array(rows, dtype=float))
                    values[node.name] = rows.to(dtype=like.dtype, device=device)
            elif node.name in self._live:
                args, kwargs = taken(node.args), taken(node.kwargs)
                if node.name in self._ends:
                    values[node.name] = args[0]
                elif node.name in self._drops:
                    result = self._dropped(node.name, args[0], masks)
                    several = operator_of(str(node.target)) == "aten.native_dropout"
                    values[node.name] = (result, None) if several else result
                    if node.target._schema.is_mutable:
                        values[node.args[0].name] = result
                else:
                    values[node.name] = self._called(node, args, kwargs)
        return [
            values[name].detach().cpu().numpy()
            for name in exported.graph_signature.user_outputs
        ]

    def _dropped(self, name, value, masks):
        torch = require("torch")
        drop, rate = self._drops[name]
        if masks is None or rate == 0:
            return value.clone()  # which may be changed in place
        scale, shift = drop_terms(drop.kind, rate, next(masks))
        like = {"dtype": value.dtype, "device": value.device}
        result = value * torch.as_tensor(scale, **like).reshape(value.shape)
        if shift is None:
            return result
        return result + torch.as_tensor(shift, **like).reshape(value.shape)

    def _called(self, node, args, kwargs):
        if node.name in self._averages:
            return _average(self._averages[node.name], *args, **kwargs)
        return node.target(*args, **kwargs)


def _fixed_rows(exported):
    """Number of rows that a program is for, or None if it takes any."""
    name, *_ = exported.graph_signature.user_inputs
    (node,) = (each for each in exported.graph.nodes if each.name == name)
    return fixed_size(node.meta["val"].shape[0])


def _average(operator, x, size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """What pools by averages in place of an operator that pools by the largest."""
    functional = require("torch").nn.functional
    name = operator.partition(".")[2]
    several = name.endswith("_with_indices") or name.startswith("adaptive")
    rank = int(next(each for each in name if each.isdigit()))
    if name.startswith("adaptive"):
        result = getattr(functional, f"adaptive_avg_pool{rank}d")(x, size)
    elif np.any(np.array(dilation) != 1):
        raise ConversionError(
            f"operator {name}",
            f"has dilation={dilation}, with which PyTorch takes no averages",
            "Train the model with average pooling",
        )
    else:
        pool = getattr(functional, f"avg_pool{rank}d")
        result = pool(x, size, stride or size, padding, ceil_mode, False)
    return (result, None) if several else result
