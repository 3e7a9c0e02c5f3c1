"""
Does each reader of files take damage as it should?

Every kind of file is written once, and damaged by cutting it off or by changing one to
three bytes, half of the time near its beginning, where formats keep their sizes. The
reader must give an answer, or raise one `DamagedFileError` (or another
ValidationError, where the damage made the file name something that is refused), which
names the file, in 10 s of processor time and with 500 MB of memory.

    python benchmarks/damaged_files.py
    python benchmarks/damaged_files.py --kinds model.h5 --first 120 --number 1

Prints what became of the files, and each that wasn't taken as it should; `damaged`
makes it again from its number. Linux only: there memory can be measured by file.
"""

import argparse
import collections
import contextlib
import io
import json
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

SECONDS = 10
MEMORY = 500e6  # bytes more than before
ADDRESS_SPACE = 8e9  # bytes; what takes more than that fails at once

KINDS = {}


@dataclass(frozen=True)
class Kind:
    """
    A kind of file.

    Attributes
    ----------
    name : str
        Name of the file, too.
    make : callable
        Writes a whole file to the path that it is given.
    read : callable
        Reads the file at the path that it is given. Called with the whole file first.
    """

    name: str
    make: Callable
    read: Callable


def kind(name, make):
    """Decorator for the function that reads a kind of file."""

    def add(read):
        KINDS[name] = Kind(name, make, read)
        return read

    return add


def damaged(content, number):
    """
    Bytes of a file after damage.

    Parameters
    ----------
    content : bytes
    number : int
        Decides the damage; each fourth cuts the file off.

    Returns
    -------
    content : bytes
        Never the same as before.
    """
    rng = np.random.default_rng(number)
    if number % 4 == 0:
        return content[: rng.integers(len(content))]
    changed = bytearray(content)
    stop = len(content) if number % 2 else min(len(content), 4096)
    positions = rng.choice(stop, min(stop, rng.integers(1, 4)), replace=False)
    for position in positions:
        changed[position] ^= rng.integers(1, 256)
    return bytes(changed)


def outcome(read, path):
    """
    What became of a file: "read", "refused", or what is wrong with the reader.

    Parameters
    ----------
    read : callable
    path : path-like
    """
    try:
        read(path)
    except ValidationError as error:
        text = str(error)
        if str(path) not in text:
            return f"doesn't name the file: {text}"
        if len(text.splitlines()) > 1:
            return f"more than one line: {text}"
        return "refused"
    except Exception:
        return traceback.format_exc()
    return "read"


def small_network():
    """A network with our layers, nested models and a layer that is used twice."""
    from nengo_permadrop.keras_layers import PermanentDropout, SoftLIF, keras

    layers = keras.layers
    inner_input = keras.Input((4,))
    inner = layers.Dense(4, activation="relu", name="inner_dense")(inner_input)
    encoder = keras.Model(inner_input, layers.add([inner, inner_input]), name="encoder")
    inputs = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    x = layers.concatenate([encoder(x) for x in inputs])
    x = layers.Dense(6, kernel_initializer="he_normal")(x)
    x = PermanentDropout(0.2)(SoftLIF()(x))
    return keras.Model(inputs, layers.Dense(1, name="growth")(x), name="network")


def save_model(path):
    """As .h5, or as the .keras file of today."""
    new = Path(path).suffix == ".keras"
    model = small_network()
    model.compile(loss="mse", optimizer="adam")
    options = {"save_format": "keras_v3"} if new and _keras2() else {}
    model.save(str(path), **options)


def save_weights(path):
    """In the format that Keras 2 takes for the name."""
    model = small_network()
    if _keras2() or str(path).endswith(".weights.h5"):
        model.save_weights(str(path))
        return
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def _keras2():
    from nengo_permadrop.keras_layers import keras

    return keras.__version__.startswith("2.")


@kind("model.h5", save_model)
@kind("model.keras", save_model)
def read_model(path):
    """As the command does it, which shows whether a user sees one line."""
    from nengo_permadrop import cli
    from nengo_permadrop.sources.keras.loading import load_model

    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(["convert", str(path)])
    if code:
        text = err.getvalue().removesuffix("\n")
        if "defect of the program" in text:
            raise RuntimeError(text)
        if str(path) not in text:
            load_model(path)  # what can't be converted can be loaded
            return
        raise ValidationError(text, attr="model")


@kind("older.h5", save_weights)
@kind("newer.weights.h5", save_weights)
def read_weights(path):
    """Into a network that is there."""
    from nengo_permadrop.sources.keras.loading import load_weights

    load_weights(small_network(), path)


def save_state(path):
    """Of a training that goes on."""
    from nengo_permadrop.combo.saved import TrainingFiles

    files = TrainingFiles(str(path).removesuffix(".state.npz"))
    record = {"options": {"epochs": 3}, "history": [{"loss": 1.0}]}
    record.update(data="00", architecture="00")
    rng = np.random.default_rng(0)
    files.save_state(record, [rng.random((8, 4))], [rng.random(4), np.array(3)])


@kind("combo.state.npz", save_state)
def read_state(path):
    """What `TrainingFiles.save_state` has written."""
    from nengo_permadrop.combo.saved import TrainingFiles

    TrainingFiles(str(path).removesuffix(".state.npz")).load_state()


def save_record(path):
    """How a network was trained."""
    from nengo_permadrop.combo.saved import TrainingFiles

    files = TrainingFiles(str(path).removesuffix(".training.json"))
    files.save_record({"options": {}, "history": [{"loss": 1.0}], "data": "00"})


@kind("combo.training.json", save_record)
def read_training_record(path):
    """What `TrainingFiles.save_record` has written."""
    from nengo_permadrop.combo.saved import read_record

    read_record(str(path).replace(".training.json", ".model.h5"))


def work(name, first, stop):
    """Read damaged files, and print a JSON line for each, before and after."""
    entry = KINDS[name]
    resource.setrlimit(resource.RLIMIT_AS, (int(ADDRESS_SPACE),) * 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        entry.make(path)
        content = path.read_bytes()
        whole = outcome(entry.read, path)
        if whole != "read":
            raise RuntimeError(f"the whole {name} isn't read: {whole}")
        for number in range(first, stop):
            print(json.dumps({"begins": number}), flush=True)
            path.write_bytes(damaged(content, number))
            before = _memory(reset=True)
            # of processor time, for machines that do other work, too; the signal's
            # default action ends the process
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(10 * SECONDS)
            became = outcome(entry.read, path)
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            taken = _memory() - before
            if taken > MEMORY:
                became = f"took {taken / 1e6:.0f} MB"
            print(json.dumps({"number": number, "became": became}), flush=True)


def _memory(reset=False):
    """Bytes: the most since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def results(name, first, number):
    """Yield (number, what became of it); a process that dies is begun anew."""
    stop = first + number
    while first < stop:
        worker = [sys.executable, __file__, "--work", name, str(first), str(stop)]
        begun = None
        with subprocess.Popen(worker, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                message = json.loads(line) if line.startswith("{") else {}
                begun = message.get("begins", begun)
                if "became" in message:
                    first = message["number"] + 1
                    yield message["number"], message["became"]
        if first < stop:
            if begun is None:
                raise RuntimeError(f"{name} can't be read at all")
            ended = process.returncode
            slow = ended in (-signal.SIGALRM, -signal.SIGPROF)
            yield begun, f"took {SECONDS} s" if slow else f"died with code {ended}"
            first = begun + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--number", type=int, default=500, help="files of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work[0], *map(int, args.work[1:]))
        return
    failed = False
    for name in args.kinds:
        counts = collections.Counter()
        for number, became in results(name, args.first, args.number):
            good = became in ("read", "refused")
            counts[became if good else "failed"] += 1
            failed |= not good
            if not good:
                print(f"{name} {number}: {became}", flush=True)
        print(f"{name}: {dict(counts)}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
