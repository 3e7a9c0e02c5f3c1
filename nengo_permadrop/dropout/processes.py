"""A Nengo process whose output is a mask."""

import nengo
import numpy as np
from nengo.params import IntParam, NdarrayParam

from nengo_permadrop.dropout.builder import check_redraw
from nengo_permadrop.dropout.clock import redraw_index
from nengo_permadrop.dropout.masks import keep_mask, mask_key
from nengo_permadrop.support.groups import check_groups
from nengo_permadrop.support.validation import (
    FiniteNumberParam,
)


class MaskProcess(nengo.Process):
    """
    Which units are dropped, as a signal: 1 for a dropped unit, 0 for one that is kept.

    For a while after a unit was dropped it is -1, if ``release`` says so. The masks are
    those of a `.PermanentDropout` in a connection of the same seed.

    Parameters
    ----------
    n_units : int
        Units of the dropout layer.
    rate : float
        Probability that a unit is dropped, in [0, 1).
    redraw : float or None
        Seconds after which there are new masks; None keeps the first ones.
    seed : int
        What the masks depend on.
    redraw_delay : float, optional
        Seconds by which every redraw comes later.
    lead : float, optional
        Seconds before a redraw in which units that the next masks keep aren't dropped.
    release : float, optional
        Seconds after a unit was dropped in which it is -1.
    groups : (n_units,) array_like of int, optional
        Units with the same number are dropped together, as in `.PermanentDropout`.
    """

    n_units = IntParam("n_units", low=1)
    rate = FiniteNumberParam("rate", low=0, high=1, high_open=True)
    redraw = FiniteNumberParam("redraw", low=0, low_open=True, optional=True)
    redraw_delay = FiniteNumberParam("redraw_delay", low=0)
    lead = FiniteNumberParam("lead", low=0)
    release = FiniteNumberParam("release", low=0)
    groups = NdarrayParam("groups", shape=("*",), dtype=np.int64, optional=True)

    def __init__(
        self,
        n_units,
        rate,
        redraw,
        seed,
        redraw_delay=0.0,
        lead=0.0,
        release=0.0,
        groups=None,
    ):
        super().__init__(default_size_in=0, default_size_out=n_units, seed=seed)
        self.n_units = n_units
        self.rate = rate
        self.redraw = redraw
        self.redraw_delay = redraw_delay
        self.lead = lead
        self.release = release
        self.groups = check_groups(groups, n_units, obj=self)

    def reseeded(self, seed):
        """The same with another seed."""
        return MaskProcess(
            self.n_units,
            self.rate,
            self.redraw,
            seed,
            self.redraw_delay,
            self.lead,
            self.release,
            self.groups,
        )

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        return self.make_mask_step(mask_key(rng), dt)

    def make_mask_step(self, keys, dt):
        """
        A function of the time that returns which units are dropped.

        Parameters
        ----------
        keys : uint64 or (...) ndarray of uint64
            From `.mask_key`.
        dt : float
            Time step, in seconds.

        Returns
        -------
        step : callable
            Returns an ndarray of shape ``(..., n_units)``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If redraws don't fall on time steps.
        """
        check_redraw(self, dt, self)
        current, signal = None, None

        def indices(t):  # of the masks in force now and after the lead, and before
            if self.redraw is None:
                return (0, 0), (0, 0)
            return tuple(
                tuple(
                    redraw_index(time + ahead, dt, self.redraw, self.redraw_delay)
                    for ahead in (0.0, self.lead)
                )
                for time in (t, t - self.release)
            )

        def dropped(pair):
            keep, next_keep = (
                keep_mask(keys, self.n_units, self.rate, index, self.groups)
                for index in pair
            )
            return ~(keep | next_keep)

        def step_mask(t):
            nonlocal current, signal
            found = indices(t)
            if found != current:
                now, before = (dropped(pair) for pair in found)
                current, signal = found, now * 1.0 - (before & ~now)
            return signal

        return step_mask
