"""Decoded connections of which neurons are dropped, not dimensions."""

import nengo
import numpy as np
from nengo.builder import Model
from nengo.exceptions import ValidationError
from nengo.params import NdarrayParam, NumberParam
from nengo.solvers import Solver

from nengo_permadrop.dropout.masks import BERNOULLI
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.support.groups import check_groups


class DropoutL2(Solver):
    """
    Decoders that are best on average over dropout of the neurons.

    With activities ``A``, targets ``Y`` and neurons that are dropped with probability
    ``rate``, and scaled by ``1 / (1 - rate)`` if kept, the expected squared error of
    decoders ``D`` is [1]_

    ``|A D - Y|^2 + rate / (1 - rate) * sum_i |A_i|^2 |D_i|^2``,

    which a least-squares fit minimises whose regularisation is another one for each
    neuron. That of `nengo.solvers.LstsqL2`, for the noise of spikes, is added.

    Parameters
    ----------
    rate : float
        Probability that a neuron is dropped, in [0, 1).
    reg : float, optional
        Of the noise of spikes, as a fraction of the highest activity.
    groups : (n_neurons,) array_like of int, optional
        Neurons with the same number are dropped together. The sum is then over groups,
        of the squares of what their neurons decode together.

    References
    ----------
    .. [1] Wager, S., Wang, S., & Liang, P. (2013). Dropout training as adaptive
       regularization. NeurIPS 26.
    """

    compositional = True
    rate = NumberParam("rate", low=0, high=1, high_open=True)
    reg = NumberParam("reg", low=0)

    groups = NdarrayParam("groups", shape=("*",), dtype=np.int64, optional=True)

    def __init__(self, rate, reg=0.1, groups=None):
        super().__init__(weights=False)
        self.rate = rate
        self.reg = reg
        self.groups = None if groups is None else check_groups(groups, len(groups))

    def __call__(self, A, Y, rng=np.random):
        gram = A.T @ A
        noise = self.rate / (1.0 - self.rate) * np.diag(gram)
        noise = np.diag(noise + len(A) * (self.reg * A.max()) ** 2)
        if self.groups is not None:
            groups = check_groups(self.groups, len(gram), obj=self)
            together = groups[:, np.newaxis] == groups
            np.fill_diagonal(together, False)  # which noise has already
            noise = noise + self.rate / (1.0 - self.rate) * together * gram
        decoders = np.linalg.lstsq(gram + noise, A.T @ Y, rcond=None)[0]
        error = np.sqrt(np.mean((A @ decoders - Y) ** 2, axis=0))
        return decoders, {"rmses": error}


def connect_dropped(
    pre,
    post,
    rate,
    *,
    function=None,
    transform=1.0,
    solver=None,
    redraw=None,
    synapse=0.005,
    seed=None,
    label=None,
    groups=None,
    noise=BERNOULLI,
):
    """
    A decoded connection that drops neurons of the ensemble at random.

    In ``nengo.Connection(pre, post, transform=PermanentDropout(...))`` the inputs of
    the transform are the dimensions that are decoded, and so these are dropped. Here
    each neuron is dropped with probability ``rate``, and the decoders of those that are
    kept are scaled by ``1 / (1 - rate)``: for activities ``a`` and decoders ``d`` the
    decoded value has the mean ``sum_i d_i a_i`` and, over masks, the variance
    ``rate / (1 - rate) * sum_i (d_i a_i)^2``.

    The decoders are solved for at once, not when a simulator is built. So that they
    fit it, the ensemble's ``gain``, ``bias`` and ``encoders`` are drawn now, and set.

    Parameters
    ----------
    pre : `nengo.Ensemble`
    post : Nengo object
        What gets the decoded value.
    rate : float
        Probability that a neuron is dropped, in [0, 1).
    function : callable, optional
        What is decoded of the ensemble's value ``x``; by default ``x`` itself.
    transform : array_like, optional
        As in `nengo.Connection`: what the decoded value is multiplied by.
    solver : `nengo.solvers.Solver`, optional
        By default `DropoutL2` of the rate. Solvers for whole weight matrices aren't
        possible.
    redraw : float, optional
        Seconds after which other neurons are dropped, as in `.PermanentDropout`.
    synapse : `nengo.synapses.Synapse` or float, optional
    seed : int, optional
        Of the connection, and so of the masks.
    label : str, optional
    groups : (n_neurons,) array_like of int, optional
        Neurons with the same number are dropped together, as in `.PermanentDropout`.
    noise : {"bernoulli", "gaussian"}, optional
        As in `.PermanentDropout`: with "gaussian", each neuron is multiplied by noise.

    Returns
    -------
    connection : `nengo.Connection`
        From ``pre.neurons``, with a `.PermanentDropout` transform.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``pre`` isn't an ensemble with neurons, an argument is out of its range, or
        sizes don't fit.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> with nengo.Network(seed=0) as net:
    ...     stimulus, out = nengo.Node([0.5]), nengo.Node(size_in=1)
    ...     ens = nengo.Ensemble(100, 1)
    ...     _ = nengo.Connection(stimulus, ens, synapse=None)
    ...     conn = npd.networks.connect_dropped(
    ...         ens, out, rate=0.2, function=lambda x: x**2
    ...     )
    >>> samples = npd.sample(
    ...     net, {stimulus: [[0.5]]}, n_draws=20, output=out, settle=0.05,
    ...     presentation_time=0.1, progress=False
    ... )
    >>> samples.values.shape
    (20, 1, 1)
    """
    if not isinstance(pre, nengo.Ensemble) or isinstance(pre.neuron_type, nengo.Direct):
        raise ValidationError(
            f"must be an ensemble with neurons to drop, got {pre!r}; connect a part of "
            "its dimensions with function=lambda x: x[:1]",
            attr="pre",
        )
    if solver is None:
        solver = DropoutL2(rate, groups=check_groups(groups, pre.n_neurons, obj=pre))
    if solver.weights:
        raise ValidationError(
            f"must solve for decoders, got {solver} with weights=True", attr="solver"
        )
    decoders = _decoders(pre, function, solver)
    factor = np.asarray(transform, dtype=float)
    if factor.ndim < 2:
        factor = np.diag(np.broadcast_to(factor, (len(decoders),)))
    if factor.ndim != 2 or factor.shape[1] != len(decoders):
        raise ValidationError(
            f"must fit the decoded value of size {len(decoders)}, got an array of "
            f"shape {factor.shape}",
            attr="transform",
        )
    weights = factor @ decoders
    dropout = PermanentDropout(
        weights.shape, weights, rate=rate, redraw=redraw, groups=groups, noise=noise
    )
    return nengo.Connection(
        pre.neurons,
        post,
        transform=dropout,
        synapse=synapse,
        seed=seed,
        label=label,
    )


def _decoders(ensemble, function, solver):
    """Decoders of an ensemble, (size, n_neurons), whose parameters are set."""
    network = nengo.Network.context[-1]
    seed = ensemble.seed
    if seed is None and network.seed is not None:
        seed = derive_seed(network.seed, network.all_ensembles.index(ensemble))
    elif seed is None:
        seed = np.random.randint(2**31)
    target = nengo.Connection(
        ensemble,
        nengo.Node(size_in=_size(ensemble, function), add_to_container=False),
        function=function,
        solver=solver,
        add_to_container=False,
    )
    model = Model()
    for obj in (ensemble, target):
        model.seeds[obj], model.seeded[obj] = seed, True
    model.build(ensemble)
    built = model.params[ensemble]
    ensemble.gain, ensemble.bias = built.gain, built.bias
    ensemble.encoders = built.encoders
    rng = np.random.RandomState(seed)
    _, decoders, _ = model.build(target.solver, target, rng)
    return decoders


def _size(ensemble, function):
    if function is None:
        return ensemble.dimensions
    return np.size(function(np.zeros(ensemble.dimensions)))
