"""What a study leaves in its folder: report, pictures, tables, samples and model."""

import base64

import numpy as np

from nengo_permadrop.metrics.ks import ks_pvalue
from nengo_permadrop.study import uncertainty
from nengo_permadrop.study.judgements import next_step
from nengo_permadrop.study.model_file import NAMES as MODELS
from nengo_permadrop.study.model_file import write_model
from nengo_permadrop.study.pictures import (
    PICTURES,
    SOFTLIF_PICTURE,
    TUNING,
    draw_pictures,
    has_softlif,
    typical,
)
from nengo_permadrop.support.files import write_bytes, write_text
from nengo_permadrop.support.folders import prepare_folder, told_if_full
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plain import (
    not_finite,
    plain,
    printable,
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
    found = {
        "agree": bool(verdict),
        "words": verdict.words,
        "judgements": {name: each._asdict() for name, each in judgements.items()},
        "next_step": next_step(judgements),
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


def undefined(study):
    """
    What of a study's numbers isn't defined, and why.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    reasons : {str: str}
        By place in `to_dict`, such as ``"bias.spiking"``.
    """
    return {
        **study.undefined(),
        **{
            f"recalibration.{i}": reason
            for i, reason in uncertainty.not_fitted(study).items()
        },
        **{
            f"scores.{place}": reason
            for place, reason in uncertainty.undefined_scores(study).items()
        },
        **{
            f"r2.{rows}": "the targets of these rows are all the same"
            for rows, value in study.r2.items()
            if not np.isfinite(value)
        },
    }


def _both(study, get):
    return {"spiking": get(study.agreement), "control": get(study.control)}


def warnings_of(study):
    """
    What a reader has to know before believing the result; a list of str.

    Parameters
    ----------
    study : `.Study`
    """
    agreement, control = study.agreement, study.control
    found = []
    if agreement.paired or control.paired:
        found.append(
            "Draws of two networks that are compared move together, as if they had the "
            "same masks. The tests take them for independent: no p-value here is valid."
        )
    for warning in study.samples_spiking.meta.get("warnings", ()):
        found.append(f"Before it was simulated, theory said: {warning}")
    if not agreement.independent:
        found.append(
            "All observations of a draw had the same masks, so that the p-values of "
            "different observations depend on each other: their uniformity can't be "
            "tested, and the rejection rate varies more than its number of tests "
            "suggests. Use masks='observation' for a valid test."
        )
    if agreement.method != "exact":
        found.append("So many draws: the p-values are asymptotic, not exact.")
    if agreement.n_tied:
        found.append(
            f"{agreement.n_tied} of {agreement.statistic.size} tests have equal values "
            "among their draws; the p-values of those are upper bounds."
        )
    if not control.verdict():
        found.append(
            "The control fails the test too: the classical network seems to differ "
            f"from itself. {control.verdict().words} If that is chance, repeating "
            "this study with another seed will show it; do so before drawing "
            "conclusions."
        )
    n_draws = min(agreement.n_draws)
    if smallest_rejected(n_draws) is None:
        found.append(
            f"With {n_draws} draws per side no single test can ever reject: only the "
            "uniformity says anything. Use more draws."
        )
    elif n_draws < 50 or agreement.statistic.size < 50:
        found.append(
            f"{n_draws} draws and {agreement.statistic.size} observations are few: "
            "only gross differences would be seen. 100 of each are what the paper used."
        )
    reasons = {}
    for place, reason in undefined(study).items():
        reasons.setdefault(reason, []).append(place)
    for reason, places in reasons.items():
        found.append(f"Not defined: {', '.join(places)}. {_sentence(reason)}")
    return found


def _sentence(text):
    return f"{text[0].upper()}{text[1:]}."


def smallest_rejected(n_draws, alpha=0.05):
    """
    The smallest KS statistic with a p-value of at most ``alpha``.

    Parameters
    ----------
    n_draws : int
        Of each of the two samples.
    alpha : float, optional

    Returns
    -------
    statistic : float or None
        None if there is none, with very few draws.
    """
    statistics = np.arange(1, n_draws + 1) / n_draws
    rejected = statistics[ks_pvalue(statistics, n_draws, n_draws) <= alpha]
    return float(rejected[0]) if len(rejected) > 0 else None


def render(study, pictures):
    """
    The report, one HTML page with its pictures inside.

    Parameters
    ----------
    study : `.Study`
    pictures : {str: bytes}
        PNG files by name, from `draw_pictures`.

    Returns
    -------
    html : str
    """
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nengo_permadrop.study"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["formatted"] = _formatted
    n_draws = study.samples_spiking.n_draws
    judgements = study.judgements()
    return environment.get_template("report.html.j2").render(
        study=study,
        agreement=study.agreement,
        control=study.control,
        dataset=study.dataset,
        options=study.options,
        verdict=study.verdict(),
        judgements=judgements,
        next_step=next_step(judgements),
        softlif=has_softlif(study),
        warnings=warnings_of(study),
        bias=study.bias(),
        spread=study.spread(),
        scores=uncertainty.scores(study),
        n_draws=n_draws,
        n_observations=study.samples_spiking.n_observations,
        smallest_rejected=smallest_rejected(n_draws),
        typical=_typical(study),
        pictures={
            name.partition(".")[0]: "data:image/png;base64,"
            + base64.b64encode(picture).decode("ascii")
            for name, picture in pictures.items()
        },
    )


def _typical(study):
    """What is shown of the typical distribution, by name."""
    index = typical(study)
    return {
        "name": study.samples_spiking.observation_names[index[0]],
        "output": study.samples_spiking.output_names[index[1]],
        "statistic": study.agreement.statistic[index],
    }


def _shown(value):
    """What is put into the page: names may hold anything."""
    is_markup = hasattr(value, "__html__")
    return printable(value) if isinstance(value, str) and not is_markup else value


def _formatted(value, pattern):
    """A number as text, also if it isn't defined."""
    if value is None or not np.isfinite(value):
        return "not defined"
    return pattern.format(value)
