"""
Parts of what shows itself in a notebook or in Nengo GUI: tables, and small pictures.

What is shown is HTML that needs nothing else: small pictures are SVG within the text,
colours are chosen to be seen on a light and on a dark page. All names are escaped.
"""

import html

import numpy as np

# Okabe and Ito's blue and vermilion, as in the plots
BLUE, VERMILION = "#0072B2", "#D55E00"
GREEN = "#009E73"

_DASHES = 'stroke-dasharray="4 3"'

N_OBSERVATIONS = 8
N_BINS = 24


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
    bars = histogram_outline(counts / top, 0, width, 0, height)
    line = ""
    if level is not None:
        y = height - level / top * height
        line = (
            f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{VERMILION}" {_DASHES}/>'
        )
    return (
        f'<svg role="img" aria-label="{html.escape(words)}" width="{width}" '
        f'height="{height}"><path d="{bars}" fill="{BLUE}"/>{line}</svg>'
    )


def scatter_svg(points, words, line=(), ring=None, width=240, height=120):
    """
    Dots, as an SVG element for the text of a page.

    Parameters
    ----------
    points : (n, 3) array_like
        Of each, how far it is to the right and up, and whether it is filled. Those that
        aren't finite are left out.
    words : str
        What it shows, for those who can't see it.
    line : list of int, optional
        Points that a dashed line joins.
    ring : int, optional
        Point with a ring around it.
    width, height : int, optional
        In pixels.

    Returns
    -------
    svg : str
    """
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    shown = np.flatnonzero(np.isfinite(points).all(axis=1))
    low, high = np.zeros(2), np.ones(2)
    if len(shown):
        low, high = points[shown, :2].min(axis=0), points[shown, :2].max(axis=0)
    part = (points[:, :2] - low) / np.where(high > low, high - low, 1)
    margin = 8
    x = margin + part[:, 0] * (width - 2 * margin)
    y = height - margin - part[:, 1] * (height - 2 * margin)
    places = " ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in line if i in shown)
    parts = [f'<polyline points="{places}" fill="none" stroke="#888888" {_DASHES}/>']
    parts += [
        f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="3" stroke="{BLUE}" '
        f'fill="{BLUE if points[i, 2] else "none"}"/>'
        for i in shown
    ]
    if ring is not None and ring in shown:
        parts.append(
            f'<circle cx="{x[ring]:.1f}" cy="{y[ring]:.1f}" r="6" fill="none" '
            f'stroke="{VERMILION}" stroke-width="1.5"/>'
        )
    return (
        f'<svg role="img" aria-label="{html.escape(words)}" width="{width}" '
        f'height="{height}">{"".join(parts)}</svg>'
    )


def histogram_outline(heights, left, right, top, bottom):
    """
    The outline of a histogram's bars, as the data of an SVG path.

    Parameters
    ----------
    heights : (n_bins,) array_like
        From 0 to 1.
    left, right, top, bottom : float
        Where the bars are; a height of 1 is at the top.

    Returns
    -------
    path : str
    """
    width = (right - left) / len(heights)
    levels = bottom - np.asarray(heights) * (bottom - top)
    steps = "".join(f"V{level:.1f}h{width:.2f}" for level in levels)
    return f"M{left} {bottom}{steps}V{bottom}Z"


def html_table(rows, head=()):
    """An HTML table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def increasing(edges):
    """Bin edges of some width, also around draws that are all the same."""
    if edges[0] < edges[-1]:
        return edges
    return edges[0] + np.linspace(-0.5, 0.5, len(edges))


def axis_ticks(low, high, room):
    """
    Round values between two numbers, with labels that fit beside each other.

    Parameters
    ----------
    low, high : float
        ``low < high``.
    room : int
        Characters that there is room for on the axis, with the gaps between labels.

    Returns
    -------
    ticks : list of (float, str)
        As many as fit, at most six; each a value and its label.
    """
    found = []
    magnitude = 10.0 ** np.floor(np.log10(high - low))
    for factor in (2, 1, 0.5, 0.2):
        step = factor * magnitude
        multiples = np.arange(np.ceil(low / step - 1e-9), high / step + 1e-9)
        values = step * multiples + 0.0  # no -0
        largest = max(np.abs(values).max(initial=0.0), step)
        digits = int(np.ceil(np.log10(largest / step) - 1e-9)) + 1
        if largest < 1e6:  # no 1e+02
            digits = max(digits, int(np.floor(np.log10(largest) + 1e-9)) + 1)
        labels = [f"{value:.{digits}g}" for value in values]
        length = 2 + max((len(label) for label in labels), default=0)
        if len(values) > 6 or (found and length * len(values) > room):
            break
        found = list(zip(values.tolist(), labels))
    return found
