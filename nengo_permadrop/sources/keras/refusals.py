"""Keras layers that there can be no converter for: why, and what to do instead."""

from nengo_permadrop.sources.keras.pools import AVERAGES

REFUSED = {}
for _largest, _average in AVERAGES.items():
    REFUSED[_largest] = (
        "takes the largest of several elements, and what goes into a neuron is a sum",
        f"Train the model with {_average}, or take averages in its place: "
        "max_to_avg_pool=True",
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
