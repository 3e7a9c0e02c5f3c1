"""
A plan as the flat arrays that the kernels take.

Kernels get tables of integers, one row a population (readouts count as such), tile or
link, and arrays of numbers that these point into; so they are compiled once for all
networks. The columns' names are in `.batched.compiled.kernels`. A link is one
tile of neurons that a population reads, through the weights from a row on.
"""

import numpy as np

from nengo_permadrop.batched.compiled import kernels
from nengo_permadrop.batched.compiled.neuron_types import is_lif, lif_times

_LANES = 16  # tile sizes are multiples of the width of vectors


class Tables:
    """
    The part of the kernels' arguments that the network alone decides.

    Parameters
    ----------
    plan : `.Plan`
    dt : float
    dtype : dtype
        Floating-point type of the simulation.

    Attributes
    ----------
    populations, tiles, links, numbers, weights : ndarrays
        See `.kernels.run_block`.
    n_neurons, n_filtered, n_outputs : int
        Number of columns of the state, filter state and output arrays.
    room : tuple of int
        See `.kernels.run_block`.
    kept : list
        ``(columns, term)`` of the terms with dropout: where the masks of their source
        are.
    n_kept : int
    shared : list of bool
        The populations that fire in the same way in all replicas of one state seed and
        one input: no dropout lies before them, and they aren't probed.
    state_columns, output_columns : lists of slice
        Where the populations' neurons, and what is probed of them, are.
    """

    def __init__(self, plan, dt, dtype):
        self.plan = plan
        self.dt = dt
        self.dtype = np.dtype(dtype)
        self.kept, self.n_kept = [], 0
        self.n_neurons = self.n_filtered = self.n_outputs = self._n_events = 0
        self._n_rows = 1
        self.state_columns, self.output_columns = [], []
        self._tiles, self._links, self._weights = [], [], []
        self._tiles_of, self._n_weights = [], 1
        self.shared = []

        probed = {readout.population for readout in plan.readouts.values()}
        rows = [
            self._add(population, number in probed)
            for number, population in enumerate(plan.populations)
        ]
        self.populations = np.array(rows, dtype=np.int64)
        rectified = self.populations[:, kernels.P_KIND] == kernels.KIND_RECTIFIED
        self.room = (self._n_events, self._n_rows, int(rectified.any()))
        self.tiles = np.array(self._tiles, dtype=np.int64)
        self.links = np.array(self._links, dtype=np.int64).reshape(-1, 3)
        self.weights = np.concatenate([np.zeros(1, self.dtype), *self._weights])
        self.numbers = np.array(
            [self._numbers(population) for population in plan.populations],
            dtype=self.dtype,
        )

    @property
    def network(self):
        """The tables and numbers, as `.kernels.run_block` takes them."""
        return (self.populations, self.tiles, self.links, self.numbers, self.weights)

    def _add(self, population, probed):
        """Add a population's tiles, links and weights; returns its row."""
        is_neurons = population.neuron_type is not None
        mode = kernels.MODE_NONE
        if population.filter is not None:
            mode = kernels.MODE_FILTER
        elif population.spikes:
            mode = kernels.MODE_DIRECT
        first_link, first_tile = len(self._links), len(self._tiles)
        weights = self._link(population)

        size = population.size
        output = self._columns("n_outputs", size if probed else 0)
        state = self._columns("n_neurons", size if is_neurons else 0)
        filtered = self._columns(
            "n_filtered", size if mode == kernels.MODE_FILTER else 0
        )
        self.output_columns.append(output)
        self.state_columns.append(state)
        for start, stop in _split(size):
            self._tiles.append(
                [
                    stop - start,
                    state.start + start,
                    filtered.start + start,
                    self._n_weights,
                    self._n_events,
                    start,
                    size + start if population.filtered_inputs else -1,
                    output.start + start if probed else -1,
                ]
            )
            block = np.ascontiguousarray(weights[:, start:stop], dtype=self.dtype)
            self._weights.append(block.ravel())
            self._n_weights += block.size
            self._n_events += _most_events(population, stop - start)
        self._tiles_of.append(range(first_tile, len(self._tiles)))
        sources = (self.plan.sources[term.source] for term in population.spikes)
        read = [self.plan.populations[number] for number in sources]
        n_rows = sum(_most_events(source, source.size) for source in read)
        self._n_rows = max(self._n_rows, n_rows)
        self.shared.append(
            is_neurons
            and not probed
            and all(term.dropout is None for term in population.terms)
            and all(self.shared[self.plan.sources[t.source]] for t in population.spikes)
        )
        kind = kernels.KIND_READOUT
        if is_neurons:
            lif = is_lif(population.neuron_type)
            kind = kernels.KIND_LIF if lif else kernels.KIND_RECTIFIED
        return [
            first_tile,
            len(self._tiles) - first_tile,
            first_link,
            len(self._links) - first_link,
            mode,
            kind,
            self.shared[-1],
        ]

    def _link(self, population):
        """Add a population's links; returns its weights, one row a source neuron."""
        blocks = [np.zeros((0, population.size))]
        n_rows = 0
        for term in population.spikes:
            number = self.plan.sources[term.source]
            source = self.plan.populations[number]
            factor = source.neuron_type.amplitude / self.dt
            keep_start = None
            if term.dropout is not None:
                factor /= 1.0 - term.dropout.dropout.rate
                keep_start = self.n_kept
                self.kept.append((slice(keep_start, keep_start + source.size), term))
                self.n_kept += source.size
            block = np.zeros((source.size, population.size))
            matrix = np.eye(len(term.rows)) if term.matrix is None else term.matrix
            np.add.at(block, np.ix_(term.columns, term.rows), factor * matrix.T)
            blocks.append(block)
            start = 0
            for tile in self._tiles_of[number]:
                keep = -1 if keep_start is None else keep_start + start
                self._links.append([tile, n_rows + start, keep])
                start += self._tiles[tile][kernels.T_SIZE]
            n_rows += source.size
        return np.concatenate(blocks)

    def _columns(self, attr, size):
        start = getattr(self, attr)
        setattr(self, attr, start + size)
        return slice(start, start + size)

    def _numbers(self, population):
        numbers = np.zeros(kernels.N_SERIES + 1)
        neuron_type = population.neuron_type
        if neuron_type is not None:
            numbers[kernels.N_DT] = self.dt
            numbers[kernels.N_SPIKE] = neuron_type.amplitude / self.dt
        if neuron_type is not None and is_lif(neuron_type):
            times = lif_times(neuron_type, self.dt)
            numbers[kernels.N_TAU_RC] = times.tau_rc
            numbers[kernels.N_TAU_REF] = times.tau_ref
            numbers[kernels.N_TAU_SPIKE] = times.tau_spike
            numbers[kernels.N_MIN_VOLTAGE] = neuron_type.min_voltage
            numbers[kernels.N_DECAY] = -np.expm1(-self.dt / times.tau_rc)
        if population.filter is not None:
            state_space = population.filter
            order = len(state_space.a)
            a, b, c = np.zeros((2, 2)), np.zeros(2), np.zeros(2)
            a[:order, :order] = state_space.a
            b[:order], c[:order] = state_space.b[:, 0], state_space.c[0]
            if order == 1:  # as Nengo does, with one product less to round
                b[0], c[0] = b[0] * c[0], 1.0
            numbers[kernels.N_A11 : kernels.N_A22 + 1] = a.ravel()
            numbers[kernels.N_B1 : kernels.N_B2 + 1] = b
            numbers[kernels.N_C1 : kernels.N_C2 + 1] = c
        elif population.spikes:  # no filter: the product itself
            numbers[kernels.N_B1] = numbers[kernels.N_C1] = 1.0
        return numbers


def _split(size):
    """Starts and stops of the tiles of a population."""
    n_tiles = -(-size // kernels.TILE)
    each = -(-size // (n_tiles * _LANES)) * _LANES
    return [(start, min(start + each, size)) for start in range(0, size, each)]


def _most_events(population, size):
    """Most spikes of so many of a population's neurons that are listed in a window."""
    if population.neuron_type is None:
        return 0
    # rectified linear ones: see `kernels._run_tile`
    return size * kernels.WINDOW * (1 if is_lif(population.neuron_type) else 2)
