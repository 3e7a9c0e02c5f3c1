"""
What reading a model's file takes, against Keras, and what refusing one takes.

Writes a network of CANDLE's full size (encoders and tower of 3 x 1000 units, 942 genes,
3820 descriptors) with the Keras that is here. Then, each in a process of its own and
one after the other, ``--repeats`` times, it is read by `nengo_permadrop.read_model`,
and loaded by Keras as its own documentation says, imported first. Peaks of memory are
above what the process had before; beside them is an upper bound of what the process
that reads HDF5 had, in all. Files that claim more than they hold, or name code, are
read last: each must be refused, in one line.

    python benchmarks/file_reading.py

The exit status is 1 if reading takes more than 1.2 times the bytes of the weights, is
less than 5 times as fast as Keras, or if a refusal takes more than 200 MB.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

LIMITS = {"memory": 1.2, "speed": 5.0, "refusal": 200e6}

READ = """
import nengo_permadrop as npd
from nengo_permadrop.sources.registry import get_source
get_source("keras")
def work(path):
    return npd.read_model(path)
"""
LOAD = """
def work(path):
    import keras
    class PermanentDropout(keras.layers.Dropout):
        def call(self, x, mask=None):
            return super().call(x, training=True)
    return keras.models.load_model(
        path, compile=False, custom_objects={"PermanentDropout": PermanentDropout}
    )
"""
MEASURE = """
import json, resource, sys, time
import numpy
{setup}
def memory(of):
    with open("/proc/self/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return 1024 * int(found[of].split()[0])
before = memory("VmRSS")
start, said = time.perf_counter(), None
try:
    work(sys.argv[1])
except ValueError as error:
    said = str(error)
found = {{
    "seconds": time.perf_counter() - start,
    "memory": memory("VmHWM") - before,
    "reader": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    "said": said,
}}
print(json.dumps(found))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--units", type=int, default=1000)
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(WRITE, folder, args.units)
        for path in sorted(folder.iterdir()):
            failed |= not compared(path, args.repeats)
        for path, words in refusable(folder):
            found = measured(READ, path)
            said = found["said"]
            ok = said is not None and "\n" not in said
            ok &= found["memory"] < LIMITS["refusal"]
            failed |= not ok
            print(
                f"{words}: {'refused' if said else 'READ'}, "
                f"{found['memory'] / 1e6:.0f} MB, reader {found['reader'] / 1e6:.0f} MB"
            )
    return int(failed)


def compared(path, repeats):
    """Print what both take for a file; whether it is within the limits."""
    runs = [(measured(READ, path), measured(LOAD, path)) for _ in range(repeats)]
    n_bytes = json.loads(path.with_suffix("").name.partition("-")[2])
    memory = max(read["memory"] for read, _ in runs) / n_bytes
    speed = statistics.median(load["seconds"] / read["seconds"] for read, load in runs)
    for name, each in zip(("read", "Keras"), zip(*runs)):
        seconds = statistics.median(one["seconds"] for one in each)
        highest = max(one["memory"] for one in each)
        refused = next((one["said"] for one in each if one["said"]), None)
        print(
            f"{path.suffix:7}{name:6}{seconds:7.2f} s {highest / 1e6:8.1f} MB"
            f"   reader {max(one['reader'] for one in each) / 1e6:.0f} MB"
            + (f"   fails: {refused[:60]}" if refused else "")
        )
    print(
        f"{path.suffix:7}weights {n_bytes / 1e6:.1f} MB: memory {memory:.2f} times "
        f"that, {speed:.1f} times as fast"
    )
    return memory <= LIMITS["memory"] and speed >= LIMITS["speed"]


def measured(setup, path):
    return json.loads(run(MEASURE.format(setup=setup), path).splitlines()[-1])


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


WRITE = """
import pathlib, sys
from nengo_permadrop.keras_layers import keras
layers = keras.layers
units = int(sys.argv[2])
class PermanentDropout(layers.Dropout):
    def call(self, x, mask=None):
        return super().call(x, training=True)
def tower(x):
    for _ in range(3):
        x = PermanentDropout(0.1)(layers.Dense(units, "relu")(x))
    return x
def encoder(n):
    inputs = keras.Input((n,))
    return keras.Model(inputs, tower(inputs))
inputs = [keras.Input((n,)) for n in (942, 3820, 3820)]
drug = encoder(3820)
parts = [encoder(942)(inputs[0]), drug(inputs[1]), drug(inputs[2])]
model = keras.Model(inputs, layers.Dense(1)(tower(layers.Concatenate()(parts))))
folder, n_bytes = pathlib.Path(sys.argv[1]), 4 * model.count_params()
model.save(folder / f"model-{n_bytes}.h5")
options = {"save_format": "keras_v3"} if keras.__version__[0] == "2" else {}
model.save(str(folder / f"model-{n_bytes}.keras"), **options)
"""


def refusable(folder):
    """Files that must be refused, and what they are."""
    (path,) = folder.glob("*.h5")
    content = path.read_bytes()

    def changed(name, change):
        target = folder / f"{name}.h5"
        target.write_bytes(content)
        with h5py.File(target, "a") as file:
            kernels = []
            file.visit(lambda name: kernels.append(name) if "/kernel" in name else None)
            group, _, kernel = kernels[0].rpartition("/")
            change(file, file[group], kernel)
        return target

    def larger(file, group, kernel):
        del group[kernel]
        group.create_dataset(kernel, (10**6, 10**5), "f4", chunks=(1000, 1000))

    def packed(file, group, kernel):
        del group[kernel]
        zeros = np.zeros((2000, 2 * 10**5), "f4")
        group.create_dataset(kernel, data=zeros, chunks=(100, 10**4), compression=9)

    def code(file, group, kernel):
        config = json.loads(file.attrs["model_config"])
        layer = config["config"]["layers"][-1]
        layer["class_name"], layer["config"] = "Lambda", {"name": "code"}
        file.attrs["model_config"] = json.dumps(config)

    yield changed("larger", larger), "an array that is only declared, 400 GB"
    yield changed("packed", packed), "an array that unpacks to 1.6 GB"
    yield changed("code", code), "a Lambda layer"
    half = folder / "half.h5"
    half.write_bytes(content[: len(content) // 2])
    yield half, "half a file"


if __name__ == "__main__":
    sys.exit(main())
