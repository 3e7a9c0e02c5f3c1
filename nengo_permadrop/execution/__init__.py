"""
Where work is computed, and in which order: chunks, workers, pools, checkpoints.

Nothing here knows what is computed. A new kind of executor is a module beside `pool`
and `cluster` that gives a `concurrent.futures.Executor`.
"""
