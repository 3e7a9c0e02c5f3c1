"""Keras layers that there can be no converter for: why, and what to do instead."""

REFUSED = {}
REFUSED["Softmax"] = (
    "has no counterpart in neurons",
    "Remove it and take the softmax of the samples (train with from_logits=True)",
)
REFUSED["Lambda"] = (
    "is Python code, which isn't read",
    "Use layers of keras.layers for it; if it drops units, as a Lambda around dropout "
    "does, PermanentDropout(rate) of nengo_permadrop.keras_layers, or "
    "Dropout(rate)(x, training=True)",
)
REFUSED["TFOpLambda"] = REFUSED["SlicingOpLambda"] = (
    "is arithmetic on values, not a layer",
    "Use a layer of keras.layers for it, and PermanentDropout for tf.nn.dropout",
)
