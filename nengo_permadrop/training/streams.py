"""Where Keras takes its randomness from."""

from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.support.optional import require


def restart_streams(model, seed):
    """
    Let all dropout that follows depend on a seed, not on what was before.

    The seed becomes the global one of Keras and its backend, of NumPy and of Python
    (`.generators_kept` gives theirs back). With Keras 2 that is all, but a function
    that was compiled keeps its streams, so the model has to be compiled after it. With
    Keras 3 every layer has a stream of its own, which is a variable.

    Parameters
    ----------
    model : `keras.Model`
        Its layers', and those of models in it.
    seed : int
    """
    require("keras").utils.set_random_seed(seed)
    for number, layer in enumerate(all_layers(model)):
        stream = getattr(layer, "seed_generator", None)
        if hasattr(stream, "state"):
            stream.state.assign([derive_seed(seed, number), 0])


def all_layers(model):
    """The layers of a model, and of the models in it, in their order."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from all_layers(layer)
