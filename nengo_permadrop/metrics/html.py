"""How notebooks show an agreement, and a certificate."""

import html

import numpy as np

from nengo_permadrop.support.svg import GREEN, VERMILION, histogram_svg, html_table


def agreement_html(agreement):
    """
    An agreement as its verdict, its numbers, and a histogram of its p-values.

    Parameters
    ----------
    agreement : `.Agreement`

    Returns
    -------
    page : str
        HTML. The histogram is that of the randomised p-values, from 0 to 1; the dashed
        line is what is expected of equal distributions.
    """
    verdict = agreement.verdict()
    color = GREEN if verdict else VERMILION
    n_observations, n_outputs = agreement.statistic.shape
    uniformity, extreme = agreement.uniformity, agreement.most_extreme
    pvalues = agreement.randomized_pvalue.ravel()
    counts, _ = np.histogram(pvalues, bins=np.linspace(0, 1, 21))
    if agreement.independent:
        uniform = f"p = {uniformity.pvalue:.3g}"
    else:
        uniform = "not valid: observations share their masks"
    rows = [
        ["Observations, outputs", f"{n_observations}, {n_outputs}"],
        ["Draws", f"{agreement.n_draws[0]} and {agreement.n_draws[1]}"],
        [
            "P-values at most 0.05",
            f"{agreement.rejection_rate():.1%} (equal distributions: "
            f"{agreement.attained_level():.1%})",
        ],
        ["Uniformity of the p-values", uniform],
        [
            "Largest statistic",
            f"{extreme.statistic:.3f} at {extreme.index}, p = {extreme.pvalue:.3g}",
        ],
        [
            "P-values from 0 to 1",
            histogram_svg(
                counts, "histogram of the randomised p-values", pvalues.size / 20
            ),
        ],
    ]
    return (
        f'<p style="border-left: .4em solid {color}; padding-left: .6em">'
        f"{html.escape(verdict.words)}</p>{html_table(rows)}"
    )


def certificate_html(certificate):
    """
    A certificate as what it says, its numbers, and the rates that it predicts.

    Parameters
    ----------
    certificate : `.Certificate`

    Returns
    -------
    page : str
        HTML.
    """
    n_observations, n_outputs = certificate.biases.shape
    predicted = ", ".join(
        f"{certificate.rejection_rate(n):.1%} ({n})" for n in (100, 300, 1000)
    )
    rows = [
        ["Observations, outputs", f"{n_observations}, {n_outputs}"],
        ["Pairs of draws", f"{certificate.n_pairs}"],
        [
            "Bias",
            f"{certificate.bias:.3f} sd (error of one estimate: "
            f"{certificate.bias_noise:.3f})",
        ],
        [
            "Spread",
            f"{certificate.spread:.3f} (error of one estimate: "
            f"{certificate.spread_noise:.3f})",
        ],
        ["Shape", f"{certificate.shape:.4f}"],
        ["P-values at most 0.05 (of so many draws)", predicted],
    ]
    return f"<p>{html.escape(certificate.words())}</p>{html_table(rows)}"
