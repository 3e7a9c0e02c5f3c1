"""What functions might leave behind in the process that calls them."""

import hashlib
import json
import locale
import logging
import os
import random
import signal
import sys
import warnings

import matplotlib
import nengo
import numpy as np
import pandas as pd
from nengo.config import Config

from nengo_permadrop.support.digest import digest

_OPTIONS = ("display.precision", "display.width", "mode.chained_assignment")


def of_network(network):
    """A network's objects, one by one, and all that they and its configuration hold."""
    if network is None:
        return None
    return {
        "objects": [id(obj) for obj in network.all_objects],
        "content": digest(network),
        # what is asked for is made, so this comes last: entries, by what they configure
        "configured": [
            sorted(f"{key!r} {value!r}" for key, value in net.config.params.items())
            for net in [network, *network.all_networks]
        ],
    }


def of_keras(kmodel):
    """A Keras model's weights, configuration and state."""
    weights = hashlib.sha256(b"".join(w.tobytes() for w in kmodel.get_weights()))
    return {
        "weights": weights.hexdigest(),
        "config": json.dumps(kmodel.get_config(), default=str, sort_keys=True),
        "layers": [
            (id(layer), layer.name, layer.trainable, layer.built, layer.dtype)
            + (len(layer._inbound_nodes), len(layer.losses))
            for layer in kmodel.layers
        ],
        "optimizer": id(getattr(kmodel, "optimizer", None)),
    }


def of_process():
    """The state of the process and of what is imported."""
    loggers = [logging.getLogger(name) for name in (None, "nengo", "nengo_permadrop")]
    found = {
        "numpy": str(np.random.get_state()),
        "random": random.getstate(),
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "loggers": [(log.level, log.disabled, list(log.handlers)) for log in loggers],
        "errors": np.geterr(),
        "print": np.get_printoptions(),
        "pandas": {name: pd.get_option(name) for name in _OPTIONS},
        "matplotlib": dict(matplotlib.rcParams),
        "networks": [id(network) for network in nengo.Network.context],
        "defaults": [id(config) for config in Config.context],
        "nengo": {name: dict(nengo.rc[name]) for name in nengo.rc.sections()},
        "states": [
            {name: repr(value) for name, value in kind.state.items()}
            for kind in (nengo.LIF, nengo.SpikingRectifiedLinear, nengo.Izhikevich)
        ],
        "rates": repr(nengo.Ensemble.max_rates.default),
        "interrupt": signal.getsignal(signal.SIGINT),
        "recursion": sys.getrecursionlimit(),
        "place": (os.getcwd(), list(sys.path), locale.getlocale()),
    }
    if "keras" in sys.modules:
        import keras

        policy = "global_policy" if keras.__version__[0] == "2" else "dtype_policy"
        found["keras"] = (
            keras.backend.floatx(),
            keras.backend.image_data_format(),
            getattr(keras.mixed_precision, policy)().name,
        )
    if "tensorflow" in sys.modules:
        from tensorflow.python.eager import context

        found["tensorflow"] = context.global_seed()
    return found


def differences(before, after, ignored=()):
    """Names of what differs, with what was before and is now."""
    return {
        name: (value, after[name])
        for name, value in before.items()
        if name not in ignored and after[name] != value
    }
