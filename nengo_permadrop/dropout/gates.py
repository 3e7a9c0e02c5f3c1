"""Networks that drop units by other means than a connection's weights."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.processes import MaskProcess
from nengo_permadrop.neurons.softlif import LAYER_GAIN
from nengo_permadrop.support.isolation import add_made
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.validation import (
    check_number,
    check_seconds,
    check_seed,
)

# Hz: one spike per step. The weights can then be small; large ones would take bits from
# the others that go to the same core on Loihi, as they share a scale.
GATE_RATE = 1000.0

# Of a redraw, by default. Inhibition must set in again before a unit is released: with
# half of it, windows of four to five time constants were biased twice as much
_MOST_LEAD = 2 / 3

# Of the way to the threshold: where a neuron begins that is released. A neuron that is
# interrupted is half way, on average; but changes of masks make the layers after them
# fire a little more, and with less there is least bias in short windows of networks
_PHASE = 0.3


class DropoutGate(nengo.Network):
    """
    Dropout by inhibition: a gate that silences the neurons that are dropped.

    For hardware where weights can't change while a network runs. A process chooses the
    units to drop, by the masks that `.PermanentDropout` in a connection of the same
    seed would have; a neuron for each unit, off the chip, fires at 1000 Hz while its
    unit is dropped, and inhibits it. Each of these spikes is one synaptic event; each
    that the unit no longer sends would be one for every neuron that it connects to. The
    connections from the neurons must scale what is kept by ``1 / (1 - rate)``;
    `nengo_permadrop.Converter` does so.

    On its own, inhibition would end slowly, and a neuron that was held at rest would
    fire late, the later the lower its rate is. So other neurons, a second one for each
    unit, end it if the synapse is a Lowpass: for the few steps after which as much
    excitation as there was inhibition makes up for it, and by so much more that the
    unit begins some way to its threshold.

    Parameters
    ----------
    neurons : `nengo.ensemble.Neurons`
        The dropout layer's units. They are silenced for all that they connect to.
    rate : float
        Probability that a unit is dropped, in [0, 1).
    redraw : float, optional
        Take new masks after this many seconds of simulated time, again and again. None
        keeps the first ones.
    seed : int, optional
        What the masks depend on; by default it is drawn at random, once.
    inhibition : float, optional
        In units of the neurons' input (before their gain). A neuron is silent for
        inputs up to this much above its intercept. With the default that is an
        activation of 3.35 in SoftLIF layers of the study's recipe, which are near 1.
    synapse : `nengo.synapses.Synapse` or float, optional
        Filter of the inhibition. On Loihi, where a neuron has one filter for all its
        inputs, give that of the neurons' other inputs.
    lead : float, optional
        Seconds before a redraw from when on neurons that the next masks keep are not
        inhibited any more. By default 0; but where nothing ends the inhibition, the
        time in which it falls to a current of 1, the threshold of LIF neurons, if their
        gain is 2 as that of converted ones, and at most two thirds of ``redraw``.
    label : str, optional
    add_to_container : bool, optional
        As in `nengo.Network`.
    groups : (n_neurons,) array_like of int, optional
        Neurons with the same number are dropped together, as in `.PermanentDropout`.

    Attributes
    ----------
    neurons : `nengo.ensemble.Neurons`
        Those that are silenced.
    node : `nengo.Node`
        1 where a unit is dropped, -1 while its inhibition is ended, 0 where it is kept.
    ensemble : `nengo.Ensemble`
        The neurons that inhibit.
    release : `nengo.Ensemble` or None
        Those that end it.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of its range, or ``neurons`` are not an ensemble's.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> with nengo.Network(seed=0) as net:
    ...     a, b = nengo.Ensemble(50, 1), nengo.Ensemble(20, 1)
    ...     weights = nengo.dists.Gaussian(0, 0.01 / (1 - 0.1))
    ...     transform = nengo.Dense((20, 50), init=weights)
    ...     conn = nengo.Connection(a.neurons, b.neurons, transform=transform)
    ...     gate = npd.networks.DropoutGate(a.neurons, rate=0.1, redraw=0.1, seed=1)
    """

    def __init__(
        self,
        neurons,
        rate=0.5,
        redraw=None,
        seed=None,
        inhibition=10.0,
        synapse=0.005,
        label=None,
        add_to_container=None,
        lead=None,
        groups=None,
    ):
        if not isinstance(neurons, nengo.ensemble.Neurons):
            raise ValidationError(
                f"must be the neurons of an ensemble, got {neurons!r}", attr="neurons"
            )
        inhibition = check_number(inhibition, "inhibition", 0, low_open=True)
        if seed is not None:
            seed = check_seed(seed)
        super().__init__(label=label, seed=seed, add_to_container=False)
        self.neurons = neurons
        n = neurons.size_in
        if seed is None:
            seed = np.random.randint(2**31)
        with self:
            process = MaskProcess(n, rate, None, seed, groups=groups)
            self.node = nengo.Node(process, label="masks")
            conn = self._connect(1.0, -inhibition, neurons, synapse, "gate")
            self.ensemble, self.release = conn.pre_obj.ensemble, None
            charge = _PHASE * _time_constant(neurons)
            self._release_time, strength = _release(conn.synapse, inhibition, charge)
            if self._release_time > 0:
                ending = self._connect(-1.0, strength, neurons, synapse, "release")
                self.release = ending.pre_obj.ensemble
        self._lead = 0.0
        if self.release is None:
            self._lead = _decay_time(conn.synapse, 1 / (LAYER_GAIN * inhibition))
        self.redraw_every(redraw, lead=lead)
        add_made(self, add_to_container)

    def _connect(self, sign, strength, neurons, synapse, label):
        """Neurons that fire while the signal has a sign, and what they do."""
        n = neurons.size_in
        ensemble = nengo.Ensemble(
            n,
            dimensions=1,
            neuron_type=nengo.SpikingRectifiedLinear(amplitude=1.0 / GATE_RATE),
            gain=np.full(n, GATE_RATE),
            bias=np.zeros(n),
            encoders=np.ones((n, 1)),
            eval_points=np.zeros((1, 1)),
            label=label,
        )
        nengo.Connection(self.node, ensemble.neurons, synapse=None, transform=sign)
        return nengo.Connection(
            ensemble.neurons, neurons, transform=strength, synapse=synapse
        )

    def redraw_every(self, redraw, delay=0.0, lead=None):
        """
        Take new masks at other times, in simulators that are built afterwards.

        Parameters
        ----------
        redraw : float or None
            Seconds between redraws; None keeps the first masks.
        delay : float, optional
            Seconds by which every redraw comes later.
        lead : float, optional
            As in `DropoutGate`.

        Raises
        ------
        nengo.exceptions.ValidationError
            If an argument is out of its range; ``lead`` must be less than ``redraw``.
        """
        if redraw is not None:
            redraw = check_seconds(redraw, "redraw")
        if lead is not None:
            lead = check_seconds(lead, "lead", zero=True)
        else:
            lead = 0.0 if redraw is None else min(self._lead, _MOST_LEAD * redraw)
        old = self.node.output
        process = MaskProcess(
            old.n_units,
            old.rate,
            redraw,
            old.seed,
            delay,
            lead,
            self._release_time,
            old.groups,
        )
        if redraw is not None and not lead < redraw:
            raise ValidationError(
                f"must be less than redraw ({redraw} s), or units are released that "
                f"should be dropped; got {lead} s",
                attr="lead",
            )
        self.node.output = process

    def reseed(self, seed):
        """
        Take the masks of another seed, in simulators that are built afterwards.

        Parameters
        ----------
        seed : int
        """
        self.node.output = self.node.output.reseeded(check_seed(seed))

    def configure_loihi(self, network):
        """
        Keep the gate off the chip, in the configuration of a network.

        Parameters
        ----------
        network : `nengo.Network`
            The outermost network; nengo-loihi reads the configuration of no other.
        """
        require("nengo_loihi").add_params(network)
        for ensemble in self.ensembles:
            network.config[ensemble].on_chip = False


def _time_constant(neurons):
    """Seconds in which a current charges the neurons; 0 if they don't charge."""
    return getattr(neurons.ensemble.neuron_type, "tau_rc", 0.0)


def _release(synapse, inhibition, charge, dt=0.001):
    """
    How to end inhibition that comes through a synapse.

    In a few steps it has fallen to at most half, and excitation of about the same
    strength has risen to that and, for a charge of neurons, a little above.

    Parameters
    ----------
    synapse : `nengo.synapses.Synapse`
    inhibition : float
    charge : float
        What the excitation that is left shall add up to as it decays, in s.
    dt : float, optional

    Returns
    -------
    duration : float
        In s; 0 if the synapse isn't a Lowpass.
    strength : float
        Of the excitation, as ``inhibition``.
    """
    if not isinstance(synapse, nengo.Lowpass) or synapse.tau <= 0:
        return 0.0, 0.0
    n_steps = int(np.ceil(np.log(2) * synapse.tau / dt))
    left = np.exp(-n_steps * dt / synapse.tau)
    excess = charge / (LAYER_GAIN * synapse.tau)
    return n_steps * dt, (left * inhibition + excess) / (1 - left)


def _decay_time(synapse, fraction, dt=0.001):
    """Seconds in which a synapse's output falls to a fraction, when its input ends."""
    if synapse is None or fraction >= 1:
        return 0.0
    n_steps = 1000
    while True:
        # a column: Nengo 4.1 can't filter a vector where NumPy is newer than 2.3
        risen = synapse.filt(np.ones((n_steps, 1)), dt=dt, y0=0)[:, 0]
        last = np.flatnonzero(np.abs(1.0 - risen) > fraction).max(initial=-1)
        if last < n_steps // 2:
            return dt * (2 + last)
        if n_steps > 100_000:
            raise ValidationError(
                f"{synapse} doesn't let go of a constant input within {n_steps * dt:g} "
                "s, or doesn't pass it as it is; use a filter that does, such as "
                "nengo.Lowpass",
                attr="synapse",
            )
        n_steps *= 2


def mask_processes(network):
    """
    The processes of all gates in a network that drop units.

    Parameters
    ----------
    network : `nengo.Network`

    Returns
    -------
    processes : list of `.MaskProcess`
    """
    return [
        node.output
        for node in network.all_nodes
        if isinstance(node.output, MaskProcess) and node.output.rate > 0
    ]
