"""What a study found."""

import dataclasses

import numpy as np

from nengo_permadrop import datasets
from nengo_permadrop.agreement import Agreement, Verdict
from nengo_permadrop.metrics import Recalibration
from nengo_permadrop.samples import PredictiveSamples


@dataclasses.dataclass(frozen=True, eq=False)
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
    network : {str: int or float}
        "layers" of neurons, "neurons", "dropouts" and "verification_error" of the
        spiking network, "epochs" (None if they aren't known) and "parameters" of the
        classical one.
    options : dict
        What the study was called with.
    seeds : {str: int}
        Of its parts; all derived from the one in ``options``.
    times : {str: float}
        Seconds that each step took.
    versions : {str: str}
        Of Python and packages.
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

    def verdict(self):
        """
        Whether the two networks agree, and why, in words.

        Returns
        -------
        verdict : `.Verdict`
        """
        verdict = self.agreement.verdict()
        # "The samples agree: ..." is what the tests say of any two sets
        _, _, reasons = verdict.words.partition(": ")
        if self.agreement.paired:
            answer = "It can't be said if the spiking and the classical network agree"
        elif verdict:
            answer = "The spiking network agrees with the classical one"
        else:
            answer = "The spiking network does not agree with the classical one"
        return Verdict(verdict.agree, f"{answer}: {reasons}")

    def bias(self):
        """
        How the means differ, in standard deviations of the predictive distributions.

        Returns
        -------
        bias : {str: float}
            Mean over the observations of (mean - classical mean) / classical standard
            deviation, for the "spiking" network and the "control".
        """
        classical = self.samples_classical
        return {
            name: float(np.mean((samples.mean() - classical.mean()) / classical.std()))
            for name, samples in self._compared()
        }

    def spread(self):
        """
        How the standard deviations compare.

        Returns
        -------
        spread : {str: float}
            Geometric mean over the observations of the standard deviation divided by
            the classical one, for the "spiking" network and the "control".
        """
        classical = self.samples_classical.std()
        return {
            name: float(np.exp(np.mean(np.log(samples.std() / classical))))
            for name, samples in self._compared()
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
        from nengo_permadrop.report import write_report

        return write_report(self, directory)
