"""
A plan as the flat arrays that the kernels take.

Kernels get tables of integers, one row a population (readouts count as such), tile or
link, and arrays of numbers that these point into; so they are compiled once for all
networks. The columns' names are in `.batched.compiled.layout`. A link is one tile
of neurons that a population, or a tile of one with sparse weights, reads, through the
weights from a row on.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from nengo_permadrop.batched.compiled import layout
from nengo_permadrop.batched.compiled.neuron_types import is_lif, lif_times
from nengo_permadrop.batched.compiled.packing import PackedWeights, tile_runs


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
    sparse : (ndarray, ndarray)
        Pointers to runs, and runs, as there.
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
        self._events_of = []  # of tiles: most spikes that are listed in a window
        self._tiles_of, self._n_weights = [], 0
        self._pointers, self._runs = [np.zeros(1, np.int64)], [
            np.zeros((1, 3), np.int64)
        ]
        self._n_pointers = self._n_runs = 1
        self.shared = []

        probed = {readout.population for readout in plan.readouts.values()}
        rows = [
            self._add(population, number in probed)
            for number, population in enumerate(plan.populations)
        ]
        self.populations = np.array(rows, dtype=np.int64)
        rectified = self.populations[:, layout.P_KIND] == layout.KIND_RECTIFIED
        self.room = (self._n_events, self._n_rows, int(rectified.any()))
        self.tiles = np.array(self._tiles, dtype=np.int64)
        self.links = np.array(self._links, dtype=np.int64).reshape(-1, 3)
        self.weights = layout.aligned_zeros(self._n_weights + 1, self.dtype)
        start = 0
        for part in self._weights:
            self.weights[start : start + len(part)] = part
            start += _whole_blocks(len(part))
        self.sparse = np.concatenate(self._pointers), np.concatenate(self._runs)
        self.numbers = np.array(
            [self._numbers(population) for population in plan.populations],
            dtype=self.dtype,
        )

    @property
    def network(self):
        """The tables and numbers, as `.kernels.run_block` takes them."""
        return (
            self.populations,
            self.tiles,
            self.links,
            self.numbers,
            self.weights,
            self.sparse,
        )

    def _add(self, population, probed):
        """Add a population's tiles, links and weights; returns its row."""
        is_neurons = population.neuron_type is not None
        mode = layout.MODE_NONE
        if population.filter is not None:
            mode = layout.MODE_FILTER
        elif population.spikes:
            mode = layout.MODE_DIRECT
        first_link, first_tile = len(self._links), len(self._tiles)
        size = population.size
        output = self._columns("n_outputs", size if probed else 0)
        state = self._columns("n_neurons", size if is_neurons else 0)
        filtered = self._columns(
            "n_filtered", size if mode == layout.MODE_FILTER else 0
        )
        self.output_columns.append(output)
        self.state_columns.append(state)
        tiles = _split(size)
        for start, stop in tiles:
            self._tiles.append(
                [
                    stop - start,
                    state.start + start,
                    filtered.start + start,
                    0,
                    self._n_events,
                    start,
                    size + start if population.filtered_inputs else -1,
                    output.start + start if probed else -1,
                    0,
                    0,
                ]
            )
            self._events_of.append(_most_events(population, stop - start))
            self._n_events += self._events_of[-1]
        self._tiles_of.append(range(first_tile, len(self._tiles)))
        is_sparse = self._link(population, tiles)
        self.shared.append(
            is_neurons
            and not probed
            and all(term.dropout is None for term in population.terms)
            and all(self.shared[self.plan.sources[t.source]] for t in population.spikes)
        )
        kind = layout.KIND_READOUT
        if is_neurons:
            lif = is_lif(population.neuron_type)
            kind = layout.KIND_LIF if lif else layout.KIND_RECTIFIED
        return [
            first_tile,
            len(self._tiles) - first_tile,
            first_link,
            len(self._links) - first_link,
            mode,
            kind,
            self.shared[-1],
            is_sparse,
        ]

    def _link(self, population, tiles):
        """Add a population's links and weights; returns whether these are sparse."""
        read = []  # a row for each tile of neurons that it reads
        first = 0
        for term in population.spikes:
            number = self.plan.sources[term.source]
            source = self.plan.populations[number]
            keep = -1
            if term.dropout is not None:
                keep = self.n_kept
                kept = replace(term, matrix=None)  # the weights aren't needed
                self.kept.append((slice(keep, keep + source.size), kept))
                self.n_kept += source.size
            for tile in self._tiles_of[number]:
                read.append([tile, first, keep])
                first += self._tiles[tile][layout.T_SIZE]
                keep += self._tiles[tile][layout.T_SIZE] if keep >= 0 else 0
        own = [self._tiles[number] for number in self._tiles_of[-1]]
        runs = None
        if population.spikes and any(_is_sparse(term) for term in population.spikes):
            weights = sparse.csr_matrix(self._weights_of(population, _as_sparse))
            runs = tile_runs(weights, tiles, self.dtype)
        if runs is not None:
            self._link_runs(runs, own, read, first)
            return True
        self._links.extend(read)
        weights = self._weights_of(population, _as_array)
        for tile, (start, stop) in zip(own, tiles):
            tile[layout.T_WEIGHTS] = self._n_weights
            block = np.ascontiguousarray(weights[start:stop].T, dtype=self.dtype)
            self._weights.append(block.ravel())
            self._n_weights += _whole_blocks(block.size)
        self._n_rows = max(self._n_rows, self._most_listed(read))
        return False

    def _link_runs(self, runs, tiles, read, n_sources):
        """Add the links, tile by tile, and weights of a population's runs."""
        bounds = np.array([row for _, row, _ in read] + [n_sources])
        weights = PackedWeights()
        for each, tile in zip(runs, tiles):
            place = weights.add(each)
            tile[layout.T_FIRST_LINK] = len(self._links)
            first = self._n_runs
            linked = []
            for number, begins in each.links(bounds).items():
                source, _, keep = read[number]
                linked.append([source, self._n_pointers, keep])
                self._pointers.append(first + begins)
                self._n_pointers += len(begins)
            self._links.extend(linked)
            tile[layout.T_N_LINKS] = len(linked)
            columns = (each.targets, each.blocks, self._n_weights + place)
            self._runs.append(np.stack(columns, axis=1))
            self._n_runs += len(place)
            self._n_rows = max(self._n_rows, self._most_listed(linked))
        self._weights.append(weights.weights(self.dtype))
        self._n_weights += _whole_blocks(weights.size)

    def _weights_of(self, population, make):
        """Weights of spikes, ``(size, n_sources)``, of what ``make`` makes each."""
        parts = [make((population.size, 0))]
        for term in population.spikes:
            source = self.plan.populations[self.plan.sources[term.source]]
            factor = source.neuron_type.amplitude / self.dt
            if term.dropout is not None:
                factor /= 1.0 - term.dropout.dropout.rate
            parts.append(make((population.size, source.size), term, factor))
        if len(parts) == 2:
            return parts[1]
        stack = sparse.hstack if make is _as_sparse else np.hstack
        return stack(parts)

    def _most_listed(self, links):
        """Most spikes that are listed in a window of the tiles that are read."""
        return sum(self._events_of[tile] for tile, _, _ in links)

    def _columns(self, attr, size):
        start = getattr(self, attr)
        setattr(self, attr, start + size)
        return slice(start, start + size)

    def _numbers(self, population):
        numbers = np.zeros(layout.N_SERIES + 1)
        neuron_type = population.neuron_type
        if neuron_type is not None:
            numbers[layout.N_DT] = self.dt
            numbers[layout.N_SPIKE] = neuron_type.amplitude / self.dt
        if neuron_type is not None and is_lif(neuron_type):
            times = lif_times(neuron_type, self.dt)
            numbers[layout.N_TAU_RC] = times.tau_rc
            numbers[layout.N_TAU_REF] = times.tau_ref
            numbers[layout.N_TAU_SPIKE] = times.tau_spike
            numbers[layout.N_MIN_VOLTAGE] = neuron_type.min_voltage
            numbers[layout.N_DECAY] = -np.expm1(-self.dt / times.tau_rc)
        if population.filter is not None:
            state_space = population.filter
            order = len(state_space.a)
            a, b, c = np.zeros((2, 2)), np.zeros(2), np.zeros(2)
            a[:order, :order] = state_space.a
            b[:order], c[:order] = state_space.b[:, 0], state_space.c[0]
            if order == 1:  # as Nengo does, with one product less to round
                b[0], c[0] = b[0] * c[0], 1.0
            numbers[layout.N_A11 : layout.N_A22 + 1] = a.ravel()
            numbers[layout.N_B1 : layout.N_B2 + 1] = b
            numbers[layout.N_C1 : layout.N_C2 + 1] = c
        elif population.spikes:  # no filter: the product itself
            numbers[layout.N_B1] = numbers[layout.N_C1] = 1.0
        return numbers


def _split(size):
    """Starts and stops of the tiles of a population."""
    n_tiles = -(-size // layout.TILE)
    each = -(-size // (n_tiles * layout.LANES)) * layout.LANES
    return [(start, min(start + each, size)) for start in range(0, size, each)]


def _whole_blocks(size):
    """The next multiple of what is added at once, where other weights may begin."""
    return -(-size // layout.LANES) * layout.LANES


def _most_events(population, size):
    """Most spikes of so many of a population's neurons that are listed in a window."""
    if population.neuron_type is None:
        return 0
    # rectified linear ones: see `kernels._run_tile`
    return size * layout.WINDOW * (1 if is_lif(population.neuron_type) else 2)


def _is_sparse(term):
    """Whether a term's weights are mostly 0, as far as is known without counting."""
    return term.matrix is None or sparse.issparse(term.matrix)


def _as_array(shape, term=None, factor=1.0):
    """A term's weights to all elements from all neurons of its source."""
    weights = np.zeros(shape)
    if term is not None:
        matrix = np.eye(len(term.rows)) if term.matrix is None else term.matrix
        if sparse.issparse(matrix):
            matrix = matrix.toarray()
        np.add.at(weights, np.ix_(term.rows, term.columns), factor * matrix)
    return weights


def _as_sparse(shape, term=None, factor=1.0):
    """As `_as_array`, a sparse matrix."""
    if term is None:
        return sparse.csr_matrix(shape)
    matrix = sparse.identity(len(term.rows)) if term.matrix is None else term.matrix
    every_row = np.array_equal(term.rows, np.arange(shape[0]))
    if every_row and np.array_equal(term.columns, np.arange(shape[1])):
        return sparse.csr_matrix(factor * matrix)
    matrix = sparse.coo_matrix(matrix)
    places = term.rows[matrix.row], term.columns[matrix.col]
    return sparse.csr_matrix((factor * matrix.data, places), shape=shape)
