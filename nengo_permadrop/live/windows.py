"""
Processes that take one value per window of a signal, and put out statistics of them.

What the Nodes of `nengo_permadrop.live.probes` do.
"""

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.params import IntParam, Parameter, TupleParam

from nengo_permadrop.dropout.clock import redraw_index
from nengo_permadrop.metrics.ks import ks_heights, null_sf, without_rounding
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.support.validation import FiniteNumberParam, check_real_array


class Reference:
    """
    Samples to compare with, or a function that gives them for an observation.

    Parameters
    ----------
    samples : array_like, `.PredictiveSamples` or callable
        As in `.KSProbe`.
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
            # a network in which a link is not: it is applied to what is read of it
            logits = samples.logits
            samples = (samples.values if logits is None else logits)[:, 0]
        samples = check_real_array(samples, "reference").astype(np.float64)
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
    Takes one value per window of a signal, and puts out statistics of those so far.

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
    window = FiniteNumberParam("window", low=0, low_open=True)
    settle = FiniteNumberParam("settle", low=0)

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
    """KS statistic and p-value of the values, against a `Reference`; see `.KSProbe`."""

    reference = Parameter("reference")

    def __init__(self, reference, window, settle, n_features):
        super().__init__(reference.size, 2, window, settle, n_features)
        self.reference = reference

    def statistics(self, values, observation):
        if len(values) == 0:
            return np.stack([np.zeros(self.size), np.ones(self.size)])
        reference = self.reference.of(observation)
        sizes = len(values), len(reference)
        heights, _ = ks_heights(*without_rounding(values, reference))
        return np.stack([heights / math.lcm(*sizes), null_sf(heights, *sizes)])


class MomentsProcess(WindowProcess):
    """Mean, standard deviation and quantiles of the values; see `.LiveDistribution`."""

    quantiles = TupleParam("quantiles")

    def __init__(self, size, quantiles, window, settle, n_features):
        super().__init__(size, 2 + len(quantiles), window, settle, n_features)
        self.quantiles = quantiles

    def statistics(self, values, observation):
        if len(values) == 0:
            return np.zeros((self.n_statistics, self.size))
        rows = [values.mean(axis=0), values.std(axis=0)]
        return np.stack([*rows, *np.quantile(values, self.quantiles, axis=0)])
