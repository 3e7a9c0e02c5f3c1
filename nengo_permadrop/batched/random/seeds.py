"""The seeds of a run and of its replicas."""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.validation import check_integer, check_seeds


class ReplicaSeeds:
    """
    The seeds of a run and of its replicas.

    Parameters
    ----------
    seed : int
        Seed of the simulator.
    mask_seeds, state_seeds : (n_replicas,) array_like of int, or None
        Seeds of the replicas' dropout masks, and of their initial neuron states,
        processes and stochastic neurons. None: a single simulation with what Nengo's
        build made, as in `nengo.Simulator`.
    """

    def __init__(self, seed, mask_seeds=None, state_seeds=None):
        self.seed = seed
        self.mask_seeds = mask_seeds
        self.state_seeds = state_seeds
        self.rng = np.random.RandomState(seed) if mask_seeds is None else None

    @property
    def single(self):
        """Whether this is a simulation as in `nengo.Simulator`."""
        return self.mask_seeds is None

    @property
    def n_replicas(self):
        """Number of replicas (1 for a single simulation)."""
        return 1 if self.single else len(self.mask_seeds)

    def connection_seeds(self, seed):
        """The replicas' seeds of a connection that has this seed in the model."""
        if self.single:
            return np.array([seed])
        return derive_seed(seed, self.mask_seeds)

    def ensemble_seeds(self, seed):
        """The replicas' seeds of an ensemble that has this seed in the model."""
        return derive_seed(seed, self.state_seeds)

    def operator_rngs(self, index):
        """A generator for each replica (for a single simulation, Nengo's)."""
        if self.single:
            return [self.rng]
        seeds = derive_seed(self.seed, self.state_seeds, index)
        return [np.random.RandomState(seed) for seed in seeds]

    def shared_rng(self, index):
        """The generator of an operator that does the same in all replicas."""
        if self.single:
            return self.rng
        return np.random.RandomState(derive_seed(self.seed, index))


class GivenSeeds:
    """
    The number of replicas and their seeds, as far as a simulator's user gave them.

    Parameters
    ----------
    n_replicas, mask_seeds, state_seeds
        As `.Simulator` takes them.

    Attributes
    ----------
    n_replicas : int or None
        None for a single simulation, as in `nengo.Simulator`.

    Raises
    ------
    nengo.exceptions.ValidationError
        If they don't fit each other.
    """

    def __init__(self, n_replicas=None, mask_seeds=None, state_seeds=None):
        given = (n_replicas, mask_seeds, state_seeds)
        self._single = all(value is None for value in given)
        self.n_replicas = None
        self._seeds = {"mask_seeds": None, "state_seeds": None}
        if not self._single:
            self.update(*given)

    def update(self, n_replicas=None, mask_seeds=None, state_seeds=None):
        """Change what is given; what is None stays."""
        given = {"mask_seeds": mask_seeds, "state_seeds": state_seeds}
        given = {k: np.asarray(v) for k, v in given.items() if v is not None}
        if not given and n_replicas is None:
            return
        if self._single:
            raise ValidationError(
                "the simulator was made without n_replicas, so it has no seeds of "
                "replicas; make one with n_replicas",
                attr="n_replicas",
            )
        if n_replicas is None:
            n_replicas = next((len(s) for s in given.values() if s.ndim == 1), 1)
        n_replicas = check_integer(n_replicas, "n_replicas", 1)
        seeds = {**self._seeds, **given}
        for name, values in seeds.items():
            if values is not None and (
                values.shape != (n_replicas,) or values.dtype.kind not in "iu"
            ):
                raise ValidationError(
                    f"must be {n_replicas} integers, one per replica; got an array of "
                    f"shape {values.shape} and type {values.dtype}",
                    attr=name,
                )
            if values is not None:
                check_seeds(values, name)
        self.n_replicas, self._seeds = n_replicas, seeds

    def arguments(self):
        """What makes an equal object."""
        return {"n_replicas": self.n_replicas, **self._seeds}

    def of(self, seed):
        """The `ReplicaSeeds` of a run with this seed."""
        if self._single:
            return ReplicaSeeds(seed)
        default = derive_seed(seed, np.arange(self.n_replicas))
        return ReplicaSeeds(
            seed, **{k: default if v is None else v for k, v in self._seeds.items()}
        )
