"""
The compiled hot path: feed-forward spiking networks, block by block of replicas.

A block of replicas is simulated window by window of time steps, and in a window layer
by layer (each after those that it reads), so that a layer's weights and a replica's
state of it stay in the processor's caches for the whole window. Populations are split
into tiles of neurons, for the same reason.

Spikes are kept as lists of the neurons that fired in each step. The product with the
weights is the sum of the rows of those neurons, filtered afterwards together with the
neuron update (`.membranes`). A neuron that fires several times in a step is several
times in the list, or, where there is no room for that, once with the number of its
spikes. Where most weights are 0, a row is kept as its others (`.runs`), and a tile
reads only tiles that it has weights from.

What is passed in arrays of integers and numbers is described in
`nengo_permadrop.batched.compiled.tables`. Numba takes a kernel from its cache on disk
for as long as the kernel's own file and what it encloses are the same; so it encloses a
digest of the files that have compiled code.
"""

import hashlib
from pathlib import Path

import numba
import numpy as np

from nengo_permadrop.batched.compiled import layout, membranes, rows, runs
from nengo_permadrop.batched.compiled.layout import (
    F_ACC,
    F_CUR,
    F_CV,
    F_J,
    F_REF,
    F_V,
    F_X1,
    F_X2,
    FIELD,
    KIND_LIF,
    KIND_READOUT,
    LANES,
    MODE_DIRECT,
    MODE_FILTER,
    MODE_NONE,
    N_C1,
    N_C2,
    N_SPIKE,
    P_FIRST_LINK,
    P_FIRST_TILE,
    P_KIND,
    P_MODE,
    P_N_LINKS,
    P_N_TILES,
    P_SHARED,
    P_SPARSE,
    SCRATCH,
    STATUS_INFINITE,
    T_CURRENT,
    T_EVENTS,
    T_FILTER,
    T_FIRST_LINK,
    T_INPUT,
    T_N_LINKS,
    T_OUTPUT,
    T_SIZE,
    T_STATE,
    T_WEIGHTS,
    TILE,
    WINDOW,
    aligned_zeros,
    jit,
)
from nengo_permadrop.batched.compiled.membranes import (
    filter_membrane,
    filter_step,
    fire,
    fire_rectified,
    membrane,
)
from nengo_permadrop.batched.compiled.rows import (
    add_counted,
    add_rows,
    collect_rows,
    copy_spikes,
    count_rows,
    count_spikes,
    show_spikes,
)
from nengo_permadrop.batched.compiled.runs import (
    add_counted_runs,
    add_listed_runs,
    collect_runs,
    count_runs,
)


@jit
def _run_block(order, leaders, n_steps, network, inputs, state, output, room, status):
    """
    Simulate some replicas.

    Parameters
    ----------
    order : (n,) ndarray of int64
        The replicas.
    leaders : (n_replicas,) ndarray of int64
        The first place in a replica's block that has the same spikes as it in the
        populations that are shared.
    n_steps : int
    network : tuple of ndarrays
        Populations, tiles and links, 2-D of int64 (see
        `nengo_permadrop.batched.compiled.tables`); constants of neurons and filters,
        ``(n_populations, 16)``; all tiles' weights ``(n_rows, size)``, and those of
        runs, as 1-D; where the runs of each row of sparse weights begin, and the last
        ones end, 1-D, and the table of runs.
    inputs : tuple of ndarrays
        All populations' constant currents, followed by those that are filtered, 1-D;
        where in these a replica's of a population start, ``(n_populations,
        n_replicas)`` of int64; which inputs of all dropouts are kept, ``(n_replicas,
        n_kept)`` of uint8.
    state : tuple of ndarrays
        Voltage and refractory time ``(n_replicas, n_neurons)``, and the two states of
        filters ``(n_replicas, n_filtered)``; changed.
    output : (n_replicas, n_steps, n_outputs) ndarray
        Zeros; gets what is probed.
    room : tuple of int
        Most spikes that are listed in a window, of a replica, and of those that one
        population reads; whether (1 or 0) neurons can fire several times in a step.
    status : (n_populations,) ndarray of uint8
        Gets STATUS_INFINITE for a population whose state is not finite. It is written
        without a lock, so that no other block may have the same array.
    """
    populations, tiles, links, numbers, weights, sparse = network
    currents, starts, keep = inputs
    n_events, n_rows, counted = room
    n_block = order.shape[0]
    scratch = aligned_zeros(SCRATCH, numbers.dtype)
    flags = np.zeros(TILE, dtype=np.uint8)
    spiked = np.zeros(TILE + LANES, dtype=np.uint8)
    flagged = np.zeros(TILE + 1, dtype=np.uint32)  # unsigned: quicker to index with
    work = (flags, spiked, flagged)
    events = np.empty((n_block, n_events + 1), dtype=np.uint16)
    pointers = np.zeros((n_block, tiles.shape[0], WINDOW + 1), dtype=np.int64)
    counts = np.empty((n_block, counted * (n_events + 1)), dtype=numbers.dtype)
    rows = np.empty((n_block, n_rows + 1), dtype=np.int32)
    row_pointers = np.zeros((n_block, WINDOW + 1), dtype=np.int64)
    no_rows = np.zeros(WINDOW + 1, dtype=np.int64)
    row_counts = np.empty((n_block, counted * (n_rows + 1)), dtype=numbers.dtype)
    any_counted = np.zeros(n_block, dtype=np.bool_)
    base = aligned_zeros(WINDOW * FIELD, numbers.dtype)

    for first in range(0, n_steps, WINDOW):
        window = min(WINDOW, n_steps - first)
        for p in range(populations.shape[0]):
            population = populations[p]
            first_link, first_tile = population[P_FIRST_LINK], population[P_FIRST_TILE]
            own_links = links[first_link : first_link + population[P_N_LINKS]]
            constants = (numbers[p], weights, sparse)
            is_sparse = population[P_SPARSE] > 0
            for i in range(0 if is_sparse else n_block):
                spikes = (events[i], pointers[i], counts[i])
                read = (rows[i], row_pointers[i], row_counts[i])
                kept = keep[order[i]]
                any_counted[i] = collect_rows(own_links, kept, spikes, window, read)
                if any_counted[i]:
                    count_rows(own_links, kept, spikes, window, row_counts[i])
            for t in range(first_tile, first_tile + population[P_N_TILES]):
                tile = tiles[t]
                for i in range(n_block):
                    r = order[i]
                    if population[P_SHARED] and leaders[r] < i:
                        fired = (events, pointers, counts)
                        copy_spikes(fired, t, window, leaders[r], i)
                        continue
                    counted_rows = (rows[i], row_pointers[i], row_counts[i])
                    if is_sparse:
                        tile_links = links[tile[T_FIRST_LINK] :][: tile[T_N_LINKS]]
                        spikes = (events[i], pointers[i], counts[i])
                        what = (tile_links, keep[r], spikes, window, sparse[0])
                        any_counted[i] = collect_runs(*what, counted_rows)
                        if any_counted[i]:
                            count_runs(*what, row_counts[i])
                    own_state = (state[0][r], state[1][r], state[2][r], state[3][r])
                    own_currents = currents[starts[p, r] :]
                    _load(scratch, base, population, tile, own_currents, own_state)
                    read = (rows[i], row_pointers[i], base, 0)
                    if any_counted[i]:
                        _add_counted(
                            base, tile, constants, is_sparse, counted_rows, window
                        )
                        read = (rows[i], no_rows, base, FIELD)
                    fires = (events[i], pointers[i, t], counts[i])
                    shown = output[r, first : first + window]
                    _run_tile(
                        scratch, work, population, tile, constants, read, fires, shown
                    )
                    if _store(scratch, population, tile, own_state):
                        status[p] |= STATUS_INFINITE


def list_bytes(room):
    """Memory for the lists of spikes and rows of one replica, in bytes, at the most."""
    n_events, n_rows, counted = room
    return 2 * n_events + 4 * n_rows + 8 * counted * (n_events + n_rows)


def _kept(digest):
    """The kernel, kept in a cache for as long as a digest of its source is the same."""

    @numba.njit(cache=True, nogil=True)
    def run_block(*args):
        """The block, compiled with the sources that it was made of."""
        _ = digest
        _run_block(*args)

    return run_block


@jit
def _add_counted(base, tile, constants, is_sparse, read, n_steps):
    _, weights, sparse = constants
    if is_sparse:
        add_counted_runs(base, FIELD, tile[T_SIZE], weights, sparse, read, n_steps)
    else:
        place = (tile[T_SIZE], tile[T_WEIGHTS])
        add_counted(base, FIELD, weights, place, read, n_steps)


@jit
def _run_tile(scratch, work, population, tile, constants, read, spikes, output):
    """Simulate a tile of neurons, or of a readout, for a window."""
    n, column = tile[T_SIZE], tile[T_OUTPUT]
    mode, kind = population[P_MODE], population[P_KIND]
    numbers, weights, sparse = constants
    is_sparse = population[P_SPARSE] > 0
    events, pointers, _ = spikes
    end = tile[T_EVENTS]
    pointers[0] = end
    for t in range(output.shape[0]):
        advance = mode == MODE_DIRECT or (mode == MODE_FILTER and t > 0)
        if mode == MODE_DIRECT and is_sparse:
            _sparse_product(scratch, tile, weights, sparse, read, t)
        elif mode == MODE_DIRECT:
            _product(scratch, tile, weights, read, t)
        start = end
        if kind == KIND_LIF:
            if mode == MODE_NONE:
                membrane(scratch, work[0], n, numbers)
            else:
                filter_membrane(scratch, work[0], n, numbers, advance)
            end = fire(scratch, work, n, numbers, events, end)
        else:
            if advance:
                filter_step(scratch, n, numbers)
            if kind == KIND_READOUT:
                _read(scratch, n, numbers, mode, output[t, column : column + n])
            else:
                _read(scratch, n, numbers, mode, scratch[F_J : F_J + n])
                # two spikes a neuron and step, but one in each that is still to come
                limit = tile[T_EVENTS] + n * (WINDOW + t + 1)
                end = fire_rectified(scratch, work, n, numbers, events, end, limit)
                if end < 0:
                    end = count_spikes(scratch[F_CV:], n, events, spikes[2], start)
        pointers[t + 1] = end
        if column >= 0:
            show_spikes(output[t], column, spikes, start, end, numbers[N_SPIKE])
        if mode == MODE_FILTER and is_sparse:
            _sparse_product(scratch, tile, weights, sparse, read, t)
        elif mode == MODE_FILTER:
            _product(scratch, tile, weights, read, t)
    if mode == MODE_FILTER:
        filter_step(scratch, n, numbers)


@jit
def _product(scratch, tile, weights, read, t):
    rows, row_pointers, base, each = read
    n, own = tile[T_SIZE], base[each * t :]
    for k in range(n):
        scratch[F_ACC + k] = own[k]
    first, last = row_pointers[t], row_pointers[t + 1]
    add_rows(scratch, weights, n, tile[T_WEIGHTS], rows, first, last)


@jit
def _sparse_product(scratch, tile, weights, sparse, read, t):
    rows, row_pointers, base, each = read
    n, own = tile[T_SIZE], base[each * t :]
    for k in range(n):
        scratch[F_ACC + k] = own[k]
    first, last = row_pointers[t], row_pointers[t + 1]
    add_listed_runs(scratch[F_ACC:], weights, sparse, rows, first, last)


@jit
def _read(scratch, n, numbers, mode, output):
    c1, c2 = numbers[N_C1], numbers[N_C2]
    for k in range(n):
        value = scratch[F_CUR + k]
        if mode != MODE_NONE:
            value += c1 * scratch[F_X1 + k] + c2 * scratch[F_X2 + k]
        output[k] = value


@jit
def _load(scratch, base, population, tile, currents, state):
    """Load a replica's state of a tile."""
    n, first, filtered = tile[T_SIZE], tile[T_STATE], tile[T_FILTER]
    current, constant_input = tile[T_CURRENT], tile[T_INPUT]
    zero = scratch.dtype.type(0)
    for k in range(n):
        scratch[F_CUR + k] = currents[current + k]
        base[k] = currents[constant_input + k] if constant_input >= 0 else zero
        scratch[F_X1 + k] = zero
        scratch[F_X2 + k] = zero
    if population[P_KIND] != KIND_READOUT:
        for k in range(n):
            scratch[F_V + k] = state[0][first + k]
            scratch[F_REF + k] = state[1][first + k]
    if population[P_MODE] == MODE_FILTER:
        for k in range(n):
            scratch[F_X1 + k] = state[2][filtered + k]
            scratch[F_X2 + k] = state[3][filtered + k]


@jit
def _store(scratch, population, tile, state):
    """Store the state; True if not all of it is finite."""
    n, first, filtered = tile[T_SIZE], tile[T_STATE], tile[T_FILTER]
    total = zero = scratch.dtype.type(0)
    if population[P_KIND] != KIND_READOUT:
        for k in range(n):
            state[0][first + k] = scratch[F_V + k]
            state[1][first + k] = scratch[F_REF + k]
            finite = scratch[F_V + k] * zero + scratch[F_J + k] * zero
            total += finite + scratch[F_REF + k] * zero
    if population[P_MODE] == MODE_FILTER:
        for k in range(n):
            state[2][filtered + k] = scratch[F_X1 + k]
            state[3][filtered + k] = scratch[F_X2 + k]
            total += scratch[F_X1 + k] * zero
    return total != total


# the source of all compiled code
_FILES = (__file__, *(module.__file__ for module in (layout, membranes, rows, runs)))
_SOURCE = b"".join(Path(file).read_bytes() for file in _FILES)
run_block = _kept(hashlib.sha256(_SOURCE).hexdigest())
