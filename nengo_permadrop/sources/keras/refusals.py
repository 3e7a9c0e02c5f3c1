"""Keras layers that there can be no converter for: why, and what to do instead."""

REFUSED = {
    name: (
        "drops whole feature maps, not units",
        "Use PermanentDropout, which drops units",
    )
    for name in ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
}
REFUSED["GaussianDropout"] = REFUSED["AlphaDropout"] = (
    "doesn't drop units but adds noise to them",
    "Use PermanentDropout, which drops units",
)
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
