"""
The paper's study as one call.

A classical network with permanent dropout is trained and converted to spiking neurons,
and the predictive distributions of both are compared by Kolmogorov-Smirnov tests, as
Wycoff, Balaprakash & Xia did (International Conference on Neuromorphic Systems 2019).
"""

from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.combo.saved import trained, warn_of_other_rows
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.pool import usable_cpus
from nengo_permadrop.samples.samples import MASKS
from nengo_permadrop.sampling.search import LEAST_ROWS
from nengo_permadrop.sampling.cheapest import check_n_draws
from nengo_permadrop.study import report
from nengo_permadrop.study.folder import StudyFolder
from nengo_permadrop.study.steps import StudyRun, identity, n_bytes
from nengo_permadrop.support.folders import prepare_folder
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.provenance import Steps
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_mapping,
    check_number,
    check_path,
    check_seed,
    check_times,
)
from nengo_permadrop.training.evaluation import check_fits
from nengo_permadrop.training.models import for_dataset

# Parts of a study that take randomness; a part's seed depends on its place here
SEEDED = (
    "data",
    "weights",
    "training",
    "network",
    "spiking",
    "classical",
    "control",
    "pvalues",
    "control_pvalues",
    "score",
    "validation",
    "calibration",
    "tuning",
)


def study(
    dataset="diabetes",
    *,
    n_draws=100,
    observations=100,
    backend="batched",
    seed=0,
    output=None,
    presentation_time=None,
    settle=None,
    masks="observation",
    workers=None,
    epochs=None,
    model_options=None,
    dataset_options=None,
    model=None,
    weights=None,
    progress=True,
    anneal=None,
    calibrate=False,
    synapse=None,
    tune=False,
    trust=False,
    overwrite=False,
):
    """
    Train, convert, draw from both networks, and compare.

    Parameters
    ----------
    dataset : str or `.datasets.Dataset`, optional
        A name that `.datasets.load` knows, or a data set.
    n_draws : int, optional
        Draws from each predictive distribution, at least 2.
    observations : int, optional
        So many of the test rows, from the first one on.
    backend : str, optional
        What simulates the spiking network. "nengo_loihi" trains and converts for Loihi.
    seed : int, optional
        Decides everything random: data, training, masks and voltages. The same seed
        gives the same samples. Seeds that derive from it are set as TensorFlow's global
        seed.
    output : str or path-like, optional
        Folder for the report and all files; None writes none. The draws of a network
        are written as soon as they are there. A study that was ended in any way, and is
        started again with the same arguments, goes on from what it had (all that it
        needs for that is in ``unfinished`` in the folder), and finds the same.
    presentation_time : float, optional
        For how long an observation is shown, in seconds; by default 0.06 longer
        than ``settle``.
    settle : float, optional
        From what time on the output is averaged, in seconds; by default the network's
        settling time (see `.Converter`), in full hundredths: 0.04 for two layers.
    masks : {"observation", "draw"}, optional
        "observation": fresh masks for every draw and observation, as Keras does.
        "draw": one mask for all observations of a draw; the uniformity of the p-values
        can then not be tested.
    workers : int, optional
        Processes for ``nengo`` and ``nengo_loihi``; by default one per CPU. With more
        than one, a script needs the guard ``if __name__ == "__main__":``.
    epochs : int, optional
        Train for so many epochs at the most; by default what suits the data set.
    model_options : dict, optional
        Passed to the network's builder in `nengo_permadrop.training.models`, such as
        ``{"units": (50,)}``.
    dataset_options : dict, optional
        Passed to `.datasets.load`, such as ``{"data_dir": "combo-data"}``.
    model : str, path-like or `keras.Model`, optional
        A trained classical network, or its file, which is then not trained again. With
        a file of ``combo-train`` the data are loaded with the options of its training,
        so that the test rows are new to it, unless ``dataset_options`` says
        otherwise.
    weights : str or path-like, optional
        File of other weights for ``model``.
    progress : bool, optional
        Tell on standard error what is being done.
    anneal : float, optional
        Train on with this gamma in the SoftLIF layers, as in `.models.anneal`.
    calibrate : bool, optional
        Calibrate the spiking network on validation rows; see `.calibrate`.
    synapse : float, optional
        Time constant of Lowpass synapses, in seconds; by default the converter's
        synapses. Longer ones take noise off the spikes, and take longer to settle.
    tune : bool, optional
        Choose synapses and times, firing rates and a calibration on validation rows, so
        that the networks are predicted to agree at ``n_draws`` with the fewest spikes;
        see `.tune`. The batched simulator judges them, whatever ``backend`` is. Instead
        of ``presentation_time``, ``settle``, ``calibrate`` and ``synapse``.
    trust : bool, optional
        Load ``model`` whatever code that runs, as in `.load_model`.
    overwrite : bool, optional
        Replace another study in ``output``, or the same one that is finished.

    Returns
    -------
    result : `.Study`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range or unknown, or ``output`` holds another study or
        a finished one; before anything is trained. If ``tune`` finds no settings; what
        has been trained is kept.
    OSError
        If ``output`` can't be written to or has no room, or a file is missing; also
        before. If the disk becomes full later, what is finished is kept.

    Warns
    -----
    UserWarning
        If ``model`` was trained by ``combo-train`` on other rows.

    Examples
    --------
    ::

        from nengo_permadrop.study import study

        result = study("diabetes", n_draws=100, output="study-diabetes")
        print(result.verdict().words)
    """
    options = {
        "n_draws": n_draws,
        "observations": observations,
        "backend": backend,
        "seed": seed,
        "presentation_time": presentation_time,
        "settle": settle,
        "masks": masks,
        "workers": usable_cpus() if workers is None else workers,
        "anneal": anneal,
        "calibrate": calibrate,
        "synapse": synapse,
        "tune": tune,
    }
    _check(options)
    if output is not None:
        check_path(output, "output")
    _check_given(dataset, model, weights, epochs, model_options, dataset_options)
    if output is not None:
        prepare_folder(output)
    seeds = {part: derive_seed(seed, i) for i, part in enumerate(SEEDED)}
    given, record = None, {}
    if model is not None:
        given, record = trained(model, weights, trust)
    dataset = _loaded(dataset, seeds, record, dataset_options)
    _check_data(dataset, options, given)
    warn_of_other_rows(record, dataset)
    options = {"dataset": dataset.name, **options, "model": _name(model)}
    # neurons of a target may have rates of their own, which the network must learn
    target = get_backend(backend).target
    model_options = {"target": target, **(model_options or {})}
    model = given
    if given is None:
        model = for_dataset(dataset, seed=seeds["weights"], **model_options)
    options.update(_times(options, model, target))
    folder = StudyFolder(
        output,
        identity(dataset, given, options, epochs, model_options),
        names=report.file_names(tuned=True),
        overwrite=overwrite,
        n_bytes=n_bytes(dataset, model, options),
    )
    with folder:
        run = StudyRun(dataset, model, target, options, seeds, folder, Steps(progress))
        before = len(record["history"]) if record else None
        n_epochs = run.train(given is not None, epochs, before)
        r2 = run.score()
        conv, error = run.convert()
        samples = run.draw(conv)
        result = run.result(conv, error, n_epochs, r2, samples)
        if output is not None:
            with run.steps("report", f"writing the report to {output}"):
                report.write_rest(result, folder.directory)
            folder.finish()
    return result


def _loaded(dataset, seeds, record, dataset_options):
    """The data set, loaded as the training of a given model loaded it."""
    if not isinstance(dataset, str):
        return dataset
    options = {
        "seed": seeds["data"],
        **(record.get("data_options") or {}),
        **(dataset_options or {}),
    }
    return datasets.load(dataset, **options)


def _times(options, model, target):
    """Presentation time and settle, by default as the network needs them."""
    if options["tune"]:
        return {}  # which will choose them
    # of the network before training: weights make no difference to it
    with own_network(0):
        untrained = Converter(model, target=target, synapse=options["synapse"])
    presentation_time, settle = presentation_times(
        untrained, options["presentation_time"], options["settle"]
    )
    return {"settle": settle, "presentation_time": presentation_time}


def _check(options):
    if options["tune"]:
        _check_tuned(options)
    for attr in ("anneal", "synapse"):
        if options[attr] is not None:
            check_number(options[attr], attr, 0, low_open=True)
    for attr, least in (("n_draws", 2), ("observations", 1), ("workers", 1)):
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


def _check_data(dataset, options, given):
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


def _check_given(dataset, model, weights, epochs, model_options, dataset_options):
    if epochs is not None:
        check_integer(epochs, "epochs", 1)
    check_mapping(model_options, "model_options")
    check_mapping(dataset_options, "dataset_options")
    if not isinstance(dataset, str) and not hasattr(dataset, "test"):
        raise ValidationError(
            f"must be a data set or its name, got {dataset!r}", attr="dataset"
        )
    if dataset_options and not isinstance(dataset, str):
        raise ValidationError(
            f"are for a data set that is loaded by its name; {dataset.name!r} is "
            "loaded already",
            attr="dataset_options",
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


def _name(model):
    return model if model is None else str(getattr(model, "name", model))
