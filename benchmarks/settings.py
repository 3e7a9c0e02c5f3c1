"""
What each setting of a network and of its presentation does to the agreement.

Trains a network of two layers on the diabetes data, converts it and draws from it, with
one setting at a time changed from the study's recipe, and prints a line for each: the
quality of the classical network (r2 on the test rows), the mean standard deviation of
its answers, the rate at which its neurons fire, and how the spiking network's
distribution compares.

    python benchmarks/settings.py --seeds 0 1 2

The bias is measured with the same masks in the spiking network and in one of rate
neurons, so that it is not hidden by the spread of the masks: the root mean square over
observations of the mean difference, in standard deviations of the distribution. The
rejection rate is of KS tests against draws with other masks, of which 5% would be
rejected if the distributions were the same.
"""

import argparse

import nengo
import numpy as np

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.converter.timing import default_times
from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras

RECIPE = {
    "gain": 2.0,
    "amplitude": 0.01,
    "gamma": 0.02,
    "bias": 0.2,
    "rate": 0.1,
    "synapse": nengo.Alpha(0.005),
    "read": 0.06,
    "settle": None,
}
# what a setting is changed to; a tuple changes several together
CHANGES = [
    {},
    {"gain": 1.0, "amplitude": 0.02},
    {"gain": 1.0, "amplitude": 0.005, "gamma": 0.03},
    {"gain": 4.0, "amplitude": 0.0065},
    {"amplitude": 0.02},
    {"amplitude": 0.005},
    {"gamma": 0.005},
    {"gamma": 0.05},
    {"gamma": 0.1},
    {"bias": 0.0},
    {"synapse": nengo.Lowpass(0.005)},
    {"synapse": nengo.Alpha(0.002)},
    {"synapse": nengo.Alpha(0.01)},
    {"settle": 0.01},
    {"settle": 0.02},
    {"read": 0.02},
    {"read": 0.16},
    {"read": 0.46},
    {"rate": 0.02},
    {"rate": 0.3},
    {"rate": 0.5},
]
TRAINED_BY = ("gain", "amplitude", "gamma", "bias", "rate")
ROW = "{:<36} {:>6} {:>6} {:>6} {:>7} {:>7} {:>8} {:>8}"


def train(data, setting, seed):
    """The classical network of a setting."""
    keras.utils.set_random_seed(seed)
    softlif = {name: setting[name] for name in ("gain", "amplitude", "gamma")}
    x = inputs = keras.Input((data.n_features["input"],), name="input")
    for _ in range(2):
        bias = keras.initializers.Constant(setting["bias"])
        dense = keras.layers.Dense(
            100, kernel_initializer="he_normal", bias_initializer=bias
        )
        x = PermanentDropout(setting["rate"])(SoftLIF(**softlif)(dense(x)))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    models.train(model, data, epochs=200, seed=seed)
    return model


def firing_rate(model, X):
    """Mean firing rate of a converted network's neurons, in Hz."""
    with nengo.Network(seed=0) as net:
        conv = npd.Converter(model)
        shown = nengo.Node(nengo.processes.PresentInput(X, 0.1))
        nengo.Connection(shown, conv.input, synapse=None)
        probes = [nengo.Probe(ensemble.neurons) for ensemble in conv.all_ensembles]
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.1 * len(X))
    # a spike is 1 / dt high, times the neurons' amplitude
    spikes = [np.mean(sim.data[probe] > 0) / sim.dt for probe in probes]
    return float(np.mean(spikes))


def measure(model, data, setting, draws, observations, seed):
    """How the spiking network of a setting compares with the classical one."""
    X = data.test.take(slice(observations)).inputs
    conv = npd.Converter(model, synapse=setting["synapse"])
    _, settle = default_times(conv.settling_time, settle=setting["settle"])
    options = {"n_draws": draws, "seed": seed, "progress": False}
    spiking = npd.sample(
        conv, X, presentation_time=settle + setting["read"], settle=settle, **options
    )
    rates = npd.Converter(model, neurons="rate")
    same_masks = npd.sample(rates, X, presentation_time=0.02, settle=0.015, **options)
    options["seed"] = seed + 1000
    classical = npd.sample(model, X, backend="keras", **options)
    bias = np.mean(spiking.values - same_masks.values, axis=0) / classical.std()
    return {
        "r2": models.r2(model, data.test, seed=seed),
        "std": classical.std().mean(),
        "rate": firing_rate(model, X["input"][:10]),
        "bias": np.sqrt(np.mean(bias**2)),
        "spread": np.exp(np.mean(np.log(spiking.std() / classical.std()))),
        "rejected": npd.ks_agreement(spiking, classical).rejection_rate(0.05),
        "presentation": 1000 * (settle + setting["read"]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=range(3))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=50)
    args = parser.parse_args()

    print(f"means over seeds {list(args.seeds)}; the first line is the recipe:")
    print({name: str(value) for name, value in RECIPE.items()})
    print(
        ROW.format("changed", "r2", "std", "Hz", "ms", "bias", "spread", "rejected"),
        flush=True,
    )
    trained = {}
    for change in CHANGES:
        setting = {**RECIPE, **change}
        found = []
        for seed in args.seeds:
            data = datasets.load("diabetes", seed=seed)
            key = (seed, *(setting[name] for name in TRAINED_BY))
            if key not in trained:
                trained[key] = train(data, setting, seed)
            found.append(
                measure(
                    trained[key], data, setting, args.draws, args.observations, seed
                )
            )
        mean = {name: np.mean([one[name] for one in found]) for name in found[0]}
        print(
            ROW.format(
                ", ".join(f"{name}={value}" for name, value in change.items()) or "-",
                f"{mean['r2']:.2f}",
                f"{mean['std']:.2f}",
                f"{mean['rate']:.0f}",
                f"{mean['presentation']:.0f}",
                f"{mean['bias']:.3f}",
                f"{mean['spread']:.2f}",
                f"{mean['rejected']:.3f}",
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
