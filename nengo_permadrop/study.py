"""
The paper's study as one call.

A classical network with permanent dropout is trained and converted to spiking neurons,
and the predictive distributions of both are compared by Kolmogorov-Smirnov tests, as
Wycoff, Balaprakash & Xia did (International Conference on Neuromorphic Systems 2019).
"""

from nengo.exceptions import ValidationError

from nengo_permadrop import datasets
from nengo_permadrop.backends import get_backend
from nengo_permadrop.converter.settling import default_times
from nengo_permadrop.isolation import own_network
from nengo_permadrop.masks import derive_seed
from nengo_permadrop.pool import process_pool, usable_cpus
from nengo_permadrop.provenance import Steps, versions
from nengo_permadrop.samples import MASKS, PredictiveSamples
from nengo_permadrop.stats import ks_agreement
from nengo_permadrop.study_result import Study
from nengo_permadrop.validation import (
    check_choice,
    check_integer,
    check_mapping,
    check_number,
    check_path,
    check_seed,
    check_times,
)

# Most validation rows that are calibrated on
CALIBRATION_ROWS = 100

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
)


def study(
    dataset="diabetes",
    draws=100,
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
    trust=False,
):
    """
    Train, convert, draw from both networks, and compare.

    Parameters
    ----------
    dataset : str or `.datasets.Dataset`, optional
        A name that `.datasets.load` knows, or a data set.
    draws : int, optional
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
        Folder for the report and all files; None writes none.
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
        Processes for ``nengo`` and ``nengo_loihi``; by default one a CPU. With more
        than one, a script needs the guard ``if __name__ == "__main__":``.
    epochs : int, optional
        Train for so many epochs at the most; by default what suits the data set.
    model_options : dict, optional
        Passed to the network's builder in `nengo_permadrop.models`, such as
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
    trust : bool, optional
        Load ``model`` whatever code that runs, as in `.load_model`.

    Returns
    -------
    result : `.Study`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range or unknown; before anything is trained.
    OSError
        If ``output`` can't be written to, or a file is missing; also before.

    Warns
    -----
    UserWarning
        If ``model`` was trained by ``combo-train`` on other rows.

    Examples
    --------
    ::

        from nengo_permadrop.study import study

        result = study("diabetes", draws=100, observations=100, output="study-diabetes")
        print(result.verdict().words)
    """
    import nengo_permadrop as npd
    from nengo_permadrop import models, uncertainty

    options = {
        "draws": draws,
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
    }
    _check(options)
    if output is not None:
        check_path(output, "output")
    _check_given(dataset, model, weights, epochs, model_options, dataset_options)
    seeds = {part: derive_seed(seed, i) for i, part in enumerate(SEEDED)}
    given, record = None, {}
    if model is not None:
        given, record = models.trained(model, weights, trust)
    if isinstance(dataset, str):
        loading = {
            "seed": seeds["data"],
            **(record.get("data_options") or {}),
            **(dataset_options or {}),
        }
        dataset = datasets.load(dataset, **loading)
    if observations > len(dataset.test):
        raise ValidationError(
            f"data set {dataset.name!r} has {len(dataset.test)} test rows, fewer than "
            f"the {observations} asked for; ask for fewer",
            attr="observations",
        )
    models.warn_of_other_rows(record, dataset)
    options = {"dataset": dataset.name, **options, "model": _name(model)}
    if output is not None:
        from nengo_permadrop.report import prepare_directory

        prepare_directory(output)
    # neurons have rates of their own on Loihi, for which the network must be trained
    target = "loihi" if backend == "nengo_loihi" else "nengo"
    model_options = {"target": target, **(model_options or {})}
    model = given
    if given is None:
        model = models.for_dataset(dataset, seed=seeds["weights"], **model_options)
    settling_time = None
    if settle is None:
        # of the network before training: weights make no difference to it
        with own_network(0):
            untrained = npd.Converter(model, target=target, synapse=synapse)
        settling_time = untrained.settling_time
    presentation_time, settle = default_times(settling_time, presentation_time, settle)
    options.update(settle=settle, presentation_time=presentation_time)
    _check_times(options)
    steps = Steps(progress)
    shown = dataset.test.take(slice(observations))

    most_epochs = epochs
    if given is None:
        with steps("training", f"training the classical network on {dataset.name}"):
            history = models.train_for_dataset(
                model, dataset, epochs=epochs, seed=seeds["training"], progress=progress
            )
            epochs = len(history["loss"])
    elif record:
        epochs = len(record["history"])
    if anneal is not None:
        with steps("annealing", f"training on with gamma {anneal}"):
            own = models.annealing_epochs(dataset)
            history = models.anneal(
                model,
                dataset,
                anneal,
                epochs=own if most_epochs is None else min(own, most_epochs),
                seed=seeds["training"],
                progress=progress,
            )
            epochs = None if epochs is None else epochs + len(history["loss"])
    with steps("scoring", "scoring the mean predictions of the classical network"):
        r2 = {
            name: models.r2(model, getattr(dataset, name), seed=seeds["score"])
            for name in ("validation", "test")
        }
    with steps("conversion", "converting it to spiking neurons, and verifying that"):
        with own_network(seeds["network"]):
            conv = npd.Converter(model, target=target, synapse=synapse)
        error = conv.verify(shown.take(slice(5)).inputs)
    if calibrate:
        with steps("calibration", "calibrating the spiking network"):
            npd.calibrate(
                conv,
                dataset.validation.take(slice(CALIBRATION_ROWS)).inputs,
                presentation_time=presentation_time,
                settle=settle,
                seed=seeds["calibration"],
            )

    def drawn(name, source, rows=shown, **kwargs):
        samples = npd.sample(
            source,
            rows.inputs,
            n_draws=draws,
            seed=seeds[name],
            masks=masks,
            progress=progress,
            **kwargs,
        )
        return _in_units(samples, dataset, rows)

    with steps("spiking", f"drawing from the spiking network ({backend})"):
        with _executor(options) as executor:
            samples_spiking = drawn(
                "spiking",
                conv,
                backend=backend,
                presentation_time=presentation_time,
                settle=settle,
                executor=executor,
            )
    with steps("classical", "drawing from the classical network"):
        samples_classical = drawn("classical", model, backend="keras")
    with steps("control", "drawing from it once more, for the control"):
        samples_control = drawn("control", model, backend="keras")

    with steps("validation", "drawing for validation rows, for the recalibration"):
        rows = uncertainty.calibration_rows(dataset)
        samples_validation = drawn("validation", model, rows, backend="keras")
        recalibration = uncertainty.fit(samples_validation, dataset)

    with steps("tests", "comparing the distributions"):
        agreement = ks_agreement(
            samples_spiking, samples_classical, seed=seeds["pvalues"]
        )
        control = ks_agreement(
            samples_control, samples_classical, seed=seeds["control_pvalues"]
        )
    result = Study(
        dataset=dataset,
        model=model,
        samples_spiking=samples_spiking,
        samples_classical=samples_classical,
        samples_control=samples_control,
        agreement=agreement,
        control=control,
        samples_validation=samples_validation,
        recalibration=recalibration,
        r2=r2,
        network={
            "layers": len(conv.all_ensembles),
            "neurons": conv.n_neurons,
            "dropouts": len(conv.dropouts),
            "verification_error": error,
            "epochs": epochs,
            "parameters": model.count_params(),
        },
        options=options,
        seeds=seeds,
        times=steps.times,
        versions=versions(),
        calibration=conv.calibration,
    )
    if output is not None:
        with steps("report", f"writing the report to {output}"):
            result.write(output)
    return result


def _executor(options):
    # other backends step many draws at once, in one process
    one_by_one = options["backend"] in ("nengo", "nengo_loihi")
    return process_pool(options["workers"] if one_by_one else 1)


def _in_units(samples, dataset, rows):
    """Samples of the standardised target in its own units, with the rows' labels."""
    names = [
        " ".join(str(label) for label in row) for row in zip(*rows.labels.values())
    ]
    return PredictiveSamples(
        dataset.in_units(samples.values),
        output_names=list(dataset.output_names),
        observation_names=names,
        backend=samples.backend,
        seed=samples.seed,
        masks=samples.masks,
        meta={**samples.meta, "dataset": dataset.name},
    )


def _check(options):
    for attr in ("anneal", "synapse"):
        if options[attr] is not None:
            check_number(options[attr], attr, 0, low_open=True)
    for attr, least in (("draws", 2), ("observations", 1), ("workers", 1)):
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


def _check_times(options):
    if not 0 <= options["settle"] < options["presentation_time"]:
        raise ValidationError(
            f"must be at least 0 and less than the presentation time "
            f"({options['presentation_time']} s), got {options['settle']} s",
            attr="settle",
        )
