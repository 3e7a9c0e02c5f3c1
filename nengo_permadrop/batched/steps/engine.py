"""Running a built model by its operators' vectorised steps."""

import numpy as np
from nengo.builder.operator import Reset
from nengo.ensemble import Ensemble
from nengo.exceptions import SimulationError

from nengo_permadrop.batched import steps as _registers_the_steps  # noqa: F401
from nengo_permadrop.batched.random.masks import DropoutMasks, separable_dropouts
from nengo_permadrop.batched.random.seeding import (
    built_types,
    initial_states,
    random_states,
)
from nengo_permadrop.batched.steps.context import StepContext
from nengo_permadrop.batched.steps.registry import find_step
from nengo_permadrop.batched.steps.signals import ReplicaSignals


class StepEngine:
    """
    Runs a model's operators, each by its registered step, for all replicas.

    Parameters
    ----------
    model : `nengo.builder.Model`
    step_order : list of `nengo.builder.Operator`
        The operators, sorted.
    dtype : dtype
        Floating-point type of the signals.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator has no registered step.
    """

    def __init__(self, model, step_order, dtype):
        self.model = model
        self.step_order = step_order
        self.dtype = np.dtype(dtype)
        self._registered = [find_step(op) for op in step_order]

    def reset(self, seeds, inputs):
        """
        Set all signals to their initial values, and make the steps.

        Parameters
        ----------
        seeds : `.ReplicaSeeds`
        inputs : dict
            `.ReplicaInput` by output signal.
        """
        model = self.model
        separable, other = ([], []) if seeds.single else separable_dropouts(model)
        states = _random_state_signals(model)
        sources = {signal.base for signal, *_ in states}
        sources |= {signal.base for signal in inputs}
        sources |= {model.sig[built.conn]["weights"].base for built in other}
        masks = {
            built.weights: DropoutMasks(
                built, seeds.connection_seeds(model.seeds[built.conn]), self.dtype
            )
            for built in separable
        }
        varying = self._varying(sources, masks)

        self.signals = ReplicaSignals(
            seeds.n_replicas, varying, self.dtype, exact=(model.step, model.time)
        )
        for op in self.step_order:
            for signal in op.all_signals:
                self.signals.init(signal)
        if not seeds.single:
            self._seed_states(states, seeds)
            self._seed_weights(other, seeds)
        for signal, source in inputs.items():
            self.signals[signal][...] = source.at(model.dt, model.dt)

        context = StepContext(
            self.signals, model.dt, seeds, masks, inputs, model.operators
        )
        self._steps = [
            (op, registered.make_step(op, context))
            for op, registered in zip(self.step_order, self._registered)
            if not (isinstance(op, Reset) and op.dst in inputs)
        ]

    def run(self, n_steps, probes):
        """
        Advance all replicas by one time step.

        Parameters
        ----------
        n_steps : int
            Not used; what runs several steps at a time takes at most this many.
        probes : list of `nengo.Probe`
            What to return.

        Returns
        -------
        probed : dict
            Arrays ``(n_replicas, 1, ...)`` by probe.

        Raises
        ------
        nengo.exceptions.SimulationError
            If an operation is invalid (it would give NaN); names the operator and what
            it writes.
        """
        current = None
        try:
            with np.errstate(invalid="raise", divide="ignore"):
                for current in self._steps:
                    current[1]()
        except FloatingPointError as error:
            op = current[0]
            written = ", ".join(str(s) for s in op.sets + op.incs + op.updates)
            raise SimulationError(
                f"{op} gave a value that is not a number ({error}) in step "
                f"{self.n_steps}, for {written}"
            ) from error
        return {probe: self._probed(probe)[:, np.newaxis] for probe in probes}

    @property
    def replica_bytes(self):
        """Memory that the signals of one replica take, in bytes."""
        return sum(
            array[0].nbytes
            for signal, array in self.signals.items()
            if self.signals.varies(signal) and not signal.is_view
        )

    def get_state(self):
        """All that changes in a run, to be pickled: signal values by signal."""
        return {
            signal: array.copy()
            for signal, array in self.signals.items()
            if not signal.readonly and not signal.is_view
        }

    def set_state(self, state):
        """Go on from what `get_state` returned."""
        for signal, value in state.items():
            self.signals[signal][...] = value

    @property
    def n_steps(self):
        """Number of steps taken."""
        return self.signals[self.model.step].item()

    @property
    def time(self):
        """Simulated time, in seconds."""
        return self.signals[self.model.time].item()

    def _probed(self, probe):
        """
        A copy of what a probe reads now, ``(n_replicas, ...)``.

        Raises
        ------
        nengo.exceptions.SimulationError
            If there is NaN in it.
        """
        signal = self.model.sig[probe]["in"]
        value = self.signals[signal]
        if value.dtype.kind == "f" and np.any(np.isnan(value)):
            raise SimulationError(f"NaN in {signal!r}, which {probe} reads")
        if self.signals.varies(signal):
            return value.copy()
        shape = (self.signals.n_replicas, *value.shape)
        return np.broadcast_to(value.copy(), shape)

    def _varying(self, sources, masks):
        """The base signals that can differ between replicas, from those that do."""
        varying = set(sources)
        before = -1
        while before < len(varying):
            before = len(varying)
            for op, registered in zip(self.step_order, self._registered):
                if (
                    registered.varies(op)
                    or any(signal in masks for signal in op.reads)
                    or any(signal.base in varying for signal in op.all_signals)
                ):
                    written = op.sets + op.incs + op.updates
                    varying.update(s.base for s in written if s not in masks)
        return varying

    def _seed_states(self, states, seeds):
        for signals, neuron_type, n_neurons, seed in _by_type(states):
            ensemble_seeds = seeds.ensemble_seeds(seed)
            drawn = initial_states(neuron_type, n_neurons, ensemble_seeds, self.dtype)
            for name, signal in signals.items():
                self.signals[signal][...] = drawn[name]

    def _seed_weights(self, dropouts, seeds):
        for built in dropouts:
            weights = self.signals[self.model.sig[built.conn]["weights"]]
            connection_seeds = seeds.connection_seeds(self.model.seeds[built.conn])
            for row, seed in zip(weights, connection_seeds):
                row[...] = built.redrawn(seed)


def _random_state_signals(model):
    """``(signal, name, type, n_neurons, seed)`` of the states drawn at random."""
    found = []
    for obj, seed in model.seeds.items():
        if not isinstance(obj, Ensemble) or obj.neurons not in model.sig:
            continue
        for neuron_type in built_types(obj.neuron_type):
            for name in random_states(neuron_type):
                signal = model.sig[obj.neurons].get(name)
                if signal is not None:
                    found.append((signal, name, neuron_type, obj.n_neurons, seed))
    return found


def _by_type(states):
    grouped = {}
    for signal, name, neuron_type, n_neurons, seed in states:
        key = (id(neuron_type), seed)
        entry = grouped.setdefault(key, ({}, neuron_type, n_neurons, seed))
        entry[0][name] = signal
    return grouped.values()
