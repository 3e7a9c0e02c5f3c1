"""
What a fault usually comes from, and the fix, for each kind of model.

What is said here was measured; the page "Where dropout is lost" of the documentation
has the versions.
"""

# by kind of subject and test; None is any kind
CAUSES = {
    ("keras", "differ"): (
        "its dropout layers are plain ones, or get training=True where they are "
        "called: predict runs every layer in inference mode, and Keras 3 (unlike Keras "
        "2) lets that overrule what a layer's call says",
        "use a layer that drops whatever it is told, such as PermanentDropout of "
        "nengo_permadrop.keras_layers, or draw with nengo_permadrop.sample(model, X, "
        "backend='keras')",
    ),
    ("keras", "sessions"): (
        "a layer's seed is a number, and its generator starts afresh in each load; or, "
        "of Keras 2, TensorFlow's global seed is set, from which what each load "
        "compiles starts",
        "leave out seed= in the dropout layers, and don't set a global seed where the "
        "model is loaded",
    ),
    ("savedmodel", "sessions"): (
        "the generators' states are stored in the export, so that each load begins "
        "with the same masks, also where no seed was given",
        "draw all you need in one process, or give each load states of its own "
        "(loaded.variables of the seed generators)",
    ),
    ("onnx", "differ"): (
        "ONNX Runtime's optimisers remove Dropout nodes, whatever their training_mode "
        "says, unless it is computed or the mask is used",
        "open the session with disabled_optimizers=['EliminateDropout'], and export "
        "with nodes that have no seed; or draw with nengo_permadrop.sample(path, X, "
        "backend='onnx')",
    ),
    ("onnx", "calls"): (
        "a Dropout node with the seed 0: in ONNX Runtime the second run repeats the "
        "first",
        "remove the seed attribute of the Dropout nodes, or draw with "
        "nengo_permadrop.sample(path, X, backend='onnx')",
    ),
    ("onnx", "sessions"): (
        "the random nodes have a seed in the file, from which each session starts",
        "remove the seed attributes (tf2onnx writes 0.0), or set them anew for each "
        "session; or draw with nengo_permadrop.sample(path, X, backend='onnx')",
    ),
    ("torch", "differ"): (
        "evaluation mode switches nn.Dropout off, and "
        "F.dropout(training=self.training); attention layers in evaluation mode may "
        "take a fast path without dropout",
        "use PermanentDropout of nengo_permadrop.torch_layers, or draw with "
        "nengo_permadrop.sample(module, X, backend='torch')",
    ),
    ("torch", "reference"): (
        "some of its dropouts are off: those of modules that are in evaluation mode, "
        "or that what switches dropout on doesn't know, such as F.dropout, attention "
        "and LSTM",
        "draw with nengo_permadrop.sample(module, X, backend='torch'), which finds all "
        "that PyTorch calls",
    ),
    ("pt2", "differ"): (
        "the module was exported in evaluation mode, which is baked in, or a "
        "quantisation flow moved it there",
        "use PermanentDropout of nengo_permadrop.torch_layers, or export in training "
        "mode with batch normalisation folded",
    ),
    ("litert", "differ"): (
        "the converter to LiteRT takes a model's inference graph, in which it removes "
        "dropout, also of layers that were called with training=True",
        "convert from a SavedModel whose function drops, with TensorFlow's (Flex) "
        "operators allowed; its draws must be checked again, as interpreters replay",
    ),
    ("litert", "sessions"): (
        "each interpreter starts its generators from the same state",
        "keep one interpreter for all draws",
    ),
    ("openvino", "differ"): (
        "OpenVINO's conversion from PyTorch traces the module in evaluation mode, and "
        "its transformations remove dropout",
        "multiply by masks that are inputs of the model, and draw them outside of it",
    ),
    (None, "differ"): (
        "it runs in evaluation or inference mode, or a tool that exported, optimised "
        "or quantised it removed dropout",
        "make dropout permanent in the model, and audit each copy of it; or draw from "
        "the model itself with nengo_permadrop.sample",
    ),
    (None, "calls"): (
        "its random numbers start again from a stored state or a seed, at each call or "
        "after some of them",
        "seed its generator once, before the first call",
    ),
    (None, "sessions"): (
        "its random numbers start from a seed or a state that is stored with it",
        "seed each session differently, or draw all you need in one",
    ),
    (None, "processes"): (
        "its random numbers start from a seed or a state that is stored with it, so "
        "that workers on other machines compute the same draws again",
        "seed each process differently, or draw all you need in one",
    ),
    (None, "rows"): (
        "one mask is drawn for the whole batch (a noise_shape that begins with 1, vmap "
        "with randomness='same', a mask that is kept until it is reset)",
        "draw a mask for each row; or, if an ensemble of networks is what you want, "
        "say masks='draw'",
    ),
    (None, "reference"): (
        "some of its dropouts are off, have another rate, or their masks change while "
        "an answer is computed, so that the spread averages away",
        "compare layer by layer which dropouts there are in the deployed model; draw "
        "from the original with nengo_permadrop.sample",
    ),
}

NO_NODES = (
    "the file has no Dropout node that is on: exporters leave dropout out of models in "
    "evaluation mode, PyTorch's older one (dynamo=False) also of those in training "
    "mode, and simplifiers (onnxslim, quant_pre_process) remove it afterwards",
    "export from training mode with torch.onnx.export(dynamo=True), or with "
    "training=TrainingMode.PRESERVE, don't simplify, and run it with "
    "disabled_optimizers=['EliminateDropout']",
)


def cause_of(kind, test):
    """
    What a fault usually comes from, and its fix.

    Parameters
    ----------
    kind : str
        As ``Subject.kind`` of `nengo_permadrop.sampling.audit.subjects`.
    test : str
        A key of ``TESTS`` of `nengo_permadrop.sampling.audit.result`.

    Returns
    -------
    cause, fix : str
    """
    found = CAUSES.get((kind, test))
    if found is None and test == "processes":
        found = CAUSES.get((kind, "sessions"))
    return found or CAUSES[None, test]
