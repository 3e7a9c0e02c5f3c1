"""
One factor on the spread of predictive distributions, fitted on observed targets.

The factor is that of Laves et al. [1]_. For the functions that say whether it is needed
see `nengo_permadrop.metrics.scores`.

References
----------
.. [1] Laves, M.-H., Ihler, S., Fast, J. F., Kahrs, L. A., & Ortmaier, T. (2021).
   Recalibration of aleatoric and epistemic regression uncertainty in medical imaging.
   Machine Learning for Biomedical Imaging 1. arXiv:2104.12376
"""

import dataclasses

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.metrics.residuals import (
    at_least_two_draws,
    residual_and_std,
    root_mean_square,
)
from nengo_permadrop.samples.matching import check_names, regression_targets
from nengo_permadrop.samples.samples import PredictiveSamples


@dataclasses.dataclass(frozen=True, eq=False)
class Recalibration:
    """
    A factor on the spread of predictive distributions; made by `recalibrate`.

    Attributes
    ----------
    scale : (n_outputs,) ndarray
        What the distance of every draw from its mean is multiplied by. Greater than 1
        for a network that was too sure of itself.
    output_names : list of str or None
        Of the samples that it was fitted on.
    """

    scale: np.ndarray
    output_names: list | None = None

    def apply(self, samples):
        """
        Samples with their spread around the mean scaled; the means stay.

        Parameters
        ----------
        samples : `.PredictiveSamples`
            Of other rows than those that the scale was fitted on, if they are to be
            scored.

        Returns
        -------
        samples : `.PredictiveSamples`
            With ``recalibration`` in ``meta``: the factors on the network's spread.

        Raises
        ------
        nengo.exceptions.ValidationError
            If the outputs differ in number, name or order.
        """
        if samples.n_outputs != len(self.scale):
            raise ValidationError(
                f"the scale is of {len(self.scale)} outputs, the samples have "
                f"{samples.n_outputs}",
                attr="samples",
            )
        if self.output_names is not None:
            check_names(
                "output_names", self.output_names, samples.output_names, "samples"
            )
        mean = samples.mean()
        before = np.array(samples.meta.get("recalibration", 1.0))
        return PredictiveSamples(
            mean + self.scale * (samples.values - mean),
            output_names=samples.output_names,
            observation_names=samples.observation_names,
            backend=samples.backend,
            seed=samples.seed,
            masks=samples.masks,
            meta={**samples.meta, "recalibration": before * self.scale},
        )


def recalibrate(samples, y):
    """
    Fit the factor on the spread that observed targets ask for.

    The scale ``s`` minimises the negative log-likelihood of Gaussians with means ``mu``
    and standard deviations ``s * sigma``: ``s**2`` is the mean of ``((y - mu) /
    sigma)**2`` [1]_. Fit it on validation rows, never on the rows that are scored: it
    would look better than it is. One number can't tell a sure prediction from an unsure
    one, or make a distribution of another form right; look at `coverage` afterwards.

    Parameters
    ----------
    samples : `.PredictiveSamples`
        Of at least 2 draws, for validation rows.
    y : (n_observations, n_outputs) array_like
        Their observed targets.

    Returns
    -------
    recalibration : `Recalibration`
        With a scale for each output.

    Raises
    ------
    nengo.exceptions.ValidationError
        If ``y`` doesn't fit the samples, there is one draw, or all draws of some
        observation are the same: no factor makes them spread. If all means of an output
        are its targets: the factor would be 0, and its likelihood infinite.

    References
    ----------
    .. [1] Laves et al. (2021), as above.

    Examples
    --------
    >>> import nengo_permadrop as npd
    >>> rng = np.random.RandomState(0)
    >>> samples = npd.PredictiveSamples(rng.normal(size=(100, 500, 1)))
    >>> y = rng.normal(scale=3, size=500)
    >>> npd.metrics.recalibrate(samples, y).scale.round()
    array([3.])
    """
    y = regression_targets(y, samples)
    at_least_two_draws(samples)
    residual, std = residual_and_std(samples, y)
    constant = std == 0
    if constant.any():
        observation, output = np.argwhere(constant)[0]
        raise ValidationError(
            f"all draws of observation {observation}, output {output}, are the same "
            f"({np.count_nonzero(constant)} such distributions of {constant.size}): "
            "no factor makes them spread. Leave these observations out, or train a "
            "network of which every output depends on units that are dropped",
            attr="samples",
        )
    exact = np.all(residual == 0, axis=0)
    if exact.any():
        raise ValidationError(
            f"are the means of the samples, for output {np.argmax(exact)}: the factor "
            "would be 0. Give targets that were observed",
            attr="y",
        )
    return Recalibration(root_mean_square(residual / std), samples.output_names)
