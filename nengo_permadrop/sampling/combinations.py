"""What `.tune` chooses among: firing rates and synapses, and when to read."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.converter.meanfield.model import MeanField
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.rates import firing_rates
from nengo_permadrop.converter.timing import path_delay
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import check_number
from nengo_permadrop.targets.registry import get_target

# Multiples of the target's firing rate, and of the synapse's time constant
_RATES = (0.25, 0.5, 1.0, 2.0)
_TIME_CONSTANTS = (0.4, 0.6, 1.0, 1.5)

# Presentations, from short to long: the part of the settling time that isn't read, and
# seconds that are
_PRESENTATIONS = (
    (0.6, 0.01),
    (0.8, 0.01),
    (1.0, 0.01),
    (1.0, 0.02),
    (1.0, 0.04),
    (1.0, 0.06),
    (1.2, 0.1),
    (1.2, 0.15),
)
_GRID = 0.005  # s: times are multiples of it


@dataclass(frozen=True, eq=False)
class Combination:
    """
    Firing rates and a synapse.

    Attributes
    ----------
    rates : float
        Multiple of the target's firing rate; NaN if no layer can have any.
    synapse : `nengo.synapses.Synapse`
    calibration, first_layer : str
        As in `.calibrate` and `.Converter`.
    rate : float
        Spikes a second of a draw, by the mean-field model; before a calibration.
    presentations : list of (presentation_time, settle)
        In seconds, from short to long.
    """

    rates: float
    synapse: object
    calibration: str
    first_layer: str
    rate: float = math.nan
    presentations: list = ()

    @property
    def settings(self):
        """What a table says of it."""
        return {
            "calibration": self.calibration,
            "first_layer": self.first_layer,
            "rates": self.rates,
            "synapse": synapse_label(self.synapse),
        }

    def oddness(self, synapse):
        """How far it is from the target's firing rate and a synapse."""
        rates = 0.0 if math.isnan(self.rates) else abs(math.log(self.rates))
        tau, usual = _time_constant(self.synapse), _time_constant(synapse)
        if tau and usual:
            return rates + abs(math.log(tau / usual))
        return rates + (self.synapse != synapse)


def cost_of(time, spikes, objective):
    """What shall be least; of what has as much of it, the other measure."""
    return (time, spikes) if objective == "time" else (spikes, time)


class Combinations:
    """
    All combinations of some firing rates and synapses.

    Parameters
    ----------
    conv : `.Converter`
        That is tuned.
    X : list of (n, size) ndarray
        Rows that the rates are chosen by.
    rates, synapses
        As in `.tune`.
    most_time : float
        Longest presentation, in seconds.
    dt : float
        Time step, in seconds.
    seed : int
        Of masks.
    """

    def __init__(self, conv, X, rates, synapses, most_time, dt, seed):
        self.conv, self.most_time, self.dt, self.seed = conv, most_time, dt, seed
        self.target = get_target(conv.target)
        self._X = X
        self._hertz = firing_rates(conv.graph, self.target, X=X, dropout=conv.dropout)
        self._rates = self._checked_rates(rates)
        self._synapses = self._checked_synapses(synapses)
        if conv.redraw is not None:  # answers belong to one set of masks
            self.most_time = min(most_time, conv.redraw)

    @property
    def gated(self):
        """Whether masks are redrawn by gates."""
        return any(dropout.gated for dropout in self.conv.dropouts)

    def make(self, calibration, first_layer, objective):
        """
        The combinations: the most usual one, and the others from cheap to dear.

        Parameters
        ----------
        calibration : str
        first_layer : {"converted", "exact"}
        objective : {"spikes", "time"}

        Returns
        -------
        combinations : list of `Combination`

        Raises
        ------
        nengo.exceptions.ValidationError
            If all presentations are longer than the longest one allowed.
        """
        found, shortest = [], math.inf
        for multiple, synapse in itertools.product(self._rates, self._synapses):
            each = Combination(multiple, synapse, calibration, first_layer)
            conv = self.converted(each)
            times, least = self._presentations(conv)
            shortest = min(shortest, least)
            if times:
                rate = self.spike_rate(conv)
                found.append(replace(each, rate=rate, presentations=times))
        if not found:
            raise ValidationError(
                f"no presentation is as short as {self.most_time:g} s; the shortest "
                f"that is tried takes {shortest:g} s",
                attr="redraw" if self.most_time == self.conv.redraw else "most_time",
            )

        def least_cost(each):
            time, _ = each.presentations[0]
            return cost_of(time, each.rate * time, objective)

        found.sort(key=least_cost)
        usual = min(found, key=lambda each: each.oddness(self._usual()))
        return [usual, *(each for each in found if each is not usual)]

    def spike_rate(self, conv):
        """Spikes a second of a draw, by the mean-field model."""
        if self.gated:  # the same network without what redraws its masks
            conv = self._converter(conv.firing_rates, conv.synapse, conv.first_layer)
        model = MeanField(conv, self.dt)
        masks = model.draw_masks(len(self._X[0]), np.random.RandomState(self.seed))
        return model.spikes(model.forward(self._X, masks))

    def _usual(self):
        if self.conv.synapse in self._synapses:
            return self.conv.synapse
        return self._synapses[0]

    def _checked_rates(self, given):
        if not self._hertz:
            if given is None:
                return [math.nan]
            raise ValidationError(
                "no layer of the model is relu, sigmoid or tanh, so that none can have "
                "another rate; leave them out",
                attr="rates",
            )
        rates = _several(_RATES if given is None else given, "rates")
        return [check_number(rate, "rates", 0, low_open=True) for rate in rates]

    def _checked_synapses(self, given):
        if given is not None:
            return [
                self.target.synapse(synapse, "spiking")
                for synapse in _several(given, "synapses")
            ]
        synapse = self.conv.synapse
        tau = _time_constant(synapse)
        if tau is None:
            return [synapse]
        return [type(synapse)(factor * tau) for factor in _TIME_CONSTANTS]

    def converted(self, combination):
        """A conversion with the masks, copies and gates of the one that is tuned."""
        made = self._converter(
            {name: combination.rates * hz for name, hz in self._hertz.items()},
            combination.synapse,
            combination.first_layer,
            redraw=self.conv.redraw,
            copies=len(self.conv.copies),
            label=self.conv.label,
        )
        made.take_masks(self.conv)
        made.model = self.conv.model
        return made

    def _converter(self, hertz, synapse, first_layer, **options):
        with own_network(0):
            return Converter(
                self.conv.graph,
                target=self.conv.target,
                synapse=synapse,
                dropout=self.conv.dropout,
                scale_firing_rates=hertz or None,
                first_layer=first_layer,
                seed=0,
                **options,
            )

    def _presentations(self, conv):
        """Those that are allowed, and the shortest of all."""
        grid = max(1, round(_GRID / self.dt)) * self.dt
        delay, needed = path_delay(conv)[0], conv.settling_time
        times = []
        for part, read in _PRESENTATIONS:
            # what is read before it has come through the synapses is no answer
            settle = math.ceil(max(part * needed, delay) / grid - 1e-6)
            read = max(1, round(read / grid))
            time = round((settle + read) * grid, 9), round(settle * grid, 9)
            if time not in times:
                times.append(time)
        allowed = [each for each in times if each[0] <= self.most_time + 1e-9]
        return allowed, times[0][0]


def synapse_label(synapse):
    """A synapse in a table."""
    tau = _time_constant(synapse)
    return repr(synapse) if tau is None else f"{type(synapse).__name__}({tau:g})"


def _time_constant(synapse):
    """In seconds, of a Lowpass or Alpha; None of others."""
    return getattr(synapse, "tau", None) or None


def _several(given, attr):
    """Values to choose from: one or several."""
    if isinstance(given, (str, bytes)) or not np.iterable(given):
        given = [given]
    given = list(given)
    if not given:
        raise ValidationError("must be at least one, got none", attr=attr)
    return given
