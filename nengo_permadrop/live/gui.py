"""
Views for Nengo GUI: the predictive distribution of a running network, as it grows.

Nengo GUI shows the text ``_nengo_html_`` of a Node's function. What is here needs no
GUI to be imported or simulated; without one, nobody looks.
"""

import html

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.live.page import show_in_gui
from nengo_permadrop.live.probes import KSProbe
from nengo_permadrop.support.isolation import add_made
from nengo_permadrop.support.svg import axis_ticks, histogram_outline
from nengo_permadrop.support.validation import check_integer, check_texts, is_integer

WIDTH, HEIGHT = 320, 216  # of the picture, in its own units
LEFT, RIGHT, TOP, BOTTOM = 42, 308, 44, 170  # of the histogram
MARGIN = 12  # of the texts above it
CLASSICAL, SPIKING = "#bbbbbb", "#1f77b4"


class DistributionView(nengo.Network):
    """
    A live histogram of a network's draws over that of reference samples.

    It shows itself when Nengo GUI opens the script that makes it. Moved or resized, its
    place is saved in the ``.cfg`` file beside the script, as any other component's. The
    picture is SVG and shows the share of the draws in each bin, how many there are on
    both sides, and the KS statistic and p-value of a `.KSProbe`.

    Parameters
    ----------
    target, reference, window, settle, synapse, observation
        As in `.KSProbe`.
    output : int, optional
        Which dimension of the target is shown.
    title : str, optional
        Written over the picture.
    names : (str, str), optional
        What the legend calls the target and the reference.
    show : bool, optional
        Whether it shows itself when Nengo GUI opens the script. If not, right-click on
        ``view`` and choose "HTML".
    n_bins : int, optional
        Bins over the mean of the reference, plus and minus four standard deviations.
        What lies beyond is in the first and last bin.
    label : str, optional
    seed : int, optional
    add_to_container : bool, optional
        As in `nengo.Network`.

    Attributes
    ----------
    probe : `.KSProbe`
    view : `nengo.Node`
        Its function is the picture, of one simulator at a time and without replicas,
        as the GUI runs them.

    Raises
    ------
    nengo.exceptions.ValidationError
        As `.KSProbe`; or if there is no such output, or no bin.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> from nengo_permadrop.live.gui import DistributionView
    >>> with nengo.Network(seed=0) as net:
    ...     noise = nengo.Node(nengo.processes.WhiteSignal(10.0, high=50))
    ...     shown = DistributionView(noise, [-1.0, 0.0, 1.0], window=0.1)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(1.0)
    >>> shown.view.output._nengo_html_[:4]
    '<svg'
    """

    def __init__(
        self,
        target,
        reference,
        window,
        *,
        settle=0.0,
        synapse=None,
        observation=None,
        output=0,
        title="",
        names=("spiking", "classical"),
        n_bins=24,
        show=True,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        super().__init__(label=label, seed=seed, add_to_container=False)
        with self:
            self.probe = KSProbe(
                target,
                reference,
                window,
                settle=settle,
                synapse=synapse,
                observation=observation,
                label="probe",
            )
            size = self.probe.value.size_out
            if not is_integer(output) or not 0 <= output < size:
                raise ValidationError(
                    f"must be a dimension of the target, from 0 to {size - 1}; got "
                    f"{output!r}",
                    attr="output",
                )
            check_integer(n_bins, "n_bins", 1)
            names = check_texts(names, "names", 2)
            check_texts([title], "title", 1)
            node = self.probe.node
            picture = Picture(
                node.output.reference, size, int(output), title, names, int(n_bins)
            )
            n_features = node.size_in - size - 1
            self.view = nengo.Node(
                picture, size_in=node.size_out + n_features, size_out=0, label="view"
            )
            nengo.Connection(node, self.view[: node.size_out], synapse=None)
            if n_features:
                nengo.Connection(observation, self.view[node.size_out :], synapse=None)
        add_made(self, add_to_container)
        if show and add_to_container is not False:
            show_in_gui(self.view)


class Picture:
    """
    The function of a `DistributionView`'s Node.

    Parameters
    ----------
    reference : `.windows.Reference`
    size : int
        Dimensions of the target.
    output, title, names, n_bins
        As in `DistributionView`.

    Attributes
    ----------
    _nengo_html_ : str
        The picture, which is drawn again after each window.
    """

    def __init__(self, reference, size, output, title, names, n_bins):
        self.reference = reference
        self.size = size
        self.output = output
        self.title = html.escape(title)
        self.names = [html.escape(name) for name in names]
        self.n_bins = n_bins
        self.values = []
        self._nengo_html_ = self._drawn("no draw yet", "", self.names)

    def __call__(self, t, x):
        count = int(round(x[2 * self.size]))
        if count == len(self.values):
            return
        if count < len(self.values):  # another observation, or another simulation
            self.values.clear()
        if count == 0:
            self._nengo_html_ = self._drawn("no draw yet", "", self.names)
            return
        statistic, pvalue = x[[self.output, self.size + self.output]]
        self.values.append(x[2 * self.size + 1 + self.output])
        reference = self.reference.of(x[3 * self.size + 1 :])[:, self.output]
        text = (
            f"KS statistic {statistic:.3f}, p = {pvalue:.3f} "
            f"({count} draw{'s' if count > 1 else ''})"
        )
        legend = [
            f"{name} (n = {n})" for name, n in zip(self.names, (count, len(reference)))
        ]
        self._nengo_html_ = self._drawn(text, self._histograms(reference), legend)

    def _histograms(self, reference):
        center, spread = reference.mean(), reference.std() or 1.0
        low, high = center - 4 * spread, center + 4 * spread
        shares = []
        for values in (reference, self.values):
            inside = np.clip(values, low, high)
            counts, _ = np.histogram(inside, self.n_bins, range=(low, high))
            shares.append(counts / len(values))
        highest = max(share.max() for share in shares)
        classical, spiking = (
            histogram_outline(share / highest, LEFT, RIGHT, TOP, BOTTOM)
            for share in shares
        )
        return (
            f'<path class="npd-classical" d="{classical}" fill="{CLASSICAL}"/>'
            f'<path class="npd-spiking" d="{spiking}" fill="{SPIKING}" '
            f'fill-opacity="0.35" stroke="{SPIKING}" stroke-width="1.5"/>'
            f"{_axes(low, high, highest)}"
        )

    def _drawn(self, text, histograms, legend):
        entries = "".join(
            f'<rect x="{x}" y="{HEIGHT - 11}" width="8" height="8" fill="{color}"/>'
            f'<text x="{x + 12}" y="{HEIGHT - 3}">{name}</text>'
            for x, color, name in zip(
                (LEFT, WIDTH // 2 + 8), (SPIKING, CLASSICAL), legend
            )
        )
        return (
            f'<svg class="npd-distribution" width="100%" height="100%" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
            f'<text x="{MARGIN}" y="14" font-weight="bold">{self.title}</text>'
            f'<text class="npd-test" x="{MARGIN}" y="31">{text}</text>{histograms}'
            f'<path d="M{LEFT} {BOTTOM}H{RIGHT}" stroke="#444444"/>{entries}</svg>'
        )


def _axes(low, high, highest):
    """Ticks and labels: values from left to right, shares of the draws upwards."""
    marks, labels = [], []
    for value, label in axis_ticks(low, high, room=45):
        x = LEFT + (value - low) / (high - low) * (RIGHT - LEFT)
        # a label at the end of the axis stays within the picture
        at = np.clip(x, LEFT + 3 * len(label), WIDTH - 3 * len(label) - 2)
        marks.append(f"M{x:.1f} {BOTTOM}v4")
        labels.append(
            f'<text class="npd-tick" x="{at:.1f}" y="{BOTTOM + 17}" '
            f'text-anchor="middle">{label}</text>'
        )
    for value, label in axis_ticks(0, 100 * highest, room=24):
        y = BOTTOM - value / (100 * highest) * (BOTTOM - TOP)
        marks.append(f"M{LEFT} {y:.1f}h-4")
        labels.append(
            f'<text class="npd-tick" x="{LEFT - 6}" y="{y + 2:.1f}" '
            f'text-anchor="end">{label}%</text>'
        )
    marks.append(f"M{LEFT} {TOP}V{BOTTOM}")
    path = f'<path d="{"".join(marks)}" stroke="#444444" fill="none"/>'
    return path + "".join(labels)
