"""
Files of ONNX and PyTorch programs, damaged at random, and read.

Bytes of ONNX files are changed, and of ``.pt2`` files bytes, or words of their JSON. A
file must be read, or be refused with an error of ours; anything else is shown.
"""

import argparse
import collections
import re
import sys
import tempfile
import traceback
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from nengo.exceptions import ValidationError
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import onnx_models  # noqa: E402

import nengo_permadrop as npd  # noqa: E402

NEW = ("-1", "999999999999", "null", "[]", "{}", '"x"', "1e308")


def with_other_bytes(content, rng):
    damaged = bytearray(content)
    for place in rng.randint(len(damaged), size=rng.randint(1, 4)):
        damaged[place] = rng.randint(256)
    return bytes(damaged)


def with_other_words(path, target, rng):
    """A copy of an archive, with a number or word of its JSON changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([each for each in members if each.endswith(".json")])
    text = members[name].decode()
    words = list(re.finditer(r'-?\d+|"[a-z_]+"|true|false|null', text))
    old, other = (words[number] for number in rng.randint(len(words), size=2))
    new = rng.choice([other.group(), *NEW])
    members[name] = (text[: old.start()] + new + text[old.end() :]).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def outcome(path):
    try:
        npd.read_model(path)
    except (ValidationError, npd.ConversionError) as error:
        return type(error).__name__
    except Exception as error:
        traceback.print_exc(limit=-3)
        return f"UNEXPECTED {type(error).__name__}"
    return "read"


def program():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2)
    )
    return torch.export.export(module.eval(), (torch.zeros(2, 1, 4, 4),))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=600, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.RandomState(args.seed)
    warnings.simplefilter("ignore")
    seen = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        whole = [onnx_models.worded(n).SerializeToString() for n in (9, 13, 18)]
        for number in range(args.files):
            path = folder / "damaged.onnx"
            path.write_bytes(with_other_bytes(whole[number % 3], rng))
            seen["onnx", outcome(path)] += 1
        torch.export.save(program(), folder / "whole.pt2")
        for number in range(args.files):
            path = folder / "damaged.pt2"
            if number % 3:
                with_other_words(folder / "whole.pt2", path, rng)
            else:
                content = (folder / "whole.pt2").read_bytes()
                path.write_bytes(with_other_bytes(content, rng))
            seen["pt2", outcome(path)] += 1
    for (kind, found), count in sorted(seen.items()):
        print(f"{kind:5} {found:20} {count}")
    return int(any(found.startswith("UNEXPECTED") for _, found in seen))


if __name__ == "__main__":
    sys.exit(main())
