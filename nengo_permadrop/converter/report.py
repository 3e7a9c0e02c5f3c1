"""What became of a model when it was converted: `.ConversionReport`."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from nengo_permadrop.converter.checks import LIMIT, some
from nengo_permadrop.converter.html import report_html
from nengo_permadrop.converter.rate_table import rate_table
from nengo_permadrop.graph.dropouts import ALPHA, BERNOULLI, GAUSSIAN
from nengo_permadrop.support.plain import plain

_WIDTH = 79


@dataclass(frozen=True)
class LayerReport:
    """
    A layer of neurons in a `.ConversionReport`.

    Attributes
    ----------
    path : str
        Of the layer, as in ``Converter.layers``.
    kind : str
        Of its activation.
    n_neurons : int
    neuron_type : str
        Name of the class.
    unit_rate : float or None
        Rate of an activation of 1, in Hz.
    rates_from : {"given", "rows", "weights", "training"}
        Where that comes from: ``scale_firing_rates``, ``Converter(X=rows)``, the
        model's weights for inputs of mean 0 and variance 1; or it was learned with the
        layer, as that of SoftLIF is.
    mean_rate, high_rate : float or None
        Mean rate, and its 99th percentile, over units, rows and masks; in Hz.
    silent : float or None
        Share of (unit, row) pairs that fire less than once a second.

    Rates are None where the network's means aren't known.
    """

    path: str
    kind: str
    n_neurons: int
    neuron_type: str
    unit_rate: float
    rates_from: str
    mean_rate: float
    high_rate: float
    silent: float


@dataclass(frozen=True)
class DropoutReport:
    """
    A permanent dropout in a `.ConversionReport`.

    Attributes
    ----------
    path : str
        Of the layer.
    units : int
    rate : float
        Probability that one is dropped.
    layer : str
        Its class, or what else its source calls it.
    always : bool
        Whether it is on in the model itself, by its class or by how it is called; not
        because plain dropout is taken for permanent.
    kind : {"bernoulli", "gaussian", "alpha"}
        What it does to units, as in `.Drop`.
    groups : int
        Number of groups of units that are dropped together; that of units, if each is
        dropped by itself.
    """

    path: str
    units: int
    rate: float
    layer: str = "Dropout"
    always: bool = False
    kind: str = BERNOULLI
    groups: int = None

    def __post_init__(self):
        if self.groups is None:
            object.__setattr__(self, "groups", self.units)

    @property
    def how(self):
        """How it differs from plain dropout, in words; "" if it doesn't."""
        words = {GAUSSIAN: ["as Gaussian noise"], ALPHA: ["as alpha dropout"]}
        words = words.get(self.kind, [])
        return " ".join(words + ["in groups"] * (self.groups < self.units))


@dataclass(frozen=True, eq=False, repr=False)
class ConversionReport:
    """
    What became of a model; made by `.Converter.report`.

    Firing rates and the bias are theory's, for mean currents and the noise that spikes
    leave on them, and not simulated.

    Attributes
    ----------
    target : str
    neurons : {"spiking", "rate"}
    layers : tuple of `.LayerReport`
        In the model's order.
    dropouts : tuple of `DropoutReport`
    off : tuple of str
        Dropouts of the model that drop nothing, by path.
    n_rows : int
        Rows that rates and bias are for.
    rows_given : bool
        False if these were made up, with mean 0 and variance 1.
    approximations : tuple of str
        What the spiking network has other than the model, in words.
    settling_time : float or None
        Of the network, in seconds; None if it has none.
    presentation_time, settle : float or None
        What `.sample` takes by default, in seconds.
    spikes : float or None
        Of all neurons together, in a presentation of that length.
    bias : float or None
        Root mean square, over rows and outputs, of how far the mean answers are off the
        classical ones, in standard deviations of the classical draws. None if it isn't
        known.
    spread : float or None
        Of the draws, relative to that of the classical ones, with the noise of spikes.
    calibration : str or None
        What `.calibrate` did.
    warnings : tuple of str
        What keeps the network from agreeing with the classical one at 100 draws.
    certificate : object or None
        As it was given.
    """

    target: str
    neurons: str
    layers: tuple
    dropouts: tuple
    off: tuple
    n_rows: int
    rows_given: bool
    approximations: tuple
    settling_time: float
    presentation_time: float
    settle: float
    spikes: float
    bias: float
    spread: float
    calibration: str
    warnings: tuple
    certificate: Any = None

    @property
    def n_neurons(self):
        """Number of all neurons."""
        return sum(layer.n_neurons for layer in self.layers)

    @property
    def verdict(self):
        """What the bias means, in words."""
        if self.neurons == "rate":
            return "Rate neurons answer as the model does, but for their synapses."
        if self.bias is None:
            return "There is no theory for such a network: its bias isn't known."
        rows = f"{self.n_rows} rows" if self.rows_given else "made-up rows"
        means = (
            f"over {LIMIT}: 100 draws show it"
            if self.bias > LIMIT
            else f"under {LIMIT}: 100 draws hardly show it"
        )
        return (
            f"By theory, mean answers are {self.bias:.2f} standard deviations of the "
            f"classical draws off, on {rows} ({means}), and draws spread "
            f"{self.spread:.2f} times as far."
        )

    def to_dict(self):
        """
        The report as JSON can hold it.

        Returns
        -------
        report : dict
            The attributes by name, and "n_neurons" and "verdict".
        """
        found = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("layers", "dropouts", "certificate")
        }
        certificate = self.certificate
        return plain(
            {
                **found,
                "n_neurons": self.n_neurons,
                "verdict": self.verdict,
                "layers": [asdict(layer) for layer in self.layers],
                "dropouts": [asdict(dropout) for dropout in self.dropouts],
                "certificate": None if certificate is None else certificate.to_dict(),
            }
        )

    def __str__(self):
        summary = (
            f"Converted for target '{self.target}': {len(self.layers)} layers of "
            f"{self.n_neurons} {self.neurons} neurons, {len(self.dropouts)} permanent "
            "dropouts"
        )
        lines = [
            *textwrap.wrap(summary, _WIDTH),
            "",
            *rate_table(self.layers),
            "",
        ]
        for title, words in self.parts():
            lines += textwrap.wrap(f"{title}: {words}", _WIDTH, subsequent_indent="  ")
        for title, several in self.lists():
            lines += ["", f"{title}:"]
            for words in several:
                lines += textwrap.wrap(
                    words, _WIDTH, initial_indent="- ", subsequent_indent="  "
                )
        for title, block in self.blocks():
            lines += ["", f"{title}:"]
            for line in block.splitlines():
                lines += [line] if len(line) <= _WIDTH else textwrap.wrap(line, _WIDTH)
        return "\n".join(lines)

    def __repr__(self):
        bias = "unknown" if self.bias is None else f"{self.bias:.3f} sd"
        return (
            f"<ConversionReport: {len(self.layers)} layers, {self.n_neurons} neurons, "
            f"expected bias {bias}, {len(self.warnings)} warnings>"
        )

    def _repr_html_(self):
        return report_html(self)

    def parts(self):
        """
        What there is to say in a few words.

        Returns
        -------
        parts : list of (str, str)
            Title and words.
        """
        types = {}
        for layer in self.layers:
            types.setdefault(layer.neuron_type, []).append(layer)
        dropouts = {}
        for dropout in self.dropouts:
            dropouts.setdefault((dropout.rate, dropout.how), []).append(dropout)
        parts = [
            ("Neurons", "; ".join(f"{t} in {some(v)}" for t, v in types.items())),
            (
                "Dropout",
                "; ".join(
                    f"{rate:g} of {sum(each.units for each in several)} units in "
                    f"{some(several)}" + (f", {how}" if how else "")
                    for (rate, how), several in dropouts.items()
                ),
            ),
            ("Dropout layers", self._whose_dropout()),
            ("Times", self._times()),
        ]
        if self.off:
            words = f"{some(self.off)}: dropout in the model that drops nothing here"
            parts.insert(3, ("Off", words))
        if self.spikes is not None:
            parts.append(("Spikes", f"{self.spikes:,.0f} in such a presentation"))
        parts.append(("Agreement", self.verdict))
        return [(title, words or "none") for title, words in parts]

    def _whose_dropout(self):
        always = {each.layer: [] for each in self.dropouts}
        plain_ = {each.layer: [] for each in self.dropouts}
        for each in self.dropouts:
            (always if each.always else plain_)[each.layer].append(each)
        return "; ".join(
            f"{layer} of {some(each)} {why}"
            for found, why in (
                (always, "is on in the model itself"),
                (plain_, "is taken for permanent (dropout=)"),
            )
            for layer, each in found.items()
            if each
        )

    def _times(self):
        if self.settling_time is None:
            return "the network has no settling time: give presentation_time, settle"
        return (
            f"settles in {self.settling_time:.3f} s; by default an observation is "
            f"shown for {self.presentation_time:g} s and read from {self.settle:g} s on"
        )

    def lists(self):
        """Titles, and what there is to say of each, that have anything."""
        lists = ("Approximations", self.approximations), ("Warnings", self.warnings)
        return [(title, several) for title, several in lists if several]

    def blocks(self):
        """Titles and texts of several lines that others wrote."""
        blocks = ("Calibration", self.calibration), ("Certificate", self.certificate)
        return [(title, str(block)) for title, block in blocks if block is not None]
