"""
The neurons' steps, compiled: two passes, of which the second is over those that spike.

One over all neurons, without branches, so that it is vectorised, flags those that spike
or leave their refractory period within the step; one is over these. The arithmetic is
that of `nengo.LIF`, except that logarithm and exponential are series where their
arguments are small. Loihi's neurons are LIF neurons whose refractory period begins with
a step, not when the threshold was crossed in it. `nengo.SpikingRectifiedLinear` is
simpler; a neuron that fires several times in a step is several times in the list.
"""

import numpy as np

from nengo_permadrop.batched.compiled.layout import (
    F_ACC,
    F_CJ,
    F_CR,
    F_CUR,
    F_CV,
    F_J,
    F_REF,
    F_V,
    F_X1,
    F_X2,
    LANES,
    N_A11,
    N_A12,
    N_A21,
    N_A22,
    N_B1,
    N_B2,
    N_C1,
    N_C2,
    N_DECAY,
    N_DT,
    N_MIN_VOLTAGE,
    N_SERIES,
    N_TAU_RC,
    N_TAU_REF,
    N_TAU_SPIKE,
    jit,
)

# Arguments of the series are at most this; see `_spikes_series`.
SERIES_LIMIT = 0.1


@jit
def filter_step(scratch, n, numbers):
    a11, a12, a21, a22 = numbers[N_A11], numbers[N_A12], numbers[N_A21], numbers[N_A22]
    b1, b2 = numbers[N_B1], numbers[N_B2]
    for k in range(n):
        u, p, q = scratch[F_ACC + k], scratch[F_X1 + k], scratch[F_X2 + k]
        scratch[F_X1 + k] = a11 * p + a12 * q + b1 * u
        scratch[F_X2 + k] = a21 * p + a22 * q + b2 * u


@jit
def membrane(scratch, flags, n, numbers):
    """The first pass, for neurons with a constant current."""
    dt, decay, low = numbers[N_DT], numbers[N_DECAY], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type  # literals would be doubles, and so all the arithmetic
    zero, one = number(0), number(1)
    for k in range(n):
        j, v, r = scratch[F_CUR + k], scratch[F_V + k], scratch[F_REF + k] - dt
        new = v + (j - v) * decay if r <= zero else v
        scratch[F_REF + k] = r
        scratch[F_V + k] = max(new, low)
        scratch[F_J + k] = j
        flags[k] = (new > one) | ((r > zero) & (r < dt))


@jit
def filter_membrane(scratch, flags, n, numbers, advance):
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
        u, p, q = scratch[F_ACC + k], scratch[F_X1 + k], scratch[F_X2 + k]
        x1 = a11 * p + a12 * q + b1 * u
        x2 = a21 * p + a22 * q + b2 * u
        scratch[F_X1 + k] = x1
        scratch[F_X2 + k] = x2
        j = scratch[F_CUR + k] + (c1 * x1 + c2 * x2)
        v, r = scratch[F_V + k], scratch[F_REF + k] - dt
        new = v + (j - v) * decay if r <= zero else v
        scratch[F_REF + k] = r
        scratch[F_V + k] = max(new, low)
        scratch[F_J + k] = j
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
    m = (m + LANES - 1) // LANES * LANES  # what is in excess isn't used
    for e in range(m):
        j, v, r = scratch[F_CJ + e], scratch[F_CV + e], scratch[F_CR + e]
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
        scratch[F_CV + e] = zero if fires else v
        scratch[F_CR + e] = tau_ref + dt + tau_spike * (two * z * s) if fires else r
        spiked[e] = fires


@jit
def _spikes(scratch, spiked, m, numbers):
    """The second pass, for any arguments."""
    dt, tau_rc, tau_ref = numbers[N_DT], numbers[N_TAU_RC], numbers[N_TAU_REF]
    tau_spike, low = numbers[N_TAU_SPIKE], numbers[N_MIN_VOLTAGE]
    number = scratch.dtype.type
    zero, one = number(0), number(1)
    for e in range(m):
        j, v, r = scratch[F_CJ + e], scratch[F_CV + e], scratch[F_CR + e]
        if r > zero and r < dt:
            v = max(v - (j - v) * np.expm1((r - dt) / tau_rc), low)
        spiked[e] = v > one
        scratch[F_CV + e] = v
        if v > one:
            scratch[F_CV + e] = zero
            since = tau_spike * np.log1p(-(v - one) / (j - one))
            scratch[F_CR + e] = tau_ref + dt + since


@jit
def fire(scratch, work, n, numbers, events, end):
    """The second pass over the flagged neurons; appends those that fire to events."""
    flags, spiked, flagged = work
    m = 0
    for k in range(n):
        flagged[m] = k
        m += flags[k]
    current, voltage, refractory = scratch[F_J:], scratch[F_V:], scratch[F_REF:]
    for e in range(m):
        k = flagged[e]
        scratch[F_CJ + e] = current[k]
        scratch[F_CV + e] = voltage[k]
        scratch[F_CR + e] = refractory[k]
    if numbers[N_SERIES] > 0:
        _spikes_series(scratch, spiked, m, numbers)
    else:
        _spikes(scratch, spiked, m, numbers)
    fired = events[end:]
    n_fired = np.uint32(0)
    for e in range(m):
        k = flagged[e]
        voltage[k] = scratch[F_CV + e]
        refractory[k] = scratch[F_CR + e]
        fired[n_fired] = k
        n_fired = np.uint32(n_fired + spiked[e])
    return end + n_fired


@jit
def fire_rectified(scratch, work, n, numbers, events, end, limit):
    """`nengo.SpikingRectifiedLinear`; -1 if there is no room to list its spikes."""
    flags, _, flagged = work
    dt, zero, one = numbers[N_DT], scratch.dtype.type(0), scratch.dtype.type(1)
    for k in range(n):
        v = scratch[F_V + k] + max(scratch[F_J + k], zero) * dt
        count = np.floor(v)
        scratch[F_V + k] = v - count
        scratch[F_CV + k] = count
        flags[k] = count >= one
    m = 0
    for k in range(n):
        flagged[m] = k
        m += flags[k]
    for e in range(m):
        count = scratch[F_CV + flagged[e]]
        if not count <= limit - end:
            return -1
        for _ in range(int(count)):
            events[end] = flagged[e]
            end += 1
    return end
