#!/usr/bin/env bash
# PyTorch 2.13.0.
#
# Expected: a TorchScript module in training mode drops, also after it was optimised.
# Seen: torch.jit.optimize_for_inference removes the dropout of a scripted module in training
# mode: each call gives the same answer. (That it is for inference its name says; that it
# doesn't heed the mode it doesn't.)
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "torch==2.13.0" "numpy<2.5"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import torch

print("torch", torch.__version__)
module = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Dropout(0.5)).train()
scripted = torch.jit.script(module)
x = torch.ones(2, 8)
with torch.no_grad():
    before = not torch.equal(scripted(x), scripted(x))
    optimised = torch.jit.optimize_for_inference(scripted)
    after = not torch.equal(optimised(x), optimised(x))
print(f"drops before {before}, after {after}")
assert before and not after, "this has changed"
END
