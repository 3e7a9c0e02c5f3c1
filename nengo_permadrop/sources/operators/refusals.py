"""Operations that there is no conversion of: why, and what to do instead."""

PRODUCT = (
    "multiplies values that both depend on the input, and what goes into a neuron is a "
    "sum",
    "Multiply by a constant, or concatenate the values before a linear layer, which "
    "learns what the product is for",
)
QUOTIENT = (
    "divides by what depends on the input",
    "Divide by a constant, or by what the data are scaled with beforehand",
)
LARGEST = (
    "takes the largest or smallest of several values, and what goes into a neuron is a "
    "sum",
    "Use a mean, or concatenate the values, and train the model with it",
)
BY_OBSERVATION = (
    "divides by what it finds in each observation, and what goes into a neuron is a "
    "sum",
    "Use batch normalisation, whose mean and variance are fixed after training",
)
BY_BATCH = (
    "normalises by the batch",
    "Use batch normalisation with running statistics, and export the model with it in "
    "evaluation mode",
)
COMPARED = (
    "compares values, or chooses among them, which neurons don't",
    "Use an activation such as relu or a clamp",
)
RECURRENT = (
    "goes through time with a state of its own, while a converted network takes all of "
    "an observation at once",
    "Use convolutions on the sequence, or flatten it before linear layers",
)
ATTENTION = (
    "multiplies values that both depend on the input, and divides by their sum",
    "Use linear layers or convolutions over the sequence, whose weights are fixed",
)
LOOKED_UP = (
    "looks rows up by whole numbers, which no neurons stand for",
    "Look them up beforehand, and convert a model that takes the rows themselves",
)
LOG_SOFTMAX = (
    "has no neurons, and is no function of a mean that samples keep",
    "Return a softmax, or the values before it",
)
RANDOM = (
    "draws random numbers that aren't known to be those of dropout",
    "Use dropout, and export the model as it is, without decompositions",
)
GROWING = (
    "is no function that neurons compute",
    "Use an activation such as relu, tanh, sigmoid, gelu or silu",
)
