"""
Whether the bias that theory expects of converted networks is the one that they have.

Networks of two and five layers are trained on the diabetes data, of relu units and of
SoftLIF units with good and with bad parameters, and converted, with firing rates by
default and with others. Prints what ``conv.report(X)`` expects, and what is seen: the
bias between the spiking network and the network of rate neurons with the same masks, in
standard deviations; the spread of the draws, relative to the classical ones; the
fraction of p-values under 0.05 in KS tests between the spiking and the classical
network; and whether ``sample`` warned::

    python benchmarks/expected_bias.py --output docs/_data
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras

WEAK = {"gain": 1.0, "amplitude": 0.005, "gamma": 0.03}
# activation, its parameters, and options of the conversion
CASES = [
    ("relu", None, {}),
    ("relu", None, {"scale_firing_rates": 200}),
    ("relu", None, {"scale_firing_rates": 100}),
    ("relu", None, {"scale_firing_rates": 40}),
    ("SoftLIF", {}, {}),
    ("SoftLIF", {}, {"first_layer": "exact"}),
    ("SoftLIF", WEAK, {}),
]


def train(data, n_layers, softlif, epochs, seed):
    """The classical network; of relu units if there are no parameters of SoftLIF."""
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((data.n_features["input"],), name="input")
    for _ in range(n_layers):
        x = keras.layers.Dense(80, kernel_initializer="he_normal")(x)
        x = keras.layers.ReLU()(x) if softlif is None else SoftLIF(**softlif)(x)
        x = PermanentDropout(0.1)(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    models.train(model, data, epochs=epochs, seed=seed)
    return model


def compared(model, X, options, n_draws):
    """What is expected of a conversion, and what is seen."""
    conv = npd.Converter(model, seed=3, **options)
    kwargs = {"n_draws": n_draws, "progress": False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        spiking = npd.sample(conv, X, seed=4, **kwargs)
    rate = npd.Converter(conv.graph, neurons="rate", seed=3)
    same = npd.sample(rate, X, seed=4, presentation_time=0.002, settle=0.001, **kwargs)
    classical = npd.sample(model, X, backend="keras", seed=5, **kwargs)
    bias = (spiking.mean() - same.mean()) / classical.std()
    agreement = npd.ks_agreement(spiking, classical)
    spread = np.sqrt(np.mean(spiking.std() ** 2) / np.mean(same.std() ** 2))
    report = conv.report(X)
    return {
        "bias (sd)": f"{report.bias:.2f}",
        "seen": f"{np.sqrt(np.mean(bias**2)):.2f}",
        "spread": f"{report.spread:.2f}",
        "spread seen": f"{spread:.2f}",
        "p-values under 0.05": f"{agreement.rejection_rate():.0%}",
        "warned": (
            "yes"
            if any(issubclass(w.category, npd.AgreementWarning) for w in caught)
            else "no"
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--observations", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write the table here, as CSV"
    )
    args = parser.parse_args()
    data = datasets.load("diabetes", seed=0)
    X = data.test.take(slice(args.observations)).inputs
    rows = []
    for n_layers in (2, 5):
        trained = {}
        for activation, softlif, options in CASES:
            key = str(softlif)
            if key not in trained:
                trained[key] = train(data, n_layers, softlif, args.epochs, seed=1)
            settings = {**(softlif or {}), **options}
            rows.append(
                {
                    "network": f"{n_layers} layers, {activation}",
                    "settings": ", ".join(f"{k}={v}" for k, v in settings.items())
                    or "defaults",
                    **compared(trained[key], X, options, args.draws),
                }
            )
            print(*rows[-1].values(), sep="; ", flush=True)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame(rows).set_index("network")
        table.to_csv(args.output / "expected_bias.csv")


if __name__ == "__main__":
    main()
