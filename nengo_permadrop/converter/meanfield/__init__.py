"""
What a converted network answers on average, by theory.

See `nengo_permadrop.converter.meanfield.model`. Networks are fitted by it, and warnings
given; what is claimed of a network comes from simulating it.
"""
