"""From a model and observations to what a backend computes."""

import warnings

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import NO_DROPOUT, Problem, output_name
from nengo_permadrop.converter.checks import AgreementWarning, not_settled
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.timing import (
    check_window,
    presentation_times,
)
from nengo_permadrop.dropout.gates import mask_processes
from nengo_permadrop.dropout.transforms import PermanentDropout
from nengo_permadrop.graph.graph import ModelGraph
from nengo_permadrop.sources.registry import get_source, known_source
from nengo_permadrop.support.inputs import match_inputs
from nengo_permadrop.support.isolation import outside_networks, own_network


def as_taken(model, engine, dropout):
    """
    What a backend takes: a model's file is loaded, and a model converted for networks.

    Parameters
    ----------
    model, dropout
        As in `sample`.
    engine : `.Backend`

    Returns
    -------
    model : object
    dropout : str or None
        None if the network has it already.
    """
    model = engine.opened(model)
    is_model = not isinstance(model, (nengo.Network, ModelGraph))
    if engine.takes != "network" or not (is_model and known_source(model)):
        return model, dropout
    with own_network(0):  # its masks are those of sample()'s seed, whatever it has
        options = {} if dropout is None else {"dropout": dropout}
        return Converter(model, target=engine.target, **options), None


def make_problem(
    engine,
    model,
    X,
    *,
    output=None,
    dropout=None,
    presentation_time=None,
    settle=None,
    from_onset=False,
    **settings,
):
    """
    What `sample` hands to a backend.

    Parameters
    ----------
    engine : `.Backend`
    model, X, output, dropout, presentation_time, settle
        As in `sample`.
    from_onset : bool, optional
        Don't warn where the network hasn't settled yet when it is read.
    **settings
        Other fields of the problem: ``dt``, ``seed`` and ``options``.

    Returns
    -------
    problem : `.Problem`
    """
    if engine.takes == "model":
        if presentation_time is not None and settle is not None:  # though not needed
            check_window(presentation_time, settle, settings.get("dt", Problem.dt))
        return _model_problem(engine, model, X, output, dropout, settings)
    if dropout is not None:
        raise ValidationError(
            "is for Keras models; a Converter takes it when it is made", attr="dropout"
        )
    if not isinstance(model, nengo.Network):
        raise ValidationError(
            f"backend {engine.name!r} takes a network, got {type(model).__name__}; "
            "convert a Keras model with nengo_permadrop.Converter",
            attr="model",
        )
    gated = bool(mask_processes(model))
    if not gated and not any(
        isinstance(conn.transform, PermanentDropout) and conn.transform.rate > 0
        for conn in model.all_connections
    ):
        raise ValidationError(NO_DROPOUT.format(model), attr="model")
    if gated and not engine.gates:
        raise ValidationError(
            f"{model} drops units by gates (networks.DropoutGate), to which backend "
            f"{engine.name!r} can't give masks for each draw; use backend 'batched', "
            "'nengo' or 'nengo_loihi', or no redraw with target='loihi'",
            attr="model",
        )
    dt = settings.get("dt", Problem.dt)
    times = presentation_times(model, presentation_time, settle, dt)
    settings.update(presentation_time=times[0], settle=times[1])
    if isinstance(model, Converter):
        if not from_onset:
            _warn_of_delay(model, *times)
        return _converter_problem(model, X, output, settings)
    return _network_problem(model, X, output, settings)


def _model_problem(engine, model, X, output, dropout, settings):
    if engine.source is None:
        return engine.problem(model, X, output, dropout, settings)
    source = get_source(engine.source)
    if not source.takes(model):
        found = (
            "a network" if isinstance(model, nengo.Network) else type(model).__name__
        )
        raise ValidationError(
            f"backend {engine.name!r} takes a {source.title} model, got {found}; "
            f"sample the model that a network was converted from",
            attr="model",
        )
    options = {} if dropout is None else {"dropout": dropout}
    forward = source.forward(model, **options)
    settings["options"] = {**settings.get("options", {}), **options}
    if not forward.dropouts:
        raise ValidationError(NO_DROPOUT.format(source.model_name(model)), attr="model")
    graph = forward.graph
    shapes = {name: graph.shapes[index] for name, index in graph.inputs.items()}
    name = output_name(output, graph.outputs)
    arrays = match_inputs(X, shapes)
    link = _link(getattr(forward, "links", {}), name, graph)
    return Problem(model, list(shapes), name, arrays, shapes, link=link, **settings)


def _link(links, name, graph):
    """Kind of an output's link, and the output's shape; None if it has none."""
    if name not in links:
        return None
    return links[name], graph.shapes[graph.outputs[name]]


def _warn_of_delay(conv, presentation_time, settle):
    for found in not_settled(conv, presentation_time, settle):
        warnings.warn(found, AgreementWarning, stacklevel=2)


def _converter_problem(conv, X, output, settings):
    arrays = match_inputs(X, conv.graph.input_shapes)
    name = output_name(output, conv.outputs)
    # a copy with seeds of its own: samples depend on sample()'s seed, not on the masks
    # that this converter happens to have
    conv = conv.copy(add_to_container=False)
    conv.seed = None
    conv.reseed(0)
    return Problem(
        conv,
        list(conv.inputs.values()),
        side_by_side(conv, name),
        arrays,
        conv.graph.input_shapes,
        n_copies=len(conv.copies),
        link=_link(conv.graph.links, name, conv.graph),
        **settings,
    )


def side_by_side(conv, name):
    """
    What all copies of a network answer, as one object; added to the network.

    Parameters
    ----------
    conv : `.Converter`
    name : str
        Of the output.

    Returns
    -------
    output : `nengo.Node`
        Of the answers, one copy's after the other's.
    """
    outputs = [copy.outputs[name] for copy in conv.copies]
    if len(outputs) == 1:
        return outputs[0]
    with outside_networks(), conv:
        node = nengo.Node(size_in=sum(output.size_out for output in outputs))
        first = 0
        for output in outputs:
            place = slice(first, first + output.size_out)
            nengo.Connection(output, node[place], synapse=None)
            first = place.stop
    return node


def _network_problem(network, X, output, settings):
    if not isinstance(X, dict) or not X:
        raise ValidationError(
            "a plain network takes its observations as {node: array}", attr="X"
        )
    nodes = network.all_nodes
    for node in X:
        if node not in nodes:
            raise ValidationError(f"{node} is not a Node of {network}", attr="X")
    if output is None:
        raise ValidationError(
            "a plain network needs output=, the object that the answer is read from",
            attr="output",
        )
    shapes = {node: (node.size_out,) for node in X}
    arrays = match_inputs(X, shapes)
    return Problem(network, list(X), output, arrays, shapes, **settings)
