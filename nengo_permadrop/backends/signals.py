"""Signals of a built network that a replica is written into."""

import nengo
from nengo.builder import Signal
from nengo.exceptions import ValidationError

from nengo_permadrop.dropout.seeds import derive_seed, initial_state


def with_state(ensembles):
    """Those of some ensembles whose neurons have initial states."""
    return [
        ensemble
        for ensemble in ensembles
        if ensemble.neuron_type.state
        and not isinstance(ensemble.neuron_type, nengo.Direct)
    ]


def write_state(model, values, ensemble, state_seed):
    """
    Put the initial state of a replica into a simulator that has just been reset.

    Parameters
    ----------
    model : `nengo.builder.Model`
    values : `nengo.builder.signal.SignalDict`
        The simulator's.
    ensemble : `nengo.Ensemble`
    state_seed : int
        As in `.Replicas`.
    """
    seed = derive_seed(model.seeds[ensemble], state_seed)
    state = initial_state(ensemble.neuron_type, ensemble.n_neurons, seed)
    signals = model.sig[ensemble.neurons]
    for name, value in state.items():
        if isinstance(signals.get(name), Signal):
            values[signals[name]][...] = value


def input_signal(model, node):
    """
    The signal of a Node's output, to be overwritten with an observation.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the Node computes its output.
    """
    signal = model.sig[node]["out"]
    written = [op for op in model.operators if signal in op.all_signals]
    if any(signal in op.sets + op.incs + op.updates for op in written):
        raise ValidationError(
            f"{node} computes its own output, so observations can't be put in its "
            "place; give it an array as output, or a size_in",
            attr="inputs",
        )
    return signal
