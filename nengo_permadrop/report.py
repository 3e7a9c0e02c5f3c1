"""What a study leaves in its folder: report, pictures, tables, samples and model."""

import base64
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from nengo_permadrop import plots, uncertainty
from nengo_permadrop.files import atomic_path, write_bytes, write_text
from nengo_permadrop.ks import ks_pvalue
from nengo_permadrop.optional import require
from nengo_permadrop.recipe import SOFTLIF

LABELS = ("spiking", "classical")
CONTROL_LABELS = ("classical", "classical again")


def prepare_directory(directory):
    """
    Make a folder, and make sure that files can be written to it.

    Parameters
    ----------
    directory : str or path-like

    Returns
    -------
    directory : Path

    Raises
    ------
    OSError
        If that can't be done.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass
    return directory


def write_report(study, directory):
    """
    Write everything that a study found; see `.Study.write`.

    Everything is computed before the first file is written, and each file appears
    whole or not at all.

    Parameters
    ----------
    study : `.Study`
    directory : str or path-like

    Returns
    -------
    paths : list of Path
        What was written.
    """
    directory = prepare_directory(directory)
    pictures = draw_pictures(study)
    texts = {
        "summary.tsv": summary_table(study),
        "agreement.json": json.dumps(to_dict(study), indent=2, allow_nan=False) + "\n",
        "report.html": render(study, pictures),
    }
    samples = {
        "samples_spiking.npz": study.samples_spiking,
        "samples_classical.npz": study.samples_classical,
        "samples_control.npz": study.samples_control,
        "samples_validation.npz": study.samples_validation,
    }
    with atomic_path(directory / "model.h5") as temporary:
        study.model.save(str(temporary))
    for name, each in samples.items():
        each.save(directory / name)
    for name, picture in pictures.items():
        write_bytes(directory / name, picture)
    for name, text in texts.items():
        write_text(directory / name, text)
    return [directory / name for name in ("model.h5", *samples, *pictures, *texts)]


def draw_pictures(study):
    """
    The pictures of the paper's slides, as PNG.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    pictures : {str: bytes}
        By file name.
    """
    spiking, classical = study.samples_spiking, study.samples_classical
    most_extreme = study.agreement.most_extreme.index

    softlif, (rate, slope) = _figure(2)
    plots.plot_softlif(gamma=SOFTLIF["gamma"], ax=rate)
    plots.plot_softlif_derivative(gamma=SOFTLIF["gamma"], ax=slope)

    means, (left, right) = _figure(2)
    plots.plot_means(classical, spiking, ax=left)
    plots.plot_means(classical, study.samples_control, labels=CONTROL_LABELS, ax=right)
    right.set_title("control")

    pvalues, (ax,) = _figure(1)
    plots.plot_pvalue_histogram(
        study.agreement,
        study.control,
        labels=("spiking against classical", "control: classical against itself"),
        ax=ax,
    )

    ecdfs, (left, right) = _figure(2)
    plots.plot_ecdfs(spiking, classical, most_extreme, labels=LABELS, ax=left)
    plots.plot_ecdfs(
        study.samples_control,
        classical,
        study.control.most_extreme.index,
        labels=CONTROL_LABELS[::-1],
        ax=right,
    )
    right.set_title(f"control\n{right.get_title()}")

    predictive, (ax,) = _figure(1)
    plots.plot_predictive(
        {"spiking": spiking, "classical": classical}, *typical(study), ax=ax
    )
    calibration, axes = _figure(2)
    uncertainty.draw_calibration(study, axes)
    figures = {
        "softlif.png": softlif,
        "means.png": means,
        "pvalues.png": pvalues,
        "ecdf_most_extreme.png": ecdfs,
        "predictive.png": predictive,
        "calibration.png": calibration,
    }
    return {name: _png(figure) for name, figure in figures.items()}


def typical(study):
    """The (observation, output) whose KS statistic is the median one."""
    statistic = study.agreement.statistic
    order = np.argsort(statistic, axis=None, kind="stable")
    index = np.unravel_index(order[len(order) // 2], statistic.shape)
    return tuple(int(i) for i in index)


def _figure(n_axes):
    # a Figure of its own, not pyplot's: no window, no global state
    require("matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * n_axes, 4), layout="constrained")
    return figure, figure.subplots(1, n_axes, squeeze=False)[0]


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def summary_table(study):
    """
    The predictive distributions in the format of CANDLE's Combo inference.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    table : str
        Tab-separated, 4 decimals, a row an observation. First CANDLE's columns, filled
        from the spiking network: labels of the row, N (draws) and, for a target named
        Growth, PredGrowthMean, PredGrowthStd, PredGrowthMin, PredGrowthMax. Then the
        same four of the classical network (ClassicalGrowthMean, ...), the measured
        Growth, and statistic and p-value of the KS test (KS, PValue). A target of
        several columns has all these for each (KSIs0, PValueIs0, ...). Standard
        deviations are divided by N, as CANDLE's.
    """
    dataset = study.dataset
    n_rows = study.samples_spiking.n_observations
    shown = dataset.test.take(slice(n_rows))
    columns = {
        **shown.labels,
        "N": np.full(n_rows, study.samples_spiking.n_draws),
    }
    target = dataset.in_units(shown.target)
    for i, name in enumerate(dataset.output_names):
        suffix = name if len(dataset.output_names) > 1 else ""
        columns.update(
            **_moments(study.samples_spiking, i, f"Pred{name}"),
            **_moments(study.samples_classical, i, f"Classical{name}"),
            **{
                name: target[:, i],
                f"KS{suffix}": study.agreement.statistic[:, i],
                f"PValue{suffix}": study.agreement.pvalue[:, i],
            },
        )
    lines = ["\t".join(columns)]
    lines += ["\t".join(map(_cell, row)) for row in zip(*columns.values())]
    return "\n".join(lines) + "\n"


def _moments(samples, output, prefix):
    return {
        f"{prefix}Mean": samples.mean()[:, output],
        f"{prefix}Std": samples.std()[:, output],
        f"{prefix}Min": samples.min()[:, output],
        f"{prefix}Max": samples.max()[:, output],
    }


def _cell(value):
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
    """
    verdict = study.verdict()
    return {
        "agree": bool(verdict),
        "words": verdict.words,
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
        "seed": study.options["seed"],
        "seeds": study.seeds,
        "times": study.times,
        "versions": study.versions,
        "tests": _both(study, lambda each: each.to_dict()),
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
            f"With {n_draws} draws a side no single test can ever reject: only the "
            "uniformity says anything. Use more draws."
        )
    elif n_draws < 50 or agreement.statistic.size < 50:
        found.append(
            f"{n_draws} draws and {agreement.statistic.size} observations are few: "
            "only gross differences would be seen. 100 of each are what the paper used."
        )
    if study.r2["validation"] <= 0:
        found.append(
            "The classical network predicts no better than the mean of the target (r2 "
            f"{study.r2['validation']:.2f} on validation rows); what is compared are "
            "distributions of an untrained network."
        )
    return found


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
        loader=jinja2.PackageLoader("nengo_permadrop"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    n_draws = study.samples_spiking.n_draws
    return environment.get_template("report.html.j2").render(
        study=study,
        agreement=study.agreement,
        control=study.control,
        dataset=study.dataset,
        options=study.options,
        verdict=study.verdict(),
        warnings=warnings_of(study),
        bias=study.bias(),
        spread=study.spread(),
        scores=uncertainty.scores(study),
        n_draws=n_draws,
        n_observations=study.samples_spiking.n_observations,
        smallest_rejected=smallest_rejected(n_draws),
        typical=study.samples_spiking.observation_names[typical(study)[0]],
        pictures={
            name.partition(".")[0]: "data:image/png;base64,"
            + base64.b64encode(picture).decode("ascii")
            for name, picture in pictures.items()
        },
    )
