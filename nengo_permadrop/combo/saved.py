"""The files of a training: what is kept after each epoch, and at the end."""

import csv
import hashlib
import io
import json
import os
import warnings
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.sources.keras.loading import (
    dropouts_named,
    load_model,
    load_weights,
)
from nengo_permadrop.sources.keras.saving import save_model, save_weights
from nengo_permadrop.sources.registry import opened
from nengo_permadrop.support.archives import read_npz, readable, write_npz
from nengo_permadrop.support.files import write_text
from nengo_permadrop.support.plain import to_json

MODEL_SUFFIX = ".model.h5"
# of rows whose features are looked at to recognise a data set
N_FINGERPRINT = 256


class TrainingFiles:
    """
    The files of one training, all of which begin with the same prefix.

    Every file appears whole or not at all.

    Parameters
    ----------
    prefix : str or path-like
        For example ``save/combo``; the folder is made if it doesn't exist.

    Attributes
    ----------
    model : Path
        ``PREFIX.model.h5``, the trained network with its best weights.
    weights : Path
        ``PREFIX.weights.h5``, the best weights so far.
    log : Path
        ``PREFIX.log.csv``, one line per epoch.
    record : Path
        ``PREFIX.training.json``, how it was trained; see `read_record`.
    state : Path
        ``PREFIX.state.npz``, from which a killed training goes on.
    """

    def __init__(self, prefix):
        self.prefix = Path(prefix)
        if not self.prefix.name or str(prefix).endswith(("/", os.sep)):
            raise ValidationError(
                f"is the beginning of names of files, such as 'save/combo'; got "
                f"{str(prefix)!r}",
                attr="prefix",
            )
        self.model = self._path(MODEL_SUFFIX)
        self.weights = self._path(".weights.h5")
        self.log = self._path(".log.csv")
        self.record = self._path(".training.json")
        self.state = self._path(".state.npz")

    def _path(self, suffix):
        return self.prefix.with_name(self.prefix.name + suffix)

    def check_new(self, resume=False, overwrite=False):
        """
        Make sure that a training overwrites nothing that it wasn't asked to.

        Parameters
        ----------
        resume : bool
            Whether it goes on with what is there.
        overwrite : bool
            Whether it may replace what is there.

        Raises
        ------
        nengo.exceptions.ValidationError
            If there are files of a training, and it may do neither; or both.
        """
        if resume and overwrite:
            raise ValidationError(
                "a training either goes on or starts over; give resume (--resume) or "
                "overwrite (--overwrite), not both",
                attr="resume",
            )
        if resume:
            self._check_state()
        every = (self.state, self.model, self.weights, self.record, self.log)
        there = [path for path in every if path.exists()]
        if there and not (resume or overwrite):
            ways = "overwrite=True (--overwrite) to start over, or another prefix"
            if self.state.exists():
                ways = f"resume=True (--resume) to go on with it, {ways}"
            raise ValidationError(
                f"{there[0]} is of a training that was there before; give {ways}",
                attr="prefix",
            )

    def _check_state(self):
        if not self.state.exists():
            raise ValidationError(
                f"{self.state} doesn't exist, there is no training to go on with; "
                "start without resume",
                attr="resume",
            )

    def remove(self):
        """Remove the files of a training that is started over, the state first."""
        for path in (self.state, self.record, self.log, self.weights, self.model):
            path.unlink(missing_ok=True)

    def save_model(self, model):
        """Write the network itself."""
        save_model(model, self.model)

    def save_weights(self, model):
        """Write the network's weights, without the optimizer's."""
        save_weights(model, self.weights)

    def save_log(self, epochs):
        """Write the history as a table; ``epochs`` is a list of {str: float}."""
        table = io.StringIO()
        writer = csv.DictWriter(table, epochs[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(epochs)
        write_text(self.log, table.getvalue())

    def save_record(self, record):
        """Write how the network was trained."""
        write_text(self.record, to_json(record) + "\n")

    def n_bytes(self, weights, optimizer):
        """
        What the files take, about, while one is replaced; see `save_state`.

        Parameters
        ----------
        weights, optimizer : list of ndarray
        """
        n_weights, n_optimizer = (
            sum(array.nbytes for array in arrays) for arrays in (weights, optimizer)
        )
        return 3 * n_weights + 2 * (n_weights + n_optimizer) + 100_000

    def save_state(self, record, weights, optimizer):
        """
        Write all that the next epoch depends on.

        Parameters
        ----------
        record : dict
            As JSON can hold it.
        weights, optimizer : list of ndarray
            Of the network, and of the optimizer.
        """
        arrays = {f"weights_{i}": array for i, array in enumerate(weights)}
        arrays.update({f"optimizer_{i}": array for i, array in enumerate(optimizer)})
        # an archive in which a member has been lost doesn't notice it
        counts = np.array([len(weights), len(optimizer)])
        text = np.array(to_json(record, None))
        write_npz(self.state, record=text, counts=counts, **arrays)

    def load_state(self):
        """
        Read what `save_state` has written.

        Returns
        -------
        record : dict
        weights, optimizer : list of ndarray

        Raises
        ------
        nengo.exceptions.ValidationError
            If there is no such file.
        nengo_permadrop.support.errors.DamagedFileError
            If it is damaged. It is read without pickle.
        """
        self._check_state()
        what, fix = "the state of a training", "start without resume"
        arrays = read_npz(self.state, what, fix)
        with readable(self.state, what, fix):
            record = _checked_record(str(arrays.pop("record")), "architecture")
            n_weights, n_optimizer = arrays.pop("counts").tolist()
            weights = [arrays.pop(f"weights_{i}") for i in range(n_weights)]
            optimizer = [arrays.pop(f"optimizer_{i}") for i in range(n_optimizer)]
            if arrays:
                raise ValueError(f"has a member {min(arrays)!r}")
        return record, weights, optimizer


def read_record(model_file):
    """
    How a saved model was trained.

    Parameters
    ----------
    model_file : str or path-like
        ``PREFIX.model.h5``.

    Returns
    -------
    record : dict or None
        The content of ``PREFIX.training.json``: "options" of the training, its
        "history", "best_epoch" (from 0), the "data_options" that the data set was
        loaded with and the "data" that identify it. None if there is no such file, as
        for models that others have trained.

    Raises
    ------
    nengo_permadrop.support.errors.DamagedFileError
        If the file is damaged.
    """
    path = Path(model_file)
    record = TrainingFiles(path.with_name(path.name.removesuffix(MODEL_SUFFIX))).record
    if not path.name.endswith(MODEL_SUFFIX) or not record.exists():
        return None
    fix = "train the model again, or remove the file"
    with readable(record, "the record of a training", fix):
        return _checked_record(record.read_bytes().decode("utf-8"))


def _checked_record(text, *more):
    """A record from its JSON, with all that is taken from it elsewhere."""
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("it holds no names")
    kinds = {"options": dict, "history": list, "data": str, **dict.fromkeys(more, str)}
    for name, kind in kinds.items():
        if not isinstance(record.get(name), kind):
            raise ValueError(f"{name} is {record.get(name)!r}")
    if not isinstance(record.get("data_options"), dict | None):
        raise ValueError(f"data_options is {record['data_options']!r}")
    return record


def fingerprint(dataset):
    """
    What identifies the rows that a network is trained on, as hexadecimal digits.

    It covers the targets of all training and validation rows in their order, and the
    features of some.

    Parameters
    ----------
    dataset : `.Dataset`
    """
    digest = hashlib.sha256()
    for rows in (dataset.train, dataset.validation):
        digest.update(np.ascontiguousarray(rows.target).tobytes())
        for name, values in rows.take(slice(N_FINGERPRINT)).inputs.items():
            digest.update(f"{name} {values.shape}".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def trained(
    model,
    weights=None,
    trust=False,
    *,
    by_keras=False,
    dropout_classes=(),
    max_to_avg_pool=False,
):
    """
    A network that was trained before.

    Parameters
    ----------
    model : `keras.Model`, str or path-like
        A network or its file.
    weights : str or path-like, optional
        File of other weights for it.
    trust : bool, optional
        Load the network by Keras, whatever code that runs, as in `.load_model`.
    by_keras : bool, optional
        Load its file by Keras instead of reading it: to train it on, or for answers
        that the graph in the file hasn't, of pools that take the largest.
    dropout_classes, max_to_avg_pool
        As in `.Converter`.

    Returns
    -------
    model : `keras.Model` or `.KerasFile`
    record : dict
        How ``combo-train`` trained it, see `.read_record`; empty if it didn't.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    nengo.exceptions.ValidationError
        If a file isn't what it should be, a `.DamagedFileError`, or may run code.
    """
    if not isinstance(model, (str, os.PathLike)):
        if weights is not None:
            load_weights(model, weights)
        return model, {}
    record = read_record(model) or {}
    if not by_keras:
        options = {
            "dropout_classes": dropout_classes,
            "max_to_avg_pool": max_to_avg_pool,
        }
        return opened(model, trust=trust, weights=weights, **options), record
    model = load_model(model, dropouts_named(dropout_classes), trust=trust)
    if weights is not None:
        load_weights(model, weights)
    return model, record


def warn_of_other_rows(record, dataset):
    """
    Warn if a network was trained on other rows than those of a data set.

    Parameters
    ----------
    record : dict
        From `trained`.
    dataset : `.datasets.Dataset`
    """
    if record and record["data"] != fingerprint(dataset):
        warnings.warn(
            f"the model was not trained on the training rows of this data set "
            f"({dataset.name!r}): it may know some of the test rows, or its features "
            "may be scaled otherwise. Use the files and options it was trained with",
            stacklevel=3,
        )
