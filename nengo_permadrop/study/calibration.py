"""Whether the intervals of a study hold as many targets as they claim."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom, binomtest

from nengo_permadrop.study import uncertainty
from nengo_permadrop.study.answers import Judgement, predicting

# What is said first, and the level of the test of all intervals together
INTERVAL, COVERAGE_LEVEL = 0.9, 0.01
# Fewer observations say too little of a coverage
LEAST_OBSERVATIONS = 20
# A spread that has to be multiplied, or divided, by more is a fault of the network's
MOST_FACTOR = 4
# Intervals so wide, in standard deviations of the targets, say nothing of a row
NOTHING = 0.9

QUESTION = "Do its intervals hold as many targets as they claim?"
_PREFIX = "Coverage"


class _Coverage(NamedTuple):
    """How many targets intervals hold, and the p-value of that for calibrated ones."""

    value: float
    interval: float
    network: str
    output: int
    pvalue: float


def judge_calibration(study):
    """
    Whether intervals hold as many targets as they claim, a `.Judgement`.

    All intervals of both networks and of all outputs are judged together.

    Parameters
    ----------
    study : `.Study`
    """
    n = study.samples_spiking.n_observations
    scores = uncertainty.scores(study)
    name = f"{_PREFIX}{INTERVAL:g}"
    if any(
        each[network]["before"].get(name) is None
        for each in scores
        for network in uncertainty.NETWORKS
    ):
        words = (
            f"{study.samples_spiking.n_draws} draws are too few for an interval of "
            f"{INTERVAL:.0%}, or all draws of an observation are the same."
        )
        return Judgement(QUESTION, "unknown", "That isn't known.", words)
    before, after = (_coverages(scores, when, n) for when in ("before", "after"))
    level = COVERAGE_LEVEL / len(before)
    worst = min(before, key=lambda each: each.pvalue)
    words = _words(study, scores, before, level, worst)
    if n < LEAST_OBSERVATIONS:
        step = f"Show more test rows (--observations), at least {LEAST_OBSERVATIONS}."
        answer = f"{n} observations are too few to say."
        return Judgement(QUESTION, "unknown", answer, words, (step,))
    if worst.pvalue > level:
        return Judgement(QUESTION, "good", "Yes, as far as these rows show.", words)
    return _recalibrated(study, scores, after, level, worst, words)


def _recalibrated(study, scores, after, level, worst, words):
    """The judgement of intervals that are wrong as they are."""
    wrong = "too narrow" if worst.value < worst.interval else "too wide"
    n = study.samples_spiking.n_observations
    factor = float(study.recalibration.scale[worst.output])
    fits = min(each.pvalue for each in after) > level
    left = min(after, key=lambda each: (each.network != "spiking", each.pvalue))
    if left.pvalue > level:  # the spiking network's hold
        left = min(after, key=lambda each: each.pvalue)
    told = _of(after, worst.output)
    words += (
        f" With the spread times {factor:.3g}, which was fitted on validation rows, "
        f"{told.value:.0%}"
    )
    words += "." if fits else f", but {_found(left, study, n, level)}."
    width, spread = _width(study, scores, worst.output)
    empty = wrong == "too narrow" and width >= NOTHING * spread
    if empty:
        than = "wider than" if width > spread else "nearly as wide as"
        words += (
            f" Its standard deviation is then {width:.3g}, {than} knowing nothing of a "
            f"row but the targets' own, {spread:.3g}."
        )
    use = f"Use recalibrated intervals: {predicting(study)}"
    if not fits:
        answer = f"No, they are {wrong}, and one factor doesn't make them right."
        step = (
            "Train with another dropout rate, longer, or on more rows: the spread "
            "isn't where the errors are."
        )
        return Judgement(QUESTION, "bad", answer, words, (step,))
    if not (empty or factor > MOST_FACTOR or factor < 1 / MOST_FACTOR):
        answer = f"No, they are {wrong}; recalibrated, yes."
        return Judgement(QUESTION, "fair", answer, words, (use,))
    answer = f"No, they are far {wrong}: by a factor of {max(factor, 1 / factor):.3g}."
    if empty:
        answer += " Recalibrated they hold, and say next to nothing."
    step = (
        "Look at the network first: its errors are far larger than the spread of its "
        "draws. Is the error on its training rows much smaller (overfitted: train with "
        "more dropout, on more rows, or for fewer epochs), or are test targets noisier "
        "than those of the training?"
    )
    if wrong == "too wide":
        step = "Look at the network first: train it with less dropout, or longer."
    return Judgement(QUESTION, "bad", answer, words, (step, use))


def _coverages(scores, when, n):
    """All coverages that are known, a list of `_Coverage`."""
    return [
        _Coverage(value, interval, network, i, _pvalue(value, n, interval))
        for i, each in enumerate(scores)
        for network in uncertainty.NETWORKS
        for name, value in each[network][when].items()
        if name.startswith(_PREFIX) and value is not None
        for interval in (float(name.removeprefix(_PREFIX)),)
    ]


def _pvalue(coverage, n, interval):
    return float(binomtest(int(round(coverage * n)), n, interval).pvalue)


def _of(coverages, output, network="spiking"):
    """The coverage of the first interval of a network."""
    return next(
        each
        for each in coverages
        if (each.interval, each.network, each.output) == (INTERVAL, network, output)
    )


def _words(study, scores, before, level, worst):
    """What intervals hold, of the output that is worst."""
    n = study.samples_spiking.n_observations
    said = _of(before, worst.output)
    low, high = _usual(INTERVAL, n, level)
    of = f" of {scores[worst.output]['output']}" if len(scores) > 1 else ""
    words = (
        f"The spiking network's {INTERVAL:.0%} intervals hold {said.value:.0%} of {n} "
        f"targets{of}; of calibrated ones {low:.0%} to {high:.0%} would be usual."
    )
    if said.pvalue > level >= worst.pvalue:
        words += f" But {_found(worst, study, n, level)}."
    return words


def _found(coverage, study, n, level):
    """A coverage, and what would be usual, in words."""
    low, high = _usual(coverage.interval, n, level)
    names = study.samples_spiking.output_names
    of = f" of {names[coverage.output]}" if len(names) > 1 else ""
    whose = "" if coverage.network == "spiking" else "the classical network's "
    return (
        f"{coverage.value:.0%}{of} in {whose}{coverage.interval:.0%} intervals "
        f"({low:.0%} to {high:.0%} would be usual)"
    )


def _usual(interval, n, level):
    return tuple(end / n for end in binom.interval(1 - level, n, interval))


def _width(study, scores, output):
    """Standard deviations: of recalibrated distributions, and of the targets."""
    spread = float(np.std(uncertainty.observed(study)[:, output]))
    return scores[output]["spiking"]["after"]["Sharpness"], spread
