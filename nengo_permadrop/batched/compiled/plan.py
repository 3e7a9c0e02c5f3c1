"""
Which networks the compiled kernels run, and what of them.

The plan of a network is made from its built model. It exists if

- all neurons are `nengo.LIF`, `nengo.SpikingRectifiedLinear` or nengo-loihi's LoihiLIF,
  or of a type that inherits the ``step`` of one of these; or `nengo.RegularSpiking` of
  rate neurons that only Nodes drive, without synapses,
- there are no loops,
- what lies between neurons, Nodes and probes is linear and constant: dense weights,
  gains, sums, slices, passthrough Nodes or such that add a constant (`.Shift`), and
  synapses that are linear filters of first or second order; the currents of one
  population all with one synapse, or none,
- Nodes give constants, `nengo.processes.PresentInput`, or what overrides them,
- dropout acts on the output of neurons or a Node, and drops units of neurons (Gaussian
  noise may act on Nodes only),
- probes read spikes or linear functions of spikes and inputs.

Everything else is run by the vectorised steps, with the same result: `find_plan` says
why. Populations that no probe depends on are left out.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

import nengo
import numpy as np
from nengo.builder.operator import Copy
from nengo.builder.processes import SimProcess

from nengo_permadrop.batched.compiled.expressions import NotPlanned, Reader
from nengo_permadrop.batched.compiled.neuron_types import has_kernel, is_regular
from nengo_permadrop.batched.steps.neurons import has_curve
from nengo_permadrop.dropout.masks import BERNOULLI

logger = logging.getLogger(__name__)

_FORGOTTEN = "forgotten"  # in place of weights: None would be the identity


@dataclass(eq=False)
class Population:
    """Neurons, or the elements of a readout, that are simulated together.

    Attributes
    ----------
    name : str
        For messages.
    size : int
    offset : (size,) ndarray
        The constant part of the current (readout: of the value).
    spikes : tuple of `.expressions.Term`
        What is added to it from neurons.
    inputs, filtered_inputs : tuples of `.expressions.Term`
        What is added from Nodes, and what is with the filter of ``spikes``.
    filter : `.expressions.StateSpace` or None
    neuron_type : `nengo.neurons.NeuronType` or None
        None for a readout.
    ensemble : `nengo.Ensemble` or None
    curve : `nengo.neurons.NeuronType` or None
        Of `nengo.RegularSpiking` neurons, whose current is constant: the rate type that
        makes rates of it, with which they fire as if they were rectified linear.
    """

    name: str
    size: int
    offset: np.ndarray
    spikes: tuple
    inputs: tuple
    filtered_inputs: tuple
    filter: Any = None
    neuron_type: Any = None
    ensemble: Any = None
    curve: Any = None

    @property
    def terms(self):
        """All terms of the current."""
        return self.spikes + self.inputs + self.filtered_inputs

    def forget_weights(self):
        """Free the weights of ``spikes``, when tables have been made of them."""
        self.spikes = tuple(replace(term, matrix=_FORGOTTEN) for term in self.spikes)


@dataclass(eq=False)
class Readout:
    """What a probe reads.

    Attributes
    ----------
    population : int
        A readout population; or one of neurons, for its spikes.
    columns : ndarray of int
        Which of its elements.
    synapse : `nengo.synapses.Synapse` or None
        A filter to be applied afterwards.
    """

    population: int
    columns: np.ndarray
    synapse: Any = None


@dataclass(eq=False)
class Plan:
    """A network, as the kernels run it.

    Attributes
    ----------
    populations : list of `Population`
        Sorted: each after those that it reads.
    sources : dict
        Number of the population of each output signal of neurons.
    readouts : dict
        `Readout` by probe.
    inputs : dict
        As ``expressions.Reader.inputs``.
    """

    populations: list
    sources: dict
    readouts: dict
    inputs: dict


def find_plan(model, dtype):
    """
    The plan of a model, if there is one.

    Parameters
    ----------
    model : `nengo.builder.Model`
        Built and not optimized.
    dtype : dtype
        Floating-point type of the simulation.

    Returns
    -------
    plan : `Plan` or None
    reason : str
        Why there is none; "" if there is.
    """
    try:
        if dtype not in (np.float32, np.float64):
            raise NotPlanned(f"kernels run in float32 or float64, not {dtype}")
        return _Planner(model).plan(), ""
    except NotPlanned as error:
        reason = str(error)
        logger.info("Running %s by vectorised steps: %s", model.label, reason)
        return None, reason


class _Planner:
    def __init__(self, model):
        self.model = model
        self.reader = Reader(model)
        self.populations, self.sources = [], {}
        self._ensembles = {
            sigs.get("out"): obj.ensemble
            for obj, sigs in model.sig.items()
            if isinstance(obj, nengo.ensemble.Neurons)
        }

    def plan(self):
        readouts = {probe: self._readout(probe) for probe in self.model.probes}
        if not readouts:
            raise NotPlanned("nothing is probed")
        return Plan(self.populations, self.sources, readouts, self.reader.inputs)

    def _readout(self, probe):
        signal = self.model.sig[probe]["in"]
        synapse = self._probe_synapse(signal)
        if synapse is not None:
            signal, synapse = synapse.input, synapse.process
        expression = self.reader.read(signal)
        if len(expression.terms) == 1 and not expression.offset.any():
            term = expression.terms[0]
            plain = term.matrix is None and term.dropout is None and not term.filter
            if plain and term.spiking and len(term.rows) == expression.size:
                number = self._neurons(term.source)
                return Readout(number, term.columns[np.argsort(term.rows)], synapse)
        number = self._add(expression, f"{probe}")
        return Readout(number, np.arange(expression.size), synapse)

    def _probe_synapse(self, signal):
        """The operator of a probe's own synapse; what it filters may be filtered."""
        writers = self.reader.writers[signal.base]
        if len(writers) != 1 or type(writers[0]) is not Copy or writers[0].inc:
            return None
        copied = writers[0].src
        filters = self.reader.writers[copied.base]
        if len(filters) != 1 or type(filters[0]) is not SimProcess:
            return None
        op = filters[0]
        if op.input is None or op.mode != "update" or copied is not op.output:
            return None
        self.reader.state_space(op.process)
        return op

    def _neurons(self, signal):
        """The number of the population with this output; it is added if it is new.

        Those before it are added first, and not by recursion: a network may be deeper
        than Python's stack.
        """
        waiting, stack = {}, [signal]
        while stack:
            current = stack[-1]
            if self.sources.get(current) is not None:
                stack.pop()
                continue
            if current not in waiting:
                self.sources[current] = None
                waiting[current] = self._described(current)
            before = (term.source for term in waiting[current][0].terms if term.spiking)
            first = next((s for s in before if self.sources.get(s) is None), None)
            if first in waiting:
                raise NotPlanned(f"{first!r} depends on itself")
            if first is not None:
                stack.append(first)
            else:
                self.sources[current] = self._add(*waiting.pop(current))
        return self.sources[signal]

    def _described(self, signal):
        """What `_add` takes, of the neurons with this output."""
        op = self.reader.neurons[signal]
        neuron_type, ensemble = op.neurons, self._ensembles.get(signal)
        if not has_kernel(neuron_type) or ensemble is None:
            raise NotPlanned(f"{neuron_type} has no compiled kernel")
        current, curve = op.J, None
        if is_regular(neuron_type):
            current, curve = self.reader.neurons[op.J].J, neuron_type.base_type
            if not has_curve(neuron_type):
                raise NotPlanned(f"{curve} has rates that the kernels can't know")
        expression = self.reader.read(current)
        return expression, f"{ensemble}", neuron_type, ensemble, curve

    def _add(self, expression, name, neuron_type=None, ensemble=None, curve=None):
        spikes = tuple(term for term in expression.terms if term.spiking)
        inputs = tuple(term for term in expression.terms if not term.spiking)
        for term in spikes:
            self._neurons(term.source)
            if term.dropout is not None and term.dropout.dropout.noise != BERNOULLI:
                # kernels add whole rows of weights, each shared by all replicas
                raise NotPlanned(f"{term.dropout.conn} multiplies spikes by noise")
        filters = {term.filter.key: term.filter for term in spikes if term.filter}
        unfiltered = [term for term in spikes if not term.filter]
        if not spikes:
            filters = {term.filter.key: term.filter for term in inputs if term.filter}
        if len(filters) > 1 or (filters and unfiltered):
            raise NotPlanned(f"{name} has connections with different synapses")
        state_space = next(iter(filters.values()), None)
        if any(term.filter and term.filter.key not in filters for term in inputs):
            raise NotPlanned(f"{name} has connections with different synapses")
        if curve is not None and (spikes or any(term.filter for term in inputs)):
            raise NotPlanned(f"{name} has rates that change from step to step")
        self.populations.append(
            Population(
                name=name,
                size=expression.size,
                offset=expression.offset,
                spikes=spikes,
                inputs=tuple(term for term in inputs if not term.filter),
                filtered_inputs=tuple(term for term in inputs if term.filter),
                filter=state_space,
                neuron_type=neuron_type,
                ensemble=ensemble,
                curve=curve,
            )
        )
        return len(self.populations) - 1
