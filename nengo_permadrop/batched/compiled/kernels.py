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
is several times in the list.

What is passed in arrays of integers and numbers is described in
`nengo_permadrop.batched.compiled.tables`. All compiled code is in this one file,
because Numba takes a kernel from its cache on disk for as long as the file that it is
in is the same.
"""

import numba
import numpy as np

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
_V, _REF, _X1, _X2, _ACC, _CUR, _U, _J, _CJ, _CV, _CR = (_FIELD * i for i in range(11))
SCRATCH = _FIELD * 11

# columns of the table of populations
P_FIRST_TILE, P_N_TILES, P_FIRST_LINK, P_N_LINKS, P_MODE, P_KIND, P_SHARED = range(7)
# columns of the table of tiles
T_SIZE, T_STATE, T_FILTER, T_WEIGHTS, T_EVENTS = range(5)
T_LIMIT, T_CURRENT, T_INPUT, T_OUTPUT = range(5, 9)
# columns of the table of links
L_TILE, L_ROW, L_KEEP = range(3)
# columns of the numbers of a population
N_DT, N_TAU_RC, N_TAU_REF, N_TAU_SPIKE, N_MIN_VOLTAGE, N_DECAY, N_SPIKE = range(7)
N_A11, N_A12, N_A21, N_A22, N_B1, N_B2, N_C1, N_C2, N_SERIES = range(7, 16)
MODE_NONE, MODE_DIRECT, MODE_FILTER = range(3)
KIND_READOUT, KIND_LIF, KIND_RECTIFIED = range(3)
STATUS_INFINITE, STATUS_FULL = 1, 2

_jit = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})


@_jit
def _add_rows(scratch, weights, n, start, rows, first, last):
    """Add the weights' rows to the accumulator, four at a time."""
    e = first
    while e + 4 <= last:
        # slices, because the compiler can't know that computed indices aren't negative
        w0 = weights[start + rows[e] * n :][:n]
        w1 = weights[start + rows[e + 1] * n :][:n]
        w2 = weights[start + rows[e + 2] * n :][:n]
        w3 = weights[start + rows[e + 3] * n :][:n]
        for k in range(n):
            scratch[_ACC + k] += (w0[k] + w1[k]) + (w2[k] + w3[k])
        e += 4
    while e < last:
        w0 = weights[start + rows[e] * n :][:n]
        for k in range(n):
            scratch[_ACC + k] += w0[k]
        e += 1


@_jit
def _filter_step(scratch, n, numbers):
    a11, a12, a21, a22 = numbers[N_A11], numbers[N_A12], numbers[N_A21], numbers[N_A22]
    b1, b2 = numbers[N_B1], numbers[N_B2]
    for k in range(n):
        u, p, q = scratch[_ACC + k], scratch[_X1 + k], scratch[_X2 + k]
        scratch[_X1 + k] = a11 * p + a12 * q + b1 * u
        scratch[_X2 + k] = a21 * p + a22 * q + b2 * u


@_jit
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


@_jit
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


@_jit
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


@_jit
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


@_jit
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


@_jit
def _fire_rectified(scratch, work, n, numbers, events, end, limit):
    """`nengo.SpikingRectifiedLinear`; -1 if there is no room for its spikes."""
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


@_jit
def _collect_rows(links, keep, spikes, n_steps, read):
    """Rows of the weights for each step's spikes, without those of dropped neurons."""
    events, pointers = spikes
    rows, row_pointers = read
    n = 0
    row_pointers[0] = 0
    for t in range(n_steps):
        for link in range(links.shape[0]):
            tile, row = links[link, L_TILE], links[link, L_ROW]
            place = links[link, L_KEEP]
            for e in range(pointers[tile, t], pointers[tile, t + 1]):
                k = events[e]
                rows[n] = row + k
                n += keep[place + k] if place >= 0 else 1
        row_pointers[t + 1] = n


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def run_block(order, leaders, n_steps, network, inputs, state, output, room, status):
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
        Most spikes of a replica in a window, and most that a population reads.
    status : (n_populations,) ndarray of uint8
        Gets STATUS_INFINITE for a population whose state is not finite, STATUS_FULL for
        one that fired so much that its spikes had no room. It is written without a
        lock, so that no other block may have the same array.
    """
    populations, tiles, links, numbers, weights = network
    currents, starts, keep = inputs
    n_events, n_rows = room
    n_block = order.shape[0]
    scratch = np.zeros(SCRATCH, dtype=numbers.dtype)
    flags = np.zeros(TILE, dtype=np.uint8)
    spiked = np.zeros(TILE + _LANES, dtype=np.uint8)
    flagged = np.zeros(TILE + 1, dtype=np.uint32)  # unsigned: quicker to index with
    work = (flags, spiked, flagged)
    events = np.empty((n_block, n_events + 1), dtype=np.uint16)
    pointers = np.zeros((n_block, tiles.shape[0], WINDOW + 1), dtype=np.int64)
    rows = np.empty((n_block, n_rows + 1), dtype=np.int32)
    row_pointers = np.zeros((n_block, WINDOW + 1), dtype=np.int64)

    for first in range(0, n_steps, WINDOW):
        window = min(WINDOW, n_steps - first)
        for p in range(populations.shape[0]):
            population = populations[p]
            first_link, first_tile = population[P_FIRST_LINK], population[P_FIRST_TILE]
            own_links = links[first_link : first_link + population[P_N_LINKS]]
            constants = (numbers[p], weights)
            for i in range(n_block):
                spikes = (events[i], pointers[i])
                read = (rows[i], row_pointers[i])
                _collect_rows(own_links, keep[order[i]], spikes, window, read)
            for t in range(first_tile, first_tile + population[P_N_TILES]):
                tile = tiles[t]
                for i in range(n_block):
                    r = order[i]
                    if population[P_SHARED] and leaders[r] < i:
                        _copy_spikes(events, pointers, t, window, leaders[r], i)
                        continue
                    own_state = (state[0][r], state[1][r], state[2][r], state[3][r])
                    own_currents = currents[starts[p, r] :]
                    _load(scratch, population, tile, own_currents, own_state)
                    read = (rows[i], row_pointers[i])
                    fired = (events[i], pointers[i, t])
                    shown = output[r, first : first + window]
                    status[p] |= _run_tile(
                        scratch, work, population, tile, constants, read, fired, shown
                    )
                    if _store(scratch, population, tile, own_state):
                        status[p] |= STATUS_INFINITE


@_jit
def _copy_spikes(events, pointers, tile, n_steps, source, target):
    """Give a replica the spikes of another one, which fires in the same way."""
    for t in range(n_steps + 1):
        pointers[target, tile, t] = pointers[source, tile, t]
    for e in range(pointers[source, tile, 0], pointers[source, tile, n_steps]):
        events[target, e] = events[source, e]


@_jit
def _run_tile(scratch, work, population, tile, constants, read, spikes, output):
    """Simulate a tile of neurons, or of a readout, for a window; returns a status."""
    n, column, limit = tile[T_SIZE], tile[T_OUTPUT], tile[T_LIMIT]
    mode, kind = population[P_MODE], population[P_KIND]
    numbers, weights = constants
    rows, row_pointers = read
    events, pointers = spikes
    end, status = tile[T_EVENTS], 0
    pointers[0] = end
    for t in range(output.shape[0]):
        a, b = row_pointers[t], row_pointers[t + 1]
        advance = mode == MODE_DIRECT or (mode == MODE_FILTER and t > 0)
        if mode == MODE_DIRECT:
            _product(scratch, tile, weights, rows, a, b)
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
                end = _fire_rectified(scratch, work, n, numbers, events, end, limit)
                if end < 0:
                    end, status = start, STATUS_FULL
        pointers[t + 1] = end
        if column >= 0:
            for e in range(start, end):  # a neuron may be there several times
                output[t, column + events[e]] += numbers[N_SPIKE]
        if mode == MODE_FILTER:
            _product(scratch, tile, weights, rows, a, b)
    if mode == MODE_FILTER:
        _filter_step(scratch, n, numbers)
    return status


@_jit
def _product(scratch, tile, weights, rows, first, last):
    n = tile[T_SIZE]
    for k in range(n):
        scratch[_ACC + k] = scratch[_U + k]
    _add_rows(scratch, weights, n, tile[T_WEIGHTS], rows, first, last)


@_jit
def _read(scratch, n, numbers, mode, output):
    c1, c2 = numbers[N_C1], numbers[N_C2]
    for k in range(n):
        value = scratch[_CUR + k]
        if mode != MODE_NONE:
            value += c1 * scratch[_X1 + k] + c2 * scratch[_X2 + k]
        output[k] = value


@_jit
def _load(scratch, population, tile, currents, state):
    """Load a replica's state of a tile."""
    n, first, filtered = tile[T_SIZE], tile[T_STATE], tile[T_FILTER]
    current, constant_input = tile[T_CURRENT], tile[T_INPUT]
    zero = scratch.dtype.type(0)
    for k in range(n):
        scratch[_CUR + k] = currents[current + k]
        scratch[_U + k] = currents[constant_input + k] if constant_input >= 0 else zero
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


@_jit
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
