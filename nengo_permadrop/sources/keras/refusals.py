"""Keras layers that there can be no converter for: why, and what to do instead."""

from nengo_permadrop.sources.keras.pools import AVERAGES

PRODUCT = (
    "multiplies values that both depend on the input, and what goes into a neuron is a "
    "sum",
    "Multiply by a constant, or give the values to a Concatenate and a Dense layer, "
    "which learn what the product is for",
)

REFUSED = {}
for _largest, _average in AVERAGES.items():
    REFUSED[_largest] = (
        "takes the largest of several elements, and what goes into a neuron is a sum",
        f"Train the model with {_average}, or take averages in its place: "
        "max_to_avg_pool=True (--max-to-avg-pool)",
    )
REFUSED["Lambda"] = (
    "is Python code, which isn't read",
    "Use layers of keras.layers for it; if it drops units, as a Lambda around dropout "
    "does, PermanentDropout(rate) of nengo_permadrop.keras_layers, or "
    "Dropout(rate)(x, training=True)",
)
REFUSED["Multiply"] = REFUSED["Dot"] = PRODUCT
REFUSED["Maximum"] = REFUSED["Minimum"] = (
    "takes the largest or smallest of several values, and what goes into a neuron is a "
    "sum",
    "Use Average or Concatenate, and train the model with it",
)
REFUSED["Embedding"] = (
    "looks rows up by whole numbers, which no neurons stand for",
    "Look them up beforehand, and convert a model that takes the rows themselves",
)
for _name in (
    "LSTM",
    "GRU",
    "SimpleRNN",
    "RNN",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Bidirectional",
):
    REFUSED[_name] = (
        "goes through time with a state of its own, while a converted network takes "
        "all of an observation at once",
        "Use Conv1D layers (padding='causal', dilation_rate) on the sequence, or "
        "Flatten and Dense",
    )
for _name in (
    "Attention",
    "AdditiveAttention",
    "MultiHeadAttention",
    "GroupQueryAttention",
):
    REFUSED[_name] = (
        "multiplies values that both depend on the input, and divides by their sum",
        "Use Dense or Conv1D layers over the sequence, whose weights are fixed",
    )
for _name in (
    "LayerNormalization",
    "GroupNormalization",
    "RMSNormalization",
    "UnitNormalization",
):
    REFUSED[_name] = (
        "divides by what it finds in each observation, and what goes into a neuron is "
        "a sum",
        "Use BatchNormalization, whose mean and variance are fixed after training",
    )
REFUSED["Masking"] = (
    "leaves out steps by their values",
    "Leave it out: all steps of an observation are taken",
)
