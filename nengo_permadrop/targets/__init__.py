"""
What a network is built for: plain Nengo, Loihi, and others by entry point.

A target decides which spiking neurons and synapses there are, what can't be converted,
and how dropout is redrawn. A new one is a subclass of `.base.Target` in a module or
folder of its own, registered in `registry` or by an entry point.
"""
