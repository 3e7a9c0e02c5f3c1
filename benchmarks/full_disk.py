"""
Run commands on disks that are nearly full, and let them go on when there is room.

Each of ``study``, ``combo-train`` and ``infer`` is run on disks of several sizes, from
one that holds nothing to one that nearly holds everything. A run must end with one line
about the room (or be done), no crash and no half file; every file that is there must be
readable; and run again with room, it must go on and end with the same files as a run
that nothing disturbed. Half of the disks are small file systems, which most commands
find to be small before they begin; on the others the size of files is limited, so that
the disk is full in the middle of the work::

    python benchmarks/full_disk.py --sizes 10
"""

import argparse
import re
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

COMMANDS = ("study", "combo-train", "infer")
RUN = [sys.executable, "-m", "nengo_permadrop"]
SIZES = "--cells 6 --drugs 5 --genes 40 --descriptors 60 --set-samples 4 --set-drugs 6"
TRAIN = "combo-train --n-test 10 --dense 60 --dense_feature_layers 60 -z 16 -e 3"
INFER = "infer -s GDSC -d NCI_IOA_AOA -n 20 --step 16 --settle 0.015"
STUDY = "study --draws 60 --observations 10 --epochs 2 --workers 1"

# Limits on the size of files are for those in other folders too: Nengo's cache of
# decoders, and Keras's temporary file of weights
LEAST = {"study": 16_000, "combo-train": 125_000, "infer": 16_000}

# Times are in these; all else must be the same
WITH_TIMES = ("agreement.json", "report.html", ".training.json", ".state.npz")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--sizes", type=int, default=10, help="sizes of either kind, for each command"
    )
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--kind", choices=("disks", "files", "both"), default="both")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        arguments = prepare(folder, args.only)
        sys.exit(
            max(
                compare(name, *arguments[name], args.sizes, args.kind)
                for name in arguments
            )
        )


def prepare(folder, names):
    """Arguments and folder of each command; trains the model that infer takes."""
    from full_disk import run_with_room  # noqa: F401  (fails here, not in the middle)

    data = folder / "data"
    model = folder / "model" / "saved"
    train = [*TRAIN.split(), "--data-dir", str(data)]
    if {"combo-train", "infer"} & set(names):
        checked(["combo-data", *SIZES.split(), "-o", str(data)])
    if "infer" in names:
        checked([*train, "-o", str(model)])
    infer = [*INFER.split(), "--data-dir", str(data), "-m", f"{model}.model.h5"]
    infer += ["-w", f"{model}.weights.h5"]
    every = {
        "study": (STUDY.split(), lambda at: ["-o", f"{at}/study"]),
        "combo-train": (train, lambda at: ["-o", f"{at}/saved"]),
        "infer": (infer, lambda at: ["-o", str(at), "--checkpoint", f"{at}/kept"]),
    }
    return {name: (*every[name], folder / name) for name in names}


def checked(arguments):
    """Run a command that must succeed."""
    subprocess.run([*RUN, *arguments], check=True, capture_output=True)


def compare(name, arguments, places, folder, n_sizes, kind):
    """0 if a command does as it should on all disks, 1 otherwise."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    checked([*arguments, *places(whole)])
    expected = contents(whole)
    sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
    every = []
    if kind != "files":
        every += [(True, size) for size in np.linspace(0, 2 * sum(sizes), n_sizes)]
    if kind != "disks":
        limits = np.geomspace(LEAST[name], max(sizes), n_sizes)
        every += [(False, size) for size in limits]
    failures = 0
    for number, (is_disk, size) in enumerate(every):
        at = folder / f"disk{number}"
        at.mkdir()
        command = [*arguments, *places(at)]
        words, errors = one_disk(command, at, int(size), is_disk)
        if contents(at) != expected:
            errors.append("other files than undisturbed")
        failures += bool(errors)
        what = "a disk" if is_disk else "files"
        words = f"{name}, {what} of {size / 1e3:.0f} kB: {words}"
        print(words, *errors, sep="; ", flush=True)
    return int(failures > 0)


def one_disk(command, folder, n_bytes, is_disk):
    """What a command did on a small disk, and what was wrong with it and its rerun."""
    from full_disk import run_with_room

    if is_disk:
        done = run_with_room([*RUN, *command], n_bytes, folder)
    else:

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error, not the end
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

        done = subprocess.run(
            [*RUN, *command], preexec_fn=limit, capture_output=True, text=True
        )
    told = [x for x in done.stderr.splitlines() if x.startswith("nengo-permadrop: ")]
    errors = [] if done.returncode in (0, 1) else [f"exit code {done.returncode}"]
    if done.returncode == 1:
        if len(told) != 1 or "no room" not in told[0]:
            errors.append(f"told {told}")
        if "Traceback" in done.stderr:
            errors.append("a traceback")
    errors += damaged(folder)
    again = [*RUN, *command]
    has_state = any(folder.glob("*.state.npz"))
    if has_state and "combo-train" in command:
        again.append("--resume")
    if done.returncode != 0:
        rerun = subprocess.run(again, capture_output=True, text=True)
        if rerun.returncode != 0:
            errors.append(f"the rerun failed: {rerun.stderr[-500:]}")
    hidden = [path.name for path in folder.rglob(".*")]
    if hidden:
        errors.append(f"left behind: {hidden}")
    words = told[0].removeprefix("nengo-permadrop: ") if told else "done"
    return re.sub(re.escape(str(folder)), "DISK", words), errors


def damaged(folder):
    """Files that are there and can't be read."""
    import h5py

    import nengo_permadrop as npd

    found = []
    for path in folder.rglob("*"):
        try:
            if path.name.startswith("samples_"):
                npd.load_samples(path)
            elif path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    [arrays[name] for name in arrays.files]
            elif path.suffix == ".h5":
                h5py.File(path).close()
        except Exception as error:  # whatever is wrong with a file
            found.append(f"{path.name} is damaged: {error}")
    tables = list(folder.glob("comb_pred*"))
    if len(tables) == 1:
        found.append(f"{tables[0].name} is alone")
    return found


def contents(folder):
    """Of all files but those that hold times, by path; samples by their values."""
    import h5py

    import nengo_permadrop as npd

    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.endswith(WITH_TIMES) or name.startswith("kept"):
            continue
        if path.name.startswith("samples_"):
            found[name] = npd.load_samples(path).values.tobytes()
        elif path.suffix == ".h5":
            found[name] = []
            with h5py.File(path) as file:
                file.visititems(
                    lambda key, item, at=name: found[at].append(
                        (key, item[()].tobytes() if hasattr(item, "shape") else None)
                    )
                )
        else:
            found[name] = path.read_bytes()
    return found


if __name__ == "__main__":
    main()
