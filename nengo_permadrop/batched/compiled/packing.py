"""Sparse weights as the table of runs that the kernels add up (`.runs`)."""

import numpy as np
from scipy import sparse

from nengo_permadrop.batched.compiled.layout import LANES

_GAP = 4  # zeros between two weights that are kept rather than a run begun
_PRIME = np.uint64(0x9E3779B97F4A7C15)
# Fewer weights, or of which more than this share isn't 0, are quicker as an array
_SMALL, _SHARE = 2**16, 0.25
_LARGE = 2**27  # an array of more is never made where weights are sparse


class TileRuns:
    """
    The runs of a tile's weights.

    Parameters
    ----------
    weights : (tile size, n_sources) csr_matrix

    Attributes
    ----------
    sources, targets, blocks : (n_runs,) int64 ndarrays
        Sorted by source: its column, the first place, and the number of blocks.
    run, place, data : (nnz,) ndarrays
        For each weight, its run, its place in that, and its value.
    """

    def __init__(self, weights):
        columns = sparse.csc_matrix(weights)
        columns.sort_indices()
        source = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
        target = columns.indices.astype(np.int64)
        begins = np.ones(len(target), dtype=bool)
        begins[1:] = (np.diff(source) != 0) | (np.diff(target) > 1 + _GAP)
        self.run = np.cumsum(begins) - 1
        self.sources = source[begins]
        self.targets = target[begins]
        self.place = target - self.targets[self.run]
        last = np.flatnonzero(np.append(begins[1:], True)[: len(target)])
        self.blocks = self.place[last] // LANES + 1
        self.data = columns.data

    def links(self, bounds):
        """
        The source tiles that it has weights from.

        Parameters
        ----------
        bounds : (n_source_tiles + 1,) ndarray of int
            First sources of tiles, and how many sources there are.

        Returns
        -------
        links : {int: ndarray}
            By the number of a source tile, where the runs of its sources begin among
            those of this tile, and the last one's end.
        """
        tiles = np.unique(np.searchsorted(bounds, self.sources, side="right") - 1)
        return {
            tile: np.searchsorted(
                self.sources, np.arange(bounds[tile], bounds[tile + 1] + 1)
            )
            for tile in tiles
        }


def tile_runs(weights, tiles):
    """
    The runs of a population's weights, if that is how these are kept best.

    Parameters
    ----------
    weights : (size, n_sources) csr_matrix
    tiles : list of (int, int)
        Starts and stops of the population's tiles.

    Returns
    -------
    runs : list of `TileRuns` or None
        None where an array of all weights is quicker to add up.
    """
    size = weights.shape[0] * weights.shape[1]
    if size <= _SMALL or weights.nnz > _SHARE * size:
        return None
    runs = [TileRuns(weights[start:stop]) for start, stop in tiles]
    added = LANES * sum(int(each.blocks.sum()) for each in runs)
    return runs if added <= size / 2 or size > _LARGE else None


def packed(runs, dtype):
    """
    The weights of runs, those of equal runs once.

    Parameters
    ----------
    runs : list of `TileRuns`
    dtype : dtype

    Returns
    -------
    places : list of ndarray of int
        For each tile, where the weights of its runs begin.
    weights : 1-D ndarray
        With zeros after runs that are no whole blocks.
    """
    offsets = np.cumsum([0] + [len(each.sources) for each in runs])
    blocks = np.concatenate([each.blocks for each in runs])
    run = np.concatenate([each.run + start for each, start in zip(runs, offsets)])
    place = np.concatenate([each.place for each in runs])
    data = np.concatenate([each.data for each in runs]).astype(dtype)

    numbers = _hashes(run, place, data, blocks)
    _, first, same = np.unique(numbers, return_index=True, return_inverse=True)
    where, weights = _laid(run, place, data, blocks, first[same.ravel()])
    if not np.array_equal(weights[where[run] + place], data):
        # others of one hash; or NaN
        where, weights = _laid(run, place, data, blocks, np.arange(len(blocks)))
    return np.split(where, offsets[1:-1]), weights


def _laid(run, place, data, blocks, like):
    """Where each run's weights are, and all of them; ``like``: the equal one's run."""
    kept = like == np.arange(len(like))
    ends = np.cumsum(np.where(kept, LANES * blocks, 0))
    begins = ends - LANES * blocks
    weights = np.zeros(ends[-1] if len(ends) else 0, dtype=data.dtype)
    mine = kept[run]
    weights[begins[run[mine]] + place[mine]] = data[mine]
    return begins[like], weights


def _hashes(run, place, data, blocks):
    """A number for each run, that runs of equal weights share."""
    bits = data.view(f"u{data.itemsize}").astype(np.uint64)
    odd = 2 * place.astype(np.uint64) + np.uint64(1)
    mixed = (bits + np.uint64(1)) * odd * _PRIME
    mixed ^= mixed >> np.uint64(29)
    mixed *= _PRIME
    mixed ^= mixed >> np.uint64(32)
    first = np.flatnonzero(np.diff(run, prepend=-1))
    return np.add.reduceat(mixed, first) + blocks.astype(np.uint64) * _PRIME
