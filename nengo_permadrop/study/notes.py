"""What a reader of a report has to know before believing it."""

import numpy as np

from nengo_permadrop.metrics.ks import ks_pvalue
from nengo_permadrop.study import uncertainty

# Of all values: where more are equal to another one, tests are blunter for it
TIED = 0.2


def warnings_of(study):
    """
    What a reader has to know before believing the result; a list of str.

    Parameters
    ----------
    study : `.Study`
    """
    agreement, control = study.agreement, study.control
    found = []
    if agreement.paired or control.paired:
        found.append(
            "Draws of two networks that are compared move together, as if they had the "
            "same masks. The tests take them for independent: no p-value here is valid."
        )
    for warning in study.samples_spiking.meta.get("warnings", ()):
        found.append(f"Before it was simulated, theory said: {warning}")
    if study.accuracy is not None:
        found.append(
            "The targets are classes, and are predicted as numbers: 1 in the column of "
            "a row's class, and 0 in the others. Intervals, and errors of that number, "
            "say little of classes; how often the class is right does."
        )
    for words in study.network.get("replaced", ()):
        found.append(
            f"In the spiking network {words}; the classical one's answers are those of "
            "the model as it is."
        )
    if not agreement.independent:
        found.append(
            "All observations of a draw had the same masks, so that the p-values of "
            "different observations depend on each other: their uniformity can't be "
            "tested, and the rejection rate varies more than its number of tests "
            "suggests. Use masks='observation' for a valid test."
        )
    if agreement.method != "exact":
        found.append("So many draws: the p-values are asymptotic, not exact.")
    share = tied_share(study)
    if share > TIED:
        found.append(
            f"{share:.0%} of the draws of an observation are equal to another one, as "
            "of a network that has few units to drop. Single tests then see less than "
            "they would otherwise; the check of all p-values together doesn't."
        )
    if not control.verdict():
        found.append(
            "The control fails the test too: the classical network seems to differ "
            "from itself. If that is chance, repeating "
            "this study with another seed will show it; do so before drawing "
            "conclusions."
        )
    n_draws = min(agreement.n_draws)
    if smallest_rejected(n_draws) is None:
        found.append(
            f"With {n_draws} draws per side no single test can ever reject: only the "
            "uniformity says anything. Use more draws."
        )
    elif n_draws < 50 or agreement.statistic.size < 50:
        found.append(
            f"{n_draws} draws and {agreement.statistic.size} observations are few: "
            "only gross differences would be seen. 100 of each are what the paper used."
        )
    reasons = {}
    for place, reason in undefined(study).items():
        reasons.setdefault(reason, []).append(place)
    for reason, places in reasons.items():
        found.append(f"Not defined: {', '.join(places)}. {_sentence(reason)}")
    return found


def tied_share(study):
    """The share of the draws of both networks that are equal to another one."""
    both = study.samples_spiking.values, study.samples_classical.values
    pooled = np.sort(np.concatenate(both), axis=0)
    equal = pooled[1:] == pooled[:-1]
    none = np.zeros_like(equal[:1])
    return float(np.mean(np.concatenate([equal, none]) | np.concatenate([none, equal])))


def _sentence(text):
    return f"{text[0].upper()}{text[1:]}."


def smallest_rejected(n_draws, alpha=0.05):
    """
    The smallest KS statistic with a p-value of at most ``alpha``.

    Parameters
    ----------
    n_draws : int
        Of each of the two samples.
    alpha : float, optional

    Returns
    -------
    statistic : float or None
        None if there is none, with very few draws.
    """
    statistics = np.arange(1, n_draws + 1) / n_draws
    rejected = statistics[ks_pvalue(statistics, n_draws, n_draws) <= alpha]
    return float(rejected[0]) if len(rejected) > 0 else None


def undefined(study):
    """
    What of a study's numbers isn't defined, and why.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    reasons : {str: str}
        By place in `to_dict`, such as ``"bias.spiking"``.
    """
    return {
        **study.undefined(),
        **{
            f"recalibration.{i}": reason
            for i, reason in uncertainty.not_fitted(study).items()
        },
        **{
            f"scores.{place}": reason
            for place, reason in uncertainty.undefined_scores(study).items()
        },
        **{
            f"r2.{rows}": "the targets of these rows are all the same"
            for rows, value in study.r2.items()
            if not np.isfinite(value)
        },
    }
