"""Keras models, their files and SavedModel folders, as what is audited."""

import os
from pathlib import Path

import numpy as np

from nengo_permadrop.sampling.audit.subjects import (
    File,
    Subject,
    checked,
    n_rows,
    named,
    rows_of,
)
from nengo_permadrop.sources.keras.loading import load_model
from nengo_permadrop.support.optional import keras_version, require


def _ways(model, title):
    """By what they are called, the ways to ask a Keras model."""
    names = getattr(model, "input_names", None)  # Keras 2
    names = names or [each.name for each in model.inputs]

    def arrays(X):
        given = [_single(x) for _, x in named(X, names)]
        return given[0] if len(given) == 1 else given

    def predict(X):
        answers = model.predict(arrays(X), batch_size=n_rows(X), verbose=0)
        return checked(answers, X, title)

    def several(X, n_draws):
        """Each batch of a prediction is a draw: a prediction takes long to start."""
        n = n_rows(X)
        X = rows_of(X, np.tile(np.arange(n), n_draws))
        answers = model.predict(arrays(X), batch_size=n, verbose=0)
        return checked(answers, X, title).reshape(n_draws, n, -1)

    def call(X):
        return checked(model(arrays(X)), X, title)

    predict.several = several
    return {"model.predict(x)": predict, "model(x)": call}


def _single(x):
    return x if x.dtype.kind in "iu" else np.asarray(x, np.float32)


class KerasSubject(Subject):
    """A Keras model in memory: what ``predict`` says."""

    kind = "keras"
    backend = "keras"

    @property
    def title(self):
        return f"model.predict of '{self.model.name}' (Keras {keras_version()})"

    def session(self):
        return _ways(self.model, self.title)["model.predict(x)"]

    def other_ways(self):
        ways = _ways(self.model, self.title)
        del ways["model.predict(x)"]
        return ways


class KerasFileSubject(File):
    """A model's file, loaded with Keras: what ``predict`` says."""

    kind = "keras"
    backend = "keras"

    def __init__(self, model, trust):
        super().__init__(model)
        self.trust = trust
        self._first = None

    @property
    def title(self):
        return f"model.predict of {self.name} (Keras {keras_version()})"

    def session(self):
        ways = _ways(load_model(self.model, trust=self.trust), self.title)
        self._first = self._first or ways
        return ways["model.predict(x)"]

    def other_ways(self):
        return {"model(x)": self._first["model(x)"]}


class SavedModelSubject(File):
    """A SavedModel folder: its serving signature, run by TensorFlow."""

    kind = "savedmodel"

    @property
    def title(self):
        return (
            f"{self.name} (SavedModel, TensorFlow {require('tensorflow').__version__})"
        )

    def session(self):
        tensorflow = require("tensorflow")
        loaded = tensorflow.saved_model.load(os.fspath(Path(self.model)))
        serve = loaded.signatures["serving_default"]
        specs = serve.structured_input_signature[1]

        def answer(X):
            given = zip(specs.items(), listed_by(X, list(specs)))
            inputs = {
                name: tensorflow.constant(x, dtype=spec.dtype)
                for (name, spec), x in given
            }
            return checked(serve(**inputs), X, self.title)

        answer.loaded = loaded  # or its variables would be collected
        return answer


def listed_by(X, names):
    """Arrays in the order of a signature's names."""
    return [x for _, x in named(X, names)]
