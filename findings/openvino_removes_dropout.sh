#!/usr/bin/env bash
# OpenVINO 2026.4.1, PyTorch 2.13.0.
#
# Expected: a module in training mode, or one that calls F.dropout(training=True), drops after
# it was converted; and the user's module is left as it was.
# Seen: the converted model has no random operator, and each call gives the same answer. The
# module that was given is left in evaluation mode. The only sign is a TracerWarning about
# nondeterministic nodes.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "torch==2.13.0" "numpy<2.5" "openvino==2026.4.1"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import numpy as np
import openvino
import torch

print("openvino", openvino.__version__, "torch", torch.__version__)


class Functional(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.5, training=True)


x = torch.ones(4, 64)
for module in (torch.nn.Sequential(torch.nn.Dropout(0.5)), Functional()):
    module.train()
    assert (module(x) == 0).any()
    made = openvino.convert_model(module, example_input=x)
    compiled = openvino.compile_model(made, "CPU")
    answers = [compiled(x.numpy())[0] for _ in range(2)]
    lost = all((answer == 1).all() for answer in answers)
    print(f"{type(module).__name__}: lost {lost}, left in training {module.training}")
    assert lost and not module.training, "this has changed"
END
