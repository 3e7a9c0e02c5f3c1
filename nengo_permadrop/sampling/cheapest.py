"""
The cheapest settings with which a converted network agrees.

How often neurons fire, how long their synapses remember, and how long an observation is
shown and read decide what a presentation costs, and how well the spiking network's
distribution is that of the classical one. `tune` tries settings from the cheap to the
dear. Each is judged by pairs of draws that have the same masks, which know a difference
of a hundredth of a standard deviation where as many independent draws would know one of
a seventh: see `nengo_permadrop.metrics.certificate`.
"""

from dataclasses import dataclass

import nengo
import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.calibration.fitting import METHODS
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.metrics.certificate import Certificate
from nengo_permadrop.metrics.ks import critical_height
from nengo_permadrop.metrics.power import MOST_DRAWS
from nengo_permadrop.sampling.pairs import check_spiking
from nengo_permadrop.sampling.search import Goal, Search
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.isolation import outside_networks
from nengo_permadrop.support.plain import plain
from nengo_permadrop.support.validation import (
    check_choice,
    check_execution,
    check_integer,
    check_mapping,
    check_number,
    check_seconds,
    check_seed,
)
from nengo_permadrop.version import version

OBJECTIVES = ("spikes", "time")
CALIBRATIONS = ("auto", *METHODS, "none")

MAX_REJECTION = 0.06
_ALPHA = 0.05  # level of the tests that shall not reject


@dataclass(frozen=True, eq=False, repr=False)
class Tuning:
    """
    The cheapest settings with which a network agrees; made by `tune`.

    Attributes
    ----------
    conv : `.Converter`
        With these settings, and calibrated. Model, masks, copies and gates are those of
        the converter that was given.
    n_draws : int
        For which it agrees.
    objective : {"spikes", "time"}
        What is least.
    certificate : `.Certificate`
        From rows that it was not tuned on.
    table : `pandas.DataFrame`
        A row for each setting that was judged: ``calibration`` and ``first_layer`` (as
        in `.calibrate` and `.Converter`), ``rates`` (multiples of the target's
        firing rate; NaN if no layer can have any), ``synapse``, ``presentation_time``
        and ``settle`` (s), ``spikes`` (of a draw), ``bias`` (sd), ``spread`` and
        ``rejection_rate`` (predicted for ``n_draws``) of the rows that were tuned on,
        ``held_out`` (the rejection rate of the others; NaN where nobody asked) and
        ``agrees``.
    chosen : int
        Row of ``table`` that was found.
    """

    conv: Converter
    n_draws: int
    objective: str
    certificate: Certificate
    table: pd.DataFrame
    chosen: int

    @property
    def presentation_time(self):
        """For `.sample`, in seconds; see ``times``."""
        return float(self.table["presentation_time"].iloc[self.chosen])

    @property
    def settle(self):
        """For `.sample`, in seconds; see ``times``."""
        return float(self.table["settle"].iloc[self.chosen])

    @property
    def times(self):
        """``presentation_time`` and ``settle``, as keyword arguments."""
        return {"presentation_time": self.presentation_time, "settle": self.settle}

    @property
    def synapse(self):
        """As in `.Converter`."""
        return self.conv.synapse

    @property
    def firing_rates(self):
        """As in `.Converter`: Hz of an activation of 1, by layer."""
        return self.conv.firing_rates

    @property
    def spikes(self):
        """Of a presentation, on average over rows and masks, of one copy."""
        return float(self.table["spikes"].iloc[self.chosen])

    @property
    def frontier(self):
        """The rows of ``table`` that no other one beats in both spikes and bias."""
        judged = self.table.dropna(subset="bias")
        ordered = judged.sort_values(["spikes", "bias"], kind="stable")
        best = ordered["bias"].cummin().shift(fill_value=np.inf)
        return ordered[ordered["bias"] < best]

    def to_dict(self):
        """Everything but the network, as JSON can hold it."""
        settings = self.table.iloc[self.chosen].to_dict()
        return plain(
            {
                "n_draws": self.n_draws,
                "objective": self.objective,
                "settings": settings,
                "firing_rates": dict(self.firing_rates),
                "certificate": self.certificate.to_dict(),
                "trials": self.table.to_dict(orient="records"),
            }
        )

    def words(self):
        """What was found, in a sentence."""
        rate = self.certificate.rejection_rate(self.n_draws)
        return (
            f"{self.spikes:.0f} spikes in {self.presentation_time:g} s, read from "
            f"{self.settle:g} s on, with {self.table['synapse'].iloc[self.chosen]}. On "
            f"rows that this wasn't tuned on, {rate:.1%} of tests with {self.n_draws} "
            "draws of each network would reject."
        )

    def __repr__(self):
        return (
            f"<Tuning: {self.spikes:.0f} spikes in {self.presentation_time:g} s, bias "
            f"{self.certificate.bias:.3f} sd, {len(self.table)} settings judged>"
        )

    def __str__(self):
        table = self.table.to_string(index=False, float_format="{:.4g}".format)
        return f"{self.words()}\n{table}"

    def _repr_html_(self):
        from nengo_permadrop.sampling.html import tuning_html

        return tuning_html(self)


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
    max_rejection=MAX_REJECTION,
    seed=0,
    backend="batched",
    output=None,
    dt=0.001,
    executor=None,
    progress=False,
    checkpoint=None,
    max_memory=None,
    backend_options=None,
):
    """
    Find the cheapest settings with which a spiking network agrees with the classical.

    Settings are the firing rates of layers that can have any, the synapse, and how long
    an observation is shown and read. One agrees if two-sample KS tests of ``n_draws``
    independent draws a side are predicted to reject in at most ``max_rejection`` of
    cases, as `.certify` predicts it from pairs of draws with the same masks, both on
    the rows that are tuned on and on others. The usual combination of rates and synapse
    comes first, then the others, from the cheap to the dear; those that can't be
    cheaper than what has been found are left out. Each is calibrated for the very times
    that it is judged at, so that it needn't quite have settled. Longer presentations
    are taken to agree if shorter ones do.

    Parameters
    ----------
    conv : `.Converter`
        Of spiking neurons, not calibrated; it stays as it is. Its own firing rates and
        times aren't kept; its synapse is one of those to choose from.
    X : array_like, list of array_like or {str: array_like}
        Rows, as `.sample` takes them; at least 20, better 100. Targets aren't needed.
        Every fourth isn't tuned on: it checks what agrees on the others.
    n_draws : int, optional
        At which the networks shall agree.
    budget : int, optional
        Combinations of rates and synapse to simulate, at the most; by default all that
        could be the cheapest.
    objective : {"spikes", "time"}, optional
        What shall be least: spikes of a draw, or the presentation time.
    calibration : {"auto", "currents", "weights", "none"}, optional
        Calibrate each combination before it is judged, by this method of `.calibrate`.
        "auto" begins with "currents"; where nothing agrees so, it goes on with
        "weights" and ``first_layer="exact"``.
    rates : (n,) array_like of float, optional
        Multiples of the target's firing rate to choose from (default 0.25 to 2).
    synapses : list of `nengo.synapses.Synapse` or float, optional
        To choose from, as in `.Converter`; by default that of ``conv``, with 0.4 to
        1.5 times its time constant.
    most_time : float, optional
        Longest presentation, in seconds.
    max_rejection : float, optional
        Greatest predicted rejection rate, of tests at a level of 0.05.
    seed : int, optional
        Decides all that is random; the same seed gives the same result.
    backend : str, optional
        What simulates the spiking network when it is judged, as in `.sample`.
    output : str, optional
        Which of several outputs is judged, as in `.sample`; the first one by default.
    dt, executor, max_memory, backend_options
        As in `.sample`.
    progress : bool, optional
        Tell on standard error what is tried.
    checkpoint : str or path-like, optional
        Folder for what is found of each combination: a search that was ended, and is
        started again with the same arguments, goes on from there, and finds the same.

    Returns
    -------
    tuning : `Tuning`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of its range, or nothing that was tried agrees on the rows
        that were tuned on.

    Warns
    -----
    UserWarning
        If what was found agrees on the rows that it was tuned on, but not on the
        others; if rows are left out, as no dropout reaches an output there.

    Examples
    --------
    ::

        tuning = npd.tune(npd.Converter(kmodel), X_validation)
        print(tuning)
        samples = npd.sample(tuning.conv, X_test, **tuning.times)
    """
    check_spiking(conv)
    if conv.calibration is not None:
        raise ValidationError(
            "got a calibrated network, whose corrections hold for its own settings "
            "only: give it as it was converted",
            attr="conv",
        )
    n_draws = check_n_draws(n_draws)
    goal = Goal(
        n_draws=n_draws,
        max_rejection=_check_rejection(max_rejection, n_draws),
        objective=check_choice(objective, "objective", OBJECTIVES),
        budget=np.inf if budget is None else check_integer(budget, "budget", 1),
        calibration=check_choice(calibration, "calibration", CALIBRATIONS),
    )
    seed = check_seed(seed)
    check_execution(executor, checkpoint, max_memory)
    options = {
        "backend": backend,
        "output": output,
        "dt": check_seconds(dt, "dt"),
        "executor": executor,
        "max_memory": max_memory,
        "backend_options": check_mapping(backend_options, "backend_options"),
    }
    asked = {
        "rates": rates,
        "synapses": synapses,
        "most_time": (
            np.inf if most_time is None else check_seconds(most_time, "most_time")
        ),
        "seed": seed,
    }
    if get_backend(backend).takes != "network":
        raise ValidationError(
            f"{backend!r} is a backend of the classical network; choose one that "
            "simulates spiking networks, such as 'batched'",
            attr="backend",
        )
    with outside_networks():
        search = Search(conv, X, goal, options=options, progress=progress, **asked)
        if checkpoint is None:
            search.run()
        else:
            identity = _identity(conv, X, goal, options, asked)
            with Checkpoint(checkpoint, identity) as store:
                search.run(store)
        conv, certificate, chosen = search.chosen()
    return Tuning(conv, n_draws, goal.objective, certificate, search.table(), chosen)


def check_n_draws(n_draws):
    """As many draws as tests can be asked about: that may reject, and are exact."""
    n_draws = check_integer(n_draws, "n_draws", 2, MOST_DRAWS)
    if critical_height(n_draws, _ALPHA)[1] == 0:
        raise ValidationError(
            f"no test of {n_draws} draws rejects at level {_ALPHA}, whatever differs; "
            "tune for more",
            attr="n_draws",
        )
    return n_draws


def _check_rejection(rate, n_draws):
    rate = check_number(rate, "max_rejection", 0, 1)
    level = critical_height(n_draws, _ALPHA)[1]
    if rate <= level:
        raise ValidationError(
            f"of tests with {n_draws} draws of equal distributions, {level:.1%} reject "
            f"already; allow more, got {rate:g}",
            attr="max_rejection",
        )
    return rate


def _identity(conv, X, goal, options, asked):
    """All that what is found depends on, for a checkpoint."""
    kept = ("output", "backend", "backend_options", "dt")
    conv = conv.copy(add_to_container=False)
    conv.seed = None
    conv.reseed(0)  # what is found doesn't depend on the masks that it has now
    return {
        "command": "tune",
        "model": digest([conv]),
        "X": digest(X),
        "goal": digest(vars(goal)),
        "asked": digest(asked),
        "options": digest([options[name] for name in kept]),
        "backend version": get_backend(options["backend"]).version(),
        "nengo version": nengo.__version__,
        "nengo-permadrop version": version,
    }
