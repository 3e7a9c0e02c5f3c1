"""What a NengoDL simulator starts from, item by item of its minibatch."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.dl.transforms import input_dropouts
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.validation import check_seeds


def set_initial(sim, values):
    """
    Change the values that state signals have when a simulator is reset.

    Takes effect at the next ``sim.reset()``.

    Parameters
    ----------
    sim : `nengo_dl.Simulator`
    values : {`nengo.builder.Signal`: (minibatch_size, ...) array_like}
        By signal of ``sim.model``, for example
        ``sim.model.sig[ensemble.neurons]["voltage"]``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a signal is not state of the items: a parameter, the time, or a signal that
        is recomputed in every step.
    """
    graph = sim.tensor_graph
    bases = {}
    for signal, value in values.items():
        tensor = graph.signals[signal]
        if tensor.key not in graph.saved_state or not tensor.minibatched:
            raise ValidationError(
                f"{signal} keeps no value of each item of the minibatch from step to "
                "step; set signals such as a neuron's voltage",
                attr="values",
            )
        if tensor.key not in bases:
            var = graph.saved_state[tensor.key]
            initial = graph.initial_values[tensor.key](var.shape, dtype=var.dtype)
            bases[tensor.key] = np.array(initial)
        columns = np.concatenate([np.arange(*bounds) for bounds in tensor.slices])
        bases[tensor.key][:, columns] = np.reshape(value, tensor.full_shape)
    for key, base in bases.items():
        graph.initial_values[key] = lambda shape=None, dtype=None, base=base: base


def set_masks(sim, mask_seeds):
    """
    Give each item of the minibatch masks of its own, and reset the simulator.

    Without it all items have the same masks, those of the connections' seeds: other
    observations then meet one network, as with ``masks="draw"`` in `.sample`, and items
    of the same observation are one draw, not several.

    They are the masks that a new simulator would have whose dropout connections had
    the seeds ``derive_seed(connection seed, mask seed)``, and stay after another
    ``sim.reset()``. Trained parameters and probe data are kept. Training takes other
    masks.

    Parameters
    ----------
    sim : `nengo_dl.Simulator`
        Of a network with `.PermanentDropout`.
    mask_seeds : (minibatch_size,) array_like of int or None
        As in `.backends.Replicas`. None goes back to the masks of the connections' own
        seeds, for all items.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there isn't one seed per item, or the network has no dropout that was built
        with `nengo_permadrop.dl`.

    Examples
    --------
    ::

        with nengo_dl.Simulator(net, minibatch_size=100) as sim:
            nengo_permadrop.dl.set_masks(sim, range(100))
            sim.run(1.0)
    """
    set_initial(sim, mask_values(sim, mask_seeds))
    sim.reset(include_trainable=False, include_probes=False)


def mask_values(sim, mask_seeds):
    """What `set_initial` takes for some masks; arguments and errors of `set_masks`."""
    n = sim.minibatch_size
    dropouts = input_dropouts(sim.model)
    if not dropouts:
        raise ValidationError(
            f"{sim.model} has no permanent dropout whose masks could be set; import "
            "nengo_permadrop.dl before the simulator is made",
            attr="sim",
        )
    if mask_seeds is not None:
        mask_seeds = check_seeds(mask_seeds, "mask_seeds")
    if mask_seeds is not None and mask_seeds.shape != (n,):
        raise ValidationError(
            f"needs one seed for each of the {n} items of the minibatch, got an array "
            f"of shape {mask_seeds.shape}",
            attr="mask_seeds",
        )
    values = {}
    for dropout in dropouts:
        seed = sim.model.seeds[dropout.conn]
        if mask_seeds is None:
            seeds = np.full(n, seed)
        else:
            seeds = derive_seed(seed, mask_seeds)
        values.update(dropout.initial(seeds))
    return values
