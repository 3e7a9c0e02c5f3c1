"""The page that a study leaves, made of its template."""

import base64
import re

import numpy as np

from nengo_permadrop.study import agreed, uncertainty
from nengo_permadrop.study.answers import model_and_data
from nengo_permadrop.study.errors import errors_of
from nengo_permadrop.study.judgements import next_steps
from nengo_permadrop.study.notes import smallest_rejected, warnings_of
from nengo_permadrop.study.pictures import has_softlif, typical
from nengo_permadrop.support.optional import require
from nengo_permadrop.support.plain import printable

# What the steps that are timed are called
STEPS = {
    "training": "training",
    "annealing": "training with a smaller gamma",
    "scoring": "mean predictions",
    "conversion": "conversion",
    "calibration": "correction of gains and biases",
    "tuning": "choice of settings",
    "spiking": "draws of the spiking network",
    "classical": "of the classical one",
    "control": "of it again",
    "validation": "of it for validation rows",
    "certificate": "size of the difference",
    "tests": "tests",
    "report": "report",
}
# Of the p-values: the first bar of their histogram
_BAR = 0.05


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
    environment.filters["marked"] = _marked
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
        steps=next_steps(judgements),
        title=model_and_data(study),
        checks={
            name: agreed.checks(study, each)
            for name, each in (
                ("spiking", study.agreement),
                ("control", study.control),
            )
        },
        limit=study.agreement.rejection_limit(),
        min_uniformity=agreed.MIN_UNIFORMITY,
        min_extreme=agreed.MIN_EXTREME,
        errors=errors_of(study),
        reference=uncertainty.reference(study),
        first_bar={
            name: float(np.mean(each.randomized_pvalue <= _BAR))
            for name, each in (
                ("spiking", study.agreement),
                ("control", study.control),
            )
        },
        worst=agreed.observation(study, study.agreement.most_extreme.index),
        size=_size(study),
        times={STEPS.get(name, name): each for name, each in study.times.items()},
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
        "name": agreed.observation(study, index),
        "statistic": study.agreement.statistic[index],
    }


def _size(study):
    """Size of the difference of the means and of the pairs' number; None if unknown."""
    certificate = study.certificate
    if certificate is None:
        return None
    return {
        "bias": certificate.bias,
        "units": agreed.in_units(study, certificate.bias),
        "spread": certificate.spread,
        "n_pairs": certificate.n_pairs,
        "n_observations": len(certificate.biases),
        "words": certificate.words(),
    }


def _marked(step):
    """A step with its commands as code."""
    from markupsafe import Markup

    parts = re.split("`(.*?)`", printable(step))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part
        for i, part in enumerate(parts)
    )


def _shown(value):
    """What is put into the page: names may hold anything."""
    is_markup = hasattr(value, "__html__")
    return printable(value) if isinstance(value, str) and not is_markup else value


def _formatted(value, pattern):
    """A number as text, also if it isn't defined."""
    if value is None or not np.isfinite(value):
        return "not defined"
    return pattern.format(value)
