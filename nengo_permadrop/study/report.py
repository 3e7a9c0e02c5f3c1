"""What a study leaves in its folder: report, pictures, tables, samples and model."""

import dataclasses

import numpy as np

from nengo_permadrop.study import uncertainty
from nengo_permadrop.study.judgements import next_steps
from nengo_permadrop.study.model_file import NAMES as MODELS
from nengo_permadrop.study.model_file import write_model
from nengo_permadrop.study.notes import undefined, warnings_of
from nengo_permadrop.study.page import render
from nengo_permadrop.study.pictures import (
    PICTURES,
    SOFTLIF_PICTURE,
    TUNING,
    draw_pictures,
)
from nengo_permadrop.support.files import write_bytes, write_text
from nengo_permadrop.support.folders import prepare_folder, told_if_full
from nengo_permadrop.support.plain import (
    not_finite,
    plain,
    table_row,
    to_json,
)

PAGE = "report.html"
FOUND = "agreement.json"
# How other rows become what the network takes, for `.predict`
PREPARATION = "preparation.json"
# Whose draws are files, in the order in which they are drawn
NETWORKS = ("spiking", "classical", "control", "validation")


def write_report(study, directory):
    """
    Write everything that a study found; see `.Study.write`.

    The draws are written first, since they are what took the time, and the page last:
    where it is, all is. Each file appears whole or not at all.

    Parameters
    ----------
    study : `.Study`
    directory : str or path-like

    Returns
    -------
    paths : list of Path
        What was written.
    """
    if study.folder is None:  # which the page names
        study = dataclasses.replace(study, folder=str(directory))
    directory = prepare_folder(directory)
    paths = []
    with told_if_full(directory, lambda: "the files that are there are whole"):
        for name in NETWORKS:
            path = directory / f"samples_{name}.npz"
            paths.append(getattr(study, f"samples_{name}").save(path))
        return [*paths, *write_rest(study, directory)]


def write_rest(study, directory):
    """
    Write the model, and then what is made of the draws.

    Parameters
    ----------
    study : `.Study`
    directory : Path
        Must exist.

    Returns
    -------
    paths : list of Path
        What was written.
    """
    names = write_model(study.model, directory)
    write_text(directory / "summary.tsv", summary_table(study))
    names += ["summary.tsv", FOUND]
    if study.dataset.preparation is not None:
        content = to_json(study.dataset.preparation.to_dict())
        write_text(directory / PREPARATION, content + "\n")
        names.append(PREPARATION)
    write_text(directory / FOUND, to_json(to_dict(study)) + "\n")
    pictures = draw_pictures(study)
    for name, picture in pictures.items():
        write_bytes(directory / name, picture)
    write_text(directory / PAGE, render(study, pictures))
    return [directory / name for name in (*names, *pictures, PAGE)]


def file_names(tuned=False, models=MODELS[:1]):
    """
    Names of all files that a study writes; one that is ``tuned`` writes more.

    ``models`` are those that the model may be in: a file that was given is copied.
    """
    samples = [f"samples_{name}.npz" for name in NETWORKS]
    more = [SOFTLIF_PICTURE, *[TUNING] * tuned]
    pictures = [f"{name}.png" for name in (*PICTURES, *more)]
    return [
        *samples,
        *models,
        "summary.tsv",
        FOUND,
        PREPARATION,
        *pictures,
        PAGE,
    ]


def summary_table(study):
    """
    The predictive distributions in the format of CANDLE's Combo inference.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    table : str
        Tab-separated, 4 decimals, one row per observation. First CANDLE's columns,
        filled from the spiking network: labels of the row, N (draws) and, for a target
        named Growth, PredGrowthMean, PredGrowthStd, PredGrowthMin, PredGrowthMax. Then
        the same four of the classical network (ClassicalGrowthMean, ...), the measured
        Growth, and statistic and p-value of the KS test (KS, PValue). A target of
        several columns has all these for each (KSIs0, PValueIs0, ...). Standard
        deviations are divided by N, as CANDLE's. Names with tabs, breaks of lines or
        quotes are quoted, as pandas reads them.
    """
    dataset = study.dataset
    n_rows = study.samples_spiking.n_observations
    shown = dataset.test.take(slice(n_rows))
    # a list: labels and targets may be called alike
    columns = [
        *shown.labels.items(),
        ("N", np.full(n_rows, study.samples_spiking.n_draws)),
    ]
    target = dataset.in_units(shown.target)
    for i, name in enumerate(dataset.output_names):
        suffix = name if len(dataset.output_names) > 1 else ""
        columns += [
            *_moments(study.samples_spiking, i, f"Pred{name}"),
            *_moments(study.samples_classical, i, f"Classical{name}"),
            (name, target[:, i]),
            (f"KS{suffix}", study.agreement.statistic[:, i]),
            (f"PValue{suffix}", study.agreement.pvalue[:, i]),
        ]
    names, values = zip(*columns)
    return table_row(names) + "".join(
        table_row(map(_number_or_text, row)) for row in zip(*values)
    )


def _moments(samples, output, prefix):
    for what in ("mean", "std", "min", "max"):
        values = getattr(samples, what)()[:, output]
        yield f"{prefix}{what.capitalize()}", values


def _number_or_text(value):
    return f"{value:.4f}" if isinstance(value, (float, np.floating)) else str(value)


def to_dict(study):
    """
    What a study found, as JSON can hold it: the content of ``agreement.json``.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    found : dict
        What isn't defined is None, and "undefined" says why: a reason by place, such as
        "bias.spiking".
    """
    verdict, judgements = study.verdict(), study.judgements()
    steps = next_steps(judgements)
    found = {
        "agree": bool(verdict),
        "words": verdict.words,
        "judgements": {name: each._asdict() for name, each in judgements.items()},
        "next_step": next(iter(steps), None),
        "next_steps": steps,
        "warnings": warnings_of(study),
        "rejection_rate": _both(study, lambda each: each.rejection_rate()),
        "uniformity": _both(study, lambda each: each.uniformity._asdict()),
        "most_extreme": _both(study, lambda each: each.most_extreme._asdict()),
        "bias": study.bias(),
        "spread": study.spread(),
        "recalibration": study.recalibration.scale.tolist(),
        "scores": uncertainty.scores(study),
        "counts": {
            "draws": study.samples_spiking.n_draws,
            "observations": study.samples_spiking.n_observations,
            "train_rows": len(study.dataset.train),
            "validation_rows": len(study.dataset.validation),
            "test_rows": len(study.dataset.test),
            "recalibration_rows": study.samples_validation.n_observations,
        },
        "network": study.network,
        "r2": study.r2,
        "accuracy": study.accuracy,
        "options": study.options,
        "tuning": _tuning(study),
        "certificate": _certificate(study.certificate),
        "power": study.power,
        "date": study.date,
        "command": study.command,
        "seed": study.options["seed"],
        "seeds": study.seeds,
        "times": study.times,
        "versions": study.versions,
        "tests": _both(study, lambda each: each.to_dict()),
    }
    reasons = {**not_finite(found), **undefined(study)}
    for i in uncertainty.not_fitted(study):
        found["recalibration"][i] = None
    return {**plain(found), "undefined": reasons}


def _tuning(study):
    """What was tuned, without what the certificate says of single rows."""
    if study.tuning is None:
        return None
    found = study.tuning.to_dict()
    return {**found, "certificate": _certificate(study.tuning.certificate)}


def _certificate(certificate):
    """What is certified, without single rows."""
    if certificate is None:
        return None
    found = certificate.to_dict()
    for name in ("biases", "spreads", "differences"):
        del found[name]
    return found


def _both(study, get):
    return {"spiking": get(study.agreement), "control": get(study.control)}
