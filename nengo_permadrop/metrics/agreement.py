"""
What Kolmogorov-Smirnov tests between two sets of samples found.

The verdict asks three questions of the tests: are there more rejections than chance
makes, are the p-values uniform, and is the largest statistic too large even for the
largest of so many? Each has a level, and the levels add up to a bound on the verdict's
false alarms. It holds for any number of observations and draws, with ties, and however
the outputs of an observation depend on each other; observations must be independent.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import scipy.stats

from nengo_permadrop.metrics.ks import (
    most_rejections,
    null_sf,
    sf_of_max,
    sf_of_rejections,
)

# What a verdict takes for agreement, see `Agreement.verdict`
ALPHA = 0.05
MAX_REJECTION, MIN_REJECTION_PVALUE = 0.10, 0.005
MIN_UNIFORMITY = 0.01
MIN_EXTREME = 0.005


class Uniformity(NamedTuple):
    """KS test of the randomised p-values against U(0, 1)."""

    statistic: float
    pvalue: float


class MostExtreme(NamedTuple):
    """
    The largest of all KS statistics; ``pvalue`` is that of such a maximum.

    ``index`` is its ``(observation, output)``.
    """

    index: tuple
    statistic: float
    pvalue: float


class Verdict(NamedTuple):
    """Whether two sets of samples agree (the truth value), and why, in words."""

    agree: bool
    words: str

    def __bool__(self):
        return self.agree


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Agreement:
    """
    KS tests between two sets of samples; made by `.ks_agreement`.

    Attributes
    ----------
    statistic : (n_observations, n_outputs) ndarray
        Largest distance between the two empirical distribution functions, in [0, 1].
    pvalue : (n_observations, n_outputs) ndarray
        Probability of a statistic at least as large for samples of one distribution.
        With tied values an upper bound of it.
    randomized_pvalue : (n_observations, n_outputs) ndarray
        Uniform on [0, 1] for samples of one distribution, ties or not.
    n_draws : (2,) tuple of int
        Number of draws of each set.
    method : {"exact", "asymptotic"}
        How the p-values were computed.
    independent : bool
        False if the observations of either set shared their masks: their p-values then
        depend on each other, and `uniformity` isn't valid.
    paired : bool
        True if equal draws of the two sets move together, which they do if both took
        the same masks. The KS test takes them for independent, so no p-value is valid.
    paired_correlation : float
        Mean rank correlation between equal draw numbers of the two sets; equal values
        are ranked at random.
    n_tied : int
        Number of tests in which some values were equal.
    """

    statistic: np.ndarray
    pvalue: np.ndarray
    randomized_pvalue: np.ndarray
    n_draws: tuple
    method: str
    independent: bool
    paired: bool
    paired_correlation: float
    n_tied: int

    @property
    def uniformity(self):
        """
        KS test of the randomised p-values against U(0, 1): ``(statistic, pvalue)``.

        The outputs of an observation come from the same masks, so that their p-values
        depend on each other. Each output's are tested on their own; the result is the
        most extreme output's, its p-value times the number of outputs (Bonferroni).
        """
        tests = [
            scipy.stats.kstest(column, "uniform") for column in self.randomized_pvalue.T
        ]
        worst = min(tests, key=lambda test: test.pvalue)
        pvalue = min(1.0, len(tests) * float(worst.pvalue))
        return Uniformity(float(worst.statistic), pvalue)

    @property
    def most_extreme(self):
        """
        The largest statistic: its ``(observation, output)``, value, and p-value.

        The p-value is the probability of such a maximum over as many observations,
        exact for one output and without ties. The outputs of an observation may depend
        on each other in any way, for which their number multiplies the p-value
        (Bonferroni); so does that of observations that depend on each other.
        """
        index = np.unravel_index(np.argmax(self.statistic), self.statistic.shape)
        return MostExtreme(
            tuple(int(i) for i in index),
            float(self.statistic[index]),
            float(sf_of_max(self.pvalue[index], *self._blocks())),
        )

    def rejection_rate(self, alpha=0.05):
        """Fraction of the plain p-values that are at most ``alpha``."""
        return float(np.mean(self.pvalue <= alpha))

    def rejection_limit(
        self,
        alpha=ALPHA,
        max_rejection=MAX_REJECTION,
        min_rejection_pvalue=MIN_REJECTION_PVALUE,
    ):
        """
        The greatest `rejection_rate` at which the `verdict` is that they agree.

        Parameters
        ----------
        alpha, max_rejection, min_rejection_pvalue : float, optional
            As in `verdict`.

        Returns
        -------
        limit : float
        """
        if not self.independent or max_rejection < 0:
            return max_rejection
        level = self.attained_level(alpha)
        by_chance = most_rejections(min_rejection_pvalue, *self._blocks(), level)
        return max(max_rejection, by_chance / self.statistic.size)

    def rejection_pvalue(self, alpha=0.05):
        """
        The probability of at least such a `rejection_rate` for one distribution.

        That of a binomial variable for one output. The outputs of an observation may
        depend on each other in any way: for several, this is an upper bound. With ties,
        too.

        Parameters
        ----------
        alpha : float, optional
            Level of each test.

        Returns
        -------
        pvalue : float
        """
        n_rejected = np.count_nonzero(self.pvalue <= alpha)
        return sf_of_rejections(n_rejected, *self._blocks(), self.attained_level(alpha))

    def _blocks(self):
        """How many sets of tests are independent, and how many tests each has."""
        n_observations, n_outputs = self.statistic.shape
        if self.independent:
            return n_observations, n_outputs
        return 1, n_observations * n_outputs

    def attained_level(self, alpha=0.05):
        """The expected `rejection_rate` for samples of one distribution (no ties)."""
        below, above = -1, math.lcm(*self.n_draws) + 1
        while above - below > 1:  # P(D >= d) falls from 1 to 0 between them
            middle = (below + above) // 2
            if null_sf(middle, *self.n_draws) <= alpha:
                above = middle
            else:
                below = middle
        return float(null_sf(above, *self.n_draws))

    def null_of_maximum(self, n_points=200):
        """
        The distribution of the largest statistic for samples of one distribution.

        For several outputs an upper bound, as the p-value of `most_extreme` is.

        Parameters
        ----------
        n_points : int, optional
            Greatest number of points, spread over attainable values of the statistic,
            from 0 to where the probability is negligible, or to the maximum observed.

        Returns
        -------
        statistic : (n,) ndarray
        probability : (n,) ndarray
            That the largest of all statistics is at least so large.
        """
        n_a, n_b = self.n_draws
        n_tests = self.statistic.size
        # where P(maximum >= d) is about 1e-6, by P(D >= d) < 2 exp(-2 d**2 n)
        end = math.sqrt(math.log(2e6 * n_tests) * (n_a + n_b) / (2 * n_a * n_b))
        end = min(1.0, max(end, self.statistic.max()))
        lcm = math.lcm(n_a, n_b)
        heights = np.unique(np.linspace(0, math.ceil(end * lcm), n_points).astype(int))
        return heights / lcm, sf_of_max(null_sf(heights, n_a, n_b), *self._blocks())

    def verdict(
        self,
        alpha=ALPHA,
        max_rejection=MAX_REJECTION,
        min_uniformity=MIN_UNIFORMITY,
        *,
        min_rejection_pvalue=MIN_REJECTION_PVALUE,
        min_extreme=MIN_EXTREME,
    ):
        """
        Whether the two sets of samples agree, and why.

        They do not agree if one of these is so:

        - More than ``max_rejection`` of the tests reject at level ``alpha``, and so
          many rejections are improbable by chance too, which with few observations
          takes more of them (`rejection_pvalue` at most ``min_rejection_pvalue``).
        - The p-value of `uniformity` is less than ``min_uniformity``.
        - The p-value of `most_extreme` is less than ``min_extreme``: a single
          observation that is grossly wrong.

        Samples of one distribution, with independent observations, are said not to
        agree in at most ``min_rejection_pvalue + min_uniformity + min_extreme`` of
        cases: by default 2%.

        Parameters
        ----------
        alpha : float, optional
            Level of each test.
        max_rejection : float, optional
            Greatest `rejection_rate` that is accepted however improbable it is: of two
            networks that are equal up to what doesn't matter, many observations show
            something. A negative one is never met.
        min_uniformity : float, optional
            Least p-value of `uniformity` at which they agree; not asked for where
            uniformity isn't valid (`independent` is False).
        min_rejection_pvalue : float, optional
            Greatest `rejection_pvalue` at which a rate above ``max_rejection`` counts.
            Where `independent` is False, each such rate counts.
        min_extreme : float, optional
            Least p-value of `most_extreme` at which they agree.

        Returns
        -------
        verdict : `Verdict`
            True if they agree; its ``words`` say why. Samples that are `paired` never
            do, since their p-values can't show it.
        """
        if self.paired:
            return Verdict(
                False, f"It can't be said if they agree: {self.why_paired()}"
            )
        found = [
            self._judged_rejections(alpha, max_rejection, min_rejection_pvalue),
            self._judged_uniformity(min_uniformity),
            self._judged_extreme(min_extreme),
        ]
        agree = all(good for good, _ in found)
        head = "The samples agree" if agree else "The samples do not agree"
        words = f"{head}: {'; '.join(words for _, words in found)}."
        # what two sets without a value between them would have
        least = null_sf(math.lcm(*self.n_draws), *self.n_draws)
        if sf_of_max(least, *self._blocks()) >= min_extreme:
            words += " So few draws can't show that a single observation is wrong."
        if self.independent and max_rejection >= 0:
            false_alarms = min_rejection_pvalue + min_uniformity + min_extreme
            words += (
                " Of samples of one distribution, at most "
                f"{min(1, false_alarms):.1%} would be said not to agree."
            )
        return Verdict(agree, words)

    def _judged_rejections(self, alpha, max_rejection, min_pvalue):
        """Whether there are few enough rejections, and what was found, in words."""
        rate, level = self.rejection_rate(alpha), self.attained_level(alpha)
        limit = self.rejection_limit(alpha, max_rejection, min_pvalue)
        good = rate <= limit
        return good, (
            f"{rate:.1%} of {self.statistic.size} p-values are at most {alpha:g} "
            f"(limit {limit:.1%}{'' if good else ', not met'}; samples of one "
            f"distribution: {level:.1%})"
        )

    def _judged_uniformity(self, min_uniformity):
        if not self.independent:
            return True, (
                "uniformity not tested: observations share their masks, so that their "
                "p-values depend on each other"
            )
        name = "uniformity of the randomised p-values"
        return _judged(name, self.uniformity.pvalue, min_uniformity)

    def _judged_extreme(self, min_extreme):
        extreme = self.most_extreme
        name = f"largest statistic, at (observation, output) {extreme.index}"
        return _judged(name, extreme.pvalue, min_extreme)

    def why_paired(self):
        """What is wrong with `paired` samples, and the fix; in words."""
        return (
            "equal draws of the two sets move together (mean rank correlation "
            f"{self.paired_correlation:.2f}), as they do if both took the same masks. "
            "The KS test takes them for independent; draw one set with another seed."
        )

    def to_dict(self):
        """Everything, with the summaries at a level of 0.05, as JSON can hold it."""
        return {
            **{
                field.name: getattr(self, field.name)
                for field in dataclasses.fields(self)
            },
            "statistic": self.statistic.tolist(),
            "pvalue": self.pvalue.tolist(),
            "randomized_pvalue": self.randomized_pvalue.tolist(),
            "n_draws": list(self.n_draws),
            "alpha": 0.05,
            "rejection_rate": self.rejection_rate(),
            "rejection_pvalue": self.rejection_pvalue(),
            "attained_level": self.attained_level(),
            "uniformity": self.uniformity._asdict(),
            "most_extreme": {
                **self.most_extreme._asdict(),
                "index": list(self.most_extreme.index),
            },
            "verdict": self.verdict()._asdict(),
        }

    def __repr__(self):
        n_observations, n_outputs = self.statistic.shape
        return (
            f"<Agreement: {n_observations} observations, {n_outputs} outputs, "
            f"{self.n_draws[0]} and {self.n_draws[1]} draws, {self.method}, "
            f"{self.rejection_rate():.1%} of p-values <= 0.05>"
        )

    def _repr_html_(self):
        from nengo_permadrop.metrics.html import agreement_html

        return agreement_html(self)

    def __str__(self):
        extreme = self.most_extreme
        lines = [
            self.verdict().words,
            f"Largest statistic: {extreme.statistic:.3f} at (observation, output) "
            f"{extreme.index}, p = {extreme.pvalue:.3g} as the largest of "
            f"{self.statistic.size}.",
        ]
        if self.n_tied:
            lines.append(
                f"{self.n_tied} tests have tied values; their plain p-values are upper "
                "bounds."
            )
        if self.method != "exact":
            lines.append("The p-values are asymptotic, not exact.")
        return "\n".join(lines)


def _judged(name, pvalue, limit):
    """Whether a p-value is at least a limit, and that in words."""
    good = bool(pvalue >= limit)
    return good, (
        f"{name}: p = {pvalue:.3g} (limit {limit:g}{'' if good else ', not met'})"
    )
