"""What a process has been given, told by functions that are sent to it; commands."""

import json
import subprocess
import sys

from threadpoolctl import threadpool_info


def threads_of_this_process():
    """Of each BLAS and OpenMP library, and of the batched simulator (by Numba)."""
    from nengo_permadrop.batched.compiled.engine import n_threads

    blas = {
        library["internal_api"]: library["num_threads"] for library in threadpool_info()
    }
    assert blas, "NumPy has a BLAS"
    return {**blas, "numba": n_threads()}


KERAS = {"jax", "keras", "tensorflow", "tf_keras", "torch"}
_COMMAND = """
import json
import sys

hidden, arguments = json.loads(sys.argv[1])


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}")


sys.meta_path.insert(0, NotInstalled())
from nengo_permadrop import cli

status = cli.main(arguments)
print("imported:", *sorted({keras!r} & sys.modules.keys()), file=sys.stderr)
sys.exit(status)
"""


def command_without_keras(arguments, hidden=KERAS):
    """
    Run ``nengo-permadrop`` in a process of its own, as if there were no Keras.

    Parameters
    ----------
    arguments : list of str
    hidden : set of str, optional
        Modules that can't be imported there.

    Returns
    -------
    result : `subprocess.CompletedProcess`
        With text; the last line that it says is "imported:" and which of Keras and its
        backends were.
    """
    given = json.dumps([sorted(hidden), arguments])
    return subprocess.run(
        [sys.executable, "-c", _COMMAND.format(keras=KERAS), given],
        capture_output=True,
        text=True,
        check=False,
    )
