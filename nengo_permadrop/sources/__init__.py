"""
Where models come from: each source reads one kind of model into the neutral graph.

A source owns its table of layers; nothing past it knows the names or options of the
library that the model was written in. A new one is a folder of its own, registered in
`registry` or by an entry point.
"""
