"""What a study found."""

import dataclasses
import textwrap
from typing import NamedTuple

import numpy as np

from nengo_permadrop import datasets
from nengo_permadrop.metrics.agreement import Agreement, Verdict
from nengo_permadrop.metrics.recalibration import Recalibration
from nengo_permadrop.metrics.residuals import without_spread
from nengo_permadrop.samples.samples import PredictiveSamples
from nengo_permadrop.study.agreed import reasons
from nengo_permadrop.study.answers import in_lines, model_and_data
from nengo_permadrop.study.judgements import judge, next_steps
from nengo_permadrop.support.plain import shortened

_SCREEN = 24  # lines of a terminal


class _Found(NamedTuple):
    """A number, or None and the reason why it isn't defined."""

    value: float
    reason: str = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Study:
    """
    What `.study.study` found.

    Attributes
    ----------
    dataset : `.datasets.Dataset`
    model : `keras.Model`
        The trained classical network. Its target is standardised as the data set's.
    samples_spiking, samples_classical, samples_control : `.PredictiveSamples`
        Draws from the spiking and the classical network for the first observations of
        the test rows, and from the classical network once more with other masks; in
        the target's own units.
    agreement : `.Agreement`
        Of the spiking with the classical network.
    control : `.Agreement`
        Of the classical network with itself.
    samples_validation : `.PredictiveSamples`
        Draws from the classical network for validation rows.
    recalibration : `.Recalibration`
        Fitted on them: what the spread has to be multiplied by.
    r2 : {str: float}
        Coefficient of determination of the mean prediction on "validation" and "test"
        rows.
    network : dict
        "layers" of neurons, "neurons", "neuron_types" (their number by type),
        "firing_rates" (see `.Converter`), what is "replaced" (sentences), "gammas" of
        SoftLIF, "dropouts" and "verification_error" of the spiking network, "epochs"
        (None if they aren't known) and "parameters" of the classical one.
    accuracy : {str: float} or None
        Where targets say to which class a row belongs: the share of rows whose class is
        the largest output's. Of the "spiking" and the "classical" network for the
        observations, and of the classical one for "validation" and "test" rows.
    options : dict
        What the study was called with, and the times that were chosen.
    seeds : {str: int}
        Of its parts; all derived from the one in ``options``.
    times : {str: float}
        Seconds that each step took.
    versions : {str: str}
        Of Python and packages.
    calibration : `.Calibration` or None
        Of the spiking network, if that was asked for, or chosen by tuning.
    tuning : `.Tuning` or None
        What the spiking network's settings were chosen by, if that was asked for.
    certificate : `.Certificate` or None
        How large the difference is, from draws with the same masks of the first 30
        observations; None where they don't spread.
    power : float or None
        Share of such studies, of as many draws and tests, that would see a difference
        of 0.2 standard deviations in all means.
    date : str
        When it was run.
    command : str
        The command line, or "from Python".
    folder : str or None
        Where it is written to, as it was given.
    """

    dataset: datasets.Dataset
    model: object
    samples_spiking: PredictiveSamples
    samples_classical: PredictiveSamples
    samples_control: PredictiveSamples
    agreement: Agreement
    control: Agreement
    samples_validation: PredictiveSamples
    recalibration: Recalibration
    r2: dict
    network: dict
    options: dict
    seeds: dict
    times: dict
    versions: dict
    calibration: object = None
    tuning: object = None
    certificate: object = None
    power: float = None
    accuracy: dict = None
    date: str = ""
    command: str = ""
    folder: str = None

    def __repr__(self):
        for words, n_steps in ((True, None), (False, None), (False, 1)):
            found = self._summary(words, n_steps)
            if found.count("\n") < _SCREEN:
                break
        return found

    def _summary(self, words, n_steps):
        """Answers, with their numbers or without, and steps, in lines of a screen."""
        spiking = self.samples_spiking
        judged = self.judgements()
        lines = textwrap.wrap(
            f"Study of {shortened(model_and_data(self))}: {spiking.n_draws} draws, "
            f"{spiking.n_observations} observations, backend {spiking.backend}",
            79,
            subsequent_indent="  ",
        )
        for each in judged.values():
            lines.append(each.question)
            answer = f"{each.answer} {each.words if words else ''}".rstrip()
            lines += textwrap.wrap(
                answer, 79, initial_indent="  ", subsequent_indent="    "
            )
        for i, step in enumerate(next_steps(judged)[:n_steps]):
            lines += ["Then:" if i else "Next:", *in_lines(step)]
        return "\n".join(lines)

    def judgements(self):
        """
        Whether the networks agree, predict well and right on average, and know how sure
        they are.

        Returns
        -------
        judgements : {"agreement", "accuracy", "offset", "calibration": `.Judgement`}
        """
        return judge(self)

    def verdict(self):
        """
        Whether the two networks agree, and why, in words.

        Returns
        -------
        verdict : `.Verdict`
        """
        verdict = self.agreement.verdict()
        if self.agreement.paired:
            answer = "It can't be said if the spiking and the classical network agree"
            return Verdict(False, f"{answer}: {self.agreement.why_paired()}")
        does = "agrees" if verdict else "does not agree"
        answer = f"The spiking network {does} with the classical one"
        return Verdict(verdict.agree, f"{answer}: {reasons(self)}")

    def bias(self):
        """
        How the means differ, in standard deviations of the predictive distributions.

        Returns
        -------
        bias : {str: float or None}
            Mean over the observations of (mean - classical mean) / classical standard
            deviation, for the "spiking" network and the "control". None where it isn't
            defined, see `undefined`.
        """
        return {name: found.value for name, found in self._biases().items()}

    def spread(self):
        """
        How the standard deviations compare.

        Returns
        -------
        spread : {str: float or None}
            Geometric mean over the observations of the standard deviation divided by
            the classical one, for the "spiking" network and the "control". None where
            it isn't defined, see `undefined`.
        """
        return {name: found.value for name, found in self._spreads().items()}

    def undefined(self):
        """
        What of the comparison isn't defined, and why.

        Where all draws of an observation are the same, as of one that depends on no
        unit that is dropped, there is no spread to compare with.

        Returns
        -------
        reasons : {str: str}
            By ``"bias.spiking"``, ``"spread.control"`` and so on; empty if all is
            defined. A reason holds the value over the other observations.
        """
        found = {"bias": self._biases(), "spread": self._spreads()}
        return {
            f"{kind}.{name}": each.reason
            for kind, by_name in found.items()
            for name, each in by_name.items()
            if each.reason is not None
        }

    def _biases(self):
        classical = self.samples_classical
        constant = without_spread(classical)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                name: _mean_of_defined(
                    (samples.mean() - classical.mean()) / classical.std(),
                    constant,
                    lambda mean: f"{mean:+.3g}",
                )
                for name, samples in self._compared()
            }

    def _spreads(self):
        classical = self.samples_classical
        constant = without_spread(classical)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {
                name: _mean_of_defined(
                    np.log(samples.std() / classical.std()),
                    constant | without_spread(samples),
                    lambda mean: f"{np.exp(mean):.3g}",
                )
                for name, samples in self._compared()
            }
        return {
            name: (
                each
                if each.value is None
                else each._replace(value=float(np.exp(each.value)))
            )
            for name, each in found.items()
        }

    def _compared(self):
        return (("spiking", self.samples_spiking), ("control", self.samples_control))

    def write(self, directory):
        """
        Write the report, its pictures, tables, samples and the model.

        Parameters
        ----------
        directory : str or path-like
            Made if it doesn't exist. Files of the same names are replaced, each one
            whole or not at all.

        Returns
        -------
        paths : list of Path
            What was written.
        """
        from nengo_permadrop.study.report import write_report

        return write_report(self, directory)


def _mean_of_defined(values, constant, in_words):
    """The mean of values, unless some aren't defined: where draws are constant."""
    n_constant = np.count_nonzero(constant)
    if n_constant == 0:
        return _Found(float(np.mean(values)))
    reason = (
        f"all draws of {n_constant} of {constant.size} distributions are the same in a "
        "network, so that there is no spread to compare with"
    )
    if n_constant < constant.size:
        words = in_words(np.mean(values[~constant]))
        reason += f"; over the others it is {words}"
    return _Found(None, reason)
