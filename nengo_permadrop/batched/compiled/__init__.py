"""
Compiled networks: a plan over Nengo's operators, and the kernels that run it.

What a plan knows is in `plan`, how it is run in `engine` and `kernels`. A neuron type
gets a kernel in `neuron_types`.
"""
