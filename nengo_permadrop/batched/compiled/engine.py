"""Running a plan: replicas in blocks, blocks on threads."""

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from nengo.exceptions import SimulationError

from nengo_permadrop.batched.compiled import kernels, layout
from nengo_permadrop.batched.compiled.currents import InputCurrents, distinct_rows
from nengo_permadrop.batched.compiled.membranes import SERIES_LIMIT
from nengo_permadrop.batched.compiled.neuron_types import is_lif, lif_times
from nengo_permadrop.batched.compiled.tables import Tables
from nengo_permadrop.batched.random.masks import DropoutMasks
from nengo_permadrop.batched.random.seeding import initial_states
from nengo_permadrop.dropout.clock import redraw_index

_BLOCK = 32  # most replicas of a block
_LIST_BYTES = 128 * 2**20  # most room for the lists of a block's spikes
_OUTPUT_BYTES = 64 * 2**20  # of what is probed at a time
_MOST_STEPS = 500  # between two looks at whether the run was interrupted


class PlanEngine:
    """
    Runs a plan with compiled kernels.

    Parameters
    ----------
    model : `nengo.builder.Model`
    plan : `.Plan`
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, model, plan, dtype):
        self.model = model
        self.plan = plan
        self.dtype = np.dtype(dtype)
        self.tables = Tables(plan, model.dt, dtype)
        for population in plan.populations:
            population.forget_weights()

    def reset(self, seeds, inputs):
        """
        Start again from time 0.

        Parameters
        ----------
        seeds : `.ReplicaSeeds`
        inputs : dict
            `.ReplicaInput` by output signal.
        """
        tables, n = self.tables, seeds.n_replicas
        self.n_replicas, self.n_steps = n, 0
        self._interrupted = False
        self._segment = None

        masks = {}
        for population in self.plan.populations:
            for term in population.terms:
                built = term.dropout
                if built is not None and built not in masks:
                    connection_seeds = seeds.connection_seeds(
                        self.model.seeds[built.conn]
                    )
                    masks[built] = DropoutMasks(built, connection_seeds, self.dtype)
        self._masks = masks
        self._inputs = InputCurrents(
            self.model, self.plan, n, inputs, masks, self.dtype
        )
        self._keep = np.zeros((n, tables.n_kept), dtype=np.uint8)

        n_columns = [tables.n_neurons] * 2 + [tables.n_filtered] * 2
        self._state = tuple(np.zeros((n, size), self.dtype) for size in n_columns)
        self._blocks, self._leaders = self._make_blocks(seeds, inputs)
        for number, population in enumerate(self.plan.populations):
            if population.neuron_type is not None:
                self._initialise(number, population, seeds)
        self._synapses = {
            probe: self._make_synapse(readout)
            for probe, readout in self.plan.readouts.items()
        }

    @property
    def time(self):
        """Simulated time, in seconds."""
        return self.n_steps * self.model.dt

    def run(self, n_steps, probes):
        """
        Advance all replicas.

        Parameters
        ----------
        n_steps : int
            Most steps to advance.
        probes : list of `nengo.Probe`
            What to return.

        Returns
        -------
        probed : dict
            Arrays ``(n_replicas, n, size)`` by probe, ``n`` being the number of steps
            that were taken: at least 1, at most ``n_steps``.

        Raises
        ------
        nengo.exceptions.SimulationError
            If there is NaN or an infinity, naming the neurons or probe; or if an
            earlier run was interrupted and not reset.
        """
        if self._interrupted:
            raise SimulationError(
                "the simulation was interrupted, and its replicas are at different "
                "times; reset it before running it again"
            )
        tables = self.tables
        n_steps = min(n_steps, self._enter_segment(), _MOST_STEPS)
        row_bytes = self.n_replicas * max(1, tables.n_outputs) * self.dtype.itemsize
        n_steps = max(1, min(n_steps, _OUTPUT_BYTES // row_bytes))
        output = np.zeros((self.n_replicas, n_steps, tables.n_outputs), self.dtype)
        # one row per block: blocks run at once, and one may overwrite what another has
        # found in a place that they share
        status = np.zeros((len(self._blocks), len(self.plan.populations)), np.uint8)

        self._interrupted = True  # until all blocks are done
        _run_blocks(
            range(len(self._blocks)),
            lambda number: kernels.run_block(
                self._blocks[number],
                self._leaders,
                n_steps,
                tables.network,
                (self._currents, self._starts, self._keep),
                self._state,
                output,
                tables.room,
                status[number],
            ),
        )
        self._interrupted = False
        self.n_steps += n_steps
        self._check(np.bitwise_or.reduce(status))
        return {probe: self._read(probe, output) for probe in probes}

    def _check(self, status):
        """Raise what the kernels found."""
        found = np.flatnonzero(status & layout.STATUS_INFINITE)
        if len(found):
            names = ", ".join(self.plan.populations[i].name for i in found)
            raise SimulationError(
                "not a number, or an infinity, in the signals of "
                f"{names} at {self.time:.3f} s"
            )

    @property
    def replica_bytes(self):
        """Memory that the state and masks of one replica take, in bytes."""
        masks = sum(mask.nbytes for mask in self._masks.values()) // self.n_replicas
        return (
            sum(array[0].nbytes for array in self._state) + self.tables.n_kept + masks
        )

    def get_state(self):
        """All that changes in a run, to be pickled."""
        return {
            "n_steps": self.n_steps,
            "arrays": self._state,
            "synapses": [state for _, state in self._synapses.values()],
        }

    def set_state(self, state):
        """Go on from what `get_state` returned."""
        self.n_steps = state["n_steps"]
        self._state = state["arrays"]
        for (_, own), saved in zip(self._synapses.values(), state["synapses"]):
            for name, value in saved.items():
                own[name][...] = value

    def _initialise(self, number, population, seeds):
        ensemble, neuron_type = population.ensemble, population.neuron_type
        columns = self.tables.state_columns[number]
        rows = slice(None)
        if self.tables.shared[number]:  # only the leaders' state is used
            rows = np.concatenate(
                [b[np.unique(self._leaders[b])] for b in self._blocks]
            )
        signals = self.model.sig[ensemble.neurons]
        names = ("voltage", "refractory_time")[: len(neuron_type.state)]
        for name, array in zip(names, self._state):
            array[rows, columns] = signals[name].initial_value
        drawn = initial_states(
            neuron_type,
            population.size,
            seeds.ensemble_seeds(self.model.seeds[ensemble])[rows],
            self.dtype,
        )
        for name, array in zip(names, self._state):
            if name in drawn:
                array[rows, columns] = drawn[name]
        if is_lif(neuron_type):
            dt = self.model.dt
            small = dt <= SERIES_LIMIT * lif_times(neuron_type, dt).tau_rc
            series = small and not np.any(self._state[0][:, columns] > 1)
            self.tables.numbers[number, layout.N_SERIES] = series

    def _make_blocks(self, seeds, inputs):
        """
        The replicas in blocks, and for each the first of its block that is like it.

        Replicas that are alike before the first dropout, because they have one state
        seed and one input, are put together: that part of them is simulated once.
        """
        n = self.n_replicas
        alike = np.unique(seeds.state_seeds, return_inverse=True)[1]
        if any(self.tables.shared) and len(np.unique(alike)) < n:
            for source in inputs.values():
                values = np.ascontiguousarray(source.values.reshape(n, -1))
                keys = np.stack([alike, distinct_rows(values)[1]], axis=1)
                alike = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(alike, kind="stable")
        most = max(1, _LIST_BYTES // kernels.list_bytes(self.tables.room))
        size = min(_BLOCK, most, max(1, -(-n // (2 * n_threads()))))
        blocks = [order[start : start + size] for start in range(0, n, size)]
        leaders = np.empty(n, dtype=np.int64)
        for block in blocks:
            _, first, which = np.unique(
                alike[block], return_index=True, return_inverse=True
            )
            leaders[block] = first[which]
        return blocks, leaders

    def _enter_segment(self):
        """Set inputs and masks for the next step; returns how many steps they hold."""
        dt = self.model.dt
        periods = self._periods(self.n_steps + 1)
        if periods != self._segment:
            masks_change = self._segment is None or any(
                periods[built] != self._segment[built] for built in self._masks
            )
            if masks_change:
                self._set_masks(periods)
            self._currents, self._starts = self._inputs.at((self.n_steps + 1) * dt)
            self._segment = periods
        if not any(seconds for seconds, _ in periods.values()):
            return _MOST_STEPS
        for n_steps in range(1, _MOST_STEPS):
            if self._periods(self.n_steps + 1 + n_steps) != periods:
                return n_steps
        return _MOST_STEPS

    def _periods(self, step):
        """``(seconds, number)`` of all that changes now and then, in a step."""
        dt = self.model.dt
        periods = self._inputs.periods(step * dt)
        for built in self._masks:
            redraw, delay = built.dropout.redraw, built.dropout.redraw_delay
            number = 0
            if redraw is not None:
                number = redraw_index(step * dt, dt, redraw, delay)
            periods[built] = (redraw, number)
        return periods

    def _set_masks(self, periods):
        for built, masks in self._masks.items():
            masks.redraw(periods[built][1])
        for columns, term in self.tables.kept:
            keep = self._keep[:, columns]
            keep[:, term.columns] = self._masks[term.dropout].keep[:, term.mask_columns]
        for masks in self._masks.values():
            masks.forget()  # those of inputs are made again, with the currents

    def _read(self, probe, output):
        """What a probe reads, from the populations' output."""
        readout = self.plan.readouts[probe]
        start = self.tables.output_columns[readout.population].start
        values = output[:, :, start + readout.columns]
        if readout.synapse is None:
            return values
        step, state = self._synapses[probe]
        for i in range(values.shape[1]):  # a probe reads the filter before it steps
            value = np.array(state["y"])
            state["y"] = np.array(
                step((self.n_steps + i) * self.model.dt, values[:, i])
            )
            values[:, i] = value
        return values

    def _make_synapse(self, readout):
        if readout.synapse is None:
            return None, {}
        shape, dt = (self.n_replicas, len(readout.columns)), self.model.dt
        state = readout.synapse.make_state(shape, shape, dt, dtype=self.dtype)
        step = readout.synapse.make_step(shape, shape, dt, None, state)
        return step, {**state, "y": np.zeros(shape, dtype=self.dtype)}


def n_threads():
    """How many threads a simulation uses: as many as there are processors for it."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return max(1, min(available, numba.config.NUMBA_NUM_THREADS))


def _run_blocks(blocks, function):
    """
    Call a function, that releases the GIL, for all blocks, on threads.

    The threads end before this returns, also if it is interrupted.
    """
    if len(blocks) == 1 or n_threads() == 1:
        for block in blocks:
            function(block)
        return
    with ThreadPoolExecutor(n_threads()) as pool:
        futures = [pool.submit(function, block) for block in blocks]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
