"""
The compiled hot path: feed-forward spiking networks, block by block of replicas.

A block of replicas is simulated window by window of time steps, and in a window layer
by layer (each after those that it reads), so that a layer's weights and a replica's
state of it stay in the processor's caches for the whole window. Populations are split
into tiles of neurons, for the same reason.

Spikes are kept as lists of the neurons that fired in each step. The product with the
weights is the sum of the rows of those neurons, filtered afterwards together with the
neuron update. That takes two passes: one over all neurons, without branches, so that it
is vectorised, and flags those that spike or leave their refractory period within the
step; one over these. The arithmetic is that of `nengo.LIF`, except that logarithm and
exponential are series where their arguments are small. Loihi's neurons are LIF neurons
whose refractory period begins with a step, not when the threshold was crossed in it.
`nengo.SpikingRectifiedLinear` is simpler; a neuron that fires several times in a step
is several times in the list, or, where there is no room for that, once with the number
of its spikes.

What is passed in arrays of integers and numbers is described in
`nengo_permadrop.batched.compiled.tables`. Numba takes a kernel from its cache on disk
for as long as the kernel's own file and what it encloses are the same; so it encloses a
digest of the files that have compiled code.
"""

import hashlib
from pathlib import Path

import numba
import numpy as np

from nengo_permadrop.batched.compiled import rows
from nengo_permadrop.batched.compiled.rows import (
    add_counted,
    add_rows,
    collect_rows,
    copy_spikes,
    count_rows,
    count_spikes,
    jit,
    show_spikes,
)

TILE = 512  # most neurons of a tile
WINDOW = 64  # steps
# Arguments of the series are at most this; see `_spikes_series`.
SERIES_LIMIT = 0.1
_LANES = 16

# A replica's state of a tile is worked on in one array, in fields at constant places:
# then the compiler knows that they don't overlap and vectorises the loops over them.
# (A field has more places than neurons so that they don't lie whole pages apart, which
# would make the processor wait for stores that only look like the loads after them.)
_FIELD = TILE + 32
_ACC, _V, _REF, _X1, _X2, _CUR, _J, _CJ, _CV, _CR = (_FIELD * i for i in range(10))
SCRATCH = _FIELD * 10

# columns of the table of populations
P_FIRST_TILE, P_N_TILES, P_FIRST_LINK, P_N_LINKS, P_MODE, P_KIND, P_SHARED = range(7)
# columns of the table of tiles
T_SIZE, T_STATE, T_FILTER, T_WEIGHTS, T_EVENTS = range(5)
T_CURRENT, T_INPUT, T_OUTPUT = range(5, 8)
# columns of the numbers of a population
N_DT, N_TAU_RC, N_TAU_REF, N_TAU_SPIKE, N_MIN_VOLTAGE, N_DECAY, N_SPIKE = range(7)
N_A11, N_A12, N_A21, N_A22, N_B1, N_B2, N_C1, N_C2, N_SERIES = range(7, 16)
MODE_NONE, MODE_DIRECT, MODE_FILTER = range(3)
KIND_READOUT, KIND_LIF, KIND_RECTIFIED = range(3)
STATUS_INFINITE = 1


@jit
def _filter_step(scratch, n, numbers):
    a11, a12, a21, a22 = numbers[N_A11], numbers[N_A12], numbers[N_A21], numbers[N_A22]
    b1, b2 = numbers[N_B1], numbers[N_B2]
    for k in range(n):
        u, p, q = scratch[_ACC + k], scratch[_X1 + k], scratch[_X2 + k]
        scratch[_X1 + k] = a11 * p + a12 * q + b1 * u
        scratch[_X2 + k] = a21 * p + a22 * q + b2 * u


@jit
def _membrane(scratch, flags, n, numbers):
    """The first pass, for neurons with a constant current."""
    dt, decay, low = numbers[N_DT], numbers[N_DECAY], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type  # literals would be doubles, and so all the arithmetic
    zero, one = number(0), number(1)
    for k in range(n):
        j, v, r = scratch[_CUR + k], scratch[_V + k], scratch[_REF + k] - dt
        new = v + (j - v) * decay if r <= zero else v
        scratch[_REF + k] = r
        scratch[_V + k] = max(new, low)
        scratch[_J + k] = j
        flags[k] = (new > one) | ((r > zero) & (r < dt))


@jit
def _filter_membrane(scratch, flags, n, numbers, advance):
    """The first pass, together with the filter of the current (if it is advanced)."""
    dt, decay, low = numbers[N_DT], numbers[N_DECAY], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type
    zero, one = number(0), number(1)
    a11, a12, a21, a22 = one, zero, zero, one
    b1, b2, c1, c2 = zero, zero, numbers[N_C1], numbers[N_C2]
    if advance:
        a11, a12 = numbers[N_A11], numbers[N_A12]
        a21, a22 = numbers[N_A21], numbers[N_A22]
        b1, b2 = numbers[N_B1], numbers[N_B2]
    for k in range(n):
        u, p, q = scratch[_ACC + k], scratch[_X1 + k], scratch[_X2 + k]
        x1 = a11 * p + a12 * q + b1 * u
        x2 = a21 * p + a22 * q + b2 * u
        scratch[_X1 + k] = x1
        scratch[_X2 + k] = x2
        j = scratch[_CUR + k] + (c1 * x1 + c2 * x2)
        v, r = scratch[_V + k], scratch[_REF + k] - dt
        new = v + (j - v) * decay if r <= zero else v
        scratch[_REF + k] = r
        scratch[_V + k] = max(new, low)
        scratch[_J + k] = j
        flags[k] = (new > one) | ((r > zero) & (r < dt))


@jit
def _spikes_series(scratch, spiked, m, numbers):
    """
    The second pass: end of the refractory period, spike times; by series.

    A voltage that was at most 1 is at most ``1 + (J - 1) (1 - exp(-dt / tau_rc))``
    after a step, so with a small ``dt / tau_rc`` both arguments are small.
    """
    dt, tau_rc, tau_ref = numbers[N_DT], numbers[N_TAU_RC], numbers[N_TAU_REF]
    tau_spike, low = numbers[N_TAU_SPIKE], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type
    zero, one, two = number(0), number(1), number(2)
    m = (m + _LANES - 1) // _LANES * _LANES  # what is in excess isn't used
    for e in range(m):
        j, v, r = scratch[_CJ + e], scratch[_CV + e], scratch[_CR + e]
        y = (r - dt) / tau_rc
        s = one + y * number(1 / 10)
        s = one + y * s * number(1 / 9)
        s = one + y * s * number(1 / 8)
        s = one + y * s * number(1 / 7)
        s = one + y * s * number(1 / 6)
        s = one + y * s * number(1 / 5)
        s = one + y * s * number(1 / 4)
        s = one + y * s * number(1 / 3)
        s = one + y * s * number(1 / 2)
        v = max(v - (j - v) * (y * s), low) if r > zero else v
        x = one - v
        z = x / (two * (j - one) + x)
        zz = z * z
        s = number(1 / 11) + zz * number(1 / 13)
        s = number(1 / 9) + zz * s
        s = number(1 / 7) + zz * s
        s = number(1 / 5) + zz * s
        s = number(1 / 3) + zz * s
        s = one + zz * s
        fires = v > one
        scratch[_CV + e] = zero if fires else v
        scratch[_CR + e] = tau_ref + dt + tau_spike * (two * z * s) if fires else r
        spiked[e] = fires


@jit
def _spikes(scratch, spiked, m, numbers):
    """The second pass, for any arguments."""
    dt, tau_rc, tau_ref = numbers[N_DT], numbers[N_TAU_RC], numbers[N_TAU_REF]
    tau_spike, low = numbers[N_TAU_SPIKE], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type
    zero, one = number(0), number(1)
    for e in range(m):
        j, v, r = scratch[_CJ + e], scratch[_CV + e], scratch[_CR + e]
        if r > zero and r < dt:
            v = max(v - (j - v) * np.expm1((r - dt) / tau_rc), low)
        spiked[e] = v > one
        scratch[_CV + e] = v
        if v > one:
            scratch[_CV + e] = zero
            since = tau_spike * np.log1p(-(v - one) / (j - one))
            scratch[_CR + e] = tau_ref + dt + since


@jit
def _fire(scratch, work, n, numbers, events, end):
    """The second pass over the flagged neurons; appends those that fire to events."""
    flags, spiked, flagged = work
    m = 0
    for k in range(n):
        flagged[m] = k
        m += flags[k]
    current, voltage, refractory = scratch[_J:], scratch[_V:], scratch[_REF:]
    for e in range(m):
        k = flagged[e]
        scratch[_CJ + e] = current[k]
        scratch[_CV + e] = voltage[k]
        scratch[_CR + e] = refractory[k]
    if numbers[N_SERIES] > 0:
        _spikes_series(scratch, spiked, m, numbers)
    else:
        _spikes(scratch, spiked, m, numbers)
    fired = events[end:]
    n_fired = np.uint32(0)
    for e in range(m):
        k = flagged[e]
        voltage[k] = scratch[_CV + e]
        refractory[k] = scratch[_CR + e]
        fired[n_fired] = k
        n_fired = np.uint32(n_fired + spiked[e])
    return end + n_fired


@jit
def _fire_rectified(scratch, work, n, numbers, events, end, limit):
    """`nengo.SpikingRectifiedLinear`; -1 if there is no room to list its spikes."""
    flags, _, flagged = work
    dt, zero, one = numbers[N_DT], scratch.dtype.type(0), scratch.dtype.type(1)
    for k in range(n):
        v = scratch[_V + k] + max(scratch[_J + k], zero) * dt
        count = np.floor(v)
        scratch[_V + k] = v - count
        scratch[_CV + k] = count
        flags[k] = count >= one
    m = 0
    for k in range(n):
        flagged[m] = k
        m += flags[k]
    for e in range(m):
        count = scratch[_CV + flagged[e]]
        if not count <= limit - end:
            return -1
        for _ in range(int(count)):
            events[end] = flagged[e]
            end += 1
    return end


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
        ``(n_populations, 16)``; all tiles' weights ``(n_rows, size)``, as 1-D.
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
    populations, tiles, links, numbers, weights = network
    currents, starts, keep = inputs
    n_events, n_rows, counted = room
    n_block = order.shape[0]
    scratch = np.zeros(SCRATCH, dtype=numbers.dtype)
    flags = np.zeros(TILE, dtype=np.uint8)
    spiked = np.zeros(TILE + _LANES, dtype=np.uint8)
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
    base = np.zeros(WINDOW * _FIELD, dtype=numbers.dtype)

    for first in range(0, n_steps, WINDOW):
        window = min(WINDOW, n_steps - first)
        for p in range(populations.shape[0]):
            population = populations[p]
            first_link, first_tile = population[P_FIRST_LINK], population[P_FIRST_TILE]
            own_links = links[first_link : first_link + population[P_N_LINKS]]
            constants = (numbers[p], weights)
            for i in range(n_block):
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
                    own_state = (state[0][r], state[1][r], state[2][r], state[3][r])
                    own_currents = currents[starts[p, r] :]
                    _load(scratch, base, population, tile, own_currents, own_state)
                    read = (rows[i], row_pointers[i], base, 0)
                    if any_counted[i]:
                        place = (tile[T_SIZE], tile[T_WEIGHTS])
                        counted_rows = (rows[i], row_pointers[i], row_counts[i])
                        add_counted(base, _FIELD, weights, place, counted_rows, window)
                        read = (rows[i], no_rows, base, _FIELD)
                    fires = (events[i], pointers[i, t], counts[i])
                    shown = output[r, first : first + window]
                    _run_tile(
                        scratch, work, population, tile, constants, read, fires, shown
                    )
                    if _store(scratch, population, tile, own_state):
                        status[p] |= STATUS_INFINITE


def _kept(digest):
    """The kernel, kept in a cache for as long as a digest of its source is the same."""

    @numba.njit(cache=True, nogil=True)
    def run_block(*args):
        """The block, compiled with the sources that it was made of."""
        _ = digest
        _run_block(*args)

    return run_block


@jit
def _run_tile(scratch, work, population, tile, constants, read, spikes, output):
    """Simulate a tile of neurons, or of a readout, for a window."""
    n, column = tile[T_SIZE], tile[T_OUTPUT]
    mode, kind = population[P_MODE], population[P_KIND]
    numbers, weights = constants
    events, pointers, _ = spikes
    end = tile[T_EVENTS]
    pointers[0] = end
    for t in range(output.shape[0]):
        advance = mode == MODE_DIRECT or (mode == MODE_FILTER and t > 0)
        if mode == MODE_DIRECT:
            _product(scratch, tile, weights, read, t)
        start = end
        if kind == KIND_LIF:
            if mode == MODE_NONE:
                _membrane(scratch, work[0], n, numbers)
            else:
                _filter_membrane(scratch, work[0], n, numbers, advance)
            end = _fire(scratch, work, n, numbers, events, end)
        else:
            if advance:
                _filter_step(scratch, n, numbers)
            if kind == KIND_READOUT:
                _read(scratch, n, numbers, mode, output[t, column : column + n])
            else:
                _read(scratch, n, numbers, mode, scratch[_J : _J + n])
                # two spikes a neuron and step, but one in each that is still to come
                limit = tile[T_EVENTS] + n * (WINDOW + t + 1)
                end = _fire_rectified(scratch, work, n, numbers, events, end, limit)
                if end < 0:
                    end = count_spikes(scratch[_CV:], n, events, spikes[2], start)
        pointers[t + 1] = end
        if column >= 0:
            show_spikes(output[t], column, spikes, start, end, numbers[N_SPIKE])
        if mode == MODE_FILTER:
            _product(scratch, tile, weights, read, t)
    if mode == MODE_FILTER:
        _filter_step(scratch, n, numbers)


@jit
def _product(scratch, tile, weights, read, t):
    rows, row_pointers, base, each = read
    n, own = tile[T_SIZE], base[each * t :]
    for k in range(n):
        scratch[_ACC + k] = own[k]
    first, last = row_pointers[t], row_pointers[t + 1]
    add_rows(scratch, weights, n, tile[T_WEIGHTS], rows, first, last)


@jit
def _read(scratch, n, numbers, mode, output):
    c1, c2 = numbers[N_C1], numbers[N_C2]
    for k in range(n):
        value = scratch[_CUR + k]
        if mode != MODE_NONE:
            value += c1 * scratch[_X1 + k] + c2 * scratch[_X2 + k]
        output[k] = value


@jit
def _load(scratch, base, population, tile, currents, state):
    """Load a replica's state of a tile."""
    n, first, filtered = tile[T_SIZE], tile[T_STATE], tile[T_FILTER]
    current, constant_input = tile[T_CURRENT], tile[T_INPUT]
    zero = scratch.dtype.type(0)
    for k in range(n):
        scratch[_CUR + k] = currents[current + k]
        base[k] = currents[constant_input + k] if constant_input >= 0 else zero
        scratch[_X1 + k] = zero
        scratch[_X2 + k] = zero
    if population[P_KIND] != KIND_READOUT:
        for k in range(n):
            scratch[_V + k] = state[0][first + k]
            scratch[_REF + k] = state[1][first + k]
    if population[P_MODE] == MODE_FILTER:
        for k in range(n):
            scratch[_X1 + k] = state[2][filtered + k]
            scratch[_X2 + k] = state[3][filtered + k]


@jit
def _store(scratch, population, tile, state):
    """Store the state; True if not all of it is finite."""
    n, first, filtered = tile[T_SIZE], tile[T_STATE], tile[T_FILTER]
    total = zero = scratch.dtype.type(0)
    if population[P_KIND] != KIND_READOUT:
        for k in range(n):
            state[0][first + k] = scratch[_V + k]
            state[1][first + k] = scratch[_REF + k]
            finite = scratch[_V + k] * zero + scratch[_J + k] * zero
            total += finite + scratch[_REF + k] * zero
    if population[P_MODE] == MODE_FILTER:
        for k in range(n):
            state[2][filtered + k] = scratch[_X1 + k]
            state[3][filtered + k] = scratch[_X2 + k]
            total += scratch[_X1 + k] * zero
    return total != total


# the source of all compiled code
_SOURCE = b"".join(Path(f).read_bytes() for f in (__file__, rows.__file__))
run_block = _kept(hashlib.sha256(_SOURCE).hexdigest())
