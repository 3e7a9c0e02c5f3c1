"""Steps of the learning rules, vectorised over replicas."""

import numpy as np
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja

from nengo_permadrop.batched.steps.registry import register_step


def outer(a, b):
    """The outer product of each replica's vectors."""
    return a[..., :, np.newaxis] * b[..., np.newaxis, :]


@register_step(SimPES)
def pes(op, context):
    """PES: ``delta = -rate dt / n * error x pre``."""
    pre, error, delta = (context[s] for s in (op.pre_filtered, op.error, op.delta))
    alpha = -op.learning_rate * context.dt / op.pre_filtered.shape[0]

    def step_simpes():
        delta[...] = outer(alpha * error, pre)

    return step_simpes


@register_step(SimBCM)
def bcm(op, context):
    """BCM: ``delta = rate dt * post (post - theta) x pre``."""
    pre, post = context[op.pre_filtered], context[op.post_filtered]
    theta, delta = context[op.theta], context[op.delta]
    alpha = op.learning_rate * context.dt

    def step_simbcm():
        delta[...] = outer(alpha * post * (post - theta), pre)

    return step_simbcm


@register_step(SimOja)
def oja(op, context):
    """Oja's rule: ``delta = rate dt * (post x pre - beta post^2 weights)``."""
    pre, post = context[op.pre_filtered], context[op.post_filtered]
    weights, delta = context[op.weights], context[op.delta]
    alpha, beta = op.learning_rate * context.dt, op.beta

    def step_simoja():
        forgetting = alpha * post * post
        delta[...] = -beta * weights * forgetting[..., np.newaxis]
        delta[...] += outer(alpha * post, pre)

    return step_simoja


@register_step(SimVoja)
def voja(op, context):
    """Voja: encoders move towards the decoded input of the neurons that fire."""
    pre, post = context[op.pre_decoded], context[op.post_filtered]
    encoders, delta = context[op.scaled_encoders], context[op.delta]
    learning = context.aligned(op.learning_signal, 2)
    alpha = op.learning_rate * context.dt
    scale = op.scale[:, np.newaxis]

    def step_simvoja():
        towards = scale * outer(post, pre) - post[..., np.newaxis] * encoders
        delta[...] = alpha * learning * towards

    return step_simvoja


@register_step(SimRLS)
def rls(op, context):
    """Recursive least squares, with the inverse of the activities' correlation."""
    rates, error = context[op.pre_filtered], context[op.error]
    delta, inverse = context[op.delta], context[op.inv_gamma]
    symmetric = np.array_equal(inverse, np.swapaxes(inverse, -1, -2))
    assert symmetric, "the inverse correlation must be symmetric"

    def step_simrls():
        gain = np.matmul(inverse, rates[..., np.newaxis])[..., 0]
        norm = 1 / (1 + np.sum(rates * gain, axis=-1))
        scaled = gain * np.asarray(norm)[..., np.newaxis]
        inverse[...] -= outer(gain, scaled)
        delta[...] = outer(error, -scaled)

    return step_simrls
