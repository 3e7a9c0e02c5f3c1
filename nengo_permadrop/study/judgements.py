"""
What a study's numbers mean: four questions, each with an answer of its own.

Whether the two networks agree is what was tested. Whether their uncertainty is
calibrated, and whether they predict well, are other questions: an overconfident network
and a useless one agree with their spiking twins, too.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom, binomtest

from nengo_permadrop.study import uncertainty

# Effects up to these, in standard deviations and as a ratio, are called small
SMALL_BIAS, SMALL_SPREAD = 0.1, 0.1
# A difference that half of the tests would see with so many times as many draws is said
NEAR = 5
# A study that sees 0.2 standard deviations less often is too small for a yes
LEAST_POWER = 0.8
# What the intervals are judged at, and the level of that test
INTERVAL, COVERAGE_LEVEL = 0.9, 0.01
# Fewer observations say too little of a coverage
LEAST_OBSERVATIONS = 20
# Standard errors by which predictions must be better than the mean, to be called so:
# what is no better is called so in 5% of cases
ONE_SIDED = 1.645
# Less of the targets' variance is called little
LITTLE_R2 = 0.25

GUIDE = "My network disagrees: what now?"


class Judgement(NamedTuple):
    """
    An answer.

    Attributes
    ----------
    question : str
        What was asked.
    state : {"good", "fair", "bad", "unknown"}
    answer : str
        In a few words.
    words : str
        The numbers that it rests on.
    next_step : str or None
        What to do now, if anything.
    """

    question: str
    state: str
    answer: str
    words: str
    next_step: str = None


def judge(study):
    """
    Judge a study.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    judgements : {"agreement", "calibration", "accuracy": `Judgement`}
        The first is what the study is about; it stands in the headline.
    """
    return {
        "agreement": _agreement(study),
        "calibration": _calibration(study),
        "accuracy": _accuracy(study),
    }


def next_step(judgements):
    """
    The one step to take first.

    Parameters
    ----------
    judgements : dict
        From `judge`.

    Returns
    -------
    step : str or None
        A network that predicts nothing comes first, then networks that disagree, then
        intervals that are wrong; of what isn't bad, small differences come last.
    """
    for state, order in (
        ("bad", ("accuracy", "agreement", "calibration")),
        ("fair", ("accuracy", "calibration", "agreement")),
    ):
        for each in (judgements[name] for name in order):
            if each.state == state and each.next_step is not None:
                return each.next_step
    return None


def _effect(study):
    """Bias and ratio of spreads, where they are known best; and how, in words."""
    certificate = study.certificate
    if certificate is not None:
        how = f"draws with the same masks on {certificate.options['backend']}"
        return certificate.bias, certificate.spread, how
    return study.bias()["spiking"], study.spread()["spiking"], "independent draws"


def _agreement(study):
    question = "Do both networks have the same predictive distribution?"
    n_draws = study.samples_spiking.n_draws
    if study.agreement.paired:
        return Judgement(
            question,
            "unknown",
            "That can't be said from these draws.",
            study.verdict().words,
            "Draw both networks with seeds of their own.",
        )
    bias, spread, how = _effect(study)
    small = None
    if bias is not None and spread is not None:
        small = abs(bias) <= SMALL_BIAS and abs(np.log(spread)) <= SMALL_SPREAD
    hidden = small is False
    if study.certificate is not None:
        hidden = study.certificate.n_draws <= NEAR * n_draws
    words = _effect_words(bias, spread, how, study.certificate)
    if study.power is not None:
        words += (
            f" Of studies of as many draws and observations, {study.power:.0%} would "
            "see a difference of 0.2 standard deviations."
        )
    if study.verdict():
        if study.power is not None and study.power < LEAST_POWER:
            answer = (
                f"No difference was seen, but {n_draws} draws of so few observations "
                "would hardly show one."
            )
            step = "Draw more (--n-draws), or show more test rows (--observations)."
            return Judgement(question, "fair", answer, words, step)
        if hidden:
            answer = (
                f"No difference was seen with {n_draws} draws, but a few more draws "
                "or observations would show one."
            )
            return Judgement(question, "fair", answer, words, _closer(study))
        answer = f"Yes, as far as {n_draws} draws of each can show."
        return Judgement(question, "good", answer, words)
    if small:
        answer = "Not quite: there is a difference, and it is small."
        step = (
            f"If {SMALL_BIAS:g} standard deviations don't matter to you, nothing. "
            + _closer(study)
        )
        return Judgement(question, "fair", answer, words, step)
    return Judgement(question, "bad", "No.", words, _closer(study))


def _effect_words(bias, spread, how, certificate):
    if bias is None or spread is None:
        return "How large the difference is isn't defined, see the notes."
    words = (
        f"The means of the spiking network are {bias:.3f} standard deviations of the "
        f"predictive distributions off, its standard deviations {spread:.3f} times as "
        f"large (from {how})."
    )
    return words if certificate is None else f"{words} {certificate.words()}"


def _closer(study):
    """What brings this study's spiking network nearer to the classical one."""
    options, soft = study.options, bool(study.network["gammas"])
    if options["tune"]:
        step = (
            "Train on with a smaller gamma (--anneal 0.002)"
            if soft
            else ("Give validation rows that are more like the test's, or more of them")
        )
    elif options["calibrate"]:
        step = "Run the study again with --tune (tune=True) instead of --calibrate"
    else:
        step = (
            "Run the study again with --tune (in Python tune=True), which chooses "
            "firing rates, synapses, times and a calibration on validation rows"
        )
    return f"{step}; docs/disagrees.rst, '{GUIDE}', has more."


def _calibration(study):
    question = f"Do its {INTERVAL:.0%} intervals hold {INTERVAL:.0%} of the targets?"
    name = f"Coverage{INTERVAL:g}"
    n = study.samples_spiking.n_observations
    scores = uncertainty.scores(study)
    rows = [each["spiking"] for each in scores]
    if any(row["before"].get(name) is None for row in rows):
        words = (
            f"{study.samples_spiking.n_draws} draws are too few for an interval of "
            f"{INTERVAL:.0%}, or all draws of an observation are the same."
        )
        return Judgement(question, "unknown", "That isn't known.", words)
    level = COVERAGE_LEVEL / len(rows)
    worst = min(range(len(rows)), key=lambda i: _fits(rows[i]["before"][name], n))
    before, after = (rows[worst][when][name] for when in ("before", "after"))
    low, high = (end / n for end in binom.interval(1 - level, n, INTERVAL))
    of = f" of {scores[worst]['output']}" if len(rows) > 1 else ""
    factor = study.recalibration.scale[worst]
    words = (
        f"{before:.0%} of {n} targets{of} lie in the spiking network's; for calibrated "
        f"ones {low:.0%} to {high:.0%} would be usual. With the spread times "
        f"{factor:.3g}, which was fitted on validation rows, {after:.0%}."
    )
    if n < LEAST_OBSERVATIONS:
        return Judgement(
            question,
            "unknown",
            f"{n} observations are too few to say.",
            words,
            f"Show more test rows (--observations), at least {LEAST_OBSERVATIONS}.",
        )
    if _fits(before, n) > level:
        return Judgement(question, "good", "Yes, as far as these rows show.", words)
    wrong = "too narrow" if before < INTERVAL else "too wide"
    if all(_fits(row["after"][name], n) > level for row in rows):
        everywhere = all(_fits_everywhere(row["after"], n, level) for row in rows)
        but = "" if everywhere else f" at {INTERVAL:.0%}, but not at all levels"
        return Judgement(
            question,
            "fair",
            f"No, they are {wrong}; recalibrated, yes{but}.",
            words,
            "Use recalibrated intervals: nengo-permadrop predict with the folder of "
            "this study as the model, or study.recalibration.apply(samples).",
        )
    return Judgement(
        question,
        "bad",
        f"No, they are {wrong}, and one factor doesn't make them right.",
        words,
        "Train with another dropout rate, longer, or on more rows: the spread isn't "
        "where the errors are.",
    )


def _fits(coverage, n, interval=INTERVAL):
    """P-value of a coverage, if the intervals are calibrated."""
    return float(binomtest(int(round(coverage * n)), n, interval).pvalue)


def _fits_everywhere(row, n, level):
    """Whether the coverages of all intervals that are known are those of calibrated."""
    known = {
        float(name.removeprefix("Coverage")): value
        for name, value in row.items()
        if name.startswith("Coverage") and value is not None
    }
    return all(
        _fits(value, n, interval) > level / len(known)
        for interval, value in known.items()
    )


def _accuracy(study):
    question = "Does it predict better than the mean of the targets?"
    y, mean = uncertainty.observed(study), study.samples_spiking.mean()
    r2, found = study.r2["test"], _r2(mean, y)
    if not (np.isfinite(r2) and np.isfinite(found)):
        words = "The targets of these rows are all the same."
        return Judgement(question, "unknown", "That isn't known.", words)
    words = (
        f"r2, which is 1 for perfect predictions and 0 for the mean, is {found:.2f} "
        f"for the mean of the spiking network's draws on these {len(y)} observations, "
        f"{_r2(study.samples_classical.mean(), y):.2f} for the classical network's, "
        f"and {r2:.2f} for that on all {len(study.dataset.test)} test rows."
        f"{_errors(study, mean - y, y)}"
    )
    worst = min(r2, found)
    if worst <= 0 or not _shows(mean, y):
        step = "Train it longer, or with other settings."
        if len(study.dataset.train) == 0:
            step = (
                "Check that rows and targets are centred and scaled as in the "
                "network's training, and belong together; if so, train it longer, or "
                "with other settings."
            )
        answer = "No." if worst <= 0 else "Not so that these rows would show it."
        answer += " What its uncertainty is worth can't be told before it does."
        return Judgement(question, "bad", answer, words, step)
    if worst < LITTLE_R2:
        return Judgement(
            question, "fair", "A little.", words, "Train it longer, or on more rows."
        )
    return Judgement(question, "good", f"Yes (r2 {worst:.2f}).", words)


def _r2(mean, y):
    """Mean over the outputs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = ((mean - y) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    return float(1 - np.mean(left))


def _shows(mean, y):
    """Whether errors are smaller than those of the mean by more than chance."""
    gain = ((y - y.mean(axis=0)) ** 2 - (mean - y) ** 2) / y.var(axis=0)
    gain = gain.mean(axis=1)
    if len(gain) < 3 or gain.std() == 0:
        return gain.mean() > 0
    return gain.mean() > ONE_SIDED * gain.std(ddof=1) / np.sqrt(len(gain))


def _errors(study, errors, y):
    """Sizes in units, and whether all predictions are off to one side."""
    found = []
    names = study.samples_spiking.output_names
    for name, error, spread in zip(names, errors.T, y.std(axis=0)):
        of = f" of {name}" if len(names) > 1 else ""
        rms, offset = np.sqrt(np.mean(error**2)), error.mean()
        if len(found) < 3:
            found.append(
                f" Its error{of} is {rms:.3g} (RMSE), the targets' standard deviation "
                f"{spread:.3g}."
            )
        if abs(offset) > 0.8 * rms and abs(offset) > 0.5 * spread:
            way = "more" if offset > 0 else "less"
            found.append(
                f" On average it predicts {abs(offset):.3g} {way} than the targets{of}"
                ": these aren't what it has learned."
            )
    return "".join(found)
