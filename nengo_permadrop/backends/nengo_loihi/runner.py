"""Presentations on Loihi, one after the other."""

import nengo
import numpy as np

from nengo_permadrop.backends.presentation import presentation, window_means
from nengo_permadrop.backends.signals import input_signal, with_state, write_state
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.targets.loihi.configuration import configure
from nengo_permadrop.targets.loihi.model import LoihiModel


class LoihiRunner:
    """
    Plays one replica of a problem after the other.

    Parameters
    ----------
    problem : `.Problem`
        Its ``options`` may hold "target" and "hardware_options", as
        `nengo_loihi.Simulator` takes them, and "n_chips".
    validate : bool, optional
        Let nengo-loihi raise what doesn't fit on a core.
    reuse : bool, optional
        As in `.LoihiModel`.
    """

    def __init__(self, problem, validate=True, reuse=True):
        self.problem = problem
        self.network, self._stimuli, self._probe = presentation(problem, stimuli=True)
        configure(self.network, self.network.networks[0])
        self.loihi = LoihiModel(
            self.network, problem.dt, validate=validate, reuse=reuse
        )
        self._mask_seed = None
        options = dict(problem.options)
        if "n_chips" in options:
            n_chips = {"n_chips": options.pop("n_chips")}
            hardware = options.get("hardware_options") or {}
            options["hardware_options"] = {**n_chips, **hardware}
        self._options = options

    def __call__(self, replicas):
        """The answers of `.Replicas`, ``(n_replicas, n_outputs)``."""
        return np.array([self.run(*each) for each in replicas.one_by_one()])

    def run(self, inputs, mask_seed, state_seed):
        """
        The answer of one replica.

        Parameters
        ----------
        inputs : list of (size,) ndarray
        mask_seed, state_seed : int
            As in `.Replicas`.

        Returns
        -------
        answer : (n_outputs,) ndarray
        """
        with self.simulator(inputs, mask_seed, state_seed) as sim:
            sim.run_steps(self.problem.n_run_steps)
            return window_means(self.problem, sim.data[self._probe])

    def simulator(self, inputs, mask_seed, state_seed, **options):
        """A simulator of one replica that has not run yet; arguments as in `run`.

        Returns
        -------
        sim : `nengo_loihi.Simulator`
        """
        if mask_seed != self._mask_seed:
            self.loihi.write_masks(mask_seed)
            self._mask_seed = mask_seed
        sim = self.loihi.simulator(
            seed=derive_seed(self.problem.seed, state_seed),
            **{**self._options, **options},
        )
        for host, host_sim in self.loihi.hosts(sim):
            for ensemble in with_state(_ensembles(host)):
                write_state(host, host_sim.signals, ensemble, state_seed)
            for node, x in zip(self._stimuli, inputs):
                if node in host.sig:
                    host_sim.signals[input_signal(host, node)][...] = x
        return sim


def _ensembles(host):
    return [obj for obj in host.params if isinstance(obj, nengo.Ensemble)]
