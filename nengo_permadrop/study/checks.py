"""What a study is asked to do, checked before anything is read or trained."""

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.samples.samples import MASKS
from nengo_permadrop.sampling.cheapest import check_n_draws
from nengo_permadrop.sampling.search import LEAST_ROWS
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_mapping,
    check_number,
    check_seed,
    check_times,
)
from nengo_permadrop.training.evaluation import check_fits


def check_options(options):
    """Raise if an option is out of range, or goes not together with others."""
    if options["tune"]:
        _check_tuned(options)
    for attr in ("anneal", "synapse"):
        if options[attr] is not None:
            check_number(options[attr], attr, 0, low_open=True)
    for attr, least in (("n_draws", 2), ("observations", 1), ("workers", 1)):
        if attr != "observations" or options[attr] is not None:
            check_integer(options[attr], attr, least)
    check_seed(options["seed"])
    check_times(options["presentation_time"], options["settle"])
    check_choice(options["masks"], "masks", MASKS)
    if get_backend(options["backend"]).takes != "network":
        raise ValidationError(
            f"{options['backend']!r} is a backend of the classical network; choose one "
            "that simulates spiking networks, such as 'batched'",
            attr="backend",
        )


def _check_tuned(options):
    """Raise if something is given that tuning chooses, or it can't be tuned."""
    given = [
        name
        for name in ("presentation_time", "settle", "synapse", "calibrate")
        if options[name] is not None and options[name] is not False
    ]
    if given:
        raise ValidationError(
            f"chooses {' and '.join(given)} itself; leave out one or the other",
            attr="tune",
        )
    check_n_draws(options["n_draws"])


def check_data(dataset, options, given):
    """Raise if a data set has too few rows, or a given model is not for it."""
    dataset.first_test_rows(options["observations"])
    if given is not None:
        check_fits(given, dataset)
    if options["tune"] and len(dataset.validation) < LEAST_ROWS:
        raise ValidationError(
            f"takes at least {LEAST_ROWS} validation rows, and '{dataset.name}' has "
            f"{len(dataset.validation)}",
            attr="tune",
        )


def check_given(dataset, model, weights, epochs, model_options, dataset_options):
    """Raise if what is given of data set and network doesn't go together."""
    if epochs is not None:
        check_integer(epochs, "epochs", 1)
    check_mapping(model_options, "model_options")
    check_mapping(dataset_options, "dataset_options")
    if dataset is not None and not isinstance(dataset, str):
        _check_dataset(dataset)
    if dataset_options and not isinstance(dataset, (str, type(None))):
        raise ValidationError(
            f"are for a data set that is loaded by its name; {dataset.name!r} is "
            "loaded already",
            attr="dataset_options",
        )
    if isinstance(model, nengo.Network):
        raise ValidationError(
            f"{model} has been converted already, which a study does itself; give the "
            "model that it was converted from",
            attr="model",
        )
    if model is None and weights is not None:
        raise ValidationError(
            "are those of a model; give the model too", attr="weights"
        )
    if model is not None and (epochs is not None or model_options):
        raise ValidationError(
            "is given trained, it can't have other options or epochs; leave them out",
            attr="model",
        )


def check_reading(model, options):
    """Raise if something is said of how a model is read, and there is none."""
    for attr in ("dropout_classes", "max_to_avg_pool"):
        if model is None and options[attr]:
            raise ValidationError(
                "is said of a trained model; give the model, too, or leave it out",
                attr=attr,
            )


def _check_dataset(dataset):
    if hasattr(dataset, "test"):
        return
    if hasattr(dataset, "inputs") or hasattr(dataset, "get_weights"):
        raise ValidationError(
            f"{name_of(dataset)!r} is a network, which needs rows: study(model, X, y), "
            "or study(dataset, model=model)",
            attr="dataset",
        )
    raise ValidationError(
        f"must be a data set or its name, got {dataset!r}", attr="dataset"
    )


def check_own(own, dataset_options):
    """Raise if something is said of rows of one's own that aren't there, or twice."""
    if own["X"] is None:
        for name in ("y", "columns", "ids", "ignore"):
            if own[name] is not None and len(np.atleast_1d(own[name])):
                raise ValidationError(
                    "is said of rows of one's own; give X (--data), too", attr=name
                )
        return
    check_mapping(own["columns"], "columns")
    if dataset_options:
        raise ValidationError(
            "are those of a data set that is loaded by its name; leave them out, or X",
            attr="dataset_options",
        )


def only_model(given, model):
    """The network that was given, once."""
    if model is not None:
        raise ValidationError(
            f"is given twice, as {name_of(given)!r} and {name_of(model)!r}; with rows "
            "X, the first argument is the model",
            attr="model",
        )
    if hasattr(given, "test"):
        raise ValidationError(
            f"{given.name!r} has rows already; leave out X and y, or give a model and "
            "these",
            attr="X",
        )
    return given


def name_of(model):
    """What a network is called in messages and reports; None for none."""
    return model if model is None else str(getattr(model, "name", model))
