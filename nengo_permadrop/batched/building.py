"""Building a network, as `nengo.Simulator` does it, and choosing what runs it."""

from nengo.builder import Model
from nengo.builder.optimizer import optimize as merge_operators
from nengo.cache import get_default_decoder_cache
from nengo.utils.progress import Progress, ProgressTracker
from nengo.utils.simulator import operator_dependency_graph

from nengo_permadrop.batched.compiled.plan import find_plan
from nengo_permadrop.batched.steps.engine import StepEngine


def built(network, model, dt, progress_bar, merge):
    """
    A model with a network built into it, and its operators' dependencies.

    Parameters
    ----------
    network : `nengo.Network` or None
        None if the model is already built.
    model : `nengo.builder.Model` or None
        None makes a new one.
    dt : float
        Time step of a new model, in seconds.
    progress_bar : bool or `nengo.utils.progress.ProgressBar`
    merge : bool
        Run Nengo's optimizer, which merges operators.

    Returns
    -------
    model : `nengo.builder.Model`
    dependencies : dict
        The operators that depend on each operator.
    """
    if model is None:
        model = Model(
            dt=dt,
            label=f"{network}, dt={dt:f}",
            decoder_cache=get_default_decoder_cache(),
        )
    tracker = ProgressTracker(progress_bar, Progress("Building", "Build"))
    with tracker:
        if network is not None:
            model.build(network, progress=tracker.next_stage("Building", "Build"))
        dependencies = operator_dependency_graph(model.operators)
        if merge:
            stage = "Building (running optimizer)"
            with tracker.next_stage(stage, "Optimization"):
                merge_operators(model, dependencies)
    return model, dependencies


def made_engine(model, step_order, dtype, compiled):
    """
    What runs a built model: compiled kernels if they can, or vectorised steps.

    Parameters
    ----------
    model : `nengo.builder.Model`
    step_order : list of `nengo.builder.Operator`
        The operators that do something in a step, in the order in which they run.
    dtype : dtype
        Floating-point type of the simulation.
    compiled : bool
        Look whether compiled kernels can run it.

    Returns
    -------
    engine : `.PlanEngine` or `.StepEngine`
    plan : `.Plan` or None
        What compiled kernels run.
    fallback_reason : str
        Why there is no plan; "" if there is.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator has no registered step.
    """
    plan, reason = None, "optimize=False, or there are no replicas"
    if compiled:
        plan, reason = find_plan(model, dtype)
    if plan is None:
        return StepEngine(model, step_order, dtype), plan, reason
    # imports Numba, that only the kernels need
    from nengo_permadrop.batched.compiled.engine import PlanEngine

    return PlanEngine(model, plan, dtype), plan, reason
