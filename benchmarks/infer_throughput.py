"""
Predictions a second of infer, in one process and on Dask workers.

Generates files as CANDLE's (or takes those of ``--data-dir``) and a Combo network of
some width with fresh weights, and times whole runs of infer on the batched backend: in
this process, then on local clusters of 1, 2 and 4 worker processes, which share the
machine's CPUs. All must write the same bytes. Reading the files, converting the network
and building the simulators are in the time, importing TensorFlow and starting the
clusters are not; kernels are compiled before.

    python benchmarks/infer_throughput.py --units 1000 --n-pred 20
"""

import argparse
import contextlib
import hashlib
import tempfile
import time
from pathlib import Path

from nengo_permadrop import combo, datasets
from nengo_permadrop.combo.data import features_path, generate_files
from nengo_permadrop.combo.infer import infer
from nengo_permadrop.combo.saved import TrainingFiles
from nengo_permadrop.execution.cluster import dask_executor
from nengo_permadrop.execution.pool import usable_cpus


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--units", type=int, default=200, help="of each layer")
    parser.add_argument("--n-pred", type=int, default=100, help="draws per row")
    parser.add_argument("--ns", type=int, default=10, help="samples")
    parser.add_argument("--nd", type=int, default=5, help="drugs")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--data-dir", help="default: files at their full size are made")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        data_dir = args.data_dir
        if data_dir is None:
            data_dir = folder / "data"
            generate_files(data_dir)
        prefix = make_model(folder / "saved", data_dir, args.units)
        predictions = args.ns * args.nd**2 * args.n_pred

        def run(executor, n_pred=args.n_pred, ns=args.ns):
            output = folder / "output"
            start = time.perf_counter()
            result = infer(
                "GDSC",
                "NCI_IOA_AOA",
                model_file=f"{prefix}.model.h5",
                weights_file=None,
                n_pred=n_pred,
                ns=ns,
                nd=args.nd,
                data_dir=data_dir,
                output=output,
                executor=executor,
                progress=False,
            )
            seconds = time.perf_counter() - start
            content = b"".join(path.read_bytes() for path in result.paths)
            return seconds, hashlib.sha256(content).hexdigest()

        print(f"{predictions} predictions on {usable_cpus()} CPUs, {args.units} units")
        run(None, n_pred=2, ns=1)  # compiles
        expected = None
        for workers in (None, *args.workers):
            cluster = (
                contextlib.nullcontext()
                if workers is None
                else dask_executor(f"local:{workers}")
            )
            with cluster as executor:
                seconds, digest = run(executor)
            expected = expected or digest
            print(
                f"{'this process' if workers is None else f'{workers} workers':14}"
                f"{seconds:8.1f} s {predictions / seconds:8.0f}/s  "
                f"{'same' if digest == expected else 'DIFFERENT'}",
                flush=True,
            )


def make_model(prefix, data_dir, units):
    """A network and the scaling of its features, untrained, in files."""
    dataset = datasets.load("combo", data_dir=data_dir, n_test=1)
    features = dataset.train.n_features
    model = combo.model(
        features["cell"],
        features["drug1"],
        dense=(units,) * 3,
        dense_feature_layers=(units,) * 3,
    )
    files = TrainingFiles(prefix)
    files.save_model(model)
    dataset.features.save(features_path(files.model))
    return prefix


if __name__ == "__main__":
    main()
