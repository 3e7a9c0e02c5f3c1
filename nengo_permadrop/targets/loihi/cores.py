"""What a network needs of the chip, before it runs there."""

from dataclasses import dataclass

from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require

CORES_PER_CHIP = 128


@dataclass(frozen=True)
class CoreUse:
    """
    What one core holds.

    Attributes
    ----------
    layer : str
        Label of the ensemble that its neurons are of.
    neurons, in_axons, out_axons, synapse_bits : int
    spikes : float or None
        Of its neurons, a step; None if no observation has been presented.
    """

    layer: str
    neurons: int
    in_axons: int
    out_axons: int
    synapse_bits: int
    spikes: float = None


@dataclass(frozen=True)
class Resources:
    """
    What a network needs of the chip.

    Attributes
    ----------
    cores : tuple of `.CoreUse`
    host_neurons : int
        Neurons that are computed off the chip.
    host_spikes : float or None
        Spikes a step that go from there to the chip; None if no observation has been
        presented.
    limits : {str: int}
        What a core has of "neurons", "in_axons", "out_axons" and "synapse_bits".
    """

    cores: tuple
    host_neurons: int
    host_spikes: float
    limits: dict

    @property
    def n_cores(self):
        """Number of cores."""
        return len(self.cores)

    @property
    def chips(self):
        """Number of chips, as a fraction."""
        return self.n_cores / CORES_PER_CHIP

    @property
    def neurons(self):
        """Number of neurons on the chip."""
        return sum(core.neurons for core in self.cores)

    @property
    def spikes(self):
        """Spikes a step of the neurons on the chip, or None."""
        if any(core.spikes is None for core in self.cores):
            return None
        return sum(core.spikes for core in self.cores)

    def room(self, n_chips=1):
        """
        How many such networks fit on so many chips: ``Converter(copies=...)``.

        Raises
        ------
        nengo.exceptions.ValidationError
            If nothing of the network is on the chip.
        """
        self._check_cores()
        return n_chips * CORES_PER_CHIP // self.n_cores

    def layers(self):
        """The cores of each layer, {label: list of `.CoreUse`}."""
        layers = {}
        for core in self.cores:
            layers.setdefault(core.layer, []).append(core)
        return layers

    def facts(self):
        """The sums, {str: int or float}."""
        return {
            "cores": self.n_cores,
            "chip_neurons": self.neurons,
            "host_neurons": self.host_neurons,
            "chip_spikes_per_step": self.spikes,
            "host_spikes_per_step": self.host_spikes,
        }

    def check(self, n_chips=1):
        """
        Raise if the network doesn't fit.

        Parameters
        ----------
        n_chips : int, optional
            Number of chips that there are.

        Raises
        ------
        nengo.exceptions.ValidationError
            It names the layers that need too much, and what to shrink.
        """
        self._check_cores()
        for layer, cores in self.layers().items():
            for name, limit in self.limits.items():
                most = max(getattr(core, name) for core in cores)
                if most > limit:
                    raise ValidationError(
                        f"layer '{layer}' needs {most} {_WORDS[name]} on a core, which "
                        f"has {limit}; {_MENDS[name]}",
                        attr="model",
                    )
        if self.n_cores > n_chips * CORES_PER_CHIP:
            layers = sorted(self.layers().items(), key=lambda item: -len(item[1]))
            largest = ", ".join(
                f"'{layer}' {len(cores)} (of {cores[0].neurons} neurons with "
                f"{cores[0].in_axons} inputs)"
                for layer, cores in layers[:3]
            )
            raise ValidationError(
                f"the network needs {self.n_cores} cores, and {n_chips} chip(s) have "
                f"{n_chips * CORES_PER_CHIP}. Most are of {largest}: make these layers "
                "narrower, or their inputs fewer; or use "
                f"{-(-self.n_cores // CORES_PER_CHIP)} chips (n_chips)",
                attr="model",
            )

    def _check_cores(self):
        if not self.cores:
            raise ValidationError(
                "no layer is on the chip: the first one is computed off it. Add a "
                "layer, or use target='nengo'",
                attr="model",
            )

    def __str__(self):
        spikes = (
            "" if self.spikes is None else f", {self.spikes:.1f} spikes per step there"
        )
        host = (
            ""
            if self.host_spikes is None
            else f", {self.host_spikes:.1f} spikes per step to the chip"
        )
        lines = [
            f"Loihi: {self.n_cores} of {CORES_PER_CHIP} cores of a chip, "
            f"{self.neurons} neurons{spikes}; {self.host_neurons} neurons off the "
            f"chip{host}"
        ]
        for layer, cores in self.layers().items():
            used = ", ".join(
                f"{max(getattr(core, name) for core in cores) / limit:.0%} of the "
                f"{_WORDS[name]}"
                for name, limit in self.limits.items()
            )
            lines.append(f"  {layer}: {len(cores)} core(s), at most {used}")
        return "\n".join(lines)


_WORDS = {
    "neurons": "neurons",
    "in_axons": "input axons",
    "out_axons": "output axons",
    "synapse_bits": "bits of weights",
}
_SMALLER_BLOCKS = (
    "or give it smaller blocks, config[ensemble].block_shape = nengo_loihi."
    "BlockShape((neurons per core,), (neurons,)), in the network that it is in (of a "
    "converted layer, the converter)"
)
_MENDS = {
    "neurons": f"make it narrower, {_SMALLER_BLOCKS}",
    "in_axons": "connect fewer neurons to it",
    "out_axons": "make it narrower, or the layers that it connects to, "
    f"{_SMALLER_BLOCKS}",
    "synapse_bits": f"connect fewer neurons to it, {_SMALLER_BLOCKS}",
}


def used_by(loihi, spikes=None, host_spikes=None):
    block = require("nengo_loihi").block
    model = loihi.model
    layers = {
        part: ensemble.label
        for ensemble in loihi.network.all_ensembles
        if ensemble in model.objs
        for part in model.objs[ensemble]["in"]
    }
    cores = []
    for part in model.blocks:
        use = part.utilization()
        cores.append(
            CoreUse(
                layer=layers.get(part, str(part)),
                neurons=use["compartments"][0],
                in_axons=use["in-axons"][0],
                out_axons=use["out-axons"][0],
                synapse_bits=use["synapses"][0],
                spikes=None if spikes is None else float(spikes[part]),
            )
        )
    on_chip = {id(ensemble) for ensemble in model.objs}
    return Resources(
        cores=tuple(cores),
        host_neurons=sum(
            ensemble.n_neurons
            for ensemble in loihi.network.all_ensembles
            if id(ensemble) not in on_chip
        ),
        host_spikes=host_spikes,
        limits={
            "neurons": block.MAX_COMPARTMENTS,
            "in_axons": block.MAX_IN_AXONS,
            "out_axons": block.MAX_OUT_AXONS,
            "synapse_bits": block.MAX_SYNAPSE_BITS,
        },
    )
