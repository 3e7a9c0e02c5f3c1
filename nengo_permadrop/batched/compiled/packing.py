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
    dtype : dtype
        That the weights get.

    Attributes
    ----------
    sources, targets, blocks : (n_runs,) int64 ndarrays
        Sorted by source: its column, the first place, and the number of blocks.
    begins : (n_runs,) ndarray of int
        The first weight of each among all.
    place, data : (n_weights,) ndarrays
        For each weight, its place in its run, and its value.
    """

    def __init__(self, weights, dtype):
        columns = sparse.csc_matrix(weights)
        columns.sort_indices()
        source = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
        target = columns.indices
        begins = np.ones(len(target), dtype=bool)
        begins[1:] = (np.diff(source) != 0) | (np.diff(target) > 1 + _GAP)
        self.begins = np.flatnonzero(begins)
        self.sources = source[begins]
        self.targets = target[begins].astype(np.int64)
        lengths = np.diff(self.begins, append=len(target))
        self.place = target - np.repeat(target[begins], lengths)
        self.blocks = self.place[self.begins + lengths - 1] // LANES + 1
        self.data = columns.data.astype(dtype, copy=False)

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

    def hashes(self):
        """A number for each run, that runs of equal weights share."""
        bits = self.data.view(f"u{self.data.itemsize}").astype(np.uint64)
        odd = 2 * self.place.astype(np.uint64) + np.uint64(1)
        mixed = (bits + np.uint64(1)) * odd * _PRIME
        mixed ^= mixed >> np.uint64(29)
        mixed *= _PRIME
        mixed ^= mixed >> np.uint64(32)
        total = np.add.reduceat(mixed, self.begins)
        return total + self.blocks.astype(np.uint64) * _PRIME


class PackedWeights:
    """The weights of runs, those of equal runs once, with zeros up to whole blocks."""

    def __init__(self):
        self._places = {}  # by hash
        self._room = np.zeros(0)  # doubled when it is full
        self.size = 0

    def add(self, runs):
        """
        Add the weights of a tile's runs; returns where each run's begin.

        Parameters
        ----------
        runs : `TileRuns`

        Returns
        -------
        places : (n_runs,) ndarray of int
        """
        if not len(runs.sources):
            return np.zeros(0, dtype=np.int64)
        numbers, first, same = np.unique(
            runs.hashes(), return_index=True, return_inverse=True
        )
        known = np.array([number in self._places for number in numbers.tolist()])
        new = first[~known]
        lengths = LANES * runs.blocks
        begins = self.size + np.cumsum(lengths[new]) - lengths[new]
        self._places.update(zip(numbers[~known].tolist(), begins.tolist()))
        self._append(runs, new, lengths)
        where = np.array([self._places[number] for number in numbers.tolist()])
        places = where[same.ravel()]
        if not self._are_at(runs, places):  # others of one hash, or NaN
            begins = self.size + np.cumsum(lengths) - lengths
            self._append(runs, np.arange(len(lengths)), lengths)
            return begins
        return places

    def weights(self, dtype):
        """All weights, 1-D."""
        return self._room[: self.size].astype(dtype)

    def _append(self, runs, which, lengths):
        part = _filled_up(runs, which, lengths)
        start, self.size = self.size, self.size + len(part)
        if self.size > len(self._room):
            room = np.zeros(max(self.size, 2 * start), dtype=part.dtype)
            room[:start] = self._room[:start]
            self._room = room
        self._room[start : self.size] = part

    def _are_at(self, runs, places):
        lengths = LANES * runs.blocks
        expected = _filled_up(runs, np.arange(len(places)), lengths)
        at = np.arange(len(expected))
        at += np.repeat(places - (np.cumsum(lengths) - lengths), lengths)
        if at.max() >= self.size:
            return False
        return np.array_equal(self._room[at], expected)


def _filled_up(runs, which, lengths):
    """The weights of some runs, and zeros up to their lengths."""
    weights = np.zeros(int(lengths[which].sum()), dtype=runs.data.dtype)
    counts = np.diff(runs.begins, append=len(runs.data))[which]
    starts = np.cumsum(lengths[which]) - lengths[which]
    source = np.arange(counts.sum())
    source += np.repeat(runs.begins[which] - (np.cumsum(counts) - counts), counts)
    weights[np.repeat(starts, counts) + runs.place[source]] = runs.data[source]
    return weights


def tile_runs(weights, tiles, dtype):
    """
    The runs of a population's weights, if that is how these are kept best.

    Parameters
    ----------
    weights : (size, n_sources) csr_matrix
    tiles : list of (int, int)
        Starts and stops of the population's tiles.
    dtype : dtype
        That the weights get.

    Returns
    -------
    runs : iterator of `TileRuns`, or None
        None where an array of all weights is quicker to add up.
    """
    size = weights.shape[0] * weights.shape[1]
    if size <= _SMALL or weights.nnz > _SHARE * size:
        return None
    if size <= _LARGE:
        pieces = (TileRuns(weights[start:stop], dtype) for start, stop in tiles)
        if LANES * sum(int(piece.blocks.sum()) for piece in pieces) > size / 2:
            return None
    # tile by tile: all at once would be many times the weights
    return (TileRuns(weights[start:stop], dtype) for start, stop in tiles)
