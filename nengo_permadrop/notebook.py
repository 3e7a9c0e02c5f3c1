"""
How samples and their agreement show themselves in a notebook.

What is shown is HTML that needs nothing else: small pictures are SVG within the text,
colours are chosen to be seen on a light and on a dark page. All names are escaped.
"""

import html

import numpy as np

# Okabe and Ito's blue and vermilion, as in the plots
BLUE, VERMILION = "#0072B2", "#D55E00"
GREEN = "#009E73"

N_OBSERVATIONS = 8
N_BINS = 24


def samples_html(samples, n_observations=N_OBSERVATIONS):
    """
    Samples as a table, a row an observation and output, with their histograms.

    Parameters
    ----------
    samples : `.PredictiveSamples`
    n_observations : int, optional
        Greatest number of observations that are shown.

    Returns
    -------
    page : str
        HTML. The histograms of an output have one axis, from its least to its greatest
        draw among the rows shown.
    """
    n_shown = min(samples.n_observations, n_observations)
    values = samples.values[:, :n_shown]
    mean, std = samples.mean(), samples.std()
    low, high = samples.quantile([0.05, 0.95])
    ends = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    rows = []
    for i, j in np.ndindex(n_shown, samples.n_outputs):
        edges = np.linspace(ends[0][j], ends[1][j], N_BINS + 1)
        counts, _ = np.histogram(values[:, i, j], bins=_increasing(edges))
        rows.append(
            [
                html.escape(str(samples.observation_names[i])),
                html.escape(samples.output_names[j]),
                *(f"{x[i, j]:.4g}" for x in (mean, std, low, high)),
                histogram_svg(counts, "histogram of the draws"),
            ]
        )
    head = ("Observation", "Output", "Mean", "Std", "5%", "95%", "Draws")
    rest = samples.n_observations - n_shown
    return f"<p>{html.escape(repr(samples))}</p>{_table(rows, head)}" + (
        f"<p>... and {rest} more observations</p>" if rest else ""
    )


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
        f"{html.escape(verdict.words)}</p>{_table(rows)}"
    )


def histogram_svg(counts, words, level=None, width=120, height=22):
    """
    A histogram, as an SVG element for the text of a page.

    Parameters
    ----------
    counts : (n_bins,) array_like
        Not negative.
    words : str
        What it shows, for those who can't see it.
    level : float, optional
        Where a dashed line is drawn, in the units of ``counts``.
    width, height : int, optional
        In pixels.

    Returns
    -------
    svg : str
    """
    counts = np.asarray(counts, dtype=float)
    top = max(counts.max(), level or 0) or 1.0
    step = width / len(counts)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{height - size:.1f}" width="{step:.1f}" '
        f'height="{size:.1f}"/>'
        for i, size in enumerate(counts / top * height)
        if size > 0
    )
    line = ""
    if level is not None:
        y = height - level / top * height
        line = (
            f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{VERMILION}" stroke-dasharray="4 3"/>'
        )
    return (
        f'<svg role="img" aria-label="{html.escape(words)}" width="{width}" '
        f'height="{height}"><g fill="{BLUE}">{bars}</g>{line}</svg>'
    )


def _table(rows, head=()):
    """An HTML table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def _increasing(edges):
    """Bin edges of some width, also around draws that are all the same."""
    if edges[0] < edges[-1]:
        return edges
    return edges[0] + np.linspace(-0.5, 0.5, len(edges))
