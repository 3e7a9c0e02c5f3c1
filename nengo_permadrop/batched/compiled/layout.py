"""
Where things are in the arrays that the kernels take, and how large they may be.

A replica's state of a tile is worked on in one array, in fields at constant places:
then the compiler knows that they don't overlap and vectorises the loops over them. (A
field has more places than neurons so that they don't lie whole pages apart, which would
make the processor wait for stores that only look like the loads after them.)
"""

import numba
import numpy as np

TILE = 512  # most neurons of a tile
WINDOW = 64  # steps
LANES = 16  # numbers that are added at once

jit = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})

FIELD = TILE + 32
F_ACC, F_V, F_REF, F_X1, F_X2, F_CUR, F_J, F_CJ, F_CV, F_CR = (
    FIELD * i for i in range(10)
)
SCRATCH = FIELD * 10

# columns of the table of populations
P_FIRST_TILE, P_N_TILES, P_FIRST_LINK, P_N_LINKS, P_MODE, P_KIND, P_SHARED = range(7)
P_SPARSE = 7
# columns of the table of tiles; the last two, where weights are sparse
T_SIZE, T_STATE, T_FILTER, T_WEIGHTS, T_EVENTS = range(5)
T_CURRENT, T_INPUT, T_OUTPUT, T_FIRST_LINK, T_N_LINKS = range(5, 10)
# columns of the table of links
L_TILE, L_ROW, L_KEEP = range(3)
# columns of the table of runs
R_TARGET, R_BLOCKS, R_WEIGHTS = range(3)
# columns of the numbers of a population
N_DT, N_TAU_RC, N_TAU_REF, N_TAU_SPIKE, N_MIN_VOLTAGE, N_DECAY, N_SPIKE = range(7)
N_A11, N_A12, N_A21, N_A22, N_B1, N_B2, N_C1, N_C2, N_SERIES = range(7, 16)
MODE_NONE, MODE_DIRECT, MODE_FILTER = range(3)
KIND_READOUT, KIND_LIF, KIND_RECTIFIED = range(3)
STATUS_INFINITE = 1


@jit
def aligned_zeros(size, dtype):
    """Zeros that begin with a line of the cache, as vectors then don't cross lines."""
    zeros = np.zeros(size + LANES, dtype=dtype)
    skipped = -(zeros.ctypes.data // zeros.itemsize) % LANES
    return zeros[skipped : skipped + size]
