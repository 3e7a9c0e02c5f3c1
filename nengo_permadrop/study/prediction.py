"""Predictions, and how sure they are, for rows without targets."""

import json
import os
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.datasets.features import own_rows
from nengo_permadrop.datasets.preparation import Preparation
from nengo_permadrop.datasets.tables import read_table
from nengo_permadrop.dropout.seeds import derive_seed
from nengo_permadrop.metrics.recalibration import Recalibration
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.sampling.sampler import sample
from nengo_permadrop.sources.registry import any_graph, opened
from nengo_permadrop.study.folder import UNFINISHED
from nengo_permadrop.study.model_file import reading_options, written_model
from nengo_permadrop.study.report import FOUND, PREPARATION
from nengo_permadrop.support.files import atomic_path
from nengo_permadrop.support.folders import prepare_folder
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import (
    check_integer,
    check_levels,
    check_number,
    check_path,
    check_seed,
    check_times,
)

_ENDINGS = (".csv", ".tsv", ".parquet")
# Parts of a prediction that take randomness; a part's seed depends on its place here
_NETWORK, _DRAWS = range(2)


def predict(
    model,
    data,
    n_draws=100,
    *,
    output=None,
    level=0.9,
    quantiles=(),
    backend="batched",
    columns=None,
    ids=(),
    ignore=(),
    seed=0,
    presentation_time=None,
    settle=None,
    trust=False,
    dropout_classes=(),
    max_to_avg_pool=False,
    executor=None,
    progress=True,
    checkpoint=None,
):
    """
    Predict rows: mean, spread, and an interval for each.

    The interval is that of the draws: from the ``(1 - level) / 2`` to the
    ``(1 + level) / 2`` quantile of the predictive distribution. Dropout alone doesn't
    make it hold ``level`` of the targets. Where ``model`` is the folder of a study, the
    spread of the draws is multiplied by the factor that the study has fitted on
    validation rows (see `.recalibrate`), and its report says how many test targets such
    intervals hold.

    Parameters
    ----------
    model : str, path-like, `keras.Model` or `.Converter`
        A trained network, its file, or the folder of a study (``study -o``), which also
        knows how its rows were prepared.
    data : str, path-like, `pandas.DataFrame`, array_like, list or {str: array_like}
        Rows, as in `nengo_permadrop.study`; of a study's folder, with the columns that
        it was given, in any order and beside any others.
    n_draws : int, optional
        Draws from each predictive distribution, at least 2.
    output : str or path-like, optional
        File for the table (.csv, .tsv or .parquet), which appears whole or not at all.
        One that is there is replaced, but for ``data``.
    level : float, optional
        Probability that the interval holds in the predictive distribution, between 0
        and 1.
    quantiles : sequence of float, optional
        Further columns.
    backend : str, optional
        What predicts; "keras" asks the classical network.
    columns, ids, ignore
        As in `nengo_permadrop.study`. Of a study's folder, by default, its own.
    seed : int, optional
        Decides everything random.
    presentation_time, settle, executor, progress, checkpoint
        As in `.sample`.
    trust : bool, optional
        Load ``model`` whatever code that runs, as in `.load_model`.
    dropout_classes, max_to_avg_pool
        As in `.Converter`. Of a study's folder, by default, its own.

    Returns
    -------
    table : `pandas.DataFrame`
        One row per observation and output: what names the row, Output (if there are
        several), N (draws), Mean, Std, Lower and Upper (the interval), and quantiles
        such as Q0.05; in the units of the network's answers, or of the study's target.
        ``table.attrs`` has "level" and "recalibration", the factors on the spread or
        None.

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, or rows aren't what the network takes; before
        anything is simulated.
    OSError
        If a file is missing, or ``output`` can't be written to; also before.

    Examples
    --------
    ::

        table = npd.predict("model.h5", "rows.csv", output="predicted.csv")
        npd.study("model.h5", "old.csv", "y", output="study-mine")
        table = npd.predict("study-mine", "new.csv")  # recalibrated
    """
    check_integer(n_draws, "n_draws", 2)
    check_number(level, "level", 0, 1, low_open=True)
    quantiles = np.atleast_1d(check_levels(quantiles, "quantiles"))
    check_seed(seed)
    check_times(presentation_time, settle)
    get_backend(backend)
    if output is not None:
        _check_output(output, data)

    options = {"dropout_classes": dropout_classes, "max_to_avg_pool": max_to_avg_pool}
    model, preparation, recalibration, options = _loaded(model, trust, options)
    inputs, given = _rows(model, data, columns, ids, ignore, preparation)
    samples = _all_outputs(
        _network(model, backend, seed, options["max_to_avg_pool"]),
        inputs,
        checkpoint,
        n_draws=n_draws,
        backend=backend,
        seed=derive_seed(seed, _DRAWS),
        presentation_time=presentation_time,
        settle=settle,
        executor=executor,
        progress=progress,
    )
    samples = _in_units(samples, preparation)
    if recalibration is not None:
        samples = recalibration.apply(samples)
    table = _table(samples, given, level, quantiles)
    table.attrs.update(
        level=float(level),
        recalibration=None if recalibration is None else recalibration.scale.tolist(),
    )
    if output is not None:
        _write(table, Path(output))
    return table


def prepared(
    model,
    data,
    *,
    columns=None,
    ids=(),
    ignore=(),
    trust=False,
    dropout_classes=(),
    max_to_avg_pool=False,
):
    """
    A network, and rows as it takes them.

    Parameters
    ----------
    model, data, columns, ids, ignore, trust, dropout_classes, max_to_avg_pool
        As in `predict`.

    Returns
    -------
    model : `keras.Model` or `.Converter`
    inputs : {str: (n_rows, ...) ndarray}
    """
    options = {"dropout_classes": dropout_classes, "max_to_avg_pool": max_to_avg_pool}
    model, preparation, _, _ = _loaded(model, trust, options)
    return model, _rows(model, data, columns, ids, ignore, preparation)[0]


def _check_output(output, data):
    path = Path(check_path(output, "output"))
    if path.suffix.lower() not in _ENDINGS:
        raise ValidationError(
            f"'{path}' ends in none of {', '.join(_ENDINGS)}", attr="output"
        )
    if path.is_dir():
        raise ValidationError(f"'{path}' is a folder; give a file", attr="output")
    if isinstance(data, (str, os.PathLike)) and path.exists():
        if Path(data).exists() and path.samefile(data):
            raise ValidationError(
                f"'{path}' holds the rows, which it would replace; name another file",
                attr="output",
            )
    prepare_folder(path.parent)


def _loaded(model, trust, options):
    """
    A network, what a study's folder knows of it (preparation, recalibration), and the
    options that it was read with.
    """
    if not isinstance(model, (str, os.PathLike)):
        return model, None, None, reading_options(None, **options)
    folder, found = Path(model), found_by_study(model)
    options = reading_options(found, **options)
    if found is None:
        return opened(model, trust=trust, **options), None, None, options
    path, weights = written_model(folder)
    if not (folder / PREPARATION).exists():
        raise ValidationError(
            f"the study in '{folder}' doesn't say how rows become what its network "
            f"takes; give '{path}', and rows that are prepared",
            attr="model",
        )
    preparation = Preparation.from_dict(
        _json(folder / PREPARATION), folder / PREPARATION
    )
    scale = found.get("recalibration")
    recalibration = None
    if scale and all(isinstance(each, float) for each in scale):
        recalibration = Recalibration(np.array(scale))
    network = opened(path, trust=trust, weights=weights, **options)
    return network, preparation, recalibration, options


def found_by_study(path):
    """
    What a study has found, from its folder.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    found : dict or None
        The content of ``agreement.json``; None of what is no folder of a study.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the study isn't finished, or the file is damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        return None
    if (folder / UNFINISHED).is_dir():
        raise ValidationError(
            f"the study in '{folder}' isn't finished; run it again, which goes on from "
            "what is there",
            attr="model",
        )
    return _json(folder / FOUND) if (folder / FOUND).exists() else None


def _json(path):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        raise ValidationError(
            f"'{path}' isn't what a study wrote ({found}); run the study again",
            attr="model",
        )
    return found


def _rows(model, data, columns, ids, ignore, preparation):
    """What the network takes, and what names each row."""
    if preparation is not None and columns is None:
        columns = preparation.columns
    graph = _graph(model)
    table = read_table(data)
    if table.columns is None and preparation is not None and columns is not None:
        # arrays of one's own hardly have the names that a file's had
        named = {each for names in columns.values() for each in names}
        columns = columns if named <= set(table.names) else None
    if not len(ids) and preparation is not None:
        ids = [name for name in preparation.ids if name in table.names]
    rows, *_ = own_rows(
        table,
        graph.input_shapes,
        columns=columns,
        ids=ids,
        ignore=ignore,
        needs_target=False,
    )
    if preparation is None:
        return rows.inputs, rows.labels
    return preparation.inputs(rows.inputs), rows.labels


def _network(model, backend, seed, max_to_avg_pool):
    if isinstance(model, Converter) or get_backend(backend).takes != "network":
        return model
    with own_network(derive_seed(seed, _NETWORK)):
        return Converter(
            model,
            target=get_backend(backend).target,
            max_to_avg_pool=max_to_avg_pool,
        )


def _all_outputs(model, inputs, checkpoint, **options):
    """Draws of all outputs of a model, side by side: with the same masks."""
    names = list(_graph(model).outputs)
    if len(names) == 1:
        return sample(model, inputs, checkpoint=checkpoint, **options)
    if checkpoint is not None:  # one for each
        prepare_folder(checkpoint)
    found = []
    for name in names:
        own = None if checkpoint is None else Path(checkpoint) / name
        found.append(sample(model, inputs, output=name, checkpoint=own, **options))
    elements = [
        name if samples.n_outputs == 1 else f"{name} {element}"
        for name, samples in zip(names, found)
        for element in samples.output_names
    ]
    return PredictiveSamples(
        np.concatenate([samples.values for samples in found], axis=2),
        output_names=elements,
        backend=found[0].backend,
        seed=found[0].seed,
        masks=found[0].masks,
        meta=found[0].meta,
    )


def _graph(model):
    return model.graph if isinstance(model, Converter) else any_graph(model)


def _in_units(samples, preparation):
    if preparation is None:
        return samples
    return PredictiveSamples(
        samples.values * preparation.target_std + preparation.target_mean,
        output_names=list(preparation.output_names),
        backend=samples.backend,
        seed=samples.seed,
        masks=samples.masks,
        meta=samples.meta,
    )


def _table(samples, labels, level, quantiles):
    names = {f"Q{q:g}": q for q in quantiles}
    tail = (1 - level) / 2
    summary = samples.summary()
    n_outputs = samples.n_outputs
    for i, (name, values) in enumerate(labels.items()):
        summary.insert(i, name, np.repeat(values, n_outputs), allow_duplicates=True)
    summary = summary.drop(columns=["Observation", "Min", "Max"])
    if n_outputs == 1:
        summary = summary.drop(columns="Output")
    summary["Lower"] = samples.quantile(tail).ravel()
    summary["Upper"] = samples.quantile(1 - tail).ravel()
    for name, q in names.items():
        summary[name] = samples.quantile(q).ravel()
    return summary


def _write(table, path):
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            separator = "," if path.suffix.lower() == ".csv" else "\t"
            table.to_csv(temporary, sep=separator, index=False, float_format="%.6g")
