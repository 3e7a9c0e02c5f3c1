"""Whether the two networks of a study agree, and what was tested."""

from typing import NamedTuple

import numpy as np

from nengo_permadrop.metrics.agreement import (
    MIN_EXTREME,
    MIN_REJECTION_PVALUE,
    MIN_UNIFORMITY,
)
from nengo_permadrop.study.answers import GUIDE, Judgement, again

# Effects up to these, in standard deviations and as a ratio, are called small
SMALL_BIAS, SMALL_SPREAD = 0.1, 0.1
# A difference that half of the tests would see with so many times as many draws is said
NEAR = 5
# A study that sees 0.2 standard deviations less often is too small for a yes
LEAST_POWER = 0.8
# A yes that stricter limits, by this factor, would not give is narrow: of equal
# networks at most 2% have one, as at most 2% have a no
NARROW = 2

QUESTION = "Do both networks have the same predictive distribution?"


class Check(NamedTuple):
    """
    One of the three checks that a verdict rests on.

    Attributes
    ----------
    met : bool
        Whether it is as for equal networks.
    words : str
        What was found, and the limit.
    """

    met: bool
    words: str


def judge_agreement(study):
    """Whether both networks have the same distribution, a `.Judgement`."""
    n_draws = study.samples_spiking.n_draws
    if study.agreement.paired:
        return Judgement(
            QUESTION,
            "unknown",
            "That can't be said from these draws.",
            study.verdict().words,
            ("Draw both networks with seeds of their own.",),
        )
    bias, spread, words = effect(study)
    known = bias is not None and spread is not None
    small = known and abs(bias) <= SMALL_BIAS and abs(np.log(spread)) <= SMALL_SPREAD
    if study.verdict():
        answer, steps = _doubts(study, n_draws, hidden=known and not small)
        if answer is not None:
            return Judgement(QUESTION, "fair", answer, words, steps)
        answer = f"Yes, as far as {n_draws} draws of each can show."
        return Judgement(QUESTION, "good", answer, words)
    if small:
        answer = "Not quite: there is a difference, and it is small."
        step = (
            f"Nothing, if {SMALL_BIAS:g} standard deviations don't matter to you. If "
            f"they do: {_lower_first(closer(study))}"
        )
        return Judgement(QUESTION, "fair", answer, words, (step,))
    return Judgement(QUESTION, "bad", "No.", words, (closer(study),))


def _doubts(study, n_draws, hidden):
    """Why a yes isn't a plain one, and what to do then; or None and nothing."""
    certificate, power = study.certificate, study.power
    more = again(study, f"--n-draws {4 * n_draws}", f"n_draws={4 * n_draws}", "more")
    if power is not None and power < LEAST_POWER:
        answer = (
            f"No difference was seen, but {n_draws} draws of so few observations "
            "would hardly show one."
        )
        step = (
            "Draw more (--n-draws), or show more test rows (--observations), such as: "
            f"{more}"
        )
        return answer, (step,)
    if certificate is not None:
        hidden = certificate.n_draws <= NEAR * n_draws
    if hidden:
        answer = (
            f"No difference was seen with {n_draws} draws, but a few more draws or "
            "observations would show one."
        )
        return answer, (closer(study),)
    if is_narrow(study.agreement):
        answer = f"Yes, but narrowly, as far as {n_draws} draws of each can show."
        return answer, (f"Draw more, to settle whether they agree: {more}",)
    return None, ()


def is_narrow(agreement):
    """Whether a verdict is yes, but no with limits that are `NARROW` times stricter."""
    stricter = agreement.verdict(
        min_uniformity=NARROW * MIN_UNIFORMITY,
        min_rejection_pvalue=NARROW * MIN_REJECTION_PVALUE,
        min_extreme=NARROW * MIN_EXTREME,
    )
    return bool(agreement.verdict()) and not stricter


def effect(study):
    """
    How large the difference is: bias, ratio of spreads, and both in words.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    bias : float or None
        In standard deviations; from a certificate a size without sign.
    spread : float or None
    words : str
    """
    certificate = study.certificate
    if certificate is None:
        bias, spread = study.bias()["spiking"], study.spread()["spiking"]
        if bias is None or spread is None:
            return bias, spread, "How large the difference is isn't defined; see below."
        return (
            bias,
            spread,
            (
                "The means of the spiking network's answers are on average "
                f"{bias:+.3f} standard deviations{in_units(study, bias)} from the "
                f"classical network's, and their spread is {spread:.3f} times as large."
            ),
        )
    bias, spread = certificate.bias, certificate.spread
    return (
        bias,
        spread,
        (
            "The mean of the spiking network's answers to an observation is typically "
            f"{bias:.3f} standard deviations{in_units(study, bias)} from the classical "
            f"network's, above or below it, and their spread is {spread:.3f} times as "
            "large."
        ),
    )


def in_units(study, bias):
    """A difference in the target's units, in brackets; of several outputs nothing."""
    names = study.samples_classical.output_names
    if len(names) > 1:
        return ""
    unit = np.sqrt(np.mean(study.samples_classical.std() ** 2))
    return f" ({bias * unit:.2g} in units of {names[0]})"


def checks(study, agreement):
    """
    What a verdict rests on, in words.

    Parameters
    ----------
    study : `.Study`
    agreement : `.Agreement`
        Of the study, or its control.

    Returns
    -------
    checks : {"single", "together", "worst": `Check`}
    """
    n = agreement.statistic.size
    rate, limit = agreement.rejection_rate(), agreement.rejection_limit()
    found = {
        "single": Check(
            rate <= limit,
            f"{round(rate * n)} of {n} tests see a difference (p at most 0.05), where "
            f"{agreement.attained_level() * n:.2g} would by chance (limit "
            f"{int(limit * n + 1e-9)})",
        )
    }
    if agreement.independent:
        p = agreement.uniformity.pvalue
        found["together"] = Check(
            p >= MIN_UNIFORMITY,
            f"all p-values together are as uneven as they are, or more, by chance with "
            f"p = {p:.3g} (limit {MIN_UNIFORMITY:g})",
        )
    extreme = agreement.most_extreme
    found["worst"] = Check(
        extreme.pvalue >= MIN_EXTREME,
        f"the largest difference of all, of {observation(study, extreme.index)}, is as "
        f"large by chance with p = {extreme.pvalue:.3g} (limit {MIN_EXTREME:g})",
    )
    return found


def observation(study, index):
    """What an (observation, output) is called, in text and pictures alike."""
    samples = study.samples_spiking
    of = f", {samples.output_names[index[1]]}" if samples.n_outputs > 1 else ""
    return f"observation {samples.observation_names[index[0]]}{of}"


def reasons(study):
    """Why the verdict is as it is, in a sentence."""
    found = checks(study, study.agreement)
    single = found["single"].words.rpartition(" (limit")[0]
    if is_narrow(study.agreement):
        near = _near(study.agreement, found)
        return f"{single}; but {'; and '.join(near)}."
    if all(each.met for each in found.values()):
        return f"{single}, and no check of all of them together sees one."
    return "; ".join(each.words for each in found.values() if not each.met) + "."


def _near(agreement, found):
    """Words of the checks that stricter limits, by `NARROW`, would not meet."""
    pvalues = {
        "single": (agreement.rejection_pvalue(), MIN_REJECTION_PVALUE),
        "together": (agreement.uniformity.pvalue, MIN_UNIFORMITY),
        "worst": (agreement.most_extreme.pvalue, MIN_EXTREME),
    }
    near = [
        found[name].words
        for name, (pvalue, limit) in pvalues.items()
        if name in found and pvalue < NARROW * limit
    ]
    return near or [each.words for each in found.values()]


def closer(study):
    """What brings this study's spiking network nearer to the classical one."""
    options, soft = study.options, bool(study.network["gammas"])
    if not options["tune"]:
        step = (
            "Tune it, which chooses firing rates, synapses, times and a calibration on "
            f"validation rows: {again(study, '--tune', 'tune=True', 'tuned')}"
        )
    elif soft:
        more = again(study, "--anneal 0.002", "anneal=0.002", "annealed")
        step = (
            "Train on with a smaller gamma, which brings SoftLIF's curve near that of "
            f"spiking neurons: {more}"
        )
    else:
        step = "Give validation rows that are more like the test's, or more of them."
    return f"{step} {GUIDE}" if step.endswith(".") else f"{step}. {GUIDE}"


def _lower_first(text):
    return text[0].lower() + text[1:]
