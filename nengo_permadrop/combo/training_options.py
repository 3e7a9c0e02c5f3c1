"""The options of a training, checked before it begins."""

from nengo.exceptions import ValidationError

from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plain import to_json

LOSSES = ("mse", "mae")


def check(epochs, options, dataset, prefix, resume):
    """
    Raise an error if an option of `.combo.training.train` is out of range.

    Parameters
    ----------
    epochs : int
    options : dict
        "batch_size", "learning_rate" and "loss".
    dataset : `.Dataset`
    prefix : path-like or None
    resume : bool

    Raises
    ------
    nengo.exceptions.ValidationError
    """
    for attr, value in (("epochs", epochs), ("batch_size", options["batch_size"])):
        if value < 1:
            raise ValidationError(f"must be at least 1, got {value}", attr=attr)
    rate = options["learning_rate"]
    if rate is not None and not rate > 0:
        raise ValidationError(f"must be > 0, got {rate}", attr="learning_rate")
    if options["loss"] not in LOSSES:
        raise ValidationError(
            f"must be one of {', '.join(LOSSES)}, got {options['loss']!r}", attr="loss"
        )
    if resume and prefix is None:
        raise ValidationError(
            "a training is resumed from its files; give their prefix", attr="prefix"
        )
    for part in ("train", "validation"):
        if len(getattr(dataset, part)) == 0:
            raise ValidationError(f"has no {part} rows", attr=part, obj=dataset)


def check_optimizer(name):
    """
    Raise an error if Keras has no optimizer of a name.

    Parameters
    ----------
    name : str

    Returns
    -------
    optimizer : `keras.optimizers.Optimizer`

    Raises
    ------
    nengo.exceptions.ValidationError
    """
    try:
        return require("keras").optimizers.get({"class_name": name, "config": {}})
    except (ValueError, TypeError) as error:
        raise ValidationError(
            f"Keras has no optimizer called {name!r}; give one that it has, such as "
            "adam, sgd or rmsprop",
            attr="optimizer",
        ) from error


def check_data_options(data_options):
    """Raise a `nengo.exceptions.ValidationError` for what JSON can't hold."""
    try:
        to_json(data_options)
    except TypeError as error:
        raise ValidationError(
            f"must be what JSON can hold, as it is kept with the model ({error})",
            attr="data_options",
        ) from error
