#!/usr/bin/env bash
# NengoDL 3.6.0 (TensorFlow 2.12.1, Nengo 4.1.0). One expects `import nengo_dl` to import. It
# also starts a second Python, which imports TensorFlow once more to see if there is a GPU,
# and whose log goes to the standard error of the first: at the level that NengoDL has
# just written into TF_CPP_MIN_LOG_LEVEL, in place of the user's.
# So a program that asked TensorFlow for silence is not silent, and the import takes twice
# the time that TensorFlow takes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet \
    "nengo-dl==3.6.0" "nengo==4.1.0" "tensorflow==2.12.1" "numpy==1.24.3"

export TF_CPP_MIN_LOG_LEVEL=3
HOME="$work" "$work/env/bin/python" -I -W ignore - <<'EOF'
import os
import subprocess

import nengo
import tensorflow

started = []
run = subprocess.Popen.__init__


def noted(self, args, *more, **options):
    started.append(args)
    run(self, args, *more, **options)


subprocess.Popen.__init__ = noted
import nengo_dl

imports = [args for args in started if "import tensorflow" in " ".join(map(str, args))]
level = os.environ["TF_CPP_MIN_LOG_LEVEL"]
print(f"NengoDL {nengo_dl.__version__}, TensorFlow {tensorflow.__version__}, "
      f"Nengo {nengo.__version__}")
print(f"processes that import TensorFlow, started by the import: {len(imports)}")
print(f"TF_CPP_MIN_LOG_LEVEL, which was 3: {level}")
assert len(imports) == 1 and level == "1", (started, level)
EOF
