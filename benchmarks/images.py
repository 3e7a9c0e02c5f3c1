"""
Do convolutional networks agree with their classical ones, and what does that depend on?

``--part agreement`` runs the study of a data set of images for several seeds, with a
line for each: the share of p-values up to 0.05 and the uniformity of all, beside those
of the control; bias (root mean square of the differences of means, in standard
deviations, of which chance makes the control's); ratio of the spreads; and accuracy of
both networks on all test images, by the means of 20 draws. The criterion is a rejection
rate of at most 0.10, uniformity p >= 0.01, and at most one point of accuracy less.

    python benchmarks/images.py --datasets digits-images
    python benchmarks/images.py --datasets digits-images --backend nengo_dl \\
        --observations 30
    python benchmarks/images.py --datasets digits-images --backend nengo_loihi \\
        --draws 50 --observations 20

On Loihi it is a small network, of two convolutions and a dense layer. Its accuracy on
all images is that of Loihi's neurons on the batched simulator, as the emulator takes
too long for so many.

``--part settings`` varies firing rates, times, pools and dropout, one at a time, on the
first of the data sets and all seeds.

Studies that are finished in the output folder are not run again.
"""

import argparse
import json
from pathlib import Path

import nengo
import numpy as np
import pandas as pd

import nengo_permadrop as npd
from nengo_permadrop import datasets, models
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sources.keras.loading import load_model
from nengo_permadrop.study import study
from nengo_permadrop.study.run import SEEDED
from nengo_permadrop.training.evaluation import accuracy

MOST_REJECTED, LEAST_UNIFORMITY, LARGEST_GAP = 0.10, 0.01, 0.01
ACCURACY_DRAWS = 20
# Of lenet, by the target that it is for
NETWORKS = {"nengo": {}, "loihi": {"filters": (8, 16), "units": (40,)}}
# What is varied: options of the network, and of the study
SETTINGS = {
    "as it is": ({}, {}),
    "SoftLIF at 50 Hz": ({"firing_rate": 50}, {}),
    "SoftLIF at 100 Hz": ({"firing_rate": 100}, {}),
    "SoftLIF at 150 Hz": ({"firing_rate": 150}, {}),
    "SoftLIF at 300 Hz": ({"firing_rate": 300}, {}),
    "100 Hz, annealed": ({"firing_rate": 100}, {"anneal": 0.002}),
    "100 Hz, calibrated": ({"firing_rate": 100}, {"calibrate": True}),
    "relu": ({"activation": "relu"}, {}),
    "read from 70 to 100 ms": ({}, {"settle": 0.07, "presentation_time": 0.1}),
    "read from 70 to 190 ms": ({}, {"settle": 0.07, "presentation_time": 0.19}),
    "read from 70 to 310 ms": ({}, {"settle": 0.07, "presentation_time": 0.31}),
    "read from 40 to 100 ms": ({}, {"settle": 0.04, "presentation_time": 0.1}),
    "no dense layers": ({"units": ()}, {}),
    "maxima, averaged": ({}, {"max_to_avg_pool": True}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    option = parser.add_argument
    option("--part", choices=("agreement", "settings"), default="agreement")
    option("--datasets", nargs="+", default=["digits-images", "shapes"])
    option("--seeds", nargs="+", type=int, default=range(5))
    option("--backend", default="batched")
    option("--workers", type=int, help="processes, on backends that take a draw each")
    option("--draws", type=int, default=100)
    option("--observations", type=int, default=100)
    option("--synapse", type=float, metavar="SECONDS", help="of Lowpass synapses")
    option("--epochs", type=int, help="at the most; as the data set has it")
    option("--settings", nargs="+", default=list(SETTINGS), metavar="NAME")
    option("-o", "--output", default="study-images")
    args = parser.parse_args()
    print(f"{args.draws} draws, {args.observations} images, {args.backend}")
    lines = []
    for line in (agreement if args.part == "agreement" else settings)(args):
        print("  ".join(f"{key} {value}" for key, value in line.items()), flush=True)
        lines.append(line)
    write(args, pd.DataFrame(lines))


def write(args, table):
    """Write the table that the documentation shows."""
    if args.part == "agreement":
        print(f"{table['agree'].sum()} of {len(table)} meet the criterion")
        path = Path(args.output) / f"images_{args.backend}.csv"
        table.drop(columns="agree").to_csv(path, index=False)
        return
    by_name = table.groupby("changed", sort=False)
    found = by_name[["rejected", "control", "bias", "control's bias", "spread"]].mean()
    found = found.join(by_name[["accuracy", "gap"]].mean().round(4)).round(4)
    found.insert(2, "least uniformity p", by_name["uniformity p"].min())
    counts = by_name["agree"].agg(["sum", "size"])
    found["agree"] = [f"{agree} of {n}" for agree, n in counts.to_numpy()]
    found.to_csv(Path(args.output) / "images_settings.csv")


def agreement(args):
    """A line for each data set and seed."""
    network = NETWORKS[get_backend(args.backend).target]
    for dataset in args.datasets:
        for seed in args.seeds:
            folder = Path(args.output) / args.backend / f"{dataset}-{seed}"
            line = studied(args, dataset, seed, folder, network)
            yield {"data set": dataset, "seed": seed, **line}


def settings(args):
    """A line for each setting and seed."""
    dataset = args.datasets[0]
    for name in args.settings:
        network, options = SETTINGS[name]
        for seed in args.seeds:
            folder = Path(args.output) / "settings" / f"{dataset}-{name}-{seed}"
            line = studied(args, dataset, seed, folder, network, **options)
            yield {"changed": name, "seed": seed, **line}


def studied(args, dataset, seed, folder, network, **options):
    """What a study finds."""
    if not (folder / "agreement.json").exists():
        how = {"model_options": network or None, "epochs": args.epochs}
        if options.get("max_to_avg_pool"):
            how = {"model": with_maxima(dataset, seed, args.epochs)}
        study(
            dataset,
            seed=seed,
            output=folder,
            backend=args.backend,
            n_draws=args.draws,
            observations=args.observations,
            workers=args.workers,
            synapse=args.synapse,
            progress=False,
            **how,
            **options,
        )
    found = json.loads((folder / "agreement.json").read_text())
    classical, gap = accuracies(found, folder, dataset, seed)
    samples = {
        name: npd.load_samples(folder / f"samples_{name}.npz")
        for name in ("spiking", "classical", "control")
    }
    rejected, uniformity = found["rejection_rate"], found["uniformity"]
    return {
        "rejected": round(rejected["spiking"], 3),
        "control": round(rejected["control"], 3),
        "uniformity p": float(f"{uniformity['spiking']['pvalue']:.2g}"),
        "bias": bias(samples["spiking"], samples["classical"]),
        "control's bias": bias(samples["control"], samples["classical"]),
        "spread": round(found["spread"]["spiking"], 3),
        "accuracy": round(classical, 4),
        "gap": round(gap, 4),
        "agree": rejected["spiking"] <= MOST_REJECTED
        and uniformity["spiking"]["pvalue"] >= LEAST_UNIFORMITY
        and gap <= LARGEST_GAP,
    }


def bias(samples, classical):
    """Root mean square difference of the means, in standard deviations."""
    z = (samples.mean() - classical.mean()) / classical.std()
    return round(float(np.sqrt(np.mean(z**2))), 3)


def accuracies(found, folder, dataset, seed):
    """Accuracy of the classical network on all test images, and what spikes lose."""
    path = folder / "accuracies.json"
    if not path.exists():
        options = found["options"]
        data = datasets.load(dataset, seed=found["seeds"]["data"])
        model = load_model(folder / "model.h5")
        target = get_backend(options["backend"]).target
        with nengo.Network(seed=found["seeds"]["network"]):
            conv = npd.Converter(
                model,
                target=target,
                synapse=options["synapse"],
                max_to_avg_pool=options["max_to_avg_pool"],
            )
        times = {key: options[key] for key in ("presentation_time", "settle")}
        values = [
            accuracy(
                data.in_units(data.test.target),
                data.in_units(
                    npd.sample(
                        source,
                        data.test.inputs,
                        ACCURACY_DRAWS,
                        seed=derive_seed(seed, number),
                        progress=False,
                        **how,
                    ).mean()
                ),
            )
            for number, (source, how) in enumerate(
                [(model, {"backend": "keras"}), (conv, times)]
            )
        ]
        path.write_text(json.dumps(values))
    classical, spiking = json.loads(path.read_text())
    return classical, classical - spiking


def with_maxima(dataset, seed, epochs):
    """The study's network, with pools that take the largest, trained for its data."""
    from nengo_permadrop.keras_layers import keras

    def pooled(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.AveragePooling2D):
            return keras.layers.MaxPooling2D.from_config(config)
        return type(layer).from_config(config)

    seeds = {part: derive_seed(seed, number) for number, part in enumerate(SEEDED)}
    data = datasets.load(dataset, seed=seeds["data"])
    model = models.for_dataset(data, seed=seeds["weights"])
    model = keras.models.clone_model(model, clone_function=pooled)
    models.train_for_dataset(model, data, epochs=epochs, seed=seeds["training"])
    return model


if __name__ == "__main__":
    main()
