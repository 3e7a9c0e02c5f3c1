"""Inputs that differ between replicas."""

import nengo
import numpy as np
from nengo.builder.operator import Reset
from nengo.exceptions import ValidationError
from nengo.processes import PresentInput
from nengo.utils.numpy import is_array_like

from nengo_permadrop.dropout.clock import redraw_index
from nengo_permadrop.support.validation import check_real_array


class ReplicaInput:
    """
    What a Node outputs in each replica, instead of what it was made with.

    Parameters
    ----------
    node : `nengo.Node`
        With an array or a `nengo.processes.PresentInput` as its output, or without
        output and without connections into it.
    values : array_like
        ``(n_replicas, size_out)``, or for a `nengo.processes.PresentInput`
        ``(n_replicas, n_presentations, size_out)``.
    n_replicas : int

    Raises
    ------
    nengo.exceptions.ValidationError
        If the Node can't be overridden, or the values don't fit it or aren't finite.
    """

    def __init__(self, node, values, n_replicas):
        self.node = node
        if not isinstance(node, nengo.Node):
            raise ValidationError(
                f"inputs are given by Node; {node!r} is not a Node", attr="inputs"
            )
        self.values = check_real_array(values, "inputs", f"the input of {node}")
        output = node.output
        if not (
            isinstance(output, PresentInput) or output is None or is_array_like(output)
        ):
            raise ValidationError(
                f"{node} can't be given an input a replica: its output is {output!r}. "
                "Use a Node whose output is an array or a PresentInput",
                attr="inputs",
            )
        self.presentation_time = getattr(output, "presentation_time", None)
        shape = (n_replicas, node.size_out)
        if self.presentation_time is not None and self.values.ndim > 2:
            shape = (n_replicas, self.values.shape[1], node.size_out)
        if self.values.shape != shape or 0 in self.values.shape:
            layout = "(n_replicas, size_out)"
            if self.presentation_time is not None:
                layout = f"{layout} or (n_replicas, n_presentations, size_out)"
            raise ValidationError(
                f"the input of {node} must have shape {layout}, here {shape}; got "
                f"{self.values.shape}",
                attr="inputs",
            )
        if not np.all(np.isfinite(self.values)):
            raise ValidationError(
                f"the input of {node} must be finite numbers", attr="inputs"
            )

    def at(self, time, dt):
        """The values ``(n_replicas, size_out)`` for the step that ends at ``time``."""
        if self.values.ndim == 2:
            return self.values
        return self.values[:, self.index(time, dt)]

    def index(self, time, dt):
        """The number of the presentation in the step that ends at ``time``."""
        if self.values.ndim == 2:
            return 0
        number = presentation(time, dt, self.presentation_time)
        return number % self.values.shape[1]


def presentation(time, dt, seconds):
    """The number of the presentation in the step that ends at a time, as in Nengo."""
    return redraw_index(time, dt, seconds)


def check_inputs(inputs, model, n_replicas):
    """
    Check the ``inputs`` of a simulator against its model.

    Parameters
    ----------
    inputs : dict or None
        Arrays by Node, see `.ReplicaInput`.
    model : `nengo.builder.Model`
        The built model.
    n_replicas : int or None

    Returns
    -------
    checked : dict
        `.ReplicaInput` by the signal of the Node's output.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there are inputs but no replicas, or a Node is not in the model, has
        connections into it, or its input doesn't fit.
    """
    if not inputs:
        return {}
    if n_replicas is None:
        raise ValidationError(
            "inputs per replica need n_replicas; without it, give the Node itself its "
            "output",
            attr="inputs",
        )
    checked = {}
    for node, values in inputs.items():
        source = ReplicaInput(node, values, n_replicas)
        signal = model.sig[node].get("out") if node in model.sig else None
        if signal is None:
            raise ValidationError(f"{node} is not in the network", attr="inputs")
        writers = [op for op in model.operators if _writes(op, signal)]
        if node.output is None and not all(isinstance(op, Reset) for op in writers):
            raise ValidationError(
                f"{node} has connections into it, so it can't be given an input",
                attr="inputs",
            )
        checked[signal] = source
    return checked


def _writes(op, signal):
    written = op.sets + op.incs + op.updates
    return any(other.may_share_memory(signal) for other in written)
