"""
The paper's study as one call.

A classical network with permanent dropout is trained and converted to spiking neurons,
and the predictive distributions of both are compared by Kolmogorov-Smirnov tests, as
Wycoff, Balaprakash & Xia did (International Conference on Neuromorphic Systems 2019).
"""

from nengo_permadrop import datasets
from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.combo.saved import trained, warn_of_other_rows
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.datasets.own import own_dataset
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.execution.pool import usable_cpus
from nengo_permadrop.samples.matching import told_once
from nengo_permadrop.sources.registry import any_graph
from nengo_permadrop.study import report
from nengo_permadrop.study.checks import (
    check_data,
    check_given,
    check_options,
    check_own,
    check_reading,
    name_of,
    only_model,
)
from nengo_permadrop.study.folder import StudyFolder
from nengo_permadrop.study.model_file import NAMES, WEIGHTS
from nengo_permadrop.study.steps import StudyRun, identity, n_bytes
from nengo_permadrop.support.folders import new_folder
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.provenance import Steps
from nengo_permadrop.support.validation import as_names, check_path
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
    "certificate",
    "power",
)

_OBSERVATIONS = 100  # of the test rows, by default


def study(
    dataset=None,
    X=None,
    y=None,
    *,
    n_draws=100,
    observations=None,
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
    columns=None,
    ids=(),
    ignore=(),
    trust=False,
    dropout_classes=(),
    max_to_avg_pool=False,
    overwrite=False,
):
    """
    Convert a classical network, draw from both, and compare.

    ``study(model, X, y)`` is of a trained network and rows of one's own,
    ``study("digits")`` trains one on a data set first.

    Parameters
    ----------
    dataset : str, path-like, `keras.Model` or `.datasets.Dataset`, optional
        With ``X``, the trained network or its file, as ``model`` is; without, a name
        that `.datasets.load` knows, or a data set. By default "diabetes".
    X : array_like, list, {str: array_like}, `pandas.DataFrame`, str or path-like
        Rows of one's own: arrays for the network's inputs, a table, or a file (.csv,
        .tsv, .parquet, .npz, .npy). For a trained network half of them are for
        validation, 500 at the most, and the others for the test; they are given to it
        as they are. Without a network one is trained on 60% of them, and inputs and
        target are standardised for it.
    y : array_like, str, int, or list of str, optional
        Targets, in the units of the network's answers; or names or numbers of the
        columns of ``X``, or keys, that hold them. An .npz file's "y" is taken by
        itself.
    n_draws : int, optional
        Draws from each predictive distribution, at least 2.
    observations : int, optional
        So many of the test rows, from the first one on; by default 100, or all if
        there are fewer.
    backend : str, optional
        What simulates the spiking network. "nengo_loihi" trains and converts for Loihi.
    seed : int, optional
        Decides everything random: data, training, masks and voltages. The same seed
        gives the same samples, on one backend of Keras. Seeds that derive from it are
        set as the global seed of that backend.
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
        A trained classical network, which is then not trained again, or its file, which
        needs no Keras, as in `.Converter`, unless it is trained on (``anneal``). With a
        file of ``combo-train`` the data are loaded with the options of its training,
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
    columns : {str: list}, optional
        Names or numbers of the columns of ``X`` that each input of the network takes,
        if it has several; "a:b" is all columns from a to b.
    ids : sequence of str or int, optional
        Columns of ``X`` that name a row.
    ignore : sequence of str or int, optional
        Columns of ``X`` that aren't used.
    trust : bool, optional
        Load ``model`` whatever code that runs, as in `.load_model`.
    dropout_classes : str or sequence of str, optional
        For a file of ``model``: names of classes in it that are permanent dropout, as
        in `.Converter`.
    max_to_avg_pool : bool, optional
        Take averages where ``model`` takes the largest of several elements, as in
        `.Converter`. The spiking network is compared with the model as it is, so that
        the study shows what difference it makes; a file is loaded by Keras for that.
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

        result = npd.study(kmodel, X, y, output="study-mine")
    """
    if X is not None and dataset is not None:
        dataset, model = None, only_model(dataset, model)
    own = {"X": X, "y": y, "columns": columns, "ids": ids, "ignore": ignore}
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
        "dropout_classes": as_names(dropout_classes, "dropout_classes"),
        "max_to_avg_pool": bool(max_to_avg_pool),
    }
    if X is None and dataset is None:
        dataset = "diabetes"
    check_options(options)
    check_given(dataset, model, weights, epochs, model_options, dataset_options)
    check_reading(model, options)
    check_own(own, dataset_options)
    if output is not None:
        check_path(output, "output")
    with new_folder(output), told_once():
        return _studied(
            dataset,
            own,
            model,
            weights,
            options,
            output,
            epochs=epochs,
            model_options=model_options,
            dataset_options=dataset_options,
            trust=trust,
            overwrite=overwrite,
            progress=progress,
        )


def _studied(
    dataset,
    own,
    model,
    weights,
    options,
    output,
    *,
    epochs,
    model_options,
    dataset_options,
    trust,
    overwrite,
    progress,
):
    """The study, of arguments that have been checked on their own."""
    backend, seed = options["backend"], options["seed"]
    seeds = {part: derive_seed(seed, i) for i, part in enumerate(SEEDED)}
    given, record = None, {}
    if model is not None:
        pools = options["max_to_avg_pool"]
        given, record = trained(
            model,
            weights,
            trust,
            by_keras=options["anneal"] is not None or pools,
            dropout_classes=options["dropout_classes"],
        )
    dataset = _loaded(dataset, own, given, record, seeds, dataset_options)
    if options["observations"] is None:
        options["observations"] = min(_OBSERVATIONS, len(dataset.test))
    check_data(dataset, options, given)
    options = {"dataset": dataset.name, **options, "model": name_of(model)}
    # neurons of a target may have rates of their own, which the network must learn
    target = get_backend(backend).target
    model_options, model = {"target": target, **(model_options or {})}, given
    if given is None:
        model = for_dataset(dataset, seed=seeds["weights"], **model_options)
    options.update(_times(options, model, target))
    folder = StudyFolder(
        output,
        identity(dataset, given, options, epochs, model_options),
        names=report.file_names(tuned=True, models=(*NAMES, WEIGHTS)),
        overwrite=overwrite,
        n_bytes=n_bytes(dataset, model, options),
    )
    with folder:
        run = StudyRun(dataset, model, target, options, seeds, folder, Steps(progress))
        return _run(run, given is not None, epochs, record, output)


def _run(run, is_trained, epochs, record, output):
    """All steps of a study, from the training to the report."""
    before = len(record["history"]) if record else None
    n_epochs = run.train(is_trained, epochs, before)
    scored = run.score()
    conv, error = run.convert()
    samples = run.draw(conv)
    result = run.result(conv, error, n_epochs, scored, samples)
    if output is not None:
        with run.steps("report", f"writing the report to {output}"):
            report.write_rest(result, run.folder.directory)
        run.folder.finish()
    return result


def _loaded(dataset, own, model, record, seeds, dataset_options):
    """One's own rows, or the data set, as the training of a given model loaded it."""
    if own["X"] is not None:
        return own_dataset(
            own["X"],
            own["y"],
            shapes=None if model is None else any_graph(model).input_shapes,
            columns=own["columns"],
            ids=own["ids"],
            ignore=own["ignore"],
            trained=model is not None,
            seed=seeds["data"],
        )
    if isinstance(dataset, str):
        options = {
            "seed": seeds["data"],
            **(record.get("data_options") or {}),
            **(dataset_options or {}),
        }
        dataset = datasets.load(dataset, **options)
    warn_of_other_rows(record, dataset)
    return dataset


def _times(options, model, target):
    """Presentation time and settle, by default as the network needs them."""
    if options["tune"]:
        return {}  # which will choose them
    # of the network before training: weights make no difference to it
    with own_network(0):
        untrained = Converter(
            model,
            target=target,
            synapse=options["synapse"],
            max_to_avg_pool=options["max_to_avg_pool"],
        )
    presentation_time, settle = presentation_times(
        untrained, options["presentation_time"], options["settle"]
    )
    return {"settle": settle, "presentation_time": presentation_time}
