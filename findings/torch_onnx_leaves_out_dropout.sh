#!/usr/bin/env bash
# PyTorch 2.13.0, onnx 1.23.2.
#
# Expected: a module that is exported to ONNX in training mode drops in the file, as it does
# with the exporter that is the default today.
# Seen: the older exporter (dynamo=False), which much code still asks for, leaves nn.Dropout
# out of the file unless it is told training=TrainingMode.PRESERVE; it says nothing. The newer
# one keeps it, and doesn't heed training= at all.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "torch==2.13.0" "numpy<2.5" "onnx==1.23.2" "onnxscript==0.7.2"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import io

import onnx
import torch

print("torch", torch.__version__)
module = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Dropout(0.5)).train()
x = torch.ones(2, 8)


def kept(**options):
    file = io.BytesIO()
    torch.onnx.export(module, (x,), file, verbose=False, **options)
    nodes = onnx.load_from_string(file.getvalue()).graph.node
    return any(node.op_type == "Dropout" for node in nodes)


mode = torch.onnx.TrainingMode
found = {
    "dynamo=False": kept(dynamo=False),
    "dynamo=False, PRESERVE": kept(dynamo=False, training=mode.PRESERVE),
    "dynamo=True": kept(dynamo=True),
    "dynamo=True, EVAL": kept(dynamo=True, training=mode.EVAL),
}
for how, on in found.items():
    print(f"{how}: a Dropout node in the file: {on}")
assert list(found.values()) == [False, True, True, True], "this has changed"
END
