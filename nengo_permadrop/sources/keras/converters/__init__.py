"""
What each Keras layer is in the neutral graph, by topic.

The modules register their functions in `nengo_permadrop.sources.keras.table`.
"""
