"""
The predictive distribution of a running network: live statistics, a value a window.

In a network whose masks are redrawn while it runs, each window of a redraw gives one
draw. These networks take the draws from the running simulation, and keep statistics of
all that they have taken.
"""

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import IntParam, NumberParam, Parameter, TupleParam

from nengo_permadrop.builder.transforms import redraw_index
from nengo_permadrop.ks import ks_heights, null_sf
from nengo_permadrop.samples import PredictiveSamples


class Reference:
    """
    Samples to compare with, or a function that gives them for an observation.

    Parameters
    ----------
    samples : array_like, `.PredictiveSamples` or callable
        As in `KSProbe`.
    size : int
        Outputs of the target.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the samples don't fit the target, or are of several observations.
    """

    def __init__(self, samples, size):
        self.size = size
        self.function = samples if callable(samples) else None
        self._observation = None
        self._samples = None if callable(samples) else self._checked(samples)

    def of(self, observation):
        """
        The samples for an observation.

        Parameters
        ----------
        observation : (n_features,) ndarray

        Returns
        -------
        samples : (n_draws, size) ndarray
        """
        if self.function is not None:
            key = np.array(observation)
            if self._observation is None or not np.array_equal(key, self._observation):
                self._samples = self._checked(self.function(key))
                self._observation = key
        return self._samples

    def _checked(self, samples):
        if isinstance(samples, PredictiveSamples):
            if samples.n_observations != 1:
                raise ValidationError(
                    f"has {samples.n_observations} observations, and a probe compares "
                    "with the samples of one; give samples.values[:, i], or a function "
                    "of the observation (with observation=)",
                    attr="reference",
                )
            samples = samples.values[:, 0]
        samples = np.asarray(samples, dtype=np.float64)
        if samples.ndim == 1:
            samples = samples[:, np.newaxis]
        if samples.ndim != 2 or len(samples) == 0 or samples.shape[1] != self.size:
            raise ValidationError(
                f"must be samples of shape (n_draws, {self.size}), as the target has "
                f"size {self.size}; got shape {samples.shape}",
                attr="reference",
            )
        if not np.isfinite(samples).all():
            raise ValidationError("must be finite", attr="reference")
        return samples


class WindowProcess(nengo.Process):
    """
    Takes one value a window of a signal, and puts out statistics of those taken so far.

    Its input is the signal, the observation that is shown, and a reset; its output the
    statistics, the number of values, and the last one. A subclass says which statistics
    these are. The values are in the step function, so that every simulator, replica and
    item of a minibatch has its own.

    Parameters
    ----------
    size : int
        Dimensions of the signal.
    n_statistics : int
        Statistics of each dimension.
    window : float
        Seconds. Windows start at multiples of it, as redraws do.
    settle : float
        Seconds at the beginning of a window that are left out of its mean.
    n_features : int
        Size of the observation.
    """

    size = IntParam("size", low=1)
    n_statistics = IntParam("n_statistics", low=1)
    window = NumberParam("window", low=0, low_open=True)
    settle = NumberParam("settle", low=0)

    def __init__(self, size, n_statistics, window, settle, n_features):
        super().__init__(
            default_size_in=size + n_features + 1,
            default_size_out=(n_statistics + 1) * size + 1,
        )
        self.size = size
        self.n_statistics = n_statistics
        self.window = window
        self.settle = settle
        if settle >= window:
            raise ValidationError(
                f"must be less than window ({window} s), got {settle}", attr="settle"
            )

    def statistics(self, values, observation):
        """
        What is put out for the values taken so far.

        Parameters
        ----------
        values : (n_windows, size) ndarray
            ``n_windows`` may be 0.
        observation : (n_features,) ndarray

        Returns
        -------
        statistics : (n_statistics, size) ndarray
        """
        raise NotImplementedError("statistics of a window process")

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        mean = _WindowMean(self.window, self.settle, dt)
        size, n = self.size, self.n_statistics * self.size
        values, shown, last = [], None, np.inf
        output = np.zeros(shape_out)

        def put_out(observation):
            taken = np.reshape(values, (-1, size))
            output[:n] = self.statistics(taken, observation).ravel()
            output[n] = len(taken)
            output[n + 1 :] = taken[-1] if len(taken) else 0.0

        def step_window(t, x):
            nonlocal shown, last
            observation = x[size:-1]
            again = not t > last  # a simulator that started again kept this function
            if again or x[-1] > 0.5 or not np.array_equal(observation, shown):
                shown = np.array(observation)
                values.clear()
                mean.clear()
                put_out(shown)
            last = t
            value = mean.add(t, x[:size])
            if value is not None:
                values.append(value)
                put_out(shown)
            return output

        return step_window


class _WindowMean:
    """The mean of a signal over each whole window, after its first part."""

    def __init__(self, window, settle, dt):
        self.window, self.dt = window, dt
        self.n_settle = int(round(settle / dt))
        if int(window / dt + 1e-7) <= self.n_settle:
            raise ValidationError(
                f"nothing is left to read: a window of {window} s has "
                f"{int(window / dt + 1e-7)} steps of {dt} s, and settle is {settle} s",
                attr="settle",
            )
        self.clear()

    def clear(self):
        """Leave out what comes until the next window starts (at once, if one does)."""
        self.index, self.whole = None, False

    def add(self, t, x):
        """The mean, if the step that ends at ``t`` is the last of a whole window."""
        index = redraw_index(t, self.dt, self.window)
        if index != self.index:
            first = round(t / self.dt) == 1 or index != self._index(t - self.dt)
            self.index, self.whole = index, first
            self.n_steps, self.total = 0, np.zeros(x.shape)
        self.n_steps += 1
        if self.n_steps > self.n_settle:
            self.total += x
        if not self.whole or self._index(t + self.dt) == index:
            return None
        return self.total / (self.n_steps - self.n_settle)

    def _index(self, t):
        return redraw_index(t, self.dt, self.window)


class KSProcess(WindowProcess):
    """KS statistic and p-value of the values, against a `Reference`; see `KSProbe`."""

    reference = Parameter("reference")

    def __init__(self, reference, window, settle, n_features):
        super().__init__(reference.size, 2, window, settle, n_features)
        self.reference = reference

    def statistics(self, values, observation):
        if len(values) == 0:
            return np.stack([np.zeros(self.size), np.ones(self.size)])
        reference = self.reference.of(observation)
        sizes = len(values), len(reference)
        heights, _ = ks_heights(values, reference)
        return np.stack([heights / math.lcm(*sizes), null_sf(heights, *sizes)])


class MomentsProcess(WindowProcess):
    """Mean, standard deviation and quantiles of the values; see `LiveDistribution`."""

    quantiles = TupleParam("quantiles")

    def __init__(self, size, quantiles, window, settle, n_features):
        super().__init__(size, 2 + len(quantiles), window, settle, n_features)
        self.quantiles = quantiles

    def statistics(self, values, observation):
        if len(values) == 0:
            return np.zeros((self.n_statistics, self.size))
        rows = [values.mean(axis=0), values.std(axis=0)]
        return np.stack([*rows, *np.quantile(values, self.quantiles, axis=0)])


class WindowProbe(nengo.Network):
    """
    What `KSProbe` and `LiveDistribution` share: the Node, what goes in, what comes out.

    Parameters
    ----------
    target : Nengo object
    make_process : callable
        ``make_process(size, n_features)`` gives the `WindowProcess`.
    observation : Nengo object or None
    synapse : `nengo.synapses.Synapse`, float or None
    default_label : str
    **network
        Arguments of `nengo.Network`.
    """

    def __init__(
        self, target, make_process, observation, synapse, default_label, **network
    ):
        size = _size_out(target, "target")
        n_features = 0 if observation is None else _size_out(observation, "observation")
        process = make_process(size, n_features)
        super().__init__(**network)
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
    ``Simulator.reset`` forgets them. The values are not in signals: a simulator that is
    pickled and loaded starts with none. With nengo-loihi, this is done on the host.

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
        quantiles=(0.05, 0.5, 0.95),
        settle=0.0,
        synapse=None,
        observation=None,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        levels = tuple(float(q) for q in quantiles)
        if not levels or not all(0 <= q <= 1 for q in levels):
            raise ValidationError(
                f"must be some numbers in [0, 1], got {quantiles}", attr="quantiles"
            )

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
