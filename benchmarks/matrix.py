"""
Installs and tests the package on every Python of the machine and backend of Keras.

Each pair gets a fresh environment with the newest versions that its requirements allow.
"keras2" is what the extra ``all`` installs on Python 3.11: TensorFlow 2.12, NengoDL and
nengo-loihi. The others are Keras 3, without NengoDL and nengo-loihi, on TensorFlow, JAX
or PyTorch alone.

    python benchmarks/matrix.py
    python benchmarks/matrix.py --pythons 3.13 --backends jax --tests tests/sources
    python benchmarks/matrix.py --backends torch --pip=--extra-index-url=URL

PyPI's PyTorch for Linux brings CUDA along, some gigabytes; ``--pip`` may name an index
of smaller builds. Prints a row as soon as it is there, and writes a table of all, with
``--output`` to a folder: matrix.csv.
"""

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("keras2", "tensorflow", "jax", "torch")
# of the extra ``study``, which asks for Keras 2 on Python 3.11
STUDY = ("scikit-learn>=1.2", "jinja2>=3.0")
COLUMNS = {
    "python": "Python",
    "keras": "Keras",
    "install": "Installed in (s)",
    "size": "Size (MB)",
    "passed": "Passed",
    "failed": "Failed",
    "skipped": "Skipped",
    "time": "Tested in (s)",
}


def machines_pythons():
    """{(major, minor): (version, path)}, as .ci/run finds them."""
    path = ROOT / ".ci" / "pythons.py"
    spec = importlib.util.spec_from_file_location("pythons", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pythons()


def requirements(python, backend):
    """What pip is asked for; None if there is no such pair."""
    if backend == "keras2":
        return ["-e", ".[all,tests]"] if python < (3, 12) else None
    if python < (3, 12):
        return [
            "-e",
            ".[keras3,gui,plots,arviz,dask,tests]",
            *STUDY,
            "pyarrow",
            backend,
        ]
    extras = "study,gui,plots,arviz,parquet,dask,tests"
    return ["-e", f".[{extras}]", backend]


def size_of(folder):
    """MB of the files in a folder."""
    files = (path for path in Path(folder).rglob("*") if not path.is_symlink())
    return round(sum(path.stat().st_size for path in files if path.is_file()) / 1e6)


def counts(report):
    """Tests passed, failed and skipped, of pytest's XML."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    total, failures, errors, skipped = (
        int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def try_out(python, backend, options, folder):
    """A row of the table."""
    version, path = python
    row = {"python": ".".join(map(str, version)), "keras": backend}
    env = {
        **{
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KERAS"))
        },
        "MPLBACKEND": "Agg",
        "KERAS_HOME": str(folder / "keras"),  # no choice of this machine's user
        "PYTHONNOUSERSITE": "1",
    }

    def run(*command, **kwargs):
        return subprocess.run(command, cwd=ROOT, env=env, **kwargs)

    start = time.monotonic()
    run(path, "-m", "venv", folder / "env", check=True)
    inside = folder / "env" / "bin" / "python"
    wanted = requirements(version[:2], backend)
    pip = [inside, "-m", "pip", "install", "--quiet", *options.pip, *wanted]
    if run(*pip).returncode:
        return {**row, "install": "failed"}
    row["install"] = round(time.monotonic() - start)
    row["size"] = size_of(folder / "env")

    report, start = folder / "report.xml", time.monotonic()
    run(
        inside,
        *("-m", "pytest", "-q", "-n", str(options.processes), *options.tests),
        *(f"--junitxml={report}", "-p", "no:cacheprovider"),
        stdout=None if options.verbose else subprocess.DEVNULL,
    )
    row["time"] = round(time.monotonic() - start)
    return {**row, **counts(report)}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", nargs="+", help="such as 3.11 3.13; default: all")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--tests", nargs="+", default=["tests"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pip", action="append", default=[], help="option of pip")
    parser.add_argument("--output", type=Path, help="folder for matrix.csv")
    parser.add_argument("--verbose", action="store_true", help="show what pytest says")
    options = parser.parse_args(arguments)

    rows = []
    for minor, python in machines_pythons().items():
        if options.pythons and ".".join(map(str, minor)) not in options.pythons:
            continue
        for backend in options.backends:
            if requirements(minor, backend) is None:
                continue
            with tempfile.TemporaryDirectory() as folder:
                rows.append(try_out(python, backend, options, Path(folder)))
            words = (f"{title} {rows[-1].get(key)}" for key, title in COLUMNS.items())
            print(", ".join(words), flush=True)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / "matrix.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS.values())
            writer.writerows([row.get(key, "") for key in COLUMNS] for row in rows)
    wrong = [row for row in rows if row.get("failed") != 0]
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
