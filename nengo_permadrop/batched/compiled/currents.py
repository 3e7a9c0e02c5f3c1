"""Currents that are constant for a while, computed once for each different input."""

import numpy as np

from nengo_permadrop.batched.inputs import presentation
from nengo_permadrop.batched.products import shared_product


class InputCurrents:
    """
    The part of all populations' currents that doesn't come from neurons.

    Parameters
    ----------
    model : `nengo.builder.Model`
    plan : `.Plan`
    n_replicas : int
    inputs : dict
        `.ReplicaInput` by output signal.
    masks : dict
        `.DropoutMasks` by `.BuiltDropout`.
    dtype : dtype
    """

    def __init__(self, model, plan, n_replicas, inputs, masks, dtype):
        self.dt = model.dt
        self.plan = plan
        self.n_replicas = n_replicas
        self.inputs = inputs
        self.masks = masks
        self.dtype = np.dtype(dtype)

    def periods(self, time):
        """
        What the currents depend on, in the step that ends at a time.

        Returns
        -------
        periods : dict
            ``(seconds of a presentation, its number)`` by the signal of an input that
            changes with time.
        """
        periods = {}
        for signal, process in self.plan.inputs.items():
            source = self.inputs.get(signal)
            changes = process is not None if source is None else source.values.ndim > 2
            if changes:
                seconds = process.presentation_time
                periods[signal] = (seconds, presentation(time, self.dt, seconds))
        return periods

    def at(self, time):
        """
        The currents in the step that ends at a time.

        Returns
        -------
        currents : 1-D ndarray
            For each population, ``(n_different, size)``, or ``(n_different, 2 * size)``
            if it has inputs that are filtered: these follow the others. Rates, in Hz,
            where the population has a curve.
        starts : (n_populations, n_replicas) ndarray of int64
            Where each replica's are.
        """
        distinct = {}
        blocks, starts, start = [], [], 0
        for population in self.plan.populations:
            current, rows = self._of(population, time, distinct)
            with np.errstate(over="ignore"):  # kernels say in which layer
                blocks.append(current.astype(self.dtype).ravel())
            starts.append(start + rows * current.shape[1])
            start += current.size
        return np.concatenate(blocks), np.array(starts, dtype=np.int64)

    def _of(self, population, time, distinct):
        terms = population.inputs + population.filtered_inputs
        parts = []
        for term in terms:
            key = (term.source, term.dropout)
            if key not in distinct:
                distinct[key] = self._distinct(*key, time)
            parts.append(distinct[key])
        width = population.size * (2 if population.filtered_inputs else 1)
        if len(parts) == 1:
            combinations = [np.arange(len(parts[0][0]))]
            rows = parts[0][1]
        elif parts:
            combinations, rows = np.unique(
                np.stack([index for _, index in parts]), axis=1, return_inverse=True
            )
            rows = rows.ravel()
        else:
            combinations, rows = [], np.zeros(self.n_replicas, dtype=np.int64)

        n_different = len(combinations[0]) if parts else 1
        current = np.zeros((n_different, width))
        current[:, : population.size] = population.offset
        for term, (values, _), which in zip(terms, parts, combinations):
            product = self._product(term, values)
            columns = term.rows + (population.size if term.filter else 0)
            current[:, columns] += product[which]
        if population.curve is not None:
            rates = np.zeros_like(current)
            population.curve.step(self.dt, current, rates)
            return rates, rows
        return current, rows

    def _product(self, term, values):
        values = values[:, term.columns]
        if term.matrix is None:
            return values
        # In double precision also for a simulator in single: a product's last digits
        # depend on the number of BLAS's threads, and one of them can move a spike. So
        # workers with fewer threads give the same draws.
        return shared_product(values.astype(np.float64), term.matrix)

    def _distinct(self, signal, built, time):
        """The different values of an input, and which one each replica has."""
        source = self.inputs.get(signal)
        process = self.plan.inputs[signal]
        if source is not None:
            values = np.ascontiguousarray(source.at(time, self.dt), dtype=self.dtype)
            values, index = distinct_rows(values)
        else:
            value = signal.initial_value
            if process is not None:
                number = presentation(time, self.dt, process.presentation_time)
                n = len(process.inputs)
                value = process.inputs.reshape(n, -1)[number % n]
            values = np.asarray(value, dtype=self.dtype)[np.newaxis]
            index = np.zeros(self.n_replicas, dtype=np.int64)
        if built is not None:
            values = values[index] * self.masks[built].scale
            index = np.arange(self.n_replicas)
        return values, index


def distinct_rows(values):
    """
    The different rows of a matrix, in the order in which they appear.

    Parameters
    ----------
    values : (n, size) ndarray, C-contiguous

    Returns
    -------
    distinct : (n_distinct, size) ndarray
    index : (n,) ndarray of int
        ``values == distinct[index]``
    """
    numbers, index = {}, np.empty(len(values), dtype=np.int64)
    for i, row in enumerate(values):
        index[i] = numbers.setdefault(row.tobytes(), len(numbers))
    first = np.unique(index, return_index=True)[1]
    return values[first], index
