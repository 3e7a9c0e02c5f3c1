"""
Random numbers of replicas: seeds, initial states and masks as Nengo would draw them.

Everything here reproduces what `nengo.Simulator` draws for the same seeds; what is
added is tested against it, draw by draw.
"""
