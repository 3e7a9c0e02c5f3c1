"""The batched simulator: Nengo's contract, with a replica axis."""

import logging
import warnings

import nengo
import numpy as np
from nengo.exceptions import ReadonlyError, SimulatorClosed, ValidationError
from nengo.utils.graphs import toposort
from nengo.utils.numpy import maxint
from nengo.utils.progress import Progress, ProgressTracker

from nengo_permadrop.batched.building import built, made_engine
from nengo_permadrop.batched.data import ReplicaData, renamed_period, sample_times
from nengo_permadrop.batched.inputs import check_inputs
from nengo_permadrop.batched.random.seeds import GivenSeeds
from nengo_permadrop.batched.steps.signals import SignalViews
from nengo_permadrop.support.validation import (
    check_float_type,
    check_integer,
    check_mapping,
    check_seconds,
    check_seed,
)

logger = logging.getLogger(__name__)


class Simulator:
    """
    A Nengo backend that steps many replicas of a network together.

    It builds the network as `nengo.Simulator` does and executes the same operators,
    each by a vectorised step. Without ``n_replicas`` it is a drop-in for
    `nengo.Simulator`. With it, the replicas differ in their dropout masks, initial
    neuron states, noise and (optionally) inputs, and the data of probes are
    ``(n_replicas, n_steps, size)``.

    Parameters
    ----------
    network : `nengo.Network` or None
        None if ``model`` is already built.
    n_replicas : int, optional
        Number of replicas. Default: the number of ``mask_seeds`` or ``state_seeds``;
        without these, one simulation as in `nengo.Simulator`.
    dt : float, optional
        Time step, in seconds.
    seed : int, optional
        Seed of all that is random after the build. Default: ``network.seed + 1``, or
        random.
    model : `nengo.builder.Model`, optional
        A model to build into, or that is built.
    progress_bar : bool or `nengo.utils.progress.ProgressBar`, optional
    optimize : bool, optional
        Without replicas: run Nengo's optimizer. With replicas: run what has a compiled
        kernel by it (see `nengo_permadrop.batched.compiled.plan`); False: only
        vectorised steps.
    dtype : dtype, optional
        Floating-point type of the simulation. "float64" gives the numbers of
        `nengo.Simulator`.
    mask_seeds, state_seeds : (n_replicas,) array_like of int, optional
        Seeds of each replica's dropout masks, and of its initial neuron states and
        noise. Default: `.derive_seed` of ``seed`` and the number of the replica.
    inputs : dict, optional
        What Nodes output in each replica: ``{node: array}``, ``(n_replicas,
        size_out)``, or ``(n_replicas, n_presentations, size_out)`` for a Node with a
        `nengo.processes.PresentInput`. The Node must have an array or a PresentInput
        as output, or neither output nor connections into it.

    Attributes
    ----------
    data : mapping
        Of probes, their data: ``(n_replicas, n_steps, size)``, or Nengo's ``(n_steps,
        size)`` without replicas. Of other objects, what the build made of them.
    model : `nengo.builder.Model`
    closed : bool
    plan : `nengo_permadrop.batched.compiled.plan.Plan` or None
        What compiled kernels run; None if vectorised steps run the network.
    fallback_reason : str
        Why there is no plan; "" if there is.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator of the network has no registered step.
    nengo.exceptions.ValidationError
        If seeds or inputs don't fit the number of replicas.

    Notes
    -----
    In a replica with mask seed ``m`` and state seed ``s``, the masks of a dropout
    connection are those of the connection seed ``derive_seed(model.seeds[conn], m)``;
    an ensemble's initial state is drawn from ``RandomState(derive_seed(
    model.seeds[ens], s) + 1)``; an operator that draws random numbers has a generator
    from ``derive_seed(seed, s, index of the operator)``. So a replica depends on its
    two seeds alone, not on the other replicas. A process with a seed of its own makes
    the same noise in all replicas, and a Node's function of time is called once a step
    for all of them.

    Examples
    --------
    >>> import nengo, nengo_permadrop as npd
    >>> with nengo.Network(seed=0) as net:
    ...     ens = nengo.Ensemble(20, 1)
    ...     probe = nengo.Probe(ens, synapse=0.01)
    >>> with npd.Simulator(net, n_replicas=5, progress_bar=False) as sim:
    ...     sim.run(0.1)
    >>> sim.data[probe].shape
    (5, 100, 1)
    """

    def __init__(
        self,
        network,
        n_replicas=None,
        dt=0.001,
        seed=None,
        model=None,
        progress_bar=True,
        optimize=True,
        dtype="float32",
        mask_seeds=None,
        state_seeds=None,
        inputs=None,
    ):
        self.closed = True  # stays so if this raises
        self.progress_bar = progress_bar
        self.optimize = optimize
        self.dtype = check_float_type(dtype, "dtype")
        dt = check_seconds(dt, "dt")
        if seed is not None:
            seed = check_seed(seed)
        if inputs is not None:
            check_mapping(inputs, "inputs")
        self._given = GivenSeeds(n_replicas, mask_seeds, state_seeds)
        self._replicated = self._given.n_replicas is not None
        self._inputs = {}

        merge = optimize and not self._replicated
        self.model, self.dg = built(network, model, dt, progress_bar, merge)
        self._step_order = [op for op in toposort(self.dg) if hasattr(op, "make_step")]

        self._engine, self.plan, self.fallback_reason = made_engine(
            self.model, self._step_order, self.dtype, optimize and self._replicated
        )
        self.data = ReplicaData(
            self.model.params, self.model.probes, squeeze=not self._replicated
        )
        if seed is None:
            if network is not None and network.seed is not None:
                seed = network.seed + 1
            else:
                seed = np.random.randint(maxint)

        self.closed = False
        try:
            self.reset(seed=seed, inputs=inputs)
        except BaseException:
            self.closed = True
            raise

    def __del__(self):
        """Warn if the simulator is deallocated while it is open."""
        if not getattr(self, "closed", True):
            warnings.warn(
                f"Simulator with model={self.model} was deallocated while open. Please "
                "close simulators manually to ensure resources are properly freed.",
                ResourceWarning,
                stacklevel=2,
            )

    def __enter__(self):
        if self.closed:
            raise SimulatorClosed("Cannot re-open after simulator is closed")
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        self.close()

    def __getstate__(self):
        names = ("model", "seed", "progress_bar", "optimize", "dtype", "closed")
        state = {name: getattr(self, name) for name in names}
        state["inputs"] = self._inputs
        state["replicas"] = self._given.arguments()
        state["probed"] = {p: self.model.params[p] for p in self.model.probes}
        state["engine"] = None if self.closed else self._engine.get_state()
        return state

    def __setstate__(self, state):
        names = ("model", "seed", "progress_bar", "dtype", "inputs")
        replicated = state["replicas"]["n_replicas"] is not None
        self.__init__(
            None,
            # Nengo's optimizer has already run on the model
            optimize=state["optimize"] and replicated,
            **{name: state[name] for name in names},
            **state["replicas"],
        )
        self.optimize = state["optimize"]
        for probe, data in state["probed"].items():
            self.model.params[probe] = data
        if state["closed"]:
            self.close()
        else:
            self._engine.set_state(state["engine"])
            self._read_clock()

    @property
    def dt(self):
        """(float) The time step, in seconds."""
        return self.model.dt

    @dt.setter
    def dt(self, dummy):
        raise ReadonlyError(attr="dt", obj=self)

    @property
    def n_replicas(self):
        """(int or None) Number of replicas; None as in `nengo.Simulator`."""
        return self._given.n_replicas

    @property
    def n_steps(self):
        """(int) The number of steps taken."""
        return self._n_steps

    @property
    def time(self):
        """(float) The simulated time, in seconds."""
        return self._time

    @property
    def step_order(self):
        """(list) The operators, in the order in which they run."""
        return self._step_order

    @property
    def signals(self):
        """
        (mapping) Arrays of the signals, with a replica axis where they can differ.

        Empty where compiled kernels run the network (``optimize=False`` avoids these).
        """
        if self.closed:
            return None
        if self.plan is not None:
            return {}
        return SignalViews(self._engine.signals, squeeze=not self._replicated)

    @property
    def replica_bytes(self):
        """(int) Memory that a replica's state and input take, in bytes, about."""
        inputs = sum(np.asarray(values)[0].nbytes for values in self._inputs.values())
        return self._engine.replica_bytes + inputs

    def clear_probes(self):
        """Forget the data of all probes."""
        for probe in self.model.probes:
            self.model.params[probe] = []
        self.data.reset()

    def close(self):
        """Close the simulator; it can't run or be reset any more, its data stay."""
        self.closed = True
        self._engine = None

    def reset(
        self,
        seed=None,
        n_replicas=None,
        mask_seeds=None,
        state_seeds=None,
        inputs=None,
    ):
        """
        Start again from time 0, with new seeds and inputs if they are given.

        What isn't given stays: the seed; seeds of the replicas that were given once
        (otherwise they follow from ``seed``); the inputs. The network isn't built
        again.

        Parameters
        ----------
        seed, n_replicas, mask_seeds, state_seeds, inputs
            As in the constructor. The number of replicas may change.

        Raises
        ------
        nengo.exceptions.SimulatorClosed
            If the simulator is closed.
        nengo.exceptions.ValidationError
            If seeds or inputs don't fit the number of replicas, or replicas are asked
            of a simulator that was made without.
        """
        if self.closed:
            raise SimulatorClosed("Cannot reset closed Simulator.")
        self._given.update(n_replicas, mask_seeds, state_seeds)
        if seed is not None:
            self.seed = check_seed(seed)
        if inputs is not None:
            self._inputs = dict(inputs)
        checked = check_inputs(self._inputs, self.model, self.n_replicas)
        self._engine.reset(self._given.of(self.seed), checked)
        self.clear_probes()
        self._read_clock()

    def run(self, time_in_seconds, progress_bar=None):
        """
        Simulate for a time, rounded to the nearest number of steps.

        Parameters
        ----------
        time_in_seconds : float
            Not negative.
        progress_bar : bool or `nengo.utils.progress.ProgressBar`, optional
        """
        steps = self._steps_in(time_in_seconds)
        if steps == 0:
            warnings.warn(
                f"{time_in_seconds} results in running for 0 timesteps. Simulator "
                f"still at time {self.time}.",
                stacklevel=2,
            )
        else:
            self.run_steps(steps, progress_bar=progress_bar)

    def run_steps(self, steps, progress_bar=None):
        """
        Simulate a number of steps.

        Parameters
        ----------
        steps : int
        progress_bar : bool or `nengo.utils.progress.ProgressBar`, optional
        """
        steps = check_integer(steps, "steps", 0)
        if progress_bar is None:
            progress_bar = self.progress_bar
        progress = Progress("Simulating", "Simulation", steps)
        with ProgressTracker(progress_bar, progress) as tracker:
            progress = tracker.total_progress
            self._advance(steps, self.model.probes, self._is_due, self._store, progress)

    def step(self):
        """Simulate one step (``dt`` seconds)."""
        self._advance(1, self.model.probes, self._is_due, self._store)

    def run_mean(self, time_in_seconds, probe, settle=0.0):
        """
        Simulate for a time, and average what a probe reads instead of storing it.

        Parameters
        ----------
        time_in_seconds : float
            As in `run`.
        probe : `nengo.Probe` or list of `nengo.Probe`
            Its ``sample_every`` is ignored: every step counts.
        settle : float, optional
            Leave out the first ``settle`` seconds of this run.

        Returns
        -------
        mean : (n_replicas, size) ndarray of float64, or list of these
            Without the first axis in a simulator without replicas.

        Raises
        ------
        nengo.exceptions.ValidationError
            If nothing remains after settling, or the probe isn't in the network.
        """
        steps = self._steps_in(time_in_seconds)
        skip = self._steps_in(settle, "settle")
        if steps == 0:
            raise ValidationError(
                f"must be at least a time step ({self.dt} s), got {time_in_seconds}",
                attr="time_in_seconds",
            )
        if skip >= steps:
            raise ValidationError(
                f"nothing is left to average: settle is {settle} s of a run of "
                f"{time_in_seconds} s",
                attr="settle",
            )
        probes = [probe] if isinstance(probe, nengo.Probe) else list(probe)
        for p in probes:
            if p not in self.model.probes:
                raise ValidationError(f"{p} is not in the network", attr="probe")
        first = self.n_steps + skip
        totals = dict.fromkeys(probes, 0.0)

        def add(probe, value):
            totals[probe] = totals[probe] + value.astype(np.float64)

        self._advance(steps, probes, lambda probe, step: step > first, add)
        means = [total / (steps - skip) for total in totals.values()]
        means = means if self._replicated else [mean[0] for mean in means]
        return means[0] if isinstance(probe, nengo.Probe) else means

    def trange(self, dt=None, sample_every=None):
        """
        The times of the probes' data, starting at the first step (``dt``).

        Parameters
        ----------
        dt : float, optional
            Deprecated name of ``sample_every``.
        sample_every : float, optional
            The probes' sampling period, in seconds. Default: every step.
        """
        if dt is not None:
            sample_every = renamed_period(dt, sample_every, self)
        return sample_times(self.n_steps, self.dt, sample_every)

    def _advance(self, steps, probes, due, record, progress=None):
        """Run, and record what the probes read in the steps in which they are due."""
        if self.closed:
            raise SimulatorClosed("Simulator cannot run because it is closed.")
        while steps > 0:
            first = self.n_steps + 1
            reading = probes
            if self.plan is None:  # a step at a time
                reading = [probe for probe in probes if due(probe, first)]
            blocks = self._engine.run(steps, reading)
            self._read_clock()
            for probe, block in blocks.items():
                for i in range(block.shape[1]):
                    if due(probe, first + i):
                        record(probe, block[:, i])
            taken = self.n_steps + 1 - first
            steps -= taken
            if progress is not None:
                progress.step(taken)

    def _is_due(self, probe, step):
        period = 1 if probe.sample_every is None else probe.sample_every / self.dt
        return step % period < 1

    def _store(self, probe, value):
        value = value if self._replicated else value[0]
        if probe.sample_every is not None:
            value = value.copy()  # of what is read at once, few steps are stored
        self.model.params[probe].append(value)

    def _read_clock(self):
        self._n_steps, self._time = self._engine.n_steps, self._engine.time

    def _steps_in(self, time_in_seconds, attr="time_in_seconds"):
        seconds = check_seconds(time_in_seconds, attr, zero=True)
        return int(np.round(seconds / self.dt))
