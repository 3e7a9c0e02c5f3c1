"""
Whether the dropout of a deployed model is alive: tests of what it answers.

`auditing` asks a model and tests its answers, `statistics` has the tests, `subjects`
run each kind of model as those who deploy it do, `elsewhere` in another process, and
`causes` says what a fault usually comes from, and the fix.
"""
