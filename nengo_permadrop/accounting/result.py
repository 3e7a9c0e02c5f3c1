"""What was counted, and what it costs."""

import dataclasses

from nengo.exceptions import ValidationError

from nengo_permadrop.accounting.classical import ClassicalCounts
from nengo_permadrop.accounting.counting import InputCounts
from nengo_permadrop.accounting.devices import HOST, find_devices
from nengo_permadrop.accounting.words import as_html, as_text, assumptions
from nengo_permadrop.support.validation import check_seconds


@dataclasses.dataclass(frozen=True, eq=False)
class Energy:
    """
    The energy of one observation's predictive distribution.

    ``print`` shows all of it, with its assumptions.

    Attributes
    ----------
    layers : tuple of `.LayerCounts`
        Of one presentation: means over draws and observations.
    settled : tuple of `.LayerCounts`
        Of the part of it that is read.
    inputs : `.InputCounts`
        What is computed of the inputs, off the chip.
    classical : `.ClassicalCounts`
        What the classical network computes instead.
    devices : tuple of `.Device`
    n_draws : int
        Draws of a distribution, and of each observation that was counted.
    presentation_time, settle, dt : float
        In seconds.
    backend : str
    seed : int
    """

    layers: tuple
    settled: tuple
    inputs: InputCounts
    classical: ClassicalCounts
    devices: tuple
    n_draws: int
    presentation_time: float
    settle: float
    dt: float
    backend: str
    seed: int

    def joules(self, device, n_draws=None):
        """
        Energy of a predictive distribution.

        Parameters
        ----------
        device : str or `.Device`
            A spiking device presents the observation ``n_draws`` times; a classical
            one makes as many forward passes.
        n_draws : int, optional
            Default: as many as were counted.

        Returns
        -------
        joules : float
            Without what is computed off the chip (see `host_joules`).
        """
        return sum(self._parts(self._device(device), n_draws))

    def run_joules(self, device, seconds):
        """
        Energy of a run in which the network is not reset, on a spiking device.

        Parameters
        ----------
        device : str or `.Device`
        seconds : float
            Simulated time; more than ``settle``.

        Returns
        -------
        joules : float
            Of one observation. However many draws there are in it, it counts once.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the device is a classical one, or ``seconds`` are too few.
        """
        device = self._device(device)
        if not device.spiking:
            raise ValidationError(
                f"{device.name!r} runs the classical network, in no simulated time; "
                "use joules()",
                attr="device",
            )
        return self.at(seconds).joules(device, n_draws=1)

    def saved_joules(self, device, n_draws=None):
        """
        What dropped neurons save: the events that their spikes would have been.

        Parameters
        ----------
        device, n_draws
            As in `joules`.

        Returns
        -------
        joules : float
            0 on a classical device, which multiplies by zeros.
        """
        device = self._device(device)
        if not device.spiking:
            return 0.0
        dropped = sum(layer.dropped_events for layer in self.layers)
        return device.synapse * dropped * self._draws(n_draws)

    def host_joules(self, n_draws=None):
        """
        What is computed off the chip for a distribution, at the figures of the CPU.

        Input currents, and on Loihi the neurons of the first layer and of gates.

        Parameters
        ----------
        n_draws : int, optional

        Returns
        -------
        joules : float
        """
        n_draws = self._draws(n_draws)
        updates = sum(layer.updates for layer in self.layers if layer.off_chip)
        macs = self.inputs.shared_macs + n_draws * self.inputs.macs
        return HOST.synapse * macs + HOST.neuron * n_draws * updates

    def at(self, presentation_time):
        """
        The same for another presentation time.

        Up to ``settle`` it is what was counted; a second more or less after it costs
        what a second between ``settle`` and the end did.

        Parameters
        ----------
        presentation_time : float
            In seconds; more than ``settle``.

        Returns
        -------
        energy : `Energy`

        Raises
        ------
        nengo.exceptions.ValidationError
            If the time is not longer than ``settle``.
        """
        presentation_time = check_seconds(presentation_time, "presentation_time")
        if not presentation_time > self.settle:
            raise ValidationError(
                f"must be more than settle ({self.settle} s), got {presentation_time}",
                attr="presentation_time",
            )
        read = self.presentation_time - self.settle
        more = (presentation_time - self.presentation_time) / read
        return dataclasses.replace(
            self,
            layers=tuple(a.plus(b, more) for a, b in zip(self.layers, self.settled)),
            settled=tuple(layer.plus(layer, more) for layer in self.settled),
            presentation_time=presentation_time,
        )

    def by_presentation_time(self, times):
        """
        How the energy of a distribution grows with the presentation time.

        Parameters
        ----------
        times : sequence of float
            In seconds; see `at`.

        Returns
        -------
        table : pandas.DataFrame
            Joules, one row per time and one column per spiking device.
        """
        import pandas as pd

        spiking = [device for device in self.devices if device.spiking]
        rows = [[self.at(time).joules(device) for device in spiking] for time in times]
        index = pd.Index(list(times), name="presentation_time")
        return pd.DataFrame(rows, index, [device.name for device in spiking])

    def to_frame(self):
        """
        The counts of one presentation.

        Returns
        -------
        table : pandas.DataFrame
            One row per layer, and their sum in the row "all".
        """
        import pandas as pd

        table = pd.DataFrame([dataclasses.asdict(layer) for layer in self.layers])
        table = table.set_index("layer")
        total = {**table.sum(), "off_chip": table["off_chip"].all()}
        table = pd.concat([table, pd.DataFrame(total, index=["all"])])
        seconds = self.presentation_time
        table.insert(2, "rate", table["spikes"] / table["neurons"] / seconds)
        return table.astype({"neurons": int, "off_chip": bool, "updates": int})

    def devices_frame(self):
        """
        The energy of a distribution on all devices.

        Returns
        -------
        table : pandas.DataFrame
            A row a device; in joules "synapses" (classical: dense products), "neurons"
            (activations), their sum "total", what dropped neurons "saved" (not in the
            sum), and "off_chip" (not in the sum either).
        """
        import pandas as pd

        rows = []
        for device in self.devices:
            synapses, neurons = self._parts(device, None)
            rows.append(
                {
                    "device": device.name,
                    "network": "spiking" if device.spiking else "classical",
                    "synapses": synapses,
                    "neurons": neurons,
                    "total": synapses + neurons,
                    "saved": self.saved_joules(device),
                    "off_chip": self.host_joules() if device.spiking else 0.0,
                }
            )
        return pd.DataFrame(rows).set_index("device")

    @property
    def assumptions(self):
        """What is assumed and what is left out, a list of sentences."""
        return assumptions(self)

    def __str__(self):
        return as_text(self)

    def _repr_html_(self):
        return as_html(self)

    def _parts(self, device, n_draws):
        n_draws = self._draws(n_draws)
        if not device.spiking:
            return self.classical.joules(device, n_draws)
        events = sum(layer.events for layer in self.layers)
        updates = sum(layer.updates for layer in self.layers if not layer.off_chip)
        return device.synapse * events * n_draws, device.neuron * updates * n_draws

    def _draws(self, n_draws):
        return self.n_draws if n_draws is None else n_draws

    def _device(self, device):
        own = {own.name: own for own in self.devices}
        return own[device] if device in own else find_devices([device])[0]
