"""
`.PermanentDropout` and `.SoftLIF` on NengoDL; importing this package installs them.

With it, dropout in a `nengo_dl.Simulator` is an operator of its own: the weights that
``sim.fit`` trains are those without dropout, masks are new for every item of every
training batch, ``redraw`` works, and each item of a minibatch may have masks of its
own: `set_masks` gives them. As a simulator is made, all items have the same.
``sim.freeze_params`` keeps the dropout.

Without it, NengoDL takes the masked weights as constants: enough to simulate a network,
but training would train the masked weights.
"""

import nengo_permadrop.dl.op_builders  # noqa: F401  (registers the operators)
from nengo_permadrop.dl.neurons import SoftLIFBuilder
from nengo_permadrop.dl.params import get_nengo_params
from nengo_permadrop.dl.state import mask_values, set_initial, set_masks
from nengo_permadrop.dl.transforms import build_permanent_dropout, input_dropouts
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.neurons.softlif import SoftLIF
from nengo_permadrop.support.optional import require

__all__ = [
    "input_dropouts",
    "install",
    "mask_values",
    "set_initial",
    "set_masks",
    "uninstall",
]

_nengo_dl = require("nengo_dl")
_NEURONS = _nengo_dl.neuron_builders.SimNeuronsBuilder.TF_NEURON_IMPL
_TRANSFORMS = _nengo_dl.builder.NengoBuilder.builders


def install():
    """
    Tell NengoDL how to build our transform and neuron type.

    Called when this package or the backend "nengo_dl" is imported; calling it again
    changes nothing. Networks in simulators that exist already stay as they were built.
    ``get_nengo_params``, and with it ``freeze_params``, is replaced in all simulators
    by one that knows dropout.
    """
    _TRANSFORMS[PermanentDropout] = build_permanent_dropout
    _NEURONS[SoftLIF] = SoftLIFBuilder
    _nengo_dl.Simulator.get_nengo_params = get_nengo_params


def uninstall():
    """Undo `install`: NengoDL builds our types as if it didn't know them."""
    _TRANSFORMS.pop(PermanentDropout, None)
    _NEURONS.pop(SoftLIF, None)
    _nengo_dl.Simulator.get_nengo_params = get_nengo_params.__wrapped__


install()
