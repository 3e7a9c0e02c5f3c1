"""
Spikes as lists, and sums of the weights' rows of the neurons that fired.

Lists are those of a window of steps: an array of neurons, or of the rows of weights
that belong to them, and pointers to where those of each step begin, and the last ones
end. A neuron that fires several times in a step is several times in a list. Where that
would take too much room, all neurons of the tile that fire in the step are in it once,
with the flag ``COUNTED``, and how often they fired is in a third array.

Weights are added row by row, four at a time, and in one order: so what is listed and
what is counted makes no difference, not in the last bit either. Only with very many
spikes in a step they are multiplied by these; the counts are negative then.
"""

import numpy as np

from nengo_permadrop.batched.compiled.layout import L_KEEP, L_ROW, L_TILE, jit

# Spikes of a neuron in a step, on average over a tile, up to which weights are added
# one by one. Products round otherwise, but don't take longer for more spikes. (There is
# never room to list more than this, so it alone decides, not the room.)
MOST_ADDED = 128
COUNTED = 2**15  # above all numbers of neurons
_OFTEN = 16  # spikes from which on a neuron's weights aren't read again for each
_LISTED = 256  # rows


@jit
def add_rows(total, weights, n, start, rows, first, last):
    """Add some rows of weights, that begin at a place, to the first n of a total."""
    e = first
    while e + 4 <= last:
        # slices, because the compiler can't know that computed indices aren't negative
        w0 = weights[start + rows[e] * n :][:n]
        w1 = weights[start + rows[e + 1] * n :][:n]
        w2 = weights[start + rows[e + 2] * n :][:n]
        w3 = weights[start + rows[e + 3] * n :][:n]
        for k in range(n):
            total[k] += (w0[k] + w1[k]) + (w2[k] + w3[k])
        e += 4
    while e < last:
        w0 = weights[start + rows[e] * n :][:n]
        for k in range(n):
            total[k] += w0[k]
        e += 1


@jit
def add_counted(base, each, weights, place, read, n_steps):
    """
    Sums of the counted rows of all steps.

    They are written to ``base[t * each :]``, and added to what ``base`` begins with.
    """
    n, start = place
    listed = np.empty(_LISTED, dtype=read[0].dtype)
    for t in range(n_steps - 1, -1, -1):
        total = base[t * each :]
        for k in range(n):
            total[k] = base[k]
        _add_counted_rows(total, weights, n, start, read, t, listed)


@jit
def _add_counted_rows(total, weights, n, start, read, t, listed):
    """Add a step's rows as `add_rows` does, each as often as its neuron fired."""
    rows, row_pointers, counts = read
    m = 0
    for e in range(row_pointers[t], row_pointers[t + 1]):
        left = counts[e]
        if left < 0:
            _add_product(total, weights, n, start + rows[e] * n, -left)
        if left >= _OFTEN:
            while m % 4 != 0:
                listed[m] = rows[e]
                m += 1
                left -= 1
            add_rows(total, weights, n, start, listed, 0, m)
            m = 0
            left -= _add_fours(total, weights, n, start + rows[e] * n, left)
        for _ in range(int(left)):
            listed[m] = rows[e]
            m += 1
        if m + _OFTEN > _LISTED:
            done = m // 4 * 4
            add_rows(total, weights, n, start, listed, 0, done)
            for i in range(m - done):
                listed[i] = listed[done + i]
            m -= done
    add_rows(total, weights, n, start, listed, 0, m)


@jit
def _add_fours(total, weights, n, first, count):
    """Add a row, four times at a time; returns how often that was."""
    row = weights[first:][:n]
    fours = int(count) // 4
    for _ in range(fours):
        for k in range(n):
            total[k] += (row[k] + row[k]) + (row[k] + row[k])
    return 4 * fours


@jit
def _add_product(total, weights, n, first, factor):
    row = weights[first:][:n]
    for k in range(n):
        total[k] += factor * row[k]


@jit
def count_spikes(fired, n, events, counts, end):
    """Append neurons that fire, each once, to events, and how often they fire."""
    total = 0.0
    for k in range(n):
        total += fired[k]
    if not total < np.inf:
        return end  # a neuron's state isn't finite either, which is told of
    sign = 1 if total <= MOST_ADDED * n else -1
    for k in range(n):
        if fired[k] > 0:
            events[end] = k | COUNTED
            counts[end] = sign * fired[k]
            end += 1
    return end


@jit
def collect_rows(links, keep, spikes, n_steps, read):
    """
    Rows of the weights for each step's spikes, without those of dropped neurons.

    Returns whether any of them are to be counted, see `count_rows`.
    """
    events, pointers, _ = spikes
    rows, row_pointers, _ = read
    n, flags = 0, np.uint16(0)
    row_pointers[0] = 0
    for t in range(n_steps):
        for link in range(links.shape[0]):
            tile, row = links[link, L_TILE], links[link, L_ROW]
            place = links[link, L_KEEP]
            for e in range(pointers[tile, t], pointers[tile, t + 1]):
                k = events[e] & (COUNTED - 1)
                flags |= events[e]
                rows[n] = row + k
                n += keep[place + k] if place >= 0 else 1
        row_pointers[t + 1] = n
    return flags >= COUNTED


@jit
def count_rows(links, keep, spikes, n_steps, row_counts):
    """How often each row that `collect_rows` collects is to be added."""
    events, pointers, counts = spikes
    n = 0
    for t in range(n_steps):
        for link in range(links.shape[0]):
            tile, place = links[link, L_TILE], links[link, L_KEEP]
            for e in range(pointers[tile, t], pointers[tile, t + 1]):
                k = events[e] & (COUNTED - 1)
                row_counts[n] = counts[e] if events[e] >= COUNTED else 1
                n += keep[place + k] if place >= 0 else 1


@jit
def show_spikes(output, column, spikes, first, last, spike):
    """Add spikes, of which each has a value, to what is probed."""
    events, _, counts = spikes
    for e in range(first, last):
        place = column + (events[e] & (COUNTED - 1))
        count = counts[e] if events[e] >= COUNTED else counts.dtype.type(1)
        if count < 0:
            output[place] -= count * spike
        for _ in range(int(count)):
            output[place] += spike


@jit
def copy_spikes(spikes, tile, n_steps, source, target):
    """Give a replica the spikes of another one, which fires in the same way."""
    events, pointers, counts = spikes
    for t in range(n_steps + 1):
        pointers[target, tile, t] = pointers[source, tile, t]
    for e in range(pointers[source, tile, 0], pointers[source, tile, n_steps]):
        events[target, e] = events[source, e]
        if counts.shape[1] > 0:
            counts[target, e] = counts[source, e]
