"""The registry of vectorised operator steps."""

from collections import namedtuple

from nengo.exceptions import BuildError

RegisteredStep = namedtuple("RegisteredStep", ("make_step", "varies"))
_STEPS = {}


def register_step(operator_type, varies=None):
    """
    Register how an operator is executed for all replicas together.

    Parameters
    ----------
    operator_type : type
        The `nengo.builder.Operator` subclass. Subclasses need their own entry, because
        their parent's step could be silently wrong for them.
    varies : callable, optional
        ``varies(operator)`` says whether what the operator writes can differ between
        replicas although nothing that it reads differs (it draws random numbers, for
        example). Default: it can't.

    Returns
    -------
    decorator : callable
        For a function ``make_step(operator, context)`` that takes the operator and the
        simulator's `.StepContext`, and returns a function without arguments that
        advances all replicas by a time step.

    Examples
    --------
    An operator ``Square`` that sets ``dst`` to the square of ``src``:

    >>> from nengo_permadrop.batched.steps.registry import register_step
    >>> import nengo.builder
    >>> class Square(nengo.builder.Operator):
    ...     src = property(lambda self: self.reads[0])
    ...     dst = property(lambda self: self.sets[0])
    >>> @register_step(Square)
    ... def square(op, context):
    ...     src, dst = context.aligned(op.src), context[op.dst]
    ...
    ...     def step_square():
    ...         dst[...] = src**2
    ...
    ...     return step_square
    """

    def decorator(make_step):
        _STEPS[operator_type] = RegisteredStep(make_step, varies or _never)
        return make_step

    return decorator


def find_step(operator):
    """
    The registered step of an operator.

    Parameters
    ----------
    operator : `nengo.builder.Operator`

    Returns
    -------
    registered : RegisteredStep
        With ``make_step(operator, context)`` and ``varies(operator)``.

    Raises
    ------
    nengo.exceptions.BuildError
        If the operator's type has none.
    """
    registered = _STEPS.get(type(operator))
    if registered is None:
        name = type(operator).__name__
        raise BuildError(
            f"{operator}: the batched simulator has no step for operators of type "
            f"{name}. Register one with @nengo_permadrop.batched.register_step({name}) "
            "(see its documentation), or use nengo.Simulator."
        )
    return registered


def _never(operator):
    return False
