"""
NumPy's Mersenne Twister for many seeds, compiled.

Making a `numpy.random.RandomState` for each replica and ensemble takes longer than
simulating them. The first numbers of many generators are computed here without making
them, equal to NumPy's bit for bit [1]_.

References
----------
.. [1] Matsumoto, M., & Nishimura, T. (1998). Mersenne Twister: a 623-dimensionally
   equidistributed uniform pseudo-random number generator. ACM TOMACS 8(1), 3-30.
"""

import numba
import numpy as np

_N = 624
_M = 397


def first_words(seeds, n_words):
    """
    The first 32-bit words of ``RandomState(seed)`` for each seed.

    Parameters
    ----------
    seeds : (n,) ndarray of uint32
    n_words : int
        At least 1.

    Returns
    -------
    words : (n, n_words) ndarray of uint32
    """
    words = np.empty((len(seeds), n_words), dtype=np.uint32)
    _first_words(seeds, words)
    return words


def uniform_samples(seeds, n_samples, low, high, dtype):
    """
    ``RandomState(seed).uniform(low, high, n_samples)`` for each seed.

    Parameters
    ----------
    seeds : (n,) ndarray of uint32
    n_samples : int
    low, high : float
    dtype : dtype
        Floating-point type of the result; the numbers are drawn in double precision.

    Returns
    -------
    samples : (n, n_samples) ndarray
    """
    samples = np.empty((len(seeds), n_samples), dtype=dtype)
    rows = max(1, 2**20 // n_samples)  # bounds the memory of the words
    for start in range(0, len(seeds), rows):
        words = first_words(seeds[start : start + rows], 2 * n_samples)
        upper, lower = words[:, 0::2] >> np.uint32(5), words[:, 1::2] >> np.uint32(6)
        uniform = (upper * 67108864.0 + lower) / 9007199254740992.0
        samples[start : start + rows] = low + (high - low) * uniform
    return samples


@numba.njit(numba.void(numba.uint32[::1], numba.uint32[:, ::1]), cache=True, nogil=True)
def _first_words(seeds, words):
    state = np.empty(_N, dtype=np.uint32)
    n_words = words.shape[1]
    for i in range(seeds.shape[0]):
        x = seeds[i]
        for j in range(_N):
            state[j] = x
            x = np.uint32(
                np.uint32(1812433253) * (x ^ (x >> np.uint32(30))) + np.uint32(j + 1)
            )
        for k in range(n_words):
            j = k % _N
            y = (state[j] & np.uint32(0x80000000)) | (
                state[(j + 1) % _N] & np.uint32(0x7FFFFFFF)
            )
            mixed = state[(j + _M) % _N] ^ (y >> np.uint32(1))
            if y & np.uint32(1):
                mixed ^= np.uint32(0x9908B0DF)
            state[j] = mixed
            y = mixed
            y ^= y >> np.uint32(11)
            y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
            y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
            y ^= y >> np.uint32(18)
            words[i, k] = y
