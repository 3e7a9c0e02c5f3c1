"""Training the Combo network, with CANDLE's defaults."""

import contextlib
import hashlib
import sys
import time

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.combo.data.scaling import features_path
from nengo_permadrop.combo.saved import TrainingFiles, fingerprint
from nengo_permadrop.combo.training_options import (
    check,
    check_data_options,
    check_optimizer,
)
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.sources.keras.loading import load_weights
from nengo_permadrop.support.folders import check_room, prepare_folder, told_if_full
from nengo_permadrop.support.generators import generators_kept
from nengo_permadrop.support.provenance import versions
from nengo_permadrop.training.evaluation import in_order, predict, scores
from nengo_permadrop.training.streams import restart_streams

# What an epoch takes randomness for
_ORDER, _MASKS, _VALIDATION_MASKS = range(3)


def train(
    model,
    dataset,
    prefix=None,
    *,
    epochs=10,
    batch_size=32,
    optimizer="adam",
    learning_rate=None,
    loss="mse",
    reduce_lr=False,
    seed=0,
    resume=False,
    data_options=None,
    progress=True,
    overwrite=False,
):
    """
    Train a network with CANDLE's defaults, so that it can be killed and go on.

    After each epoch the network is scored on the validation rows, and the weights of
    the epoch with the smallest loss there are kept. Permanent dropout is on in
    validation too: the scores are those of single draws.

    Order of the rows and dropout masks of an epoch depend on ``seed`` and the epoch's
    number alone. A training that was killed and resumed therefore has the same history
    and weights as one that was not, on the same machine. (Layers that were given a seed
    of their own are the exception: Keras counts their calls.)

    Parameters
    ----------
    model : `keras.Model`
        Trained in place. At the end it has the best weights.
    dataset : `.Dataset`
        Its training and validation rows are used; features are gathered a batch at a
        time.
    prefix : str or path-like, optional
        Beginning of the names of all files, see `.TrainingFiles`. The scaling of the
        features is kept too, where `.features_path` says. None writes nothing.
    epochs : int, optional
        Number of epochs, those before a resume included.
    batch_size : int, optional
        Rows of a step. Rows at the end of an epoch that don't fill a batch are left
        out, others in each epoch.
    optimizer : str, optional
        Keras's name for it.
    learning_rate : float, optional
        By default the optimizer's own: 0.001 for Adam.
    loss : {"mse", "mae"}, optional
    reduce_lr : bool, optional
        Reduce the learning rate on plateaus, see `plateau_rate`.
    seed : int, optional
        Decides order of the rows and dropout masks, see `.restart_streams`.
    resume : bool, optional
        Go on after the last whole epoch whose state is found at ``prefix``.
    data_options : dict, optional
        What the data set was loaded with, kept with the model: ``study`` takes the same
        rows.
    progress : bool, optional
        Tell on standard error how it goes.
    overwrite : bool, optional
        Start over where there are files of another training at ``prefix``, and replace
        them.

    Returns
    -------
    history : {str: list of float}
        For each epoch, its number "epoch" from 0 on, the learning rate "lr", the
        "loss", and "val_loss", "val_mse", "val_mae", "val_r2" and "val_corr" of the
        validation rows, as `.evaluation.scores` defines them.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an option is out of range; if there is nothing to resume, or it is another
        training; if there is a training at ``prefix``, and neither ``resume`` nor
        ``overwrite`` is set.
    OSError
        If there is no room for the files, which is found out before, or they can't be
        written: every whole epoch is kept. If the best weights are missing beside the
        state.
    """
    options = {
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "loss": loss,
        "reduce_lr": reduce_lr,
        "seed": seed,
    }
    check(epochs, options, dataset, prefix, resume)
    check_optimizer(optimizer)
    if prefix is not None:
        check_data_options(data_options)
        TrainingFiles(prefix).check_new(resume, overwrite)
    with generators_kept():
        training = _Training(model, dataset, prefix, options, data_options)
        if resume:
            training.resume()
        else:
            training.prepare()
        with training.told_if_full():
            training.run(epochs, progress)
    return training.history()


def plateau_rate(losses, learning_rate, factor=0.5, patience=5, least=1e-5):
    """
    The learning rate after some epochs, halved on plateaus.

    After ``patience`` epochs in a row without a validation loss that is smaller by 1e-4
    than the smallest before, the rate is multiplied by ``factor``: the rule and the
    numbers of CANDLE's Combo, with Keras's ``ReduceLROnPlateau``. The rate is a
    function of the history alone, so that nothing else has to be kept.

    Parameters
    ----------
    losses : sequence of float
        Validation losses of all epochs so far.
    learning_rate : float
        At the beginning.
    factor, patience, least : float, int, float, optional
        ``least`` is the smallest rate.

    Returns
    -------
    learning_rate : float
    """
    smallest, waited = np.inf, 0
    for loss in losses:
        if loss < smallest - 1e-4:
            smallest, waited = loss, 0
            continue
        waited += 1
        if waited >= patience:
            learning_rate, waited = max(learning_rate * factor, least), 0
    return learning_rate


class _Training:
    """A network in training, after some epoch."""

    def __init__(self, model, dataset, prefix, options, data_options):
        self.model = model
        self.dataset = dataset
        self.options = options
        self.data_options = data_options
        self.files = None if prefix is None else TrainingFiles(prefix)
        self.epochs = []  # of the history: {str: float}
        self.best_weights = model.get_weights()
        self.data = fingerprint(dataset)
        self.architecture = hashlib.sha256(model.to_json().encode()).hexdigest()
        self.optimizer = check_optimizer(options["optimizer"])
        if options["learning_rate"] is not None:
            self.optimizer.learning_rate = options["learning_rate"]
        self.first_rate = float(self.optimizer.learning_rate)
        self.optimizer.build(model.trainable_variables)

    def history(self):
        return {name: [row[name] for row in self.epochs] for name in self.epochs[0]}

    def losses(self):
        return [row["val_loss"] for row in self.epochs]

    def record(self):
        return {
            "options": self.options,
            "data": self.data,
            "architecture": self.architecture,
            "data_options": self.data_options,
            "best_epoch": int(np.argmin(self.losses())),
            "history": self.epochs,
            "versions": versions(),
        }

    def prepare(self):
        """Make room for the files of a training that begins."""
        if self.files is None:
            return
        folder = prepare_folder(self.files.prefix.parent)
        arrays = [np.asarray(variable) for variable in _variables(self.optimizer)]
        check_room(folder, self.files.n_bytes(self.best_weights, arrays))
        self.files.remove()

    def told_if_full(self):
        """A context whose errors of a full disk say what is kept."""
        if self.files is None:
            return contextlib.nullcontext()

        def kept():
            if not self.files.state.exists():
                self.files.remove()
                return (
                    "no whole epoch could be kept, and nothing is left; free some "
                    "space, and run the same again"
                )
            return (
                "every whole epoch is kept; free some space, and go on with --resume "
                "(resume=True)"
            )

        return told_if_full(self.files.prefix.parent, kept)

    def run(self, n_epochs, progress):
        if self.files is not None:
            features = getattr(self.dataset, "features", None)
            if features is not None:
                features.save(features_path(self.files.model))
        for epoch in range(len(self.epochs), n_epochs):
            self.epoch(epoch, f"epoch {epoch + 1}/{n_epochs}", progress)
        self.model.set_weights(self.best_weights)
        if self.files is not None:
            self.files.save_model(self.model)
            self.files.save_record(self.record())

    def epoch(self, epoch, title, progress):
        start = time.perf_counter()
        seed, loss = self.options["seed"], self.options["loss"]
        rate = self.first_rate
        if self.options["reduce_lr"]:
            rate = plateau_rate(self.losses(), rate)
        self.optimizer.learning_rate = rate

        self.restart_random_streams(derive_seed(seed, epoch, _MASKS))
        train_loss = self.steps(derive_seed(seed, epoch, _ORDER), title, progress)
        self.restart_random_streams(derive_seed(seed, epoch, _VALIDATION_MASKS))
        rows = self.dataset.validation
        found = scores(rows.target, predict(self.model, rows))
        if not np.isfinite(train_loss) or not np.isfinite(found[loss]):
            raise ValidationError(
                f"the loss is not finite in epoch {epoch + 1}; use a smaller learning "
                f"rate than {rate:g}",
                attr="learning_rate",
            )
        is_best = not self.epochs or found[loss] < min(self.losses())
        self.epochs.append(
            {
                "epoch": epoch,
                "lr": rate,
                "loss": train_loss,
                "val_loss": found[loss],
                **{f"val_{name}": value for name, value in found.items()},
            }
        )
        if is_best:
            self.best_weights = self.model.get_weights()
        if self.files is not None:
            self.save(is_best)
        if progress:
            words = ", ".join(
                f"{name} {value:.4g}"
                for name, value in self.epochs[-1].items()
                if name != "epoch"
            )
            seconds = time.perf_counter() - start
            print(f"{title}: {words} ({seconds:.0f} s)", file=sys.stderr, flush=True)

    def restart_random_streams(self, seed):
        """Let all dropout that follows depend on this seed, not on what was before."""
        restart_streams(self.model, seed)
        # Keras 2: a compiled function keeps its streams, so it has to be compiled again
        self.model.compile(optimizer=self.optimizer, loss=self.options["loss"])

    def steps(self, seed, title, progress):
        """Train for one epoch; return the mean loss."""
        from tqdm.auto import tqdm

        rows = self.dataset.train
        size = min(self.options["batch_size"], len(rows))
        order = np.random.RandomState(seed).permutation(len(rows))
        losses = []
        bar = tqdm(
            range(0, len(rows) - size + 1, size),
            desc=title,
            disable=not progress,
            leave=False,
        )
        for start in bar:
            batch = rows.take(order[start : start + size])
            self.model.reset_metrics()  # else Keras 3 gives the mean since then
            answer = self.model.train_on_batch(
                in_order(batch), batch.target, return_dict=True
            )
            losses.append(answer["loss"])
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4g}", refresh=False)
        return float(np.mean(losses, dtype=np.float64))

    def save(self, is_best):
        # the state is last: whatever happens before, its epoch is done once more
        if is_best:
            self.files.save_weights(self.model)
        self.files.save_log(self.epochs)
        self.files.save_state(
            self.record(),
            self.model.get_weights(),
            [np.asarray(variable) for variable in _variables(self.optimizer)],
        )

    def resume(self):
        record, weights, optimizer = self.files.load_state()
        found = {**record["options"], "rows": record["data"]}
        found["architecture"] = record["architecture"]
        wanted = {**self.options, "rows": self.data, "architecture": self.architecture}
        differ = [name for name in wanted if found.get(name) != wanted[name]]
        if differ:
            raise ValidationError(
                f"{self.files.state} is of another training: "
                + ", ".join(_difference(name, found, wanted) for name in differ)
                + "; give the same options, or another prefix",
                attr="resume",
            )
        variables = list(_variables(self.optimizer))
        for what, ours, theirs in (
            ("weights", self.model.get_weights(), weights),
            ("optimizer", variables, optimizer),
        ):
            if [tuple(a.shape) for a in ours] != [a.shape for a in theirs]:
                raise ValidationError(
                    f"{self.files.state} holds other {what} than this model has; "
                    "resume with the version of Keras that wrote it, or start without "
                    "resume",
                    attr="resume",
                )
        load_weights(self.model, self.files.weights)
        self.best_weights = self.model.get_weights()
        self.model.set_weights(weights)
        for variable, value in zip(variables, optimizer):
            variable.assign(value)
        self.epochs = [
            {name: np.nan if value is None else value for name, value in row.items()}
            for row in record["history"]
        ]


def _difference(name, found, wanted):
    if name in ("rows", "architecture"):
        return f"other {name}"
    return f"{name} {found.get(name)!r} there, {wanted[name]!r} here"


def _variables(optimizer):
    # a method in Keras 2, a property in Keras 3
    variables = optimizer.variables
    return variables() if callable(variables) else variables
