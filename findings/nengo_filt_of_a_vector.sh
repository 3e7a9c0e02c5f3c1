#!/usr/bin/env bash
# Nengo 4.1.0 with NumPy 2.4.6.
#
# Expected: nengo.synapses.Synapse.filt filters the signal that its docstring describes,
# an array of which the axis given by ``axis`` is time, a vector among them: with NumPy 1
# it does.
# Seen: with NumPy 2.4 and later a vector raises a ValueError, as the filter assigns an
# array of one element to a number. A column, (n, 1), is filtered as before.
set -euo pipefail

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3.11 -m venv "$temp/env"
"$temp/env/bin/pip" install --quiet "nengo==4.1.0" "numpy==2.4.6" "scipy==1.17.0"
cd "$temp"

HOME="$temp" "$temp/env/bin/python" -I - << 'END'
import nengo
import numpy as np

synapse, ones = nengo.Lowpass(0.1), np.ones(5)
column = synapse.filt(ones[:, None], dt=0.001, y0=0)
print("a column:", column[:, 0].round(4))
assert column.shape == (5, 1) and column[-1, 0] > 0
try:
    synapse.filt(ones, dt=0.001, y0=0)
except ValueError as error:
    print("a vector: ValueError:", error)
else:
    raise SystemExit("a vector is filtered: this has changed")
END
