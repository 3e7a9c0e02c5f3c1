"""What a converted network knows of its permanent dropouts."""

from dataclasses import dataclass, field

import numpy as np

from nengo_permadrop.dropout.masks import drawn_mask, mask_key
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.graph.dropouts import ALPHA, BERNOULLI, GAUSSIAN


@dataclass(eq=False)
class Mask:
    """One set of connections that drop the same elements of one source.

    Attributes
    ----------
    rows : (n,) ndarray of int
        Units of the dropout layer that it decides on ...
    columns : (n,) ndarray of int
        ... and the elements of the source that they are.
    size_in : int
        Number of elements of the source.
    number : int
        Its place among the masks of the network, from which its seed is derived; masks
        that decide on units of the same groups have one number.
    seed : int
        Seed of its connections.
    connections : list of `nengo.Connection`
    gate : `.networks.DropoutGate` or None
        What drops the elements, if the connections' weights don't.
    groups : (size_in,) ndarray of int or None
        Elements with the same number are dropped together.
    """

    rows: np.ndarray
    columns: np.ndarray
    size_in: int
    number: int
    seed: int = None
    connections: list = field(default_factory=list)
    gate: object = None
    groups: np.ndarray = None

    def reseed(self, seed):
        """Drop what follows from another seed, an int, in simulators built later."""
        self.seed = seed
        for conn in self.connections:
            conn.seed = seed
        if self.gate is not None:
            self.gate.reseed(seed)


@dataclass(eq=False)
class Dropout:
    """One use of a permanent dropout layer in a converted network.

    Attributes
    ----------
    path : str
        Name of the layer, as in ``Converter.layers``.
    rate : float
        Probability that a unit is dropped.
    size : int
        Number of units.
    redraw : float or None
        Seconds between redraws.
    masks : list of `Mask`
        One for each object that units come from; more than one after a Concatenate.
    kind : {"bernoulli", "gaussian", "alpha"}
        What it does, as in `.Drop`.
    """

    path: str
    rate: float
    size: int
    redraw: float
    masks: list
    kind: str = BERNOULLI

    @property
    def noise(self):
        """The ``noise`` of its connections' `.PermanentDropout`."""
        return GAUSSIAN if self.kind == GAUSSIAN else BERNOULLI

    @property
    def n_groups(self):
        """Number of groups of units that are dropped together; units are, if alone."""
        if any(mask.groups is None for mask in self.masks):
            return self.size
        numbers = [mask.groups[mask.columns] for mask in self.masks]
        return np.unique(np.concatenate(numbers)).size

    @property
    def words(self):
        """What it drops, in a few words."""
        what = {ALPHA: "alpha dropout", GAUSSIAN: "Gaussian dropout"}
        units = f"{self.size} units"
        if self.n_groups < self.size:
            units += f" in {self.n_groups} group{'s' * (self.n_groups > 1)}"
        return f"{what.get(self.kind, 'dropout')} of {units}, rate {self.rate:g}"

    @property
    def gated(self):
        """Whether gates drop its units, not the weights of connections."""
        return any(mask.gate is not None for mask in self.masks)

    @property
    def structure(self):
        """What dropouts have in common that can have the same masks."""
        groups = [None if m.groups is None else m.groups.tolist() for m in self.masks]
        sizes = [mask.size_in for mask in self.masks]
        return self.path, self.rate, sizes, self.kind, groups

    @property
    def connections(self):
        """All connections that this layer drops units of."""
        return [conn for mask in self.masks for conn in mask.connections]

    def keep(self, mask_seed=None, redraw_index=0):
        """
        Which units are kept.

        Parameters
        ----------
        mask_seed : int, optional
            Of a replica, as `nengo_permadrop.sample` gives it; by default the masks are
            those of the network as it is.
        redraw_index : int, optional
            Number of the redraw.

        Returns
        -------
        keep : (size,) ndarray of bool
            Gaussian noise keeps all.
        """
        if self.kind == GAUSSIAN:
            return np.ones(self.size, dtype=bool)
        return self.drawn(mask_seed, redraw_index)

    def drawn(self, mask_seed=None, redraw_index=0):
        """
        What the model's forward pass takes for it, to answer as the network does.

        Parameters
        ----------
        mask_seed, redraw_index
            As in `keep`.

        Returns
        -------
        mask : (size,) ndarray
            Of bool, which units are kept; for Gaussian noise of float, what they are
            multiplied by.
        """
        drawn = np.ones(self.size, dtype=float if self.kind == GAUSSIAN else bool)
        for mask in self.masks:
            seed = mask.seed if mask_seed is None else derive_seed(mask.seed, mask_seed)
            key = mask_key(np.random.RandomState(seed))
            of_source = drawn_mask(
                key, mask.size_in, self.rate, redraw_index, mask.groups, self.kind
            )
            drawn[mask.rows] = of_source[mask.columns]
        return drawn
