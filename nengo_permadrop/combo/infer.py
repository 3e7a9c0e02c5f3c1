"""
Growth of samples under all pairs of drugs, as CANDLE's ``infer.py`` predicts it.

It differs in one thing: each row is predicted from its own features. With more than one
prediction a row, CANDLE's script takes the features by position from a table that
already repeats each row, so that most rows get those of another one.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import nengo
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import get_backend
from nengo_permadrop.combo.pairs import model_features, read_pairs
from nengo_permadrop.combo.tables import PredictionTables
from nengo_permadrop.converter.network import Converter
from nengo_permadrop.converter.timing import presentation_times
from nengo_permadrop.execution.checkpoint import Checkpoint
from nengo_permadrop.sampling.sampler import Sampler
from nengo_permadrop.sources.registry import opened, read_model
from nengo_permadrop.support.digest import digest
from nengo_permadrop.support.folders import check_folder
from nengo_permadrop.support.isolation import own_network
from nengo_permadrop.support.validation import (
    check_execution,
    check_integer,
    check_levels,
    check_seed,
    check_times,
)
from nengo_permadrop.version import version

# Bytes that the features of a block of rows may take, and its predictions: a block is
# what may be lost when a run with a checkpoint is killed
_BLOCK_MEMORY = 2**27
_BLOCK_PREDICTIONS = 20_000


@dataclass(frozen=True)
class Inference:
    """
    What `infer` has done.

    Attributes
    ----------
    n_samples, n_drugs, n_rows : int
        Rows are all samples with all ordered pairs of drugs.
    paths : tuple of Path
        The table of all rows, and that of all predictions.
    """

    n_samples: int
    n_drugs: int
    n_rows: int
    paths: tuple


def infer(
    sample_set="NCIPDM",
    drug_set="ALMANAC",
    *,
    model_file="saved.model.h5",
    weights_file="saved.weights.h5",
    n_pred=1,
    ns=0,
    nd=0,
    si=0,
    use_landmark_genes=False,
    preprocess_rnaseq=None,
    batch_size=100_000,
    step=10_000,
    data_dir=".",
    output=".",
    backend="batched",
    quantiles=(),
    seed=0,
    candle_scaling=False,
    trust=False,
    dropout_classes=(),
    max_to_avg_pool=False,
    presentation_time=None,
    settle=None,
    executor=None,
    checkpoint=None,
    progress=True,
):
    """
    Predict growth for every sample with every ordered pair of drugs.

    The parameters up to ``step`` are those of CANDLE's ``infer.py``, with its defaults.

    Parameters
    ----------
    sample_set : str, optional
        The samples whose names begin with it, such as "GDSC", or "RTS".
    drug_set : str, optional
        "ALMANAC", "GDSC", "NCI_IOA_AOA", "RTS" or "pan".
    model_file : str or path-like, optional
        The trained Keras model. Its file is read as data, and Keras isn't needed. Plain
        ``Dropout`` layers are off, as in CANDLE; ``PermanentDropout`` layers are on.
    weights_file : str or path-like or None, optional
        Weights to take in place of its own; None keeps those of ``model_file``.
    n_pred : int, optional
        Predictions (draws) of each row.
    ns, nd : int, optional
        So many of the samples and of the drugs; 0 takes all.
    si : int, optional
        Number of the first sample, from 0. A row has the same predictions whatever
        ``si`` and ``ns`` are.
    use_landmark_genes : bool, optional
        Read the expression file with the landmark genes of LINCS. By default, that
        which the model was trained on.
    preprocess_rnaseq : {"source_scale", "combat", "none"}, optional
        Which preprocessed expression file. By default, that which the model was trained
        on. Expression that was preprocessed is not scaled, as in CANDLE's training.
    batch_size, step : int, optional
        So many predictions, and rows, are computed at a time, at the most. Results
        don't depend on them, but for how the last digits of numbers are rounded.
    data_dir : str or path-like, optional
        Folder with CANDLE's data files, of which it reads the expression, the drug
        set's descriptors, for samples "RTS" their list, and with ``candle_scaling`` the
        descriptors that CANDLE has trained on, which say which of them are used.
    output : str or path-like, optional
        Folder for the two tables, made if it doesn't exist; see `.PredictionTables`.
    backend : str, optional
        "batched", "nengo", "nengo_dl" or "nengo_loihi" for the spiking network, "keras"
        for the classical one, which NumPy computes if the model was read from its file.
    quantiles : sequence of float, optional
        Further columns of the first table: quantiles of the predictions.
    seed : int, optional
        Decides masks and initial voltages.
    candle_scaling : bool, optional
        Fit the scaling of features anew on the sets, as CANDLE does, for the models
        that CANDLE has published. By default, that of training is used, which is in a
        file beside the model (`.features_path`).
    trust : bool, optional
        Load the model with Keras, whatever code that runs, as in `.load_model`.
    dropout_classes, max_to_avg_pool
        As in `.Converter`.
    presentation_time : float, optional
        Seconds that a row is shown; by default 0.06 more than ``settle``.
    settle : float, optional
        Seconds that are not read; by default the network's settling time in full
        hundredths.
    executor : `concurrent.futures.Executor`, optional
        Where the predictions are computed, as in `.sample`.
    checkpoint : str or path-like, optional
        Folder for finished blocks of rows. After any end of the process, the same call
        goes on where that stopped, and writes the same bytes.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    inference : `Inference`

    Raises
    ------
    nengo.exceptions.ValidationError
        If an argument is out of range, or the model doesn't fit the data.
    nengo_permadrop.ConversionError
        If the model has a layer that isn't supported, such as one of code.
    FileNotFoundError, `.DataFileError`
        If a file is missing or not as it should be.
    `.DamagedFileError`
        If the model or its weights can't be read.
    """
    _check_counts(n_pred=(n_pred, 1), batch_size=(batch_size, 1), step=(step, 1))
    _check_counts(ns=(ns, 0), nd=(nd, 0), si=(si, 0))
    seed = check_seed(seed)
    presentation_time, settle, _ = check_times(presentation_time, settle)
    check_execution(executor, checkpoint)
    quantiles = check_levels(quantiles, "quantiles").tolist()
    engine = get_backend(backend)
    if engine.takes == "network":
        engine.version()  # ImportError if it isn't installed
    PredictionTables(output, sample_set, drug_set, quantiles)  # if it can be
    if checkpoint is not None:
        check_folder(checkpoint)
    loaded = _load(model_file, weights_file, trust, dropout_classes, max_to_avg_pool)
    engine_version = engine.version_for(loaded)
    features = model_features(
        model_file,
        data_dir,
        use_landmark_genes,
        preprocess_rnaseq,
        candle_scaling,
        sample_set,
    )
    pairs = read_pairs(
        sample_set, drug_set, data_dir, features, ns, nd, si, candle_scaling
    )
    graph = read_model(loaded)
    _check_sizes(graph, model_file, features)
    model, options = _prepared(loaded, engine, presentation_time, settle, pairs)
    options.update(backend=backend, seed=seed)
    tables = PredictionTables(
        output, sample_set, drug_set, quantiles, len(pairs), n_pred
    )
    store = None
    if checkpoint is not None:
        identity = {**options, "n_pred": n_pred, **_digests(graph, pairs)}
        identity["backend version"] = engine_version
        store = Checkpoint(checkpoint, identity)
    size = _block_size(step, batch_size, n_pred, features)
    bar = {"desc": f"Predicting ({backend})", "disable": not progress}
    # one for all blocks: the simulator is built once, and sent to workers once
    with Sampler(model, n_pred, **options) as sampler:
        predicted = _predictions(sampler, pairs, executor)
        _write(tables, pairs, predicted, size, store, bar)
    return Inference(
        *pairs.shape[:2], len(pairs), (tables.summary_path, tables.all_path)
    )


def _write(tables, pairs, predicted, size, store, bar):
    """Predict block by block, and write both tables."""
    from tqdm.auto import tqdm

    with contextlib.ExitStack() as stack:
        if store is not None:
            kept = stack.enter_context(store)
            size = kept.fixed("rows", lambda: size)
            predicted = _kept(predicted, kept)
        stack.enter_context(tables)
        bar = stack.enter_context(tqdm(total=len(pairs), **bar))
        for start in range(0, len(pairs), size):
            rows = pairs.rows(start, start + size)
            tables.write(rows.labels, predicted(start, start + len(rows)))
            bar.update(len(rows))


def _check_counts(**counts):
    """Raise if one of some numbers, ``(value, least)`` each, isn't a count."""
    for attr, (value, least) in counts.items():
        check_integer(value, attr, least)


def _predictions(sampler, pairs, executor):
    """A function that predicts rows, from one number to another."""

    def predicted(start, stop):
        samples = sampler.draw(
            list(pairs.rows(start, stop).gather().values()),
            executor=executor,
            progress=False,
            first_observation=pairs.first_row + start,
        )
        return samples.values[:, :, 0]

    return predicted


def _load(model_file, weights_file, trust, dropout_classes, max_to_avg_pool):
    """The model, as its source reads it; that of Keras needs no Keras, but to trust."""
    lacks_weights = weights_file is not None and not Path(weights_file).exists()
    if lacks_weights and Path(model_file).exists():
        raise FileNotFoundError(
            f"{weights_file}: no such file of weights; name that of {model_file} with "
            "-w (weights_file=), or that file itself, to keep the weights in it"
        )
    return opened(
        model_file,
        trust=trust,
        weights=weights_file,
        dropout_classes=dropout_classes,
        max_to_avg_pool=max_to_avg_pool,
    )


def _check_sizes(graph, model_file, features):
    """Raise if a model's inputs aren't the features, or its output not the growth."""
    found = [graph.size(value) for value in graph.inputs.values()]
    expected = list(features.n_features.values())
    if found != expected:
        raise ValidationError(
            f"{model_file} takes inputs of {found} features, but there are {expected} "
            f"of cell ({features.rnaseq}), drug 1 and drug 2 in the data; use the "
            "expression file (--use_landmark_genes, --preprocess_rnaseq) and the "
            "descriptors that it was trained on",
            attr="model_file",
        )
    if [graph.size(value) for value in graph.outputs.values()] != [1]:
        raise ValidationError(
            f"{model_file} doesn't have one output, the growth; it isn't a model of "
            "Combo",
            attr="model_file",
        )


def _prepared(loaded, engine, presentation_time, settle, pairs):
    """What is sampled, and the options that depend on it."""
    if engine.takes == "model":
        return loaded, {"dropout": "off"}
    with own_network(0):
        conv = Converter(loaded, target=engine.target, dropout="off")
    conv.verify(list(pairs.rows(0, 2).gather().values()))
    presentation_time, settle = presentation_times(conv, presentation_time, settle)
    return conv, {"presentation_time": presentation_time, "settle": settle}


def _block_size(step, batch_size, n_pred, features):
    """Rows of a block: no more than is asked for, and than fit into memory."""
    row_bytes = 8 * sum(features.n_features.values())
    in_batch = min(batch_size, _BLOCK_PREDICTIONS) // n_pred
    return max(1, min(step, in_batch, _BLOCK_MEMORY // row_bytes))


def _digests(graph, pairs):
    """What predictions depend on beside the options and the backend."""
    return {
        "command": "infer",
        "model": digest(graph),
        "features": digest(list(vars(pairs.tables).values())),
        "first row": pairs.first_row,
        "nengo version": nengo.__version__,
        "nengo-permadrop version": version,
    }


def _kept(predicted, checkpoint):
    """Predictions of a block, taken from the checkpoint if they are there."""

    def kept(start, stop):
        name = f"rows-{start}-{stop}"
        predictions = checkpoint.load(name)
        if predictions is None:
            predictions = predicted(start, stop)
            checkpoint.save(name, predictions)
        return predictions

    return kept
