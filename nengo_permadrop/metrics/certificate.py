"""
At how many draws the difference between two samplers would be seen.

The least number of draws at which `.power` predicts that tests reject so often, on
average, for the differences that `.differences` takes from pairs of draws. Its interval
is the percentile interval of the bootstrap over observations, all outputs of one
together. Estimates differ between observations for both reasons, the differences and
the errors, so that resampling draws as well would count the latter twice. The interval
is for observations like those given; the percentiles are further out than for many
observations, as quantiles of Student's distribution are [1]_. And it begins no later
than what errors could hide: where few observations happen to have small ones, the
bootstrap doesn't know of larger ones.

References
----------
.. [1] Hesterberg, T. C. (2015). What teachers should know about the bootstrap. The
   American Statistician 69.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import scipy.stats
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics.differences import Differences, paired_values
from nengo_permadrop.metrics.ks import critical_height
from nengo_permadrop.metrics.power import MOST_DRAWS, Bridges, drift
from nengo_permadrop.support.validation import check_integer, check_number, check_seed

_RESAMPLES = 300  # of the bootstrap
_FEWER_PATHS = 2**13  # for each of these


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """
    At how many draws two samplers differ; made by `.certify`.

    Attributes
    ----------
    n_draws : float
        Draws a side at which two-sample KS tests would reject as often as ``power``
        says, on average over observations and outputs. Infinite if it is more than
        `MOST_DRAWS` (10,000), up to which tests are exact.
    interval : (float, float)
        Of ``n_draws``, for observations like those given; an end may be infinite.
    alpha, power, confidence : float
        Level of each test, mean rejection rate, and confidence of the interval.
    bias : float
        Root mean square over observations and outputs of the difference of the means,
        in standard deviations of the classical draws, without what the errors of its
        estimates add.
    bias_noise : float
        Those errors: what the root mean square of the estimates would be for networks
        that don't differ. A bias that is much smaller isn't known well.
    spread : float
        Ratio of the standard deviations, spiking to classical (geometric mean).
    spread_noise : float
        Standard error of the ratio's estimate for one observation and output.
    shape : float
        What is left when both samples are standardised: root mean square over
        observations, outputs and ranks of the difference of the distribution functions,
        without what the errors of its estimates add.
    biases, spreads : (n_observations, n_outputs) ndarray
        The estimates of difference and ratio as they are, with their errors in them.
    differences : (n_observations, n_outputs, n_components) ndarray
        What the rates are predicted from; see `nengo_permadrop.metrics.differences`.
    n_pairs : int
        Draws of each network that it was made from.
    paired_correlation : float
        Mean correlation between draws of the same number: near 1 if they share masks
        and the networks hardly differ, 0 for independent ones.
    seed : int
        Of what is simulated.
    options : dict
        How the draws were made.
    """

    n_draws: float
    interval: tuple
    alpha: float
    power: float
    confidence: float
    bias: float
    bias_noise: float
    spread: float
    spread_noise: float
    shape: float
    biases: np.ndarray
    spreads: np.ndarray
    differences: np.ndarray
    n_pairs: int
    paired_correlation: float
    seed: int
    options: dict = dataclasses.field(default_factory=dict)

    def rejection_rate(self, n_draws, alpha=0.05):
        """
        The predicted `.Agreement.rejection_rate` of independent draws.

        Parameters
        ----------
        n_draws : int
            Of each network; at most 10,000, up to which tests are exact.
        alpha : float, optional
            Level of each test.

        Returns
        -------
        rate : float
            Mean over observations and outputs of the probability of a plain p-value of
            at most ``alpha``.
        """
        n_draws = check_integer(n_draws, "n_draws", 1, MOST_DRAWS)
        alpha = _check_probability(alpha, "alpha")
        d = _drifts(self.differences)
        return float(
            Bridges(len(d), seed=self.seed).rejection_rate(d, n_draws, alpha).mean()
        )

    def to_dict(self):
        """Everything, as JSON can hold it; numbers that aren't finite as None."""
        found = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        for name in ("biases", "spreads", "differences"):
            found[name] = found[name].tolist()
        found["n_draws"] = _finite(self.n_draws)
        found["interval"] = [_finite(end) for end in self.interval]
        found["most_draws"] = MOST_DRAWS
        found["options"] = dict(self.options)
        return found

    def __repr__(self):
        return (
            f"<Certificate: seen at {_shown(self.n_draws)} draws "
            f"({self._interval_words()}), bias {self.bias:.3f} sd, spread "
            f"{self.spread:.3f}>"
        )

    def __str__(self):
        n_observations, n_outputs = self.biases.shape
        outputs = "" if n_outputs == 1 else f" x {n_outputs} outputs"
        return "\n".join(
            [
                self.words(),
                f"Bias {self.bias:.3f} sd (an estimate of one observation has an "
                f"error of {self.bias_noise:.3f}), spread {self.spread:.3f} (error "
                f"{self.spread_noise:.3f}), shape {self.shape:.4f}.",
                f"From {self.n_pairs} pairs of draws of {n_observations} "
                f"observations{outputs}, whose correlation is "
                f"{self.paired_correlation:.2f}.",
            ]
        )

    def words(self):
        """What is certified, in a sentence."""
        of = f"{self.power:.0%} of KS tests at level {self.alpha:g}"
        interval = f"{self.confidence:.0%} interval: {self._interval_words()}"
        if math.isinf(self.n_draws):
            return (
                f"The difference would not be seen in {of} with up to {MOST_DRAWS} "
                f"draws of each network ({interval})."
            )
        return (
            f"The difference would be seen in {of} with {_shown(self.n_draws)} draws "
            f"of each network ({interval})."
        )

    def _interval_words(self):
        low, high = self.interval
        if math.isinf(low):
            return f"more than {MOST_DRAWS}"
        if math.isinf(high):
            return f"more than {_shown(low)}"
        return f"{_shown(low)} to {_shown(high)}"

    def _repr_html_(self):
        from nengo_permadrop.metrics.html import certificate_html

        return certificate_html(self)


def certificate_of(
    spiking, classical, *, alpha=0.05, power=0.5, confidence=0.9, seed=0, options=None
):
    """
    At how many draws the difference between two sets of samples would be seen.

    Parameters
    ----------
    spiking, classical : `.PredictiveSamples`
        With the same observations, outputs and number of draws, at least `LEAST_DRAWS`;
        best with the same masks draw by draw (`.paired_samples`). Observations must not
        share masks with each other.
    alpha, power, confidence : float, optional
        As in `.certify`.
    seed : int, optional
        Of what is simulated: of Brownian bridges and the bootstrap.
    options : dict, optional
        Kept with the certificate.

    Returns
    -------
    certificate : `Certificate`

    Raises
    ------
    nengo.exceptions.ValidationError
        If the sets don't match, have too few draws or observations, or an output with
        only one value.
    """
    levels = checked_levels(alpha, power, confidence)
    seed = check_seed(seed)
    a, b = paired_values(spiking, classical)
    found = Differences(a, b)
    differences = found.shrunk()
    d = _drifts(differences)
    bridges = Bridges(len(d), seed=seed)
    n_draws = bridges.draws_seen(d, levels["alpha"], levels["power"])
    error = np.mean(found.bias_variance)
    for array in (found.bias, found.ratio, differences):
        array.setflags(write=False)
    return Certificate(
        n_draws=n_draws,
        interval=_interval(found, n_draws, levels, seed),
        **levels,
        bias=_bias(found),
        bias_noise=_root(error),
        spread=_spread(found),
        spread_noise=_root(np.mean(found.ratio_variance)),
        shape=_root(np.mean(found.shape_square - found.shape_error)),
        biases=found.bias,
        spreads=found.ratio,
        differences=differences,
        n_pairs=len(a),
        paired_correlation=found.correlation,
        seed=seed,
        options={} if options is None else dict(options),
    )


class Prediction(NamedTuple):
    """
    How two sets of samples differ, and what tests would say of it; see `predicted`.

    Attributes
    ----------
    bias, spread : float
        As in `Certificate`.
    rejection_rate : float
        As `Certificate.rejection_rate` gives it.
    """

    bias: float
    spread: float
    rejection_rate: float


def predicted(spiking, classical, n_draws, *, alpha=0.05, seed=0):
    """
    A part of what a certificate says, without what takes most of its time.

    Parameters
    ----------
    spiking, classical : `.PredictiveSamples`
        As in `certificate_of`.
    n_draws : int
        Of each side of the tests.
    alpha : float, optional
        Level of each test.
    seed : int, optional
        Of Brownian bridges.

    Returns
    -------
    prediction : `Prediction`

    Raises
    ------
    nengo.exceptions.ValidationError
        As in `certificate_of`.
    """
    found = Differences(*paired_values(spiking, classical))
    d = _drifts(found.shrunk())
    rates = Bridges(len(d), seed=seed).rejection_rate(d, n_draws, alpha)
    return Prediction(_bias(found), _spread(found), float(rates.mean()))


def checked_levels(alpha, power, confidence):
    """The three, checked, by name."""
    levels = {"alpha": alpha, "power": power, "confidence": confidence}
    levels = {name: _check_probability(x, name) for name, x in levels.items()}
    if levels["power"] <= levels["alpha"]:
        raise ValidationError(
            f"must be more than alpha ({levels['alpha']}), as tests of equal "
            f"distributions reject so often; got {levels['power']}",
            attr="power",
        )
    if critical_height(MOST_DRAWS, levels["alpha"])[1] == 0:
        raise ValidationError(
            f"no test of {MOST_DRAWS} draws rejects at level {levels['alpha']}",
            attr="alpha",
        )
    return levels


def _drifts(differences):
    return drift(differences.reshape(-1, differences.shape[-1]))


def _interval(found, n_draws, levels, seed):
    """The percentile interval of the bootstrap over observations."""
    n_observations, n_outputs = found.bias.shape
    bridges = Bridges(n_observations * n_outputs, _FEWER_PATHS, seed)
    rng = np.random.default_rng(seed)
    start = min(n_draws, MOST_DRAWS)
    resampled = [
        bridges.draws_seen_about(
            _drifts(found.shrunk(rng.integers(n_observations, size=n_observations))),
            levels["alpha"],
            levels["power"],
            start,
        )
        for _ in range(_RESAMPLES)
    ]
    # of a standard error that is too small by sqrt((n - 1) / n), Student's quantile
    freedom = n_observations - 1
    t = scipy.stats.t.isf((1 - levels["confidence"]) / 2, freedom)
    outside = scipy.stats.norm.sf(t * math.sqrt(n_observations / freedom))
    low = np.quantile(resampled, outside, method="lower")
    high = np.quantile(resampled, 1 - outside, method="higher")
    most = _drifts(found.greatest(levels["confidence"]))
    cautious = bridges.draws_seen_about(most, levels["alpha"], levels["power"], start)
    return min(float(low), n_draws, cautious), max(float(high), n_draws)


def _bias(found):
    return _root(np.mean(found.bias**2) - np.mean(found.bias_variance))


def _spread(found):
    return float(np.exp(np.mean(np.log(found.ratio))))


def _check_probability(value, attr):
    return check_number(value, attr, 0, 1, low_open=True, high_open=True)


def _root(square):
    return math.sqrt(max(0.0, float(square)))


def _finite(number):
    return float(number) if math.isfinite(number) else None


def _shown(n_draws):
    if math.isinf(n_draws):
        return f"more than {MOST_DRAWS}"
    return f"{n_draws:.0f}"
