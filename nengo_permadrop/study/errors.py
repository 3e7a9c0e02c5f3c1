"""How the predictions of a study are off: by a constant, by a scale, or otherwise."""

from dataclasses import dataclass

import numpy as np

from nengo_permadrop.study import uncertainty

# Standard errors by which predictions must be better than the mean, to be called so:
# what is no better is called so in 5% of cases
ONE_SIDED = 1.645
# By which a mean must be off, to be called so: in 0.3% of cases by chance
TWO_SIDED = 3.0
# Of the targets' variance: what a line through the predictions must explain beyond
# what they explain themselves, to speak of other units
RESCALED = 0.25
# By which the line's slope must be off what networks have that predict badly
UNUSUAL = 2
# Fewer rows show no line
LEAST_ROWS = 20


@dataclass(frozen=True, eq=False)
class Errors:
    """
    Errors of the means of a network's draws.

    Attributes
    ----------
    mean, y : (n_observations, n_outputs) ndarray
        Predictions and targets, in the targets' units.
    """

    mean: np.ndarray
    y: np.ndarray

    @property
    def errors(self):
        """Prediction minus target."""
        return self.mean - self.y

    @property
    def rms(self):
        """Root mean squares, (n_outputs,)."""
        return np.sqrt(np.mean(self.errors**2, axis=0))

    @property
    def offset(self):
        """Mean errors, (n_outputs,)."""
        return self.errors.mean(axis=0)

    @property
    def offset_share(self):
        """Share of the squared errors that their mean makes, (n_outputs,)."""
        square = np.mean(self.errors**2, axis=0)
        return np.where(square > 0, self.offset**2 / np.maximum(square, 1e-300), 0.0)

    @property
    def offset_shows(self):
        """Where the mean error is more than chance, (n_outputs,) of bool."""
        n = len(self.y)
        if n < 3:
            return np.zeros(self.y.shape[1], bool)
        error = self.errors.std(axis=0, ddof=1) / np.sqrt(n)
        return np.abs(self.offset) > TWO_SIDED * error

    @property
    def spread(self):
        """Standard deviations of the targets, (n_outputs,)."""
        return self.y.std(axis=0)

    @property
    def centred(self):
        """The same without the mean errors."""
        return Errors(self.mean - self.offset, self.y)

    @property
    def r2(self):
        """
        The coefficient of determination, mean over the outputs whose targets differ.

        NaN if there are none. Of classes, few rows may lack some.
        """
        differ = self.spread > 0
        if not differ.any():
            return float("nan")
        left = self.rms[differ] ** 2 / self.spread[differ] ** 2
        return float(1 - np.mean(left))

    @property
    def better_than_mean(self):
        """Whether they are smaller than those of the mean by more than chance."""
        differ = self.spread > 0
        if not differ.any():  # all targets are the same
            return False
        gain = (self.y - self.y.mean(axis=0)) ** 2 - self.errors**2
        gain = (gain[:, differ] / self.y.var(axis=0)[differ]).mean(axis=1)
        if len(gain) < 3 or gain.std() == 0:
            return bool(gain.mean() > 0)
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        return bool(gain.mean() > ONE_SIDED * error)

    def line(self):
        """
        The line on which the targets lie better than on the predictions.

        Returns
        -------
        line : (float, float, float) or None
            Slope and intercept, so that ``slope * prediction + intercept`` fits the
            targets, and their correlation; of the first output where that explains
            much more than a shift alone does, with a slope that predictions in the
            targets' units hardly have. None if there is none.
        """
        if len(self.y) < LEAST_ROWS:
            return None
        for mean, y, error in zip(self.mean.T, self.y.T, self.errors.T):
            if mean.std() == 0 or y.std() == 0:
                continue
            correlation = np.corrcoef(mean, y)[0, 1]
            explained = 1 - error.var() / y.var()
            slope = correlation * y.std() / mean.std()
            # noise alone, of the predictions, makes a slope of correlation**2
            usual = correlation**2 / UNUSUAL < slope < UNUSUAL
            if correlation**2 > max(0.0, explained) + RESCALED and not usual:
                return float(slope), float(y.mean() - slope * mean.mean()), correlation
        return None


def errors_of(study, network="spiking"):
    """
    The errors of a study's network on the rows shown, an `Errors`.

    Parameters
    ----------
    study : `.Study`
    network : {"spiking", "classical"}, optional
    """
    samples = getattr(study, f"samples_{network}")
    return Errors(samples.mean(), uncertainty.observed(study))
