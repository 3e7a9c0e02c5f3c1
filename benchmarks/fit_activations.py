"""
Fit the sums of rectified neurons that stand for smooth activations.

Prints the table of `nengo_permadrop.neurons.piecewise`: for each activation, the fewest
neurons whose largest error, over all real numbers, is at most ``--error``.

A sum of rectified neurons is a spline of first degree with free knots. The knots begin
where they are best for many of them, at even quantiles of the square root of the
curvature [1]_. Knots and slopes are then those of the least mean power of the error,
for one power after the other, each from what was found before (SciPy's least_squares):
they go to those of the least maximum [2]_, which SciPy's SLSQP ends at. As there are
several local minima, the best of a few starts is taken.

References
----------
.. [1] de Boor, C. (1973). Good approximation by splines with variable knots. In Spline
   Functions and Approximation Theory, Birkhauser.
.. [2] Polya's algorithm; Rice, J. R. (1964). The Approximation of Functions, vol. 1,
   Addison-Wesley.
"""

import argparse

import numpy as np
from scipy import optimize

from nengo_permadrop.neurons.piecewise import SMOOTH, largest_error

RANGE = 14.0  # beyond, all of them are as good as straight
N_POINTS = 701
DIGITS = 5
POWERS = (2, 4, 8, 16, 32, 64, 128, 256)


def first_knots(smooth, n):
    """Knots at even quantiles of the square root of the curvature, ``(n,)``."""
    x = np.linspace(-RANGE, 0.0 if smooth.saturates else RANGE, 20001)
    density = np.sqrt(np.abs(np.gradient(np.gradient(smooth.function(x), x), x)))
    density[[0, 1, -2, -1]] = 0.0
    total = np.cumsum(density)
    return np.interp((np.arange(n) + 0.5) / n, total / total[-1], x)


def best(smooth, n, starts):
    """The best knots and slopes that are found from several starts."""
    rng = np.random.RandomState(0)
    found = []
    for start in range(starts):
        knots = first_knots(smooth, n)
        if start:  # there are several local minima
            knots = np.sort(knots + rng.normal(size=n) * 0.3)
        found.append(fitted(smooth, knots))
    return min(found, key=lambda each: largest_error(smooth, *each))


def fitted(smooth, knots):
    """
    The best knots and slopes that are found near some knots.

    Parameters
    ----------
    smooth : `Smooth`
    knots : (n,) array_like

    Returns
    -------
    knots, slopes : (n,) ndarray
    """
    n = len(knots)
    x = np.linspace(-RANGE, RANGE, N_POINTS)
    y = smooth.function(x) - smooth.left
    total = 0.0 if smooth.saturates else 1.0
    # the last knot of what saturates is 0: there the positive part begins
    free = n - 1 if smooth.saturates else n

    def unpacked(values):
        knots = np.append(values[:free], np.zeros(n - free))
        slopes = values[free:]
        return knots, np.append(slopes, total - slopes.sum())

    def errors(values):
        knots, slopes = unpacked(values)
        return np.maximum(0.0, x[:, None] - knots) @ slopes - y

    def derivative(values):
        knots, slopes = unpacked(values)
        hinges = np.maximum(0.0, x[:, None] - knots)
        by_knot = (x[:, None] > knots) * -slopes
        return np.hstack([by_knot[:, :free], hinges[:, :-1] - hinges[:, -1:]])

    knots = np.array(knots)
    knots[free:] = 0.0
    hinges = np.maximum(0.0, x[:, None] - knots)
    slopes, *_ = np.linalg.lstsq(
        hinges[:, :-1] - hinges[:, -1:], y - total * hinges[:, -1], rcond=None
    )
    values = np.concatenate([knots[:free], slopes])
    for power in POWERS:
        size = np.abs(errors(values)).max()

        def residuals(values, power=power, size=size):
            return np.abs(errors(values) / size) ** (power / 2)

        def slope(values, power=power, size=size):
            error = errors(values) / size
            outer = power / 2 * np.abs(error) ** (power / 2 - 1) * np.sign(error) / size
            return outer[:, None] * derivative(values)

        with np.errstate(over="ignore", invalid="ignore"):  # of steps that are too long
            values = optimize.least_squares(residuals, values, slope, max_nfev=200).x
    values = _polished(errors, derivative, values)
    knots, slopes = unpacked(values)
    order = np.argsort(knots)
    knots, slopes = (np.round(each[order], DIGITS) + 0.0 for each in (knots, slopes))
    slopes[-1] = round(total - slopes[:-1].sum(), DIGITS)
    return knots, slopes


def _polished(errors, derivative, values):
    """The nearest local minimum of the largest error, by SciPy's SLSQP."""

    def both(sign, matrix):
        return np.hstack([-sign * matrix, np.ones((len(matrix), 1))])

    found = optimize.minimize(
        lambda v: v[-1],
        np.append(values, np.abs(errors(values)).max()),
        jac=lambda v: np.append(np.zeros(len(v) - 1), 1.0),
        constraints={
            "type": "ineq",
            "fun": lambda v: np.append(v[-1] - errors(v[:-1]), v[-1] + errors(v[:-1])),
            "jac": lambda v: np.vstack([both(s, derivative(v[:-1])) for s in (1, -1)]),
        },
        method="SLSQP",
        options={"maxiter": 100, "ftol": 1e-7},
    ).x[:-1]
    return min((values, found), key=lambda each: np.abs(errors(each)).max())


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--error", type=float, default=0.0125, help="default 0.0125")
    parser.add_argument("--most", type=int, default=16, help="neurons to try")
    parser.add_argument("--starts", type=int, default=10, help="of each fit")
    parser.add_argument("activations", nargs="*", default=list(SMOOTH))
    args = parser.parse_args(argv)
    for name in args.activations:
        for n in range(4, args.most + 1):
            knots, slopes = best(SMOOTH[name], n, args.starts)
            error = largest_error(SMOOTH[name], knots, slopes)
            if error <= args.error:
                break
            print(f"{name}, {n} neurons: {error:.5f}")
        print(f"{name}: {n} neurons, largest error {error:.5f}")
        print(f"    knots={tuple(map(float, knots))},")
        print(f"    slopes={tuple(map(float, slopes))},")


if __name__ == "__main__":
    main()
