"""
Does infer write the same bytes on every Python, with and without Keras?

Generates files as CANDLE's, trains a Combo network on them here, and runs the slides'
command on the batched backend in a process of its own: by this Python with Keras and
with none that could be imported, and so by each other Python that is named, which need
no Keras. The tables must be the same, byte by byte; if not, the exit status is 1.

    python benchmarks/infer_elsewhere.py --python ENV/bin/python OTHER/bin/python
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nengo_permadrop
from nengo_permadrop import combo, datasets
from nengo_permadrop.combo.data import generate_files

WITHOUT = ("jax", "keras", "tensorflow", "tf_keras", "torch")

RUN = """
import platform
import sys


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in {without!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")


sys.meta_path.insert(0, NotInstalled())
import numba
import numpy

from nengo_permadrop import cli

print(platform.python_version(), numpy.__version__, numba.__version__, flush=True)
sys.exit(cli.main({arguments!r}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument(
        "--python",
        nargs="*",
        default=[],
        metavar="FILE",
        help="other interpreters, with the packages that infer needs",
    )
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    parser.add_argument("--units", type=int, default=200, help="of each layer")
    parser.add_argument("--genes", type=int, default=200)
    parser.add_argument("--descriptors", type=int, default=400)
    parser.add_argument("--n-pred", type=int, default=100, help="draws per row")
    parser.add_argument("--ns", type=int, default=10, help="samples")
    parser.add_argument("--nd", type=int, default=5, help="drugs")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_model(folder, args)
        found = set()
        print(f"{'Python':9}{'NumPy':9}{'Numba':9}{'Keras':9}{'seconds':>9}  digest")
        for python in (sys.executable, *args.python):
            ways = ((), WITHOUT) if python == sys.executable else (WITHOUT,)
            for without in ways:
                versions, seconds, digest = run(python, without, folder, args)
                found.add(digest)
                print(
                    *(f"{version:8}" for version in versions),
                    f"{'none' if without else 'there':8}",
                    f"{seconds:8.1f}  {digest[:16]}",
                    flush=True,
                )
    print("the same bytes" if len(found) == 1 else "DIFFERENT BYTES")
    return int(len(found) > 1)


def make_model(folder, args):
    """Data files, and a trained network in the files that ``combo-train`` writes."""
    generate_files(
        folder,
        n_cells=20,
        n_drugs=15,
        n_genes=args.genes,
        n_descriptors=args.descriptors,
        n_set_samples=args.ns,
        n_set_drugs=args.nd,
    )
    dataset = datasets.load("combo", data_dir=folder, n_test=10)
    features = dataset.train.n_features
    model = combo.model(
        features["cell"],
        features["drug1"],
        dense=(args.units,) * 3,
        dense_feature_layers=(args.units,) * 3,
    )
    combo.train(
        model,
        dataset,
        prefix=folder / "saved.uq",
        epochs=args.epochs,
        learning_rate=1e-4,
        progress=False,
    )


def run(python, without, folder, args):
    """Versions, seconds, and a digest of both tables, of the command in a process."""
    arguments = ["infer", "-s", "GDSC", "-d", "NCI_IOA_AOA", "-n", str(args.n_pred)]
    arguments += ["--ns", str(args.ns), "--nd", str(args.nd)]
    arguments += ["-m", "saved.uq.model.h5", "-w", "saved.uq.weights.h5", "-o", "out"]
    root = Path(nengo_permadrop.__file__).parent.parent
    start = time.perf_counter()
    done = subprocess.run(
        [python, "-c", RUN.format(without=without, arguments=arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{python} ended with {done.returncode}:\n{done.stderr}")
    seconds = time.perf_counter() - start
    versions, *paths = done.stdout.splitlines()
    content = b"".join((folder / path).read_bytes() for path in paths)
    for path in paths:
        (folder / path).unlink()
    return versions.split(), seconds, hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
