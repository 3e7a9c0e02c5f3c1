"""Networks, and single simulations of their replicas, for tests of the simulator."""

import nengo
import numpy as np
from nengo.builder import Model

import nengo_permadrop as npd
from nengo_permadrop.batched.random.seeding import built_types
from nengo_permadrop.dropout.builder import RedrawMask, built_dropouts
from nengo_permadrop.dropout.seeds import derive_seed

ALPHA = nengo.Alpha(0.005)


def reference_replica(net, steps, mask_seed, state_seed, inputs=None, probes=None):
    """What the probes of a network read in one replica, by nengo.Simulator."""
    model = Model()
    model.build(net)
    dropouts = built_dropouts(model)
    for built in dropouts:
        built.weights.readonly = False
    for op in model.operators:
        if isinstance(op, RedrawMask):
            op.seed = derive_seed(op.seed, mask_seed)
    with nengo.Simulator(None, model=model, optimize=False, progress_bar=False) as sim:
        for built in dropouts:
            seed = derive_seed(model.seeds[built.conn], mask_seed)
            sim.signals[built.weights][...] = built.redrawn(seed)
        for ens in net.all_ensembles:
            seed = derive_seed(model.seeds[ens], state_seed) + 1
            for neuron_type in built_types(ens.neuron_type):
                rng = np.random.RandomState(seed)
                for name, value in neuron_type.make_state(ens.n_neurons, rng).items():
                    signal = model.sig[ens.neurons].get(name)
                    if isinstance(signal, nengo.builder.Signal):
                        sim.signals[signal][...] = value
        for node, value in (inputs or {}).items():
            sim.signals[model.sig[node]["out"]][...] = value
        sim.run_steps(steps)
        return [sim.data[probe] for probe in probes or net.all_probes]


def assert_replicas_match(net, steps=40, n_replicas=3, inputs=None, **tolerance):
    """Each replica is what nengo.Simulator gives with its seeds and inputs."""
    seeds = np.array([5, 3, 8, 2, 9])[:n_replicas]
    with npd.Simulator(
        net,
        mask_seeds=seeds,
        state_seeds=seeds + 1,
        inputs=inputs,
        dtype="float64",
        optimize=False,
        progress_bar=False,
    ) as sim:
        sim.run_steps(steps)
    tolerance = {"rtol": 1e-9, "atol": 1e-11, **tolerance}
    for i, seed in enumerate(seeds):
        own = {node: values[i] for node, values in (inputs or {}).items()}
        expected = reference_replica(net, steps, seed, seed + 1, own)
        for probe, values in zip(net.all_probes, expected):
            assert np.ptp(values) > 0, "the test compares constants"
            np.testing.assert_allclose(
                sim.data[probe][i], values, err_msg=f"{probe} in {i}", **tolerance
            )
    return sim


def neurons(n, bias, neuron_type=None, label=None):
    """Neurons that are connected to directly, as the Converter makes them."""
    return nengo.Ensemble(
        n,
        1,
        neuron_type=neuron_type or nengo.LIF(amplitude=0.01),
        gain=np.full(n, 2.0),
        bias=np.broadcast_to(bias, (n,)).astype(float),
        encoders=np.ones((n, 1)),
        eval_points=np.zeros((1, 1)),
        normalize_encoders=False,
        label=label,
    )


def layered_network(
    n=(20, 30, 25),
    size_in=4,
    rate=0.2,
    synapse=ALPHA,
    redraw=None,
    stimulus=None,
    dropout_seed=None,
    options=lambda size_in: {},
):
    """
    Dense layers with dropout in between, from a Node to a Node with a bias.

    ``options`` says what else a dropout of a size is given.
    """
    rng = np.random.RandomState(3)

    def he(rows, columns):
        return rng.randn(rows, columns) * np.sqrt(2 / columns)

    def drop(pre, post, weights):
        transform = npd.PermanentDropout(
            weights.shape, weights, rate, redraw, **options(weights.shape[1])
        )
        nengo.Connection(pre, post, transform=transform, synapse=synapse)

    with nengo.Network(seed=1) as net:
        net.stimulus = nengo.Node(np.zeros(size_in)) if stimulus is None else stimulus()
        net.layers = [neurons(n[0], 1.4, label="layer 0")]
        nengo.Connection(
            net.stimulus,
            net.layers[0].neurons,
            transform=he(n[0], size_in),
            synapse=None,
        )
        for i, (before, after) in enumerate(zip(n[:-1], n[1:])):
            net.layers.append(neurons(after, 1.4, label=f"layer {i + 1}"))
            drop(net.layers[-2].neurons, net.layers[-1].neurons, he(after, before))
        net.output = nengo.Node(size_in=2)
        bias = nengo.Node([0.5, -0.5])
        nengo.Connection(bias, net.output, synapse=None)
        drop(net.layers[-1].neurons, net.output, he(2, n[-1]))
        net.probe = nengo.Probe(net.output)
    return net
