#!/usr/bin/env bash
# PyTorch 2.13.0.
#
# Expected: MC dropout by the usual recipe, model.eval() and then train() for every nn.Dropout,
# drops in nn.TransformerEncoderLayer.
# Seen: a layer in evaluation mode takes a fast path that passes its Dropout children by,
# whatever their mode: each call gives the same answer. With gradients on, or after
# torch.backends.mha.set_fastpath_enabled(False), it drops.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "torch==2.13.0" "numpy<2.5"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -W ignore - << 'END'
import torch

print("torch", torch.__version__)
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(16, 2, 64, dropout=0.5, batch_first=True)
layer.eval()
for child in layer.modules():
    if isinstance(child, torch.nn.Dropout):
        child.train()
x = torch.randn(3, 5, 16)


def drops():
    return not torch.equal(layer(x), layer(x))


with torch.no_grad():
    by_default = drops()
    torch.backends.mha.set_fastpath_enabled(False)
    slow = drops()
    torch.backends.mha.set_fastpath_enabled(True)
with_gradients = drops()
print(f"drops by default {by_default}; on the slow path {slow}; "
      f"with gradients {with_gradients}")
assert (by_default, slow, with_gradients) == (False, True, True), "this has changed"
END
