"""The search of `.tune`: settings, what they cost, and whether they agree."""

import json
import math
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.calibration.fitting import calibrate_quietly
from nengo_permadrop.converter.meanfield.fittable import why_not_weights
from nengo_permadrop.metrics.certificate import certificate_of, predicted
from nengo_permadrop.metrics.residuals import without_spread
from nengo_permadrop.sampling.combinations import Combinations, cost_of
from nengo_permadrop.sampling.pairs import classical_samples
from nengo_permadrop.sampling.sampler import sample_unchecked
from nengo_permadrop.support.inputs import match_inputs

# One row of so many isn't tuned on, but checks what was found
HOLD_OUT = 4

LEAST_ROWS = 20  # that are asked for

_MOST_ROWS = 40  # that settings are judged by, and that check what was found
_MOST_FITTED = 100  # that are calibrated on
_N_FITTED = 1600  # pairs of a row and masks, of these; of few rows, more masks
_LEAST_MASKS = 16
_N_PAIRS = 100  # of draws, for each row


@dataclass(frozen=True)
class Goal:
    """What `.tune` was asked for; see there."""

    n_draws: int
    max_rejection: float
    objective: str
    budget: float
    calibration: str


class Rows:
    """
    Observations, and the classical network's draws for them.

    Parameters
    ----------
    conv : `.Converter`
    X : list of (n, size) ndarray
        All rows; those that are taken are evenly spaced.
    seed : int
    options : dict
        Of `.sample`.
    """

    def __init__(self, conv, X, seed, options):
        self._conv, self._seed, self._options = conv, seed, options
        X = evenly(X, _MOST_ROWS)
        varies = ~without_spread(self._draws(X)).any(axis=1)
        self.n_constant = int(np.count_nonzero(~varies))
        self.X = [x[varies] for x in X]
        self.n = len(self.X[0])
        # draws of a row depend on its number
        self.classical = self._draws(self.X) if self.n else None

    def _draws(self, X):
        kept = ("output", "dt", "executor", "max_memory")
        known = {name: self._options[name] for name in kept}
        options = {"seed": self._seed, "progress": False, **known}
        return classical_samples(self._conv, X, _N_PAIRS, **options)

    def spiking(self, conv, presentation):
        """Draws of a spiking network with the same masks."""
        time, settle = presentation
        times = {"presentation_time": time, "settle": settle}
        options = {"seed": self._seed, "progress": False, **times, **self._options}
        return sample_unchecked(conv, self.X, _N_PAIRS, **options)


class Search:
    """
    Settings from the cheap to the dear.

    Parameters
    ----------
    conv : `.Converter`
    X, rates, synapses, most_time
        As in `.tune`.
    goal : `Goal`
    seed : int
    options : dict
        Of `.sample`.
    progress : bool
        Whether to tell on standard error what is tried.

    Attributes
    ----------
    trials : list of dict
        In the order in which they were made.
    found : (cost, `.Combination`, int) or None
        The cheapest that agrees, and its place among the trials.
    """

    def __init__(
        self, conv, X, goal, *, rates, synapses, most_time, seed, options, progress
    ):
        X = match_inputs(X, conv.graph.input_shapes)
        if len(X[0]) < LEAST_ROWS:
            raise ValidationError(
                f"at least {LEAST_ROWS} rows are needed, got {len(X[0])}", attr="X"
            )
        held_out = np.arange(len(X[0])) % HOLD_OUT == HOLD_OUT - 1
        self.conv, self.goal, self.seed = conv, goal, seed
        self.options, self.progress = options, progress
        self._fitted = evenly([x[~held_out] for x in X], _MOST_FITTED)
        self._combinations = Combinations(
            conv, self._fitted, rates, synapses, most_time, options["dt"], seed
        )
        self._rows = Rows(conv, [x[~held_out] for x in X], seed, options)
        self._others = Rows(conv, [x[held_out] for x in X], seed, options)
        self._check_rows()
        self.trials, self.found = [], None
        self._n_tried = 0
        self._last = None, None  # what a network was made for, and the network
        self._doubtful = []  # agrees on the rows tuned on, but not on the others

    def run(self, store=None):
        """
        Try all combinations of rates and synapses that could be the cheapest.

        Parameters
        ----------
        store : `.Checkpoint`, optional
            Where it is kept what was found of each.
        """
        for calibration, first_layer in self._stages():
            if self.found is None and self._n_tried < self.goal.budget:
                self._run(calibration, first_layer, store)
        if self.found is None and not self._doubtful:
            nearest = min(self.trials, key=lambda trial: trial["rejection_rate"])
            raise ValidationError(
                f"nothing that was tried agrees at {self.goal.n_draws} draws; nearest "
                f"were presentations of {nearest['presentation_time']:g} s with "
                f"{nearest['synapse']}, where {nearest['rejection_rate']:.1%} of tests "
                f"would reject. {self._advice()}",
                attr="conv",
            )

    def _stages(self):
        first_layer = self.conv.first_layer
        if self.goal.calibration != "auto":
            return [(self.goal.calibration, first_layer)]
        stages = [("currents", first_layer)]
        if why_not_weights(self.conv) is None:
            stages.append(("weights", "exact"))
        return stages

    def _run(self, calibration, first_layer, store):
        objective = self.goal.objective
        made = self._combinations.make(calibration, first_layer, objective)
        for number, combination in enumerate(made):
            if self._n_tried >= self.goal.budget:
                break
            if not self._cheaper(combination.presentations[:1], combination.rate):
                continue  # even its shortest presentation is dearer
            self._n_tried += 1
            name = f"{calibration}-{number}"
            self._take(combination, self._once(store, name, combination))

    def _once(self, store, name, combination):
        """The trials of a combination; those that were kept, if it has any."""
        if store is None:
            return self._tried(combination)
        kept = store.load(name)
        if kept is not None:
            return json.loads(str(kept))
        trials = self._tried(combination)
        store.save(name, np.array(json.dumps(trials)))
        return trials

    def _take(self, combination, trials):
        """Keep trials of a combination, and see if one is the cheapest."""
        for trial in trials:
            place = len(self.trials)
            self.trials.append(trial)
            self._tell(trial)
            if math.isnan(trial["held_out"]):
                continue
            time, spikes = trial["presentation_time"], trial["spikes"]
            cost = cost_of(time, spikes, self.goal.objective)
            if not trial["agrees"] and trial["held_out"] < 1:
                self._doubtful.append((trial["held_out"], cost, combination, place))
            elif trial["agrees"] and (self.found is None or cost < self.found[0]):
                self.found = cost, combination, place

    def chosen(self):
        """
        What was found, calibrated, and checked on rows that it was not tuned on.

        Returns
        -------
        conv : `.Converter`
        certificate : `.Certificate`
        place : int
            Among the trials.
        """
        if self.found is None:
            rate, _, combination, place = min(self._doubtful, key=lambda each: each[:2])
            warnings.warn(
                f"on rows that weren't tuned on, {rate:.1%} of tests would reject, and "
                "nothing else that was tried agrees better there. Tune with more rows, "
                "or with a smaller max_rejection",
                stacklevel=3,
            )
        else:
            _, combination, place = self.found
        trial = self.trials[place]
        times = {name: trial[name] for name in ("presentation_time", "settle")}
        conv = self._calibrated(combination, times.values())
        spiking = self._others.spiking(conv, times.values())
        known = {name: self.options[name] for name in ("dt", "backend")}
        certificate = certificate_of(
            spiking,
            self._others.classical,
            seed=self.seed,
            options={**times, **known, "outputs": list(spiking.output_names)},
        )
        conv.certificate = certificate
        return conv, certificate, place

    def table(self):
        """All trials, in the order in which they were made."""
        return pd.DataFrame(self.trials)

    def _cheaper(self, presentations, rate):
        """Those that are cheaper than what has been found."""
        if self.found is None:
            return list(presentations)
        best, objective = self.found[0], self.goal.objective
        return [
            (time, settle)
            for time, settle in presentations
            if cost_of(time, rate * time, objective) < best
        ]

    def _tried(self, combination):
        """What is worth knowing of a combination; as JSON can hold it."""
        times = self._cheaper(combination.presentations, combination.rate)
        trials = {}

        def agrees(place):
            if place not in trials:
                trials[place] = self._judged(combination, times[place])
            return trials[place]["agrees"]

        shortest = _bisect(len(times), agrees)
        for place in range(shortest, len(times)):
            if agrees(place) and self._check(combination, trials[place]):
                break
        return list(trials.values())

    def _judged(self, combination, presentation):
        time, settle = presentation
        conv = self._calibrated(combination, presentation)
        spiking = self._rows.spiking(conv, presentation)
        bias, spread, rejected = self._predicted(self._rows, spiking)
        return {
            **combination.settings,
            "presentation_time": time,
            "settle": settle,
            "spikes": float(self._combinations.spike_rate(conv) * time),
            "bias": bias,
            "spread": spread,
            "rejection_rate": rejected,
            "held_out": math.nan,
            "agrees": rejected <= self.goal.max_rejection,
        }

    def _check(self, combination, trial):
        """Whether it agrees on the other rows, too."""
        presentation = trial["presentation_time"], trial["settle"]
        conv = self._calibrated(combination, presentation)
        spiking = self._others.spiking(conv, presentation)
        trial["held_out"] = self._predicted(self._others, spiking)[2]
        trial["agrees"] = trial["held_out"] <= self.goal.max_rejection
        return trial["agrees"]

    def _predicted(self, rows, spiking):
        """Bias, spread and rejection rate."""
        if without_spread(spiking).any():  # hardly a spike has come through
            return math.nan, math.nan, 1.0
        return predicted(spiking, rows.classical, self.goal.n_draws, seed=self.seed)

    def _calibrated(self, combination, presentation):
        """
        A conversion with its settings, calibrated for what is read.

        So it also answers well before it has quite settled. What a calibration may warn
        of isn't said: whether it is good enough, is judged.
        """
        time, settle = presentation
        made_for = combination, time, settle
        if made_for == self._last[0]:  # to check it after it was judged
            return self._last[1]
        conv = self._combinations.converted(combination)
        if combination.calibration != "none":
            self._calibrate(conv, combination.calibration, time, settle)
        self._last = made_for, conv
        return conv

    def _calibrate(self, conv, method, time, settle):
        calibrate_quietly(
            conv,
            self._fitted,
            max(_LEAST_MASKS, -(-_N_FITTED // len(self._fitted[0]))),
            presentation_time=time,
            settle=settle,
            method=method,
            seed=self.seed,
            dt=self.options["dt"],
        )

    def _check_rows(self):
        n_constant = self._rows.n_constant + self._others.n_constant
        if n_constant == 0:
            return
        n_all = n_constant + self._rows.n + self._others.n
        if min(self._rows.n, self._others.n) < LEAST_ROWS // HOLD_OUT:
            raise ValidationError(
                f"all classical draws of {n_constant} of {n_all} rows are the same in "
                "an output: no dropout reaches it there, so that there is no spread to "
                "measure a difference in. Give other rows, or another output",
                attr="X",
            )
        warnings.warn(
            f"all classical draws of {n_constant} of {n_all} rows are the same in an "
            "output, as no dropout reaches it there; these rows are left out",
            stacklevel=4,
        )

    def _tell(self, trial):
        if not self.progress:
            return
        held_out = trial["held_out"]
        others = "" if math.isnan(held_out) else f" ({held_out:.1%} on other rows)"
        print(
            f"tune: {trial['spikes']:.0f} spikes in {trial['presentation_time']:g} s, "
            f"bias {trial['bias']:.3f}, {trial['rejection_rate']:.1%} rejected{others}",
            file=sys.stderr,
            flush=True,
        )

    def _advice(self):
        if self._n_tried >= self.goal.budget:
            return "Allow more combinations (budget)"
        if self._combinations.most_time < math.inf:
            return "Allow more time (most_time, or redraw of the converter)"
        if self.goal.calibration not in ("auto", "weights"):
            return "Try calibration='auto'"
        return "Try fewer draws, or other rates and synapses"


def _bisect(n, agrees):
    """The first place that agrees; ``n`` if the last one doesn't."""
    below, above = -1, n
    while above - below > 1:
        # the last first: if that doesn't agree, none does
        middle = n - 1 if above == n else (below + above) // 2
        if agrees(middle):
            above = middle
        else:
            below = middle
    return above


def evenly(X, most):
    """At most so many rows, evenly spaced."""
    n = len(X[0])
    chosen = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    return [x[chosen] for x in X]
