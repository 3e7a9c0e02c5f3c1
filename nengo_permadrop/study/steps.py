"""The steps of a study."""

import collections

import nengo
import numpy as np

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.calibration.fitting import calibrate
from nengo_permadrop.combo.saved import fingerprint
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.execution.pool import process_pool
from nengo_permadrop.graph.graph import Activation
from nengo_permadrop.graph.replaced import replaced_words
from nengo_permadrop.metrics.comparison import ks_agreement
from nengo_permadrop.metrics.residuals import without_spread
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sampling.certificate import certify
from nengo_permadrop.sampling.cheapest import tune
from nengo_permadrop.sampling.sampler import sample
from nengo_permadrop.sources.registry import any_graph
from nengo_permadrop.study import uncertainty
from nengo_permadrop.study.result import Study
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.provenance import command, now, versions
from nengo_permadrop.training import fit
from nengo_permadrop.training.evaluation import (
    accuracy,
    are_classes,
    mean_predictions,
    scores,
)
from nengo_permadrop.version import version

# Most validation rows that are calibrated on
CALIBRATION_ROWS = 100

# Most validation rows that are tuned on, and that check what was found
TUNING_ROWS = 200

# Observations, and pairs of draws of each, that are certified
CERTIFIED_ROWS, CERTIFIED_PAIRS = 30, 100

# A difference, in standard deviations, and the simulated studies that are to see it; of
# more tests than so many, fewer are simulated
SEEN, POWER_STUDIES, POWER_TESTS = 0.2, 40, 200

# What the answers don't depend on
_WITHOUT_EFFECT = ("workers",)


class StudyRun:
    """
    A study at work.

    Parameters
    ----------
    dataset : `.datasets.Dataset`
    model : `keras.Model` or `.KerasFile`
        Trained in place, if it isn't yet; that of a file is.
    target : str
        What the spiking network is built for.
    options : dict
        Of `.study.study`, as they were made out.
    seeds : {str: int}
        Of the parts.
    folder : `.StudyFolder`
    steps : `.Steps`
    """

    def __init__(self, dataset, model, target, options, seeds, folder, steps):
        self.dataset = dataset
        self.model = model
        self.target = target
        self.options = options
        self.seeds = seeds
        self.folder = folder
        self.steps = steps
        self.shown = dataset.first_test_rows(options["observations"])
        self.tuning = None

    def train(self, is_trained, epochs, epochs_before):
        """
        Train the network, and anneal it, as far as that is asked for.

        Parameters
        ----------
        is_trained : bool
            Whether it was trained before.
        epochs : int or None
            Most epochs of each training.
        epochs_before : int or None
            How many it was trained for, if that is known.

        Returns
        -------
        epochs : int or None
            How many it is trained for now.
        """
        anneal = self.options["anneal"]
        if is_trained and anneal is None:
            return epochs_before
        weights = self.folder.load_weights()
        if weights is not None:
            if anneal is not None:
                fit.set_gamma(self.model, anneal)
            self.model.set_weights(weights)
            return self.folder.fixed("epochs", lambda: None)
        n_epochs = epochs_before
        if not is_trained:
            n_epochs = self._first_training(epochs)
        if anneal is not None:
            more = self._annealing(anneal, epochs)
            n_epochs = None if n_epochs is None else n_epochs + more
        self.folder.fixed("epochs", lambda: n_epochs)
        self.folder.save_weights(self.model.get_weights())
        return n_epochs

    def _first_training(self, epochs):
        name = self.dataset.name
        with self.steps("training", f"training the classical network on {name}"):
            history = fit.train_for_dataset(
                self.model,
                self.dataset,
                epochs=epochs,
                seed=self.seeds["training"],
                progress=self.steps.progress,
                prefix=self.folder.part("training"),
            )
        return len(history["loss"])

    def _annealing(self, gamma, epochs):
        own = self.dataset.recipe.annealing_epochs
        with self.steps("annealing", f"training on with gamma {gamma}"):
            history = fit.anneal(
                self.model,
                self.dataset,
                gamma,
                epochs=own if epochs is None else min(own, epochs),
                seed=self.seeds["training"],
                progress=self.steps.progress,
            )
        return len(history["loss"])

    def score(self):
        """Scores of the classical network's means, by their name and the rows'."""
        words = "scoring the mean predictions of the classical network"
        r2, accuracies = {}, {}
        with self.steps("scoring", words):
            for name in ("validation", "test"):
                target, mean = mean_predictions(
                    self.model, getattr(self.dataset, name), seed=self.seeds["score"]
                )
                r2[name] = scores(target, mean)["r2"]
                mean = self.dataset.in_units(mean)
                accuracies.update(_accuracies(self.dataset, target, {name: mean}))
        return {"r2": r2, "accuracy": accuracies}

    def convert(self):
        """The spiking network, and how far its rates are from the classical one's."""
        words = "converting it to spiking neurons, and verifying that"
        with self.steps("conversion", words):
            with own_network(self.seeds["network"]):
                conv = Converter(
                    self.model,
                    target=self.target,
                    synapse=self.options["synapse"],
                    max_to_avg_pool=self.options["max_to_avg_pool"],
                )
            error = conv.verify(self.shown.take(slice(5)).inputs)
        if self.options["calibrate"]:
            with self.steps("calibration", "calibrating the spiking network"):
                calibrate(
                    conv,
                    self.dataset.validation.take(slice(CALIBRATION_ROWS)).inputs,
                    presentation_time=self.options["presentation_time"],
                    settle=self.options["settle"],
                    seed=self.seeds["calibration"],
                )
        if self.options["tune"]:
            conv = self._tuned(conv)
        return conv, error

    def _tuned(self, conv):
        """The network with the cheapest settings; its times become the study's."""
        words = "looking for the cheapest settings with which the networks agree"
        with self.steps("tuning", words):
            self.tuning = tune(
                conv,
                self.dataset.validation.take(slice(TUNING_ROWS)).inputs,
                self.options["n_draws"],
                seed=self.seeds["tuning"],
                progress=self.steps.progress,
                checkpoint=self.folder.part("tuning"),
            )
        self.options = {**self.options, **self.tuning.times}
        return self.tuning.conv

    def draw(self, conv):
        """All draws by name; those of a network are written before the next one's."""
        backend = self.options["backend"]
        found = {}
        with self.steps("spiking", f"drawing from the spiking network ({backend})"):
            with _executor(self.options) as executor:
                found["spiking"] = self._drawn(
                    "spiking",
                    conv,
                    self.shown,
                    backend=backend,
                    presentation_time=self.options["presentation_time"],
                    settle=self.options["settle"],
                    executor=executor,
                )
        for name, words, rows in (
            ("classical", "drawing from the classical network", self.shown),
            ("control", "drawing from it once more, for the control", self.shown),
            (
                "validation",
                "drawing for validation rows, for the recalibration",
                uncertainty.calibration_rows(self.dataset),
            ),
        ):
            with self.steps(name, words):
                found[name] = self._drawn(name, self.model, rows, backend="keras")
        return found

    def certified(self, conv, samples):
        """A `.Certificate` of some observations; None where they don't spread."""
        spread = ~without_spread(samples["classical"]).any(axis=1)
        rows = np.flatnonzero(spread)[:CERTIFIED_ROWS]
        if len(rows) < 2:
            return None
        with self.steps("certificate", "measuring how large their difference is"):
            return certify(
                conv,
                self.shown.take(rows).inputs,
                n_draws=CERTIFIED_PAIRS,
                presentation_time=self.options["presentation_time"],
                settle=self.options["settle"],
                seed=self.seeds["certificate"],
            )

    def _drawn(self, name, source, rows, **kwargs):
        samples = sample(
            source,
            rows.inputs,
            n_draws=self.options["n_draws"],
            seed=self.seeds[name],
            masks=self.options["masks"],
            progress=self.steps.progress,
            checkpoint=self.folder.part(f"draws-{name}"),
            **kwargs,
        )
        samples = _in_units(samples, self.dataset, rows)
        self.folder.save_samples(name, samples)
        return samples

    def result(self, conv, error, n_epochs, scored, samples):
        """What was found, a `.Study`."""
        certificate = self.certified(conv, samples)
        means = {name: samples[name].mean() for name in ("spiking", "classical")}
        accuracies = _accuracies(self.dataset, self.shown.target, means)
        accuracies.update(scored["accuracy"])
        with self.steps("tests", "comparing the distributions"):
            recalibration = uncertainty.fit(samples["validation"], self.dataset)
            agreement = ks_agreement(
                samples["spiking"], samples["classical"], seed=self.seeds["pvalues"]
            )
            control = ks_agreement(
                samples["control"],
                samples["classical"],
                seed=self.seeds["control_pvalues"],
            )
            power = power_of(samples["spiking"], self.seeds["power"])
        return Study(
            dataset=self.dataset,
            model=self.model,
            agreement=agreement,
            control=control,
            recalibration=recalibration,
            r2=scored["r2"],
            accuracy=accuracies or None,
            network={
                "layers": len(conv.all_ensembles),
                "neurons": conv.n_neurons,
                "neuron_types": _neuron_types(conv),
                "firing_rates": dict(conv.firing_rates),
                "replaced": replaced_words(conv.graph),
                "gammas": _gammas(conv.graph),
                "dropouts": len(conv.dropouts),
                "verification_error": error,
                "epochs": n_epochs,
                "parameters": self.model.count_params(),
            },
            options=self.options,
            seeds=self.seeds,
            times=self.steps.times,
            versions=versions(),
            calibration=conv.calibration,
            tuning=self.tuning,
            certificate=certificate,
            power=power,
            date=now(),
            command=command(),
            folder=self.folder.given,
            **{f"samples_{name}": each for name, each in samples.items()},
        )


def _accuracies(dataset, target, means):
    """
    Accuracies of means in the target's units, by their names; none if it has no
    classes.
    """
    if not are_classes(dataset.in_units(dataset.test.target)):
        return {}
    return {
        name: accuracy(dataset.in_units(target), mean) for name, mean in means.items()
    }


def power_of(samples, seed):
    """
    How often a study of so many draws and tests sees a difference of `SEEN` deviations.

    Simulated with normal distributions: the share of `POWER_STUDIES` whose verdict is
    that they don't agree.
    """
    rng = np.random.RandomState(seed)
    n_tests = min(samples.n_observations * samples.n_outputs, POWER_TESTS)
    shape = samples.n_draws, n_tests, 1
    found = 0
    for _ in range(POWER_STUDIES):
        one, other = rng.normal(size=shape) + SEEN, rng.normal(size=shape)
        found += not ks_agreement(one, other, seed=rng.randint(2**31)).verdict()
    return found / POWER_STUDIES


def _gammas(graph):
    """Of the SoftLIF activations of a model, each once."""
    found = {
        float(operation.parameters["gamma"])
        for operation in graph.operations
        if isinstance(operation, Activation) and "gamma" in operation.parameters
    }
    return sorted(found)


def _neuron_types(conv):
    """How many neurons of each type, by its name, the most frequent one first."""
    counts = collections.Counter()
    for ensemble in conv.all_ensembles:
        counts[type(ensemble.neuron_type).__name__] += ensemble.n_neurons
    return dict(counts.most_common())


def identity(dataset, given, options, epochs, model_options):
    """
    All that a study's answer depends on, for `.StudyFolder`.

    Parameters
    ----------
    dataset : `.datasets.Dataset`
    given : `keras.Model` or None
        A network that was trained before.
    options : dict
        As they were made out.
    epochs : int or None
    model_options : dict

    Returns
    -------
    identity : dict
    """
    shown = dataset.first_test_rows(options["observations"])
    rows = [
        [part.inputs, part.target, part.labels]
        for part in (shown, uncertainty.calibration_rows(dataset))
    ]
    own = {k: v for k, v in options.items() if k not in ("model", *_WITHOUT_EFFECT)}
    return {
        **own,
        "command": "study",
        "data": digest([fingerprint(dataset), rows]),
        "model": None if given is None else digest(any_graph(given)),
        "model_options": model_options,
        "epochs": epochs,
        "backend version": get_backend(options["backend"]).version(),
        "keras version": get_backend("keras").version_for(given),
        "nengo version": nengo.__version__,
        "nengo-permadrop version": version,
    }


def n_bytes(dataset, model, options):
    """What weights and draws of a study take, about."""
    n_rows = 3 * options["observations"] + len(uncertainty.calibration_rows(dataset))
    n_values = options["n_draws"] * n_rows * len(dataset.output_names)
    return 4 * model.count_params() + 8 * n_values


def _executor(options):
    # other backends step many draws at once, in one process
    one_by_one = get_backend(options["backend"]).one_by_one
    return process_pool(options["workers"] if one_by_one else 1)


def _in_units(samples, dataset, rows):
    """Samples of the standardised target in its own units, with the rows' labels."""
    names = [
        " ".join(str(label) for label in row) for row in zip(*rows.labels.values())
    ]
    return PredictiveSamples(
        dataset.in_units(samples.values),
        output_names=list(dataset.output_names),
        observation_names=names or None,
        backend=samples.backend,
        seed=samples.seed,
        masks=samples.masks,
        meta={**samples.meta, "dataset": dataset.name},
    )
