"""
The cheapest settings with which a converted network agrees.

How often neurons fire, how long their synapses remember, and how long an observation is
shown and read decide what a presentation costs, and how well the spiking network's
distribution is that of the classical one. `tune` tries settings from the cheap to the
dear. Each is judged by pairs of draws that have the same masks, which know a difference
of a hundredth of a standard deviation where as many independent draws would know one of
a seventh: see `nengo_permadrop.metrics.certificate`.
"""

import math
from dataclasses import dataclass, field

import nengo
import numpy as np
import pandas as pd

from nengo_permadrop.converter.network import Converter
from nengo_permadrop.metrics.certificate import Certificate
from nengo_permadrop.sampling.pairs import check_spiking
from nengo_permadrop.sampling.search import Goal, Search
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_number,
    check_seconds,
    check_seed,
)

OBJECTIVES = ("spikes", "time")


@dataclass(frozen=True, eq=False)
class Tuning:
    """
    The cheapest settings with which a network agrees; made by `tune`.

    Attributes
    ----------
    conv : `.Converter`
        With these settings, and calibrated. Its masks are those of the converter that
        was given.
    presentation_time, settle : float
        For `.sample`, in seconds; ``times`` has both, by name.
    synapse : `nengo.synapses.Synapse`
    firing_rates : {str: float}
        As in `.Converter`.
    spikes : float
        Of a presentation, on average over rows and masks.
    n_draws : int
        For which it agrees.
    certificate : `.Certificate`
        From rows that it was not tuned on.
    table : `pandas.DataFrame`
        A row for each setting that was tried: ``calibration`` and ``first_layer`` (as
        in `.calibrate` and `.Converter`), ``rates`` (multiples of the target's
        firing rate; NaN if no layer can have any), ``synapse`` (time constant, s),
        ``presentation_time`` and ``settle`` (s), ``spikes``, ``bias`` (sd), ``spread``,
        ``rejection_rate`` (predicted for ``n_draws``) and ``agrees``.
    objective : {"spikes", "time"}
    """

    conv: Converter
    presentation_time: float
    settle: float
    synapse: nengo.synapses.Synapse
    firing_rates: dict
    spikes: float
    n_draws: int
    certificate: Certificate
    table: pd.DataFrame = field(repr=False)
    objective: str = "spikes"

    @property
    def times(self):
        """``presentation_time`` and ``settle``, as keyword arguments."""
        return {"presentation_time": self.presentation_time, "settle": self.settle}

    @property
    def frontier(self):
        """Settings of ``table`` that no other one beats in spikes and in bias."""
        ordered = self.table.sort_values(["spikes", "bias"], ignore_index=True)
        best = ordered["bias"].cummin().shift(fill_value=np.inf)
        return ordered[ordered["bias"] < best].reset_index(drop=True)

    def plot(self, ax=None):
        """Spikes against bias; see `nengo_permadrop.plots.plot_frontier`."""
        from nengo_permadrop.plots import plot_frontier

        return plot_frontier(self, ax=ax)

    def __str__(self):
        return (
            f"{self.spikes:.0f} spikes in {self.presentation_time:g} s, read from "
            f"{self.settle:g} s on, with {self.synapse}; "
            f"{self.certificate.rejection_rate(self.n_draws):.1%} of tests with "
            f"{self.n_draws} draws would reject, on other rows.\n"
            f"{self.table.to_string(index=False, float_format='{:.4g}'.format)}"
        )


def tune(
    conv,
    X,
    n_draws=100,
    *,
    budget=None,
    objective="spikes",
    calibration="auto",
    rates=None,
    synapses=None,
    most_time=None,
    max_rejection=0.06,
    seed=0,
    backend="batched",
    progress=False,
    **options,
):
    """
    Find the cheapest settings with which a spiking network agrees with the classical.

    Settings are the firing rates of layers that can have any, the synapse, and how long
    an observation is shown and read. One agrees if two-sample KS tests of ``n_draws``
    independent draws a side are predicted to reject in at most ``max_rejection`` of
    cases, as `.certify` predicts it from pairs of draws with the same masks. Of each
    combination of rates and synapse, longer presentations are taken to agree if shorter
    ones do; combinations that can't be cheaper than what has been found are not tried.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons, not calibrated; it stays as it is.
    X : array_like, list of array_like or {str: array_like}
        Rows, as `.sample` takes them; at least 20. Targets aren't needed. Every
        `HOLD_OUT`-th isn't tuned on: it checks what was found.
    n_draws : int, optional
        At which the networks shall agree.
    budget : int, optional
        Settings to simulate, at the most (default 40).
    objective : {"spikes", "time"}, optional
        What shall be least: spikes of a presentation, or the presentation time.
    calibration : {"auto", "currents", "weights", "none"}, optional
        Calibrate each combination before it is judged, by this method of `.calibrate`.
        "auto" begins with "currents"; where nothing agrees so, it goes on with
        "weights" and ``first_layer="exact"``.
    rates : (n,) array_like of float, optional
        Multiples of the target's firing rate to choose from.
    synapses : list of `nengo.synapses.Synapse` or float, optional
        To choose from, as in `.Converter`; by default the target's default with time
        constants of 0.4 to 1.5 times its own.
    most_time : float, optional
        Longest presentation, in seconds.
    max_rejection : float, optional
        Greatest predicted rejection rate of tests at a level of 0.05.
    seed : int, optional
        Decides all that is random; the same seed gives the same result.
    backend : str, optional
        What the spiking network is judged on.
    progress : bool, optional
        Tell on standard error what is tried.
    **options
        Passed to `.sample`, such as ``executor``.

    Returns
    -------
    tuning : `Tuning`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of its range, or nothing that was tried agrees.

    Warns
    -----
    UserWarning
        If what was found doesn't agree on the rows that it was not tuned on.

    Examples
    --------
    ::

        tuning = npd.tune(npd.Converter(kmodel), X_validation)
        print(tuning)
        samples = npd.sample(tuning.conv, X_test, **tuning.times)
    """
    check_spiking(conv)
    goal = Goal(
        n_draws=check_integer(n_draws, "n_draws", 2, 10_000),
        max_rejection=check_number(max_rejection, "max_rejection", 0, low_open=True),
        objective=check_choice(objective, "objective", OBJECTIVES),
        budget=check_integer(40 if budget is None else budget, "budget", 1),
        most_time=math.inf if most_time is None else check_seconds(most_time, "time"),
    )
    seed = check_seed(seed)
    options = {"backend": backend, "dt": 0.001, **options, "progress": False}
    search = Search(conv, X, goal, calibration, seed, options, progress)
    search.run(rates, synapses)
    found, trial = search.best()
    return Tuning(
        found,
        trial["presentation_time"],
        trial["settle"],
        found.synapse,
        found.firing_rates,
        trial["spikes"],
        goal.n_draws,
        search.checked(found, trial),
        search.table(),
        goal.objective,
    )
