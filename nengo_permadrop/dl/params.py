"""Trained parameters of dropout connections, for networks that keep their dropout."""

import functools

import numpy as np
from nengo import Connection
from nengo.exceptions import ValidationError
from nengo.solvers import NoSolver

from nengo_permadrop.dl.transforms import input_dropouts
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.dropout.weights import with_data
from nengo_permadrop.support.optional import require


@functools.wraps(require("nengo_dl").Simulator.get_nengo_params)
def get_nengo_params(sim, nengo_objs, as_dict=False):
    # NengoDL's own gives the weights as a plain transform, because a PermanentDropout
    # is a Dense to it: the dropout would be gone
    params = get_nengo_params.__wrapped__(sim, nengo_objs, as_dict=as_dict)
    built = {dropout.conn: dropout for dropout in input_dropouts(sim.model)}
    if not isinstance(nengo_objs, (list, tuple)):
        return _with_dropout(sim, built, nengo_objs, params)
    keys = [obj.label for obj in nengo_objs] if as_dict else range(len(nengo_objs))
    for key, obj in zip(keys, nengo_objs):
        params[key] = _with_dropout(sim, built, obj, params[key])
    return params


def _with_dropout(sim, built, obj, params):
    """The parameters of one object, as arguments for a Nengo object of its kind."""
    if not isinstance(obj, Connection) or not isinstance(
        obj.transform, PermanentDropout
    ):
        return params
    if obj not in built:
        raise ValidationError(
            f"{obj}: its dropout was built before nengo_permadrop.dl was imported, "
            "with masked weights, which its parameters can't be told from; import "
            "nengo_permadrop.dl before the simulator is made",
            attr="transform",
            obj=obj,
        )
    dropout = built[obj]
    transform = obj.transform
    (weights,) = sim.data.get_params((obj, "weights"))
    if dropout.weights.sparse:  # NengoDL has the numbers without their places
        weights = with_data(transform.init.base, weights)
    if weights.shape != transform.shape:
        raise ValidationError(
            f"{obj}: its weights contain the encoders of {obj.post_obj}, from which "
            "the trained transform can't be recovered; use a solver with "
            "weights=False, or connect to the neurons",
            attr="solver",
            obj=obj,
        )
    trained = transform.replaced(init=weights)
    if dropout.decoders is None:
        return {"transform": trained}
    return {
        "solver": NoSolver(dropout.decoders.initial_value.T, weights=False),
        "function": lambda x: np.zeros(transform.size_in),
        "transform": trained,
    }
