"""The search of `.tune`: settings, what they cost, and whether they agree."""

import copy
import math
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from nengo.exceptions import ValidationError

from nengo_permadrop.calibration.fitting import METHODS, calibrate
from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.rates import firing_rates
from nengo_permadrop.metrics.certificate import certificate_of
from nengo_permadrop.sampling.pairs import classical_samples
from nengo_permadrop.sampling.sampler import sample_unchecked
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import check_choice, check_real_array
from nengo_permadrop.targets.registry import get_target

CALIBRATIONS = ("auto", "none", *METHODS)

# One row of so many isn't tuned on, but checks what was found
HOLD_OUT = 4

_LEAST_ROWS = 20
_MOST_ROWS = 40  # that settings are judged by, and that check what was found
_N_PAIRS = 100  # of draws, for each row

# Multiples of the target's firing rate, and of its default synapse's time constant
_RATES = (0.25, 0.5, 1.0, 2.0)
_SYNAPSES = (0.4, 0.6, 1.0, 1.5)

# Presentations, from short to long: the part of the settling time that isn't read, and
# seconds that are
_PRESENTATIONS = (
    (0.6, 0.01),
    (0.8, 0.01),
    (1.0, 0.02),
    (1.0, 0.04),
    (1.0, 0.06),
    (1.2, 0.1),
)


@dataclass(frozen=True)
class Goal:
    """What `.tune` was asked for; see there."""

    n_draws: int
    max_rejection: float
    objective: str
    budget: int
    most_time: float


@dataclass(frozen=True, eq=False)
class _Combination:
    """
    A conversion with some firing rates and synapse.

    Attributes
    ----------
    conv : `.Converter`
    rates : float
        Multiple of the target's firing rate.
    rate : float
        Spikes a second of the whole network.
    presentations : list of (presentation_time, settle)
        In seconds, from short to long.
    """

    conv: Converter
    rates: float
    rate: float
    presentations: list


class Search:
    """
    Settings from the cheap to the dear.

    Parameters
    ----------
    conv : `.Converter`
    X
        As in `.tune`.
    goal : `Goal`
    calibration : str
    seed : int
    options : dict
        Of `.sample`.
    tell : bool
        Whether to tell on standard error what is tried.
    """

    def __init__(self, conv, X, goal, calibration, seed, options, tell):
        check_choice(calibration, "calibration", CALIBRATIONS)
        if conv.calibration is not None:
            raise ValidationError(
                "got a calibrated network, whose corrections hold for its own settings "
                "only: give it as it was converted, and let it calibrate",
                attr="conv",
            )
        X = match_inputs(X, conv.graph.input_shapes)
        if len(X[0]) < _LEAST_ROWS:
            raise ValidationError(
                f"at least {_LEAST_ROWS} rows are needed, got {len(X[0])}", attr="X"
            )
        held_out = np.arange(len(X[0])) % HOLD_OUT == HOLD_OUT - 1
        self.conv, self.goal, self.calibration = conv, goal, calibration
        self.seed, self.options, self.tell = seed, options, tell
        self._fitted = [x[~held_out] for x in X]
        self._rows = [x[:_MOST_ROWS] for x in self._fitted]
        self._others = [x[held_out][:_MOST_ROWS] for x in X]
        self._classical = self._classical_answers(self._rows)
        self._trials, self._found = [], []

    def run(self, rates=None, synapses=None):
        """Try all combinations of rates and synapses that could be the cheapest."""
        first = self.conv.first_layer
        stages = [(self.calibration, first)]
        if self.calibration == "auto":
            stages = [("currents", first), ("weights", "exact")]
        for calibration, first_layer in stages:
            if not self._found:
                self._run(rates, synapses, calibration, first_layer)

    def _run(self, rates, synapses, calibration, first_layer):
        for combination in self._combinations(rates, synapses, first_layer):
            least = self._cost(combination, combination.presentations[0])
            if self._found and least >= self._found[0][0]:
                continue  # even its shortest presentation is dearer
            self._try(combination, calibration)
            if len(self._trials) >= self.goal.budget:
                break

    def best(self):
        """The cheapest conversion that agrees, and its row of the table."""
        if not self._found:
            raise ValidationError(
                f"nothing that was tried agrees at {self.goal.n_draws} draws:\n"
                f"{self.table().to_string(index=False)}\n"
                f"{self._advice()}",
                attr="conv",
            )
        _, combination, trial = self._found[0]
        return combination.conv, trial

    def table(self):
        """All trials, in the order in which they were made."""
        return pd.DataFrame(self._trials)

    def checked(self, conv, trial):
        """The certificate for rows that nothing was chosen by."""
        certificate = self._certified(
            conv, trial, self._others, self._classical_answers(self._others)
        )
        rate = certificate.rejection_rate(self.goal.n_draws)
        if rate > 2 * self.goal.max_rejection:
            warnings.warn(
                f"on the rows that it was not tuned on, {rate:.1%} of tests would "
                f"reject, more than the {self.goal.max_rejection:.1%} of the others. "
                "Tune with more rows, or with a smaller max_rejection",
                stacklevel=3,
            )
        return certificate

    def _combinations(self, rates, synapses, first_layer):
        """All of them, those first that could be cheapest."""
        target = get_target(self.conv.target)
        scalable = bool(self.conv.firing_rates)
        multiples = _RATES if rates is None else check_real_array(rates, "rates")
        found = []
        for multiple in map(float, np.ravel(multiples) if scalable else [math.nan]):
            hertz = None
            if scalable:
                scaled = copy.copy(target)
                scaled.firing_rate = multiple * target.firing_rate
                hertz = firing_rates(
                    self.conv.graph, scaled, X=self._rows, dropout=self.conv.dropout
                )
            for synapse in self._synapses(target, synapses):
                conv = self._converted(hertz, synapse, first_layer)
                model = MeanField(conv, self.options["dt"])
                masks = model.draw_masks(
                    len(self._rows[0]), np.random.RandomState(self.seed)
                )
                rate = model.spikes(model.forward(self._rows, masks))
                times = self._presentations(conv)
                if times:
                    found.append(_Combination(conv, multiple, rate, times))
        if not found:
            raise ValidationError(
                f"no presentation is as short as {self.goal.most_time} s; allow more",
                attr="most_time",
            )
        return sorted(found, key=lambda each: self._cost(each, each.presentations[0]))

    def _synapses(self, target, given):
        if given is not None:
            return [target.synapse(synapse, "spiking") for synapse in given]
        default = target.default_synapse
        return [type(default)(factor * default.tau) for factor in _SYNAPSES]

    def _converted(self, hertz, synapse, first_layer):
        conv = self.conv
        with own_network(0):
            made = Converter(
                conv.graph if conv.model is None else conv.model,
                target=conv.target,
                synapse=synapse,
                dropout=conv.dropout,
                scale_firing_rates=hertz,
                first_layer=first_layer,
                redraw=conv.redraw,
                copies=len(conv.copies),
                seed=0,
            )
        made.take_masks(conv)
        return made

    def _presentations(self, conv):
        """Times from short to long, in whole steps."""
        dt, needed = self.options["dt"], conv.settling_time
        found = []
        for part, read in _PRESENTATIONS:
            settle = math.ceil(part * needed / dt - 1e-6) * dt
            time = round(settle + max(read, dt), 9)
            if time <= self.goal.most_time + 1e-9:
                found.append((time, round(settle, 9)))
        return found

    def _cost(self, combination, presentation):
        time, _ = presentation
        return time if self.goal.objective == "time" else combination.rate * time

    def _try(self, combination, calibration):
        """Find its shortest presentation that agrees, by bisection."""
        if calibration != "none":
            calibrate(
                combination.conv,
                self._fitted,
                method=calibration,
                seed=self.seed,
                dt=self.options["dt"],
            )
        times = combination.presentations
        if self._found:  # longer ones are dearer than what has been found
            best = self._found[0][0]
            times = [t for t in times if self._cost(combination, t) < best]
        below, above = -1, len(times)
        while above - below > 1 and len(self._trials) < self.goal.budget:
            # the longest first: if that doesn't agree, none does
            middle = len(times) - 1 if above == len(times) else (below + above) // 2
            trial = self._judged(combination, times[middle], calibration)
            if not trial["agrees"]:
                below = middle
                continue
            above = middle
            cost = self._cost(combination, times[middle])
            self._found.append((cost, combination, trial))
            self._found.sort(key=lambda each: each[0])

    def _judged(self, combination, presentation, calibration):
        time, settle = presentation
        trial = {
            "calibration": calibration,
            "first_layer": combination.conv.first_layer,
            "rates": combination.rates,
            "synapse": getattr(combination.conv.synapse, "tau", math.nan),
            "presentation_time": time,
            "settle": settle,
            "spikes": combination.rate * time,
        }
        found = self._certified(combination.conv, trial, self._rows, self._classical)
        trial["bias"], trial["spread"] = found.bias, found.spread
        trial["rejection_rate"] = found.rejection_rate(self.goal.n_draws)
        trial["agrees"] = trial["rejection_rate"] <= self.goal.max_rejection
        self._trials.append(trial)
        if self.tell:
            print(
                f"tune: {len(self._trials)}: {trial['spikes']:.0f} spikes in {time:g} "
                f"s, bias {found.bias:.3f}, {trial['rejection_rate']:.1%} rejected",
                file=sys.stderr,
                flush=True,
            )
        return trial

    def _certified(self, conv, trial, rows, classical):
        times = {name: trial[name] for name in ("presentation_time", "settle")}
        spiking = sample_unchecked(
            conv, rows, _N_PAIRS, seed=self.seed, **times, **self.options
        )
        return certificate_of(spiking, classical, seed=self.seed, options=times)

    def _classical_answers(self, rows):
        kept = ("output", "dt", "executor", "max_memory", "progress")
        known = {name: self.options[name] for name in kept if name in self.options}
        return classical_samples(self.conv, rows, _N_PAIRS, seed=self.seed, **known)

    def _advice(self):
        if self.calibration != "auto":
            return "Try calibration='auto'"
        if self.goal.most_time < math.inf:
            return "Allow more time (most_time)"
        return "Try fewer draws, higher rates or slower synapses"
