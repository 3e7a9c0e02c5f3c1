"""
Sums of the sparse weights of the neurons that fired.

A neuron's weights to the neurons of a tile are kept as *runs*: weights of neighbours,
which are added without looking up a place for each. Those of a convolution are the
channels at one place of its kernel; and as runs of equal weights are kept once, a
convolution's weights are little more than its kernels, however large its images are.
Runs are as long as some blocks of ``LANES`` numbers, filled up with zeros.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nengo_permadrop.batched.compiled.layout import (
    L_KEEP,
    L_ROW,
    L_TILE,
    LANES,
    R_BLOCKS,
    R_TARGET,
    R_WEIGHTS,
    jit,
)
from nengo_permadrop.batched.compiled.rows import COUNTED


@intrinsic
def _add_lanes(typingctx, total, place, weights, first):
    """
    ``total[place : place + LANES] += weights[first : first + LANES]``.

    As one vector: the compiler can't know that the arrays don't overlap, and would add
    number by number.
    """
    signature = types.void(total, types.int64, weights, types.int64)

    def codegen(context, builder, signature, args):
        number = context.get_value_type(signature.args[0].dtype)
        vector = ir.VectorType(number, LANES)
        pointers = []
        for position in (0, 2):
            array = context.make_array(signature.args[position])
            data = array(context, builder, args[position]).data
            pointer = builder.gep(data, [args[position + 1]])
            pointers.append(builder.bitcast(pointer, vector.as_pointer()))
        align = context.get_abi_sizeof(number)
        old, added = (builder.load(pointer, align=align) for pointer in pointers)
        builder.store(builder.fadd(old, added), pointers[0], align=align)
        return context.get_dummy_value()

    return signature, codegen


@jit
def add_runs(total, weights, sparse, row):
    """Add a row of weights to a total."""
    pointers, runs = sparse
    for i in range(pointers[row], pointers[row + 1]):
        place, first = runs[i, R_TARGET], runs[i, R_WEIGHTS]
        for block in range(runs[i, R_BLOCKS]):
            start = block * LANES
            _add_lanes(total, place + start, weights, first + start)


@jit
def _add_product(total, weights, sparse, row, factor):
    pointers, runs = sparse
    for i in range(pointers[row], pointers[row + 1]):
        place, first = runs[i, R_TARGET], runs[i, R_WEIGHTS]
        for k in range(runs[i, R_BLOCKS] * LANES):
            total[place + k] += factor * weights[first + k]


@jit
def add_listed_runs(total, weights, sparse, rows, first, last):
    """Add the rows of weights that are listed to a total."""
    for e in range(first, last):
        add_runs(total, weights, sparse, rows[e])


@jit
def add_counted_runs(base, each, n, weights, sparse, read, n_steps):
    """As `.rows.add_counted`, of sparse weights."""
    rows, row_pointers, counts = read
    for t in range(n_steps - 1, -1, -1):
        total = base[t * each :]
        for k in range(n):
            total[k] = base[k]
        for e in range(row_pointers[t], row_pointers[t + 1]):
            if counts[e] < 0:
                _add_product(total, weights, sparse, rows[e], -counts[e])
            for _ in range(int(counts[e])):
                add_runs(total, weights, sparse, rows[e])


@jit
def collect_runs(links, keep, spikes, n_steps, pointers, read):
    """
    As `.rows.collect_rows`, of sparse weights: rows without any aren't listed.
    """
    events, event_pointers, _ = spikes
    rows, row_pointers, _ = read
    n, flags = 0, 0
    row_pointers[0] = 0
    for t in range(n_steps):
        for link in range(links.shape[0]):
            tile, row = links[link, L_TILE], links[link, L_ROW]
            place = links[link, L_KEEP]
            for e in range(event_pointers[tile, t], event_pointers[tile, t + 1]):
                k = events[e] & (COUNTED - 1)
                flags |= events[e]
                rows[n] = row + k
                n += _is_added(keep, place, pointers, row, k)
        row_pointers[t + 1] = n
    return flags >= COUNTED


@jit
def count_runs(links, keep, spikes, n_steps, pointers, row_counts):
    """How often each row that `collect_runs` collects is to be added."""
    events, event_pointers, counts = spikes
    n = 0
    for t in range(n_steps):
        for link in range(links.shape[0]):
            tile, row = links[link, L_TILE], links[link, L_ROW]
            place = links[link, L_KEEP]
            for e in range(event_pointers[tile, t], event_pointers[tile, t + 1]):
                k = events[e] & (COUNTED - 1)
                row_counts[n] = counts[e] if events[e] >= COUNTED else 1
                n += _is_added(keep, place, pointers, row, k)


@jit
def _is_added(keep, place, pointers, row, k):
    kept = keep[place + k] if place >= 0 else 1
    return kept if pointers[row + k] < pointers[row + k + 1] else 0
