"""
The predictive distribution of a running network: live statistics, one value per window.

In a network whose masks are redrawn while it runs, each window of a redraw gives one
draw. These networks take the draws from the running simulation, and keep statistics of
all that they have taken.
"""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.live.windows import KSProcess, MomentsProcess, Reference
from nengo_permadrop.support.isolation import add_made
from nengo_permadrop.support.validation import check_levels


class WindowProbe(nengo.Network):
    """
    What `KSProbe` and `LiveDistribution` share: the Node, what goes in, what comes out.

    Parameters
    ----------
    target : Nengo object
    make_process : callable
        ``make_process(size, n_features)`` gives the `.WindowProcess`.
    observation : Nengo object or None
    synapse : `nengo.synapses.Synapse`, float or None
    default_label : str
    add_to_container : bool, optional
    **network
        Arguments of `nengo.Network`.
    """

    def __init__(
        self,
        target,
        make_process,
        observation,
        synapse,
        default_label,
        add_to_container=None,
        **network,
    ):
        size = _size_out(target, "target")
        n_features = 0 if observation is None else _size_out(observation, "observation")
        process = make_process(size, n_features)
        super().__init__(add_to_container=False, **network)
        with self:
            self.node = nengo.Node(process, label=self.label or default_label)
            self.reset = nengo.Node(size_in=1, label="reset")
            nengo.Connection(target, self.node[:size], synapse=synapse)
            nengo.Connection(self.reset, self.node[-1], synapse=None)
            if observation is not None:
                nengo.Connection(observation, self.node[size:-1], synapse=None)
        self.output = self.node[: process.n_statistics * size]
        self.count = self.node[process.n_statistics * size]
        self.value = self.node[process.n_statistics * size + 1 :]
        add_made(self, add_to_container)


class KSProbe(WindowProbe):
    """
    The two-sample Kolmogorov-Smirnov test inside a running network.

    It takes one value of the target a window, the mean over the window after
    ``settle``, as `.sample` reads an answer; and compares those taken so far with
    reference samples, each output of the target for itself.

    Parameters
    ----------
    target : Nengo object
        What a connection can start from: an ensemble, a Node, neurons; the output of a
        `.Converter`.
    reference : array_like, `.PredictiveSamples` or callable
        Samples to compare with: ``(n_draws,)`` for a target of size 1, ``(n_draws,
        size)``, or `.PredictiveSamples` of one observation. A function gets the values
        of ``observation``, ``(n_features,)``, and returns an array; it is called once
        in a while, at the end of a window, and must return the same for the same
        observation.
    window : float
        Seconds: the redraw or the presentation. Windows start at multiples of it, as
        redraws and presentations do.
    settle : float, optional
        Seconds at the beginning of each window that are not read. A converter's
        ``settling_time`` says how long its answer depends on what was before.
    synapse : `nengo.synapses.Synapse` or float, optional
        Filter of what is read; the mean over a window needs none.
    observation : Nengo object, optional
        What is shown to the network. When it changes, the values taken so far are
        forgotten, and the next ones start with the next window (with this one, if it
        starts in this step). It may change between windows, not all the time.
    label : str, optional
    seed : int, optional
    add_to_container : bool, optional
        As in `nengo.Network`.

    Attributes
    ----------
    output : Nengo object
        The statistics of all dimensions, and then their p-values, ``(2 * size,)``. As
        those below, it can be probed and connected from. It changes in the last step of
        each window.
    statistic, pvalue : Nengo object
        ``(size,)``; before the first value 0 and 1. P-values are those of
        `.ks_agreement`: exact up to 20,000 values in all, and those of one look. Who
        watches until a p-value is small will see a small one.
    count : Nengo object
        How many values have been taken.
    value : Nengo object
        The last of them, ``(size,)``.
    reset : `nengo.Node`
        As long as its input is above 0.5, all values are forgotten.
    node : `nengo.Node`
        Does all of it; its output is ``output``, ``count`` and ``value``.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the reference doesn't fit the target, or ``window`` or ``settle`` are out of
        range; when a simulator is built, if a window has no step after ``settle``.

    Notes
    -----
    Each simulator, replica and item of a minibatch has values of its own, and
    ``Simulator.reset`` forgets them. Replicas of `.Simulator` have masks of their own,
    so that their values are independent. All items of a `nengo_dl.Simulator`'s
    minibatch have the same masks, until `.dl.set_masks` gives each its own: values of
    items that are shown the same are then the same, and no further evidence.

    The values are not in signals: a simulator that is pickled and loaded starts with
    none. With nengo-loihi, this is done on the host.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> import numpy as np
    >>> with nengo.Network(seed=0) as net:
    ...     noise = nengo.Node(nengo.processes.WhiteSignal(10.0, high=50))
    ...     reference = np.random.RandomState(0).randn(100)
    ...     ks = npd.KSProbe(noise, reference, window=0.1)
    ...     probe = nengo.Probe(ks.pvalue)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(1.0)
    >>> sim.data[probe].shape
    (1000, 1)
    """

    def __init__(
        self,
        target,
        reference,
        window,
        *,
        settle=0.0,
        synapse=None,
        observation=None,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        if callable(reference) and observation is None:
            raise ValidationError(
                "is a function of the observation; say what that is, with "
                "observation=",
                attr="reference",
            )

        def make_process(size, n_features):
            return KSProcess(Reference(reference, size), window, settle, n_features)

        super().__init__(
            target,
            make_process,
            observation,
            synapse,
            "KS test",
            label=label,
            seed=seed,
            add_to_container=add_to_container,
        )
        self.statistic = self.node[: self.value.size_out]
        self.pvalue = self.node[self.value.size_out : 2 * self.value.size_out]


class LiveDistribution(WindowProbe):
    """
    Mean, standard deviation and quantiles of a running network's answers.

    It takes values as `KSProbe` does.

    Parameters
    ----------
    target, window, settle, synapse, observation, label, seed, add_to_container
        As in `KSProbe`.
    quantiles : sequence of float, optional
        In [0, 1].

    Attributes
    ----------
    output : Nengo object
        ``mean``, ``std`` and ``quantiles``, ``((2 + n_quantiles) * size,)``.
    mean, std : Nengo object
        ``(size,)``; the standard deviation is that of `.PredictiveSamples`, with
        ``ddof=0``. All are 0 before the first value.
    quantiles : Nengo object
        ``(n_quantiles * size,)``, quantile by quantile; linear between the values.
    count, value, reset, node
        As in `KSProbe`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a quantile, ``window`` or ``settle`` is out of range.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> with nengo.Network(seed=0) as net:
    ...     noise = nengo.Node(nengo.processes.WhiteSignal(10.0, high=50))
    ...     live = npd.LiveDistribution(noise, window=0.1, quantiles=(0.1, 0.9))
    ...     probe = nengo.Probe(live.quantiles)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(1.0)
    >>> sim.data[probe].shape
    (1000, 2)
    """

    def __init__(
        self,
        target,
        window,
        *,
        quantiles=(0.05, 0.5, 0.95),
        settle=0.0,
        synapse=None,
        observation=None,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        levels = tuple(np.atleast_1d(check_levels(quantiles, "quantiles")).tolist())
        if not levels:
            raise ValidationError("must be at least one number", attr="quantiles")

        def make_process(size, n_features):
            return MomentsProcess(size, levels, window, settle, n_features)

        super().__init__(
            target,
            make_process,
            observation,
            synapse,
            "distribution",
            label=label,
            seed=seed,
            add_to_container=add_to_container,
        )
        size = self.value.size_out
        self.mean = self.node[:size]
        self.std = self.node[size : 2 * size]
        self.quantiles = self.node[2 * size : (2 + len(levels)) * size]


def _size_out(obj, attr):
    if isinstance(obj, nengo.Network) or not getattr(obj, "size_out", 0):
        raise ValidationError(
            f"must be what a connection can start from (an ensemble, a Node, neurons; "
            f"a network's output), got {obj!r}",
            attr=attr,
        )
    return obj.size_out
